//! Replies that the cache remembers for a scope (an AO or a drive).

use bytes::Bytes;
use cache::{Cache, Kind};
use contracts::graph::v1::CallContext;
use prost::Message;
use tonic::Status;

/// The scope to cache under; `None` when the caller wants no cache.
pub(crate) fn scope(context: Option<&CallContext>) -> Option<&str> {
    context.map(|c| c.cache_scope.as_str()).filter(|scope| !scope.is_empty())
}

/// Answers from the cache, or asks and remembers. `bypass_cache` asks, and still remembers: the fresh answer is the
/// one that others should see.
pub(crate) async fn through<R, F>(
    cache: &Cache,
    kind: Kind,
    context: Option<&CallContext>,
    id: &str,
    ask: F,
) -> Result<R, Status>
where
    R: Message + Default,
    F: Future<Output = Result<(R, bool), Status>>,
{
    let Some(scope) = scope(context) else {
        return ask.await.map(|(reply, _)| reply);
    };
    let key = format!("{scope}:{id}");
    let bypass = context.is_some_and(|c| c.bypass_cache);
    if !bypass
        && let Some(bytes) = cache.get_bytes(kind, &key).await
        && let Ok(reply) = R::decode(bytes)
    {
        return Ok(reply);
    }
    let (reply, worth_keeping) = ask.await?;
    if worth_keeping {
        cache.set_bytes(kind, &key, Bytes::from(reply.encode_to_vec())).await;
    }
    Ok(reply)
}
