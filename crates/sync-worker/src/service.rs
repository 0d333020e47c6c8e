//! Wiring: configuration in, running worker out.

use std::error::Error;

use broker::Broker;
use chassis::service::Service;
use job_runtime::{Handlers, Host, Runtime};
use store::Store;

use crate::calendar::{Google, Outlook, Providers, PullHandler, PushHandler, WatchHandler};
use crate::config::{CalendarConfig, DocumentsConfig, WorkerConfig};
use crate::connector::Connector;
use crate::documents::{Documents, SyncAoHandler, SyncDriveHandler};
use crate::housekeeping::{CleanExpiredChannelsHandler, CleanQueueHandler, RenewChannelsHandler};
use crate::maintenance::{
    PurgeHandler, PushCalendarsHandler, RetryHandler, SweepCalendarsHandler, SweepHandler,
};
use crate::messages::{
    EnsureDriveSubscriptionHandler, EnsureSubscriptionHandler, Graph, SendMessageHandler,
    SweepMessagesHandler, SyncChannelHandler, SyncChatHandler, SyncMailboxHandler,
};

/// Every handler of the worker. Needs a runtime, since the connector's channel lives on it.
///
/// # Errors
/// When `GRAPH_CONNECTOR_URL` or `GCAL_CONNECTOR_URL` is not an address.
pub fn handlers(
    config: &DocumentsConfig,
    calendars: &CalendarConfig,
) -> Result<Handlers, chassis::grpc::ChannelError> {
    let channel = chassis::grpc::channel(&config.connector_url)?;
    let graph = Graph::new(channel.clone());
    let outlook = Outlook::new(channel.clone());
    let connector = Connector::new(channel);
    let ensure = EnsureSubscriptionHandler { graph: graph.clone(), realtime: config.realtime };
    let documents = Documents { config: config.clone(), connector };
    let google = Google::new(chassis::grpc::channel(&calendars.connector_url)?);
    let providers = Providers { google: google.clone(), outlook };
    Ok(Handlers::new()
        .with(SyncDriveHandler(documents.clone()))
        .with(SyncAoHandler(documents))
        .with(EnsureDriveSubscriptionHandler(ensure.clone()))
        .with(ensure)
        .with(SyncMailboxHandler(graph.clone()))
        .with(SyncChannelHandler(graph.clone()))
        .with(SyncChatHandler(graph.clone()))
        .with(SendMessageHandler(graph))
        .with(SweepMessagesHandler { realtime: config.realtime })
        .with(PullHandler(providers.clone()))
        .with(PushHandler(providers))
        .with(WatchHandler { google, realtime: config.realtime })
        .with(SweepHandler)
        .with(SweepCalendarsHandler)
        .with(PushCalendarsHandler)
        .with(PurgeHandler)
        .with(RetryHandler)
        .with(CleanQueueHandler)
        .with(RenewChannelsHandler)
        .with(CleanExpiredChannelsHandler))
}

/// Starts the worker.
///
/// # Errors
/// When a setting that was accepted cannot be used.
pub async fn start(service: Service<WorkerConfig>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Service { config, tasks, shutdown, health, .. } = service;
    chassis::metrics::describe(&crate::metrics::METRICS);
    let store = Store::new(&config.database, "sync-worker")?;
    let broker = Broker::new(&config.broker, "sync-worker", &health, &tasks, &shutdown);
    let handlers = handlers(&config.documents, &config.calendars)?;
    Runtime::start(config.runtime, store, &broker, handlers, Host { tasks, shutdown, health });
    Ok(())
}
