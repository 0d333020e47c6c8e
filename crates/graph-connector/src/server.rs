//! The gRPC service: one method, one question to Graph.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache::{Cache, Kind};
use chassis::config::SecretSource;
use chassis::time::deadline;
use chrono::TimeDelta;
use contracts::fault::{busy, refused};
use contracts::graph::v1::graph_connector_server::GraphConnector;
use contracts::graph::v1::{
    ClearCacheReply, ClearCacheRequest, DeleteSubscriptionReply, DeleteSubscriptionRequest, DeltaPageReply,
    DeltaPageRequest, EnsureDriveSubscriptionReply, EnsureDriveSubscriptionRequest, GetDriveReply,
    GetDriveRequest, GetItemReply, GetItemRequest, GetStatusReply, GetStatusRequest, ListChildrenReply,
    ListChildrenRequest, RefreshTokenReply, RefreshTokenRequest, delta_page_reply, delta_page_request,
    get_item_request, list_children_request,
};
use domain::time::SharedClock;
use graph_client::WorkflowHosts;
use graph_client::{DeltaCursor, FolderRef, GraphClient, GraphError, ItemRef, NextLink};
use outbound::provider::CallError;
use outbound::token::EntraTokens;
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{Request, Response, Status};

use crate::cached::{scope, through};
use crate::clients::{Clients, priority};
use crate::config::ConnectorConfig;
use crate::convert::{drive, item, items, micros, poison};
use crate::fault::status;
use crate::permissions::{FILES_READ, FILES_READ_WRITE, Permissions};
use crate::subscription::{EnsureError, RenewBelow, Subscriptions, Wanted};
use crate::watched::Watched;

/// How long a call waits for its turn before it is sent away.
pub(crate) const TURN_WAIT: Duration = Duration::from_secs(10);
/// Longest `clientState` (subscription resource, Graph v1.0).
pub(crate) const MAX_CLIENT_STATE: usize = 128;

/// The service. Its memory does not grow with the drive: one page at a time, at most `max_calls` of them.
#[derive(Debug)]
pub struct Connector {
    pub(crate) graph: GraphClient,
    pub(crate) cache: Arc<Cache>,
    pub(crate) permissions: Permissions,
    pub(crate) clock: SharedClock,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) clients: Clients,
    pub(crate) mail_page_size: u32,
    pub(crate) body_limit: usize,
    pub(crate) workflow_urls: Option<SecretSource>,
    pub(crate) workflow_hosts: WorkflowHosts,
    tokens: Arc<EntraTokens>,
    page_size: u32,
    turns: Semaphore,
    /// The drive that was asked for last: a probe needs one.
    last_drive: Mutex<Option<String>>,
}

impl Connector {
    pub(crate) fn new(
        clients: Clients,
        tokens: Arc<EntraTokens>,
        cache: Arc<Cache>,
        subscriptions: Subscriptions,
        config: &ConnectorConfig,
        clock: SharedClock,
    ) -> Self {
        Self {
            graph: clients.drives.clone(),
            cache,
            permissions: Permissions::default(),
            clock,
            subscriptions,
            clients,
            mail_page_size: config.mail_page_size,
            body_limit: config.body_limit,
            workflow_urls: config.workflow_urls.clone(),
            workflow_hosts: config.workflow_hosts.clone(),
            tokens,
            page_size: config.page_size,
            turns: Semaphore::new(config.max_calls),
            last_drive: Mutex::new(None),
        }
    }

    pub(crate) fn cache(&self) -> Arc<Cache> {
        Arc::clone(&self.cache)
    }

    /// The token source, whose secrets can be rotated.
    pub fn tokens(&self) -> Arc<EntraTokens> {
        Arc::clone(&self.tokens)
    }

    /// The drive that was asked for last.
    pub(crate) fn last_drive(&self) -> Option<String> {
        self.last_drive.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Status> {
        match deadline("turn", TURN_WAIT, self.turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    fn read<T>(&self, outcome: Result<T, GraphError>) -> Result<T, Status> {
        self.permissions.learn(FILES_READ, outcome).map_err(|error| status(&error))
    }

    fn drive_id<'a>(&self, id: &'a str) -> Result<&'a str, Status> {
        if id.is_empty() {
            return Err(refused("invalidRequest", "drive_id is empty"));
        }
        let mut last = self.last_drive.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(id) {
            *last = Some(id.to_owned());
        }
        Ok(id)
    }

    /// Asks for what costs little and needs each permission, so that a missing one is known by name.
    async fn probe(&self) {
        if let Some(drive) = self.last_drive() {
            let outcome = self.graph.delta_page(&drive, DeltaCursor::Latest, 1).await;
            if let Err(error) = self.permissions.learn(FILES_READ, outcome) {
                tracing::warn!(%error, "probe: drives cannot be read");
            }
        }
    }
}

#[tonic::async_trait]
impl GraphConnector for Connector {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusReply>, Status> {
        Ok(Response::new(self.report().await))
    }

    async fn refresh_token(
        &self,
        _: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenReply>, Status> {
        let _turn = self.turn().await?;
        let refreshed = self.graph.provider().tokens().refresh().await;
        let expires_at =
            refreshed.map_err(|error| status(&GraphError::from_call("token", CallError::Token(error))))?;
        self.probe().await;
        Ok(Response::new(RefreshTokenReply { expires_at_us: micros(expires_at) }))
    }

    async fn clear_cache(
        &self,
        request: Request<ClearCacheRequest>,
    ) -> Result<Response<ClearCacheReply>, Status> {
        let scope = request.into_inner().scope;
        let cleared = self.cache.clear(Some(scope.as_str())).await;
        tracing::info!(scope, cleared, "Cache OneDrive invalidé");
        Ok(Response::new(ClearCacheReply { cleared }))
    }

    async fn get_drive(&self, request: Request<GetDriveRequest>) -> Result<Response<GetDriveReply>, Status> {
        let request = request.into_inner();
        let id = self.drive_id(&request.drive_id)?;
        let _turn = self.turn().await?;
        let ask = async { Ok((drive(self.read(self.graph.drive(id).await)?), true)) };
        through(&self.cache, Kind::Drive, request.context.as_ref(), id, ask).await.map(Response::new)
    }

    async fn delta_page(
        &self,
        request: Request<DeltaPageRequest>,
    ) -> Result<Response<DeltaPageReply>, Status> {
        let request = request.into_inner();
        let id = self.drive_id(&request.drive_id)?;
        let cursor = match &request.cursor {
            None | Some(delta_page_request::Cursor::Start(_)) => DeltaCursor::Start,
            Some(
                delta_page_request::Cursor::Link(link) | delta_page_request::Cursor::ResyncLocation(link),
            ) => DeltaCursor::Link(link),
        };
        let page_size = match u32::try_from(request.page_size) {
            Ok(0) | Err(_) => self.page_size,
            Ok(size) => size.min(1_000),
        };
        let _turn = self.turn().await?;
        let graph = self.graph.clone().with_priority(priority(request.context.as_ref()));
        let page = self.read(graph.delta_page(id, cursor, page_size).await)?;
        let next = match page.next {
            NextLink::Next(link) => delta_page_reply::Next::NextLink(link),
            NextLink::Delta(link) => {
                if let Some(scope) = scope(request.context.as_ref()) {
                    self.cache.set(Kind::Delta, scope, &link).await;
                }
                delta_page_reply::Next::DeltaLink(link)
            }
        };
        Ok(Response::new(DeltaPageReply {
            items: items(page.items),
            poison: poison(page.poison),
            next: Some(next),
        }))
    }

    async fn list_children(
        &self,
        request: Request<ListChildrenRequest>,
    ) -> Result<Response<ListChildrenReply>, Status> {
        let request = request.into_inner();
        let id = self.drive_id(&request.drive_id)?;
        let (folder, name) = match &request.folder {
            Some(list_children_request::Folder::ItemId(id)) => (FolderRef::Id(id), format!("id:{id}")),
            Some(list_children_request::Folder::Path(path)) => {
                (FolderRef::Path(path), format!("path:{path}"))
            }
            Some(list_children_request::Folder::Link(link)) => {
                (FolderRef::Link(link), format!("link:{link}"))
            }
            None => return Err(refused("invalidRequest", "no folder is named")),
        };
        let _turn = self.turn().await?;
        let ask = async {
            let page = self.read(self.graph.children(id, folder, self.page_size).await)?;
            let Some(page) = page else {
                return Ok((ListChildrenReply::default(), false));
            };
            let reply = ListChildrenReply {
                found: true,
                items: items(page.items),
                poison: poison(page.poison),
                next_link: page.next_link.unwrap_or_default(),
            };
            Ok((reply, true))
        };
        let key = format!("{id}:{name}");
        through(&self.cache, Kind::List, request.context.as_ref(), &key, ask).await.map(Response::new)
    }

    async fn get_item(&self, request: Request<GetItemRequest>) -> Result<Response<GetItemReply>, Status> {
        let request = request.into_inner();
        let id = self.drive_id(&request.drive_id)?;
        let (wanted, name) = match &request.item {
            Some(get_item_request::Item::ItemId(id)) => (ItemRef::Id(id), format!("id:{id}")),
            Some(get_item_request::Item::Path(path)) => (ItemRef::Path(path), format!("path:{path}")),
            None => return Err(refused("invalidRequest", "no item is named")),
        };
        let _turn = self.turn().await?;
        let ask = async {
            let found = self.read(self.graph.item(id, wanted).await)?;
            let keep = found.is_some();
            Ok((GetItemReply { item: found.map(item) }, keep))
        };
        let key = format!("{id}:{name}");
        through(&self.cache, Kind::Item, request.context.as_ref(), &key, ask).await.map(Response::new)
    }

    async fn ensure_drive_subscription(
        &self,
        request: Request<EnsureDriveSubscriptionRequest>,
    ) -> Result<Response<EnsureDriveSubscriptionReply>, Status> {
        let request = request.into_inner();
        let drive_id = self.drive_id(&request.drive_id)?;
        if request.client_state.is_empty() || request.client_state.len() > MAX_CLIENT_STATE {
            let message = format!("client_state must have 1 to {MAX_CLIENT_STATE} characters");
            return Err(refused("invalidRequest", message));
        }
        let _turn = self.turn().await?;
        let left = TimeDelta::try_seconds(request.renew_before_seconds.max(0)).unwrap_or(TimeDelta::MAX);
        let wanted = Wanted {
            watched: Watched::drive(drive_id),
            client_state: &request.client_state,
            known_id: Some(request.known_subscription_id.as_str()).filter(|id| !id.is_empty()),
            renew_below: RenewBelow::Left(left),
            certificate: None,
        };
        let ensured = match self.subscriptions.ensure(&wanted).await {
            Ok(ensured) => self.permissions.learn(FILES_READ_WRITE, Ok(ensured)),
            Err(EnsureError::Graph(error)) => self.permissions.learn(FILES_READ_WRITE, Err(error)),
            Err(error) => return Err(refused("notConfigured", error.to_string())),
        };
        let ensured = ensured.map_err(|error| status(&error))?;
        tracing::info!(subscription = ensured.id, action = ensured.action, "drive subscription ensured");
        Ok(Response::new(EnsureDriveSubscriptionReply {
            subscription_id: ensured.id,
            expires_at_us: micros(ensured.expires_at),
            notification_url: ensured.notification_url,
            action: ensured.action.to_owned(),
        }))
    }

    async fn delete_subscription(
        &self,
        request: Request<DeleteSubscriptionRequest>,
    ) -> Result<Response<DeleteSubscriptionReply>, Status> {
        let id = request.into_inner().subscription_id;
        if id.is_empty() {
            return Err(refused("invalidRequest", "subscription_id is empty"));
        }
        let _turn = self.turn().await?;
        let existed =
            self.subscriptions.graph().delete_subscription(&id).await.map_err(|error| status(&error))?;
        Ok(Response::new(DeleteSubscriptionReply { existed }))
    }
}
