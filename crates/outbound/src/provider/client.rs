//! One call from token to answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::HeaderValue;
use chassis::ids::{new_id, random_bytes};
use chassis::secret::Secret;
use chassis::time::pause;
use chrono::{DateTime, Utc};
use domain::breaker::Outcome;
use domain::retry::{RetryAfter, RetryPolicy};
use domain::throttle::{Advice, Priority, wide_scope};
use domain::time::SharedClock;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::pace::{Pace, allowance};
use super::{Call, CallError, Reading, ServerSkew, ServiceBreaker, challenge};
use crate::http::{Connection, HttpClient, HttpError, Request, Response};
use crate::throttle::{Gate, Pass, Throttled};
use crate::token::{EntraTokens, TokenError, TokenSource};

/// The shortest silence after a 429 or 509 that names none.
const MIN_SILENCE: Duration = Duration::from_secs(1);

/// Names and figures of a provider.
#[derive(Debug, Clone, Copy)]
pub struct ProviderSettings {
    /// Counter of calls, with the labels `operation` and `status`.
    pub requests_metric: &'static str,
    /// Attempts and their delays.
    pub retry: RetryPolicy,
    /// What its answers mean.
    pub read: fn(&Response) -> Reading,
}

/// A client that keeps a provider's rules. One for each credential and workload, shared by all callers.
#[derive(Debug)]
pub struct ProviderClient<T: ?Sized = EntraTokens> {
    http: Arc<HttpClient>,
    tokens: Arc<T>,
    gate: Gate,
    /// Budgets that this client shares with others; entered before its own.
    outer: Vec<Arc<Gate>>,
    /// A silence closes the shared budgets too, whatever the answer says about its scope.
    silences_all: bool,
    breaker: Arc<ServiceBreaker>,
    settings: ProviderSettings,
    clock: SharedClock,
    skew: ServerSkew,
    pace: Pace,
    rng: Mutex<StdRng>,
}

/// The right to make one call, from every gate.
struct Passes {
    own: Option<Pass>,
    outer: Vec<(Arc<Gate>, Pass)>,
}

/// What one attempt came to.
enum Attempt {
    /// An answer for the caller.
    Answer(Response),
    /// Worth another attempt, on a new connection where the provider asks for it.
    Again { failure: Failure, connection: Connection },
    /// The provider asked for silence; the window is open.
    Throttled { response: Response, wait: Duration },
    /// The token was refused and is forgotten.
    Unauthorized(Response),
}

enum Failure {
    Answer(Response),
    Transport(HttpError),
    Token(TokenError),
}

impl From<Failure> for Result<Response, CallError> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answer(response) => Ok(response),
            Failure::Transport(error) => Err(CallError::Transport(error)),
            Failure::Token(error) => Err(CallError::Token(error)),
        }
    }
}

impl<T: TokenSource + ?Sized> ProviderClient<T> {
    /// Puts a client together.
    pub fn new(
        http: Arc<HttpClient>,
        tokens: Arc<T>,
        gate: Gate,
        breaker: impl Into<Arc<ServiceBreaker>>,
        settings: ProviderSettings,
        clock: SharedClock,
    ) -> Self {
        let rng = Mutex::new(StdRng::from_seed(random_bytes::<32>()));
        let breaker = breaker.into();
        let (outer, skew, pace) = (Vec::new(), ServerSkew::default(), Pace::default());
        Self { http, tokens, gate, outer, silences_all: false, breaker, settings, clock, skew, pace, rng }
    }

    /// Draws on these budgets too, which other clients share.
    #[must_use]
    pub fn behind(mut self, outer: Vec<Arc<Gate>>) -> Self {
        self.outer = outer;
        self
    }

    /// Keeps everybody silent who shares a budget with it when the provider throttles it: for providers that do not
    /// say whom they mean.
    #[must_use]
    pub fn silencing_all(mut self) -> Self {
        self.silences_all = true;
        self
    }

    /// The token source.
    pub fn tokens(&self) -> &T {
        &self.tokens
    }

    /// The circuit breaker.
    pub fn breaker(&self) -> &ServiceBreaker {
        &self.breaker
    }

    /// The throttle fence.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Retry figures in force.
    pub fn retry_policy(&self) -> RetryPolicy {
        self.settings.retry
    }

    /// The present instant on the provider's clock.
    pub fn provider_now(&self) -> DateTime<Utc> {
        self.skew.provider_time(self.clock.now())
    }

    /// Makes a call with a bearer token. Any status that retrying does not mend is an answer, and so is a 5xx
    /// that outlasted all attempts.
    ///
    /// # Errors
    /// [`CallError`] when there is no answer, or when the caller has to come back later.
    pub async fn call(&self, call: &Call, request: Request) -> Result<Response, CallError> {
        self.call_as(Priority::Background, call, request).await
    }

    /// [`ProviderClient::call`] with a place in the row: interactive calls go first.
    ///
    /// # Errors
    /// [`CallError`] as of [`ProviderClient::call`].
    pub async fn call_as(
        &self,
        priority: Priority,
        call: &Call,
        request: Request,
    ) -> Result<Response, CallError> {
        let started = Instant::now();
        let mut connection = Connection::Pooled;
        let mut failures = 0;
        let mut reauthenticated = false;
        let mut last_throttle = None;
        loop {
            let patience = call.patience.saturating_sub(started.elapsed());
            let mut request = request.clone();
            request.connection = connection;
            let attempt = match self.attempt(priority, call, request, patience, failures).await {
                Err(CallError::Throttled { retry_after, response: None }) => {
                    return Err(CallError::Throttled { retry_after, response: last_throttle });
                }
                attempt => attempt?,
            };
            let (failure, wait) = match attempt {
                Attempt::Answer(response) => return Ok(response),
                // One new token; a second refusal is about permissions or the account.
                Attempt::Unauthorized(response) if reauthenticated => return Ok(response),
                Attempt::Unauthorized(_) => {
                    reauthenticated = true;
                    continue;
                }
                Attempt::Throttled { response, wait } => {
                    if response.status.as_u16() == 503 {
                        connection = Connection::New;
                    }
                    let response = Some(Box::new(response));
                    failures += 1;
                    if self.settings.retry.exhausted(failures) {
                        return Err(CallError::Throttled { retry_after: wait, response });
                    }
                    // The gate waits for the window if it is short, and otherwise sends the caller away.
                    last_throttle = response;
                    continue;
                }
                Attempt::Again { failure, connection: next } => {
                    connection = next;
                    failures += 1;
                    (failure, self.delay(failures, None))
                }
            };
            let left = call.patience.saturating_sub(started.elapsed());
            if self.settings.retry.exhausted(failures) || wait >= left {
                return failure.into();
            }
            pause(wait).await;
        }
    }

    /// Opens the window because an item of a batch was throttled.
    pub async fn throttled_item(&self, retry_after: Option<&str>) -> Duration {
        let wait = self.silence(retry_after, 1);
        self.gate.close(wait).await;
        wait
    }

    /// Sends one request without a token, past fence and breaker: for addresses that carry their own credential.
    ///
    /// # Errors
    /// [`HttpError`] when there is no complete answer.
    pub async fn without_token(
        &self,
        operation: &'static str,
        request: Request,
    ) -> Result<Response, HttpError> {
        let outcome = self.http.send(request).await;
        self.count(operation, &outcome);
        outcome
    }

    /// Sends one request without a token through the fence. A silence that the provider asks for closes it.
    ///
    /// # Errors
    /// [`CallError::Throttled`] or [`CallError::Transport`]; any other status is an answer.
    pub async fn gated_without_token(
        &self,
        priority: Priority,
        operation: &'static str,
        request: Request,
    ) -> Result<Response, CallError> {
        let entered = self.enter(priority, 1, Call::PATIENCE).await;
        let passes = entered.map_err(|throttled| CallError::Throttled {
            retry_after: throttled.retry_after,
            response: None,
        })?;
        let outcome = self.without_token(operation, request).await;
        let silence = match &outcome {
            Ok(response) if (self.settings.read)(response) == Reading::Throttled => {
                Some(self.silence(response.header("retry-after"), 1))
            }
            _ => None,
        };
        self.leave(passes, silence, false).await;
        match (outcome, silence) {
            (Ok(response), Some(retry_after)) => {
                Err(CallError::Throttled { retry_after, response: Some(Box::new(response)) })
            }
            (outcome, _) => outcome.map_err(CallError::Transport),
        }
    }

    /// Waits before another attempt as the retry policy says, and never shorter than the provider asked for.
    pub async fn backoff(&self, failures: u32, asked: Option<Duration>) {
        pause(self.delay(failures, asked)).await;
    }

    async fn attempt(
        &self,
        priority: Priority,
        call: &Call,
        request: Request,
        patience: Duration,
        failures: u32,
    ) -> Result<Attempt, CallError> {
        let guard = self.breaker.acquire().map_err(|rejected| CallError::BreakerOpen {
            service: self.breaker.service(),
            retry_after: rejected.retry_after,
        })?;
        // The token comes first: nothing slow may happen between the fence and the call.
        let token = match self.tokens.bearer().await {
            Ok(token) => token,
            Err(TokenError::Throttled { retry_after }) => {
                return Err(CallError::Throttled { retry_after, response: None });
            }
            Err(error @ TokenError::Unavailable { .. }) => {
                guard.done(Outcome::Failure);
                return Ok(Attempt::Again { failure: Failure::Token(error), connection: Connection::Pooled });
            }
            Err(error) => return Err(CallError::Token(error)),
        };
        if priority == Priority::Background {
            pause(self.pace.place(Instant::now()).min(patience)).await;
        }
        let passes = match self.enter(priority, call.cost, patience).await {
            Ok(passes) => passes,
            Err(throttled) => {
                return Err(CallError::Throttled { retry_after: throttled.retry_after, response: None });
            }
        };
        let limit = self.breaker.status().config.call_timeout.min(patience).max(Duration::from_millis(100));
        let sent = self.send(call, request.deadline(limit), &token).await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                self.leave(passes, None, false).await;
                guard.done(Outcome::Failure);
                let again = error.is_transient() && (call.idempotent || error.certainly_not_processed());
                return if again {
                    Ok(Attempt::Again { failure: Failure::Transport(error), connection: Connection::New })
                } else {
                    Err(CallError::Transport(error))
                };
            }
        };
        let reading = (self.settings.read)(&response);
        if reading == Reading::Throttled {
            let wait = self.silence(response.header("retry-after"), failures + 1);
            let named = response.header("x-ms-throttle-scope").is_some_and(wide_scope);
            let wide = named || self.silences_all;
            self.leave(passes, Some(wait), wide).await;
            guard.done(Outcome::Throttled);
            return Ok(Attempt::Throttled { response, wait });
        }
        self.leave(passes, None, false).await;
        self.heed(&response).await;
        match reading {
            Reading::Unauthorized => {
                guard.done(Outcome::Success);
                self.tokens.discard(&token, challenge::claims(&response));
                Ok(Attempt::Unauthorized(response))
            }
            Reading::ServerFault { again } => {
                guard.done(Outcome::Failure);
                if !again || !call.idempotent {
                    return Ok(Attempt::Answer(response));
                }
                let unwell = response.status.as_u16() == 503;
                let connection = if unwell { Connection::New } else { Connection::Pooled };
                Ok(Attempt::Again { failure: Failure::Answer(response), connection })
            }
            Reading::Answer | Reading::Throttled => {
                guard.done(Outcome::Success);
                Ok(Attempt::Answer(response))
            }
        }
    }

    /// Enters every gate, the shared ones first.
    async fn enter(&self, priority: Priority, cost: u32, patience: Duration) -> Result<Passes, Throttled> {
        let mut passes = Passes { own: None, outer: Vec::with_capacity(self.outer.len()) };
        for gate in &self.outer {
            match gate.enter_as(priority, cost, patience).await {
                Ok(pass) => passes.outer.push((Arc::clone(gate), pass)),
                Err(throttled) => {
                    self.leave(passes, None, false).await;
                    return Err(throttled);
                }
            }
        }
        match self.gate.enter_as(priority, cost, patience).await {
            Ok(pass) => {
                passes.own = Some(pass);
                Ok(passes)
            }
            Err(throttled) => {
                self.leave(passes, None, false).await;
                Err(throttled)
            }
        }
    }

    /// Leaves every gate; a silence closes the client's own, and a `wide` one those that it shares too.
    async fn leave(&self, passes: Passes, silence: Option<Duration>, wide: bool) {
        if let Some(pass) = passes.own {
            self.gate.leave(pass, silence).await;
        }
        for (gate, pass) in passes.outer {
            gate.leave(pass, silence.filter(|_| wide)).await;
        }
    }

    /// Slows down on what the provider says before it throttles. The headers count for the whole application, so a
    /// silence closes the widest gate.
    async fn heed(&self, response: &Response) {
        match allowance(response).advice() {
            Advice::Free => {}
            advice @ Advice::Space { .. } => self.pace.learn(advice, Instant::now()),
            Advice::Silence(wait) => {
                let gate = self.outer.first().map_or(&self.gate, |gate| gate.as_ref());
                gate.hush(wait).await;
            }
        }
    }

    fn count(&self, operation: &'static str, outcome: &Result<Response, HttpError>) {
        let status = match outcome {
            Ok(response) => response.status.as_str().to_owned(),
            Err(HttpError::Timeout { .. }) => "timeout".to_owned(),
            Err(_) => "transport".to_owned(),
        };
        metrics::counter!(self.settings.requests_metric, "operation" => operation, "status" => status)
            .increment(1);
    }

    async fn send(&self, call: &Call, request: Request, token: &Secret) -> Result<Response, HttpError> {
        let client_request_id = new_id().to_string();
        let mut request = request.bearer(token)?;
        if let Ok(value) = HeaderValue::from_str(&client_request_id) {
            request.headers.insert("client-request-id", value);
        }
        request.headers.insert("return-client-request-id", HeaderValue::from_static("true"));
        let outcome = self.http.send(request).await;
        self.count(call.operation, &outcome);
        match &outcome {
            Ok(response) => {
                self.skew.learn(response, self.clock.now());
                log_answer(call, response, &client_request_id);
            }
            Err(error) => tracing::warn!(
                operation = call.operation,
                client_request_id,
                error = %error,
                cause = std::error::Error::source(error).map(tracing::field::display),
                "call to the provider failed"
            ),
        }
        outcome
    }

    fn silence(&self, asked: Option<&str>, failures: u32) -> Duration {
        match asked.and_then(|text| RetryAfter::parse(text, self.provider_now())) {
            Some(wait) => wait,
            None => self.delay(failures, None).max(MIN_SILENCE),
        }
    }

    fn delay(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        self.settings.retry.delay(failures, retry_after, &mut *rng)
    }
}

/// What Microsoft asks for in a support case (provider facts A9).
fn log_answer(call: &Call, response: &Response, client_request_id: &str) {
    let status = response.status.as_u16();
    if response.status.is_success() || matches!(status, 302 | 404) {
        tracing::debug!(
            operation = call.operation,
            place = response.place,
            status,
            client_request_id,
            "provider answered"
        );
        return;
    }
    tracing::warn!(
        operation = call.operation,
        place = response.place,
        status,
        client_request_id,
        request_id = response.header("request-id"),
        date = response.header("date"),
        ags = response.header("x-ms-ags-diagnostic"),
        sharepoint_request = response.header("sprequestguid"),
        retry_after = response.header("retry-after"),
        "provider refused"
    );
}
