//! What can go wrong between us and RabbitMQ.

use chassis::time::Elapsed;

/// Result of a broker call.
pub type Result<T, E = BrokerError> = std::result::Result<T, E>;

/// A failed broker call.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The server or the client library refused, or the connection broke.
    #[error("RabbitMQ: {doing} failed")]
    Amqp {
        /// The call.
        doing: &'static str,
        /// What lapin said.
        #[source]
        source: lapin::Error,
    },
    /// No answer in time: what became of the call is unknown.
    #[error("RabbitMQ: {doing} was not answered")]
    TimedOut {
        /// The call.
        doing: &'static str,
        /// The limit.
        #[source]
        source: Elapsed,
    },
    /// A queue or exchange exists with other arguments (reply code 406): arguments cannot be changed.
    #[error(
        "RabbitMQ: {name} exists with other arguments; let it run empty, delete it \
         (rabbitmqctl delete_queue {name}) and it is declared again"
    )]
    Inequivalent {
        /// Queue or exchange.
        name: String,
        /// What the server said.
        #[source]
        source: lapin::Error,
    },
    /// The server takes no messages now (memory or disk alarm): nothing was sent.
    #[error("RabbitMQ blocks publishing: {reason}")]
    Blocked {
        /// What the server said.
        reason: String,
    },
    /// The URL cannot be read any more (its file changed).
    #[error("AMQP_URL is not an AMQP URL")]
    Url,
    /// Only a prefixed topology may be deleted.
    #[error("the topology without a prefix is not deleted")]
    NotPrefixed,
}

/// Reply code of a fault inside the server.
const INTERNAL_ERROR: u16 = 541;

/// Reply code of a server's refusal; `None` for other errors.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// Whether the server closed a channel only, not the connection.
pub(crate) fn is_soft(error: &lapin::Error) -> bool {
    use lapin::protocol::AMQPErrorKind::Soft;
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(error) if matches!(error.kind(), Soft(_)))
}

/// Whether the server failed inside (541) and closed the connection for it, as it does when the process behind a
/// quorum queue is gone.
pub(crate) fn is_internal(error: &BrokerError) -> bool {
    matches!(error, BrokerError::Amqp { source, .. } if reply_code(source) == Some(INTERNAL_ERROR))
}

/// Runs a lapin call under a deadline.
pub(crate) async fn call<T>(
    doing: &'static str,
    limit: std::time::Duration,
    future: impl Future<Output = lapin::Result<T>>,
) -> Result<T> {
    match chassis::time::deadline(doing, limit, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(BrokerError::Amqp { doing, source }),
        Err(source) => Err(BrokerError::TimedOut { doing, source }),
    }
}
