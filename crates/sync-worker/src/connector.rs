//! graph-connector, as the document sync uses it.

use chassis::grpc::TracedChannel;
use chrono::{DateTime, Utc};
use contracts::fault::from_status;
use contracts::graph::v1 as pb;
use contracts::graph::v1::graph_connector_client::GraphConnectorClient;
use domain::drive::{ItemChange, ItemKind, Link, WalkRequest};
use domain::ids::{DriveId, ItemId};
use job_runtime::JobContext;
use tonic::{Response, Status};

use crate::fault::ProviderError;

/// Largest answer accepted from the connector, in bytes.
const MAX_MESSAGE: usize = 32 * 1024 * 1024;

/// A client of graph-connector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    client: GraphConnectorClient<TracedChannel>,
}

/// A page of items.
#[derive(Debug, Default)]
pub struct ItemPage {
    /// Items that could be read.
    pub items: Vec<ItemChange>,
    /// Items that could not.
    pub poison: Vec<pb::PoisonItem>,
    /// Continues.
    pub next_link: Option<Link>,
    /// Ends the round (delta only).
    pub delta_link: Option<Link>,
}

/// Which folder's children to list.
#[derive(Debug, Clone)]
pub enum Folder {
    /// By id.
    Id(String),
    /// By path below the root, decoded.
    Path(String),
    /// The next page of an earlier answer.
    Link(Link),
}

/// What every call says about its job.
#[derive(Debug, Clone)]
pub struct Caller {
    context: pb::CallContext,
}

impl Caller {
    /// The calls of a job. `scope` names what is cached under it.
    pub fn of(job: &JobContext, scope: &str, bypass_cache: bool) -> Self {
        Self {
            context: pb::CallContext {
                company_id: job.company().to_string(),
                job_id: job.job().to_string(),
                cache_scope: scope.to_owned(),
                bypass_cache,
                ..pb::CallContext::default()
            },
        }
    }

    fn wire(&self) -> pb::CallContext {
        self.context.clone()
    }
}

impl Connector {
    /// A client over a channel.
    pub fn new(channel: TracedChannel) -> Self {
        Self { client: GraphConnectorClient::new(channel).max_decoding_message_size(MAX_MESSAGE) }
    }

    /// One page of the drive's delta feed.
    ///
    /// # Errors
    /// [`ProviderError`] with the connector's fault.
    pub async fn delta_page(
        &self,
        by: &Caller,
        drive: &str,
        request: &WalkRequest,
    ) -> Result<ItemPage, ProviderError> {
        use pb::delta_page_request::Cursor;
        let cursor = match request {
            WalkRequest::Start => Cursor::Start(true),
            WalkRequest::Follow { link } => Cursor::Link(link.as_str().to_owned()),
            WalkRequest::StartAt { location } => Cursor::ResyncLocation(location.as_str().to_owned()),
        };
        let reply = answer(
            self.client
                .clone()
                .delta_page(pb::DeltaPageRequest {
                    context: Some(by.wire()),
                    drive_id: drive.to_owned(),
                    cursor: Some(cursor),
                    page_size: 0,
                })
                .await,
        )?;
        let (next_link, delta_link) = match reply.next {
            Some(pb::delta_page_reply::Next::NextLink(link)) => (Some(Link::new(link)), None),
            Some(pb::delta_page_reply::Next::DeltaLink(link)) => (None, Some(Link::new(link))),
            None => (None, None),
        };
        Ok(ItemPage {
            items: reply.items.into_iter().map(item).collect(),
            poison: reply.poison,
            next_link,
            delta_link,
        })
    }

    /// One page of a folder's children; `None` when the folder does not exist.
    ///
    /// # Errors
    /// [`ProviderError`] with the connector's fault.
    pub async fn children(
        &self,
        by: &Caller,
        drive: &str,
        folder: &Folder,
    ) -> Result<Option<ItemPage>, ProviderError> {
        use pb::list_children_request::Folder as Wire;
        let folder = match folder {
            Folder::Id(id) => Wire::ItemId(id.clone()),
            Folder::Path(path) => Wire::Path(path.clone()),
            Folder::Link(link) => Wire::Link(link.as_str().to_owned()),
        };
        let reply = answer(
            self.client
                .clone()
                .list_children(pb::ListChildrenRequest {
                    context: Some(by.wire()),
                    drive_id: drive.to_owned(),
                    folder: Some(folder),
                })
                .await,
        )?;
        Ok(reply.found.then(|| ItemPage {
            items: reply.items.into_iter().map(item).collect(),
            poison: reply.poison,
            next_link: (!reply.next_link.is_empty()).then(|| Link::new(reply.next_link)),
            delta_link: None,
        }))
    }

    /// One item by id; `None` when it does not exist.
    ///
    /// # Errors
    /// [`ProviderError`] with the connector's fault.
    pub async fn item(
        &self,
        by: &Caller,
        drive: &str,
        id: &str,
    ) -> Result<Option<ItemChange>, ProviderError> {
        self.get(by, drive, pb::get_item_request::Item::ItemId(id.to_owned())).await
    }

    /// One item by its decoded path below the root; `None` when it does not exist.
    ///
    /// # Errors
    /// [`ProviderError`] with the connector's fault.
    pub async fn item_at(
        &self,
        by: &Caller,
        drive: &str,
        path: &str,
    ) -> Result<Option<ItemChange>, ProviderError> {
        self.get(by, drive, pb::get_item_request::Item::Path(path.to_owned())).await
    }

    async fn get(
        &self,
        by: &Caller,
        drive: &str,
        which: pb::get_item_request::Item,
    ) -> Result<Option<ItemChange>, ProviderError> {
        let reply = answer(
            self.client
                .clone()
                .get_item(pb::GetItemRequest {
                    context: Some(by.wire()),
                    drive_id: drive.to_owned(),
                    item: Some(which),
                })
                .await,
        )?;
        Ok(reply.item.map(item))
    }

    /// The drive's name, type and root.
    ///
    /// # Errors
    /// [`ProviderError`] with the connector's fault.
    pub async fn drive(&self, by: &Caller, drive: &str) -> Result<pb::GetDriveReply, ProviderError> {
        answer(
            self.client
                .clone()
                .get_drive(pb::GetDriveRequest { context: Some(by.wire()), drive_id: drive.to_owned() })
                .await,
        )
    }

    /// Forgets what is cached under a scope.
    ///
    /// # Errors
    /// [`ProviderError`] with the connector's fault.
    pub async fn clear_cache(&self, scope: &str) -> Result<u64, ProviderError> {
        answer(self.client.clone().clear_cache(pb::ClearCacheRequest { scope: scope.to_owned() }).await)
            .map(|reply| reply.cleared)
    }
}

fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, ProviderError> {
    result.map(Response::into_inner).map_err(|status| ProviderError(Box::new(from_status(&status))))
}

fn item(wire: pb::DriveItem) -> ItemChange {
    let kind = match wire.kind() {
        pb::ItemKind::Root => ItemKind::Root,
        pb::ItemKind::Folder => ItemKind::Folder,
        pb::ItemKind::Package => ItemKind::Package,
        pb::ItemKind::Remote => ItemKind::Remote,
        pb::ItemKind::File | pb::ItemKind::Unspecified => ItemKind::File,
    };
    ItemChange {
        id: ItemId::new(wire.id),
        parent_id: wire.parent_id.map(ItemId::new),
        name: wire.name,
        kind,
        deleted: wire.deleted,
        size: wire.size,
        e_tag: wire.e_tag,
        c_tag: wire.c_tag,
        quick_xor_hash: wire.quick_xor_hash,
        mime_type: wire.mime_type,
        modified_at: wire.modified_at_us.and_then(moment),
        created_at: wire.created_at_us.and_then(moment),
        malware: wire.malware,
        remote_drive_id: wire.remote_drive_id.map(DriveId::new),
        remote_item_id: wire.remote_item_id.map(ItemId::new),
    }
}

/// Microseconds since the epoch, as PostgreSQL stores them.
pub(crate) fn moment(us: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(us)
}
