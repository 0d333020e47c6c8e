//! Handlers from closures.

use std::time::Duration;

use async_trait::async_trait;
use contracts::jobs::JobPayload;
use domain::retry::RetryPolicy;
use futures::FutureExt;
use futures::future::BoxFuture;
use job_runtime::{Handler, JobContext, JobError, Outcome};

type Script<P> = Box<dyn Fn(P, JobContext) -> BoxFuture<'static, Result<Outcome, JobError>> + Send + Sync>;

/// A handler that does what a closure says, and tries again quickly.
#[must_use]
pub struct Scripted<P>(Script<P>);

/// Makes a handler for payload `P` from a closure.
pub fn scripted<P, F, Fut>(script: F) -> Scripted<P>
where
    F: Fn(P, JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, JobError>> + Send + 'static,
{
    Scripted(Box::new(move |payload, job| script(payload, job).boxed()))
}

#[async_trait]
impl<P: JobPayload> Handler for Scripted<P> {
    type Payload = P;

    async fn run(&self, payload: P, job: JobContext) -> Result<Outcome, JobError> {
        (self.0)(payload, job).await
    }

    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            max_attempts: 5,
            initial: Duration::from_millis(100),
            max: Duration::from_millis(500),
            multiplier: 2,
        }
    }
}
