//! graph-connector as seen by the worker, over the feeds of the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use async_trait::async_trait;
use contracts::fault::to_status;
use contracts::graph::v1 as pb;
use contracts::graph::v1::graph_connector_server::{GraphConnector, GraphConnectorServer};
use domain::drive::{ItemChange, ItemKind};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use super::feed::Feed;

/// Calls of a faulty drive fail once in so many times.
const FAULT: u64 = 30;
/// A restless drive changes once in so many pages.
const RESTLESS: u64 = 3;
/// Children in one answer.
const PAGE: usize = 3;

/// All feeds, by drive.
#[derive(Debug, Clone, Default)]
pub struct Connector {
    feeds: Arc<Mutex<BTreeMap<String, Feed>>>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Connector {
    /// Adds a drive.
    pub fn add(&self, drive: &str, seed: u64) {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).insert(drive.to_owned(), Feed::new(seed));
    }

    /// Looks at a drive, or changes it.
    pub fn with<T>(&self, drive: &str, act: impl FnOnce(&mut Feed) -> T) -> T {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        act(feeds.get_mut(drive).expect("the test added the drive"))
    }

    /// Listens on a free port; returns the address.
    pub async fn serve(self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let routes = tonic::service::Routes::new(GraphConnectorServer::new(self));
        chassis::lifecycle::Tasks::new().spawn("feed", async move {
            drop(chassis::grpc::serve(listener, routes, &chassis::lifecycle::Shutdown::new()).await);
        });
        Ok(url)
    }
}

fn fault(kind: pb::FaultKind, change: impl FnOnce(&mut pb::ProviderFault)) -> Status {
    let mut fault = pb::ProviderFault {
        kind: kind.into(),
        code: kind.as_str_name().to_owned(),
        message: "a fault of the test".to_owned(),
        ..pb::ProviderFault::default()
    };
    change(&mut fault);
    to_status(&fault)
}

/// A fault now and then.
fn chance(feed: &mut Feed, in_the_middle: bool) -> Result<(), Status> {
    if !feed.faulty || !feed.dice.once_in(FAULT) {
        return Ok(());
    }
    Err(match feed.dice.below(if in_the_middle { 6 } else { 3 }) {
        0 => fault(pb::FaultKind::Throttled, |fault| fault.retry_after_ms = 40),
        1 => fault(pb::FaultKind::Resync, |_| ()),
        2 => fault(pb::FaultKind::Resync, |fault| "start".clone_into(&mut fault.resync_location)),
        3 => fault(pb::FaultKind::BadLink, |_| ()),
        4 => fault(pb::FaultKind::NotFound, |_| ()),
        _ => fault(pb::FaultKind::Unavailable, |_| ()),
    })
}

fn wire(item: ItemChange) -> pb::DriveItem {
    let kind = match item.kind {
        ItemKind::Root => pb::ItemKind::Root,
        ItemKind::Folder => pb::ItemKind::Folder,
        ItemKind::File => pb::ItemKind::File,
        ItemKind::Package => pb::ItemKind::Package,
        ItemKind::Remote => pb::ItemKind::Remote,
    };
    pb::DriveItem {
        id: item.id.as_str().to_owned(),
        parent_id: item.parent_id.map(|id| id.as_str().to_owned()),
        name: item.name,
        kind: kind.into(),
        deleted: item.deleted,
        size: item.size,
        e_tag: item.e_tag,
        c_tag: item.c_tag,
        quick_xor_hash: item.quick_xor_hash,
        mime_type: item.mime_type,
        modified_at_us: item.modified_at.map(|time| time.timestamp_micros()),
        created_at_us: item.created_at.map(|time| time.timestamp_micros()),
        malware: item.malware,
        remote_drive_id: None,
        remote_item_id: None,
        web_url: None,
    }
}

/// `page/{round}/{number}` or `delta/{version}`.
fn page_of(feed: &mut Feed, link: Option<&str>) -> Result<(usize, usize), Status> {
    let Some(link) = link.filter(|link| *link != "start") else { return Ok((feed.begin(None), 0)) };
    let numbers: Vec<usize> = link.split('/').skip(1).filter_map(|text| text.parse().ok()).collect();
    match (link.starts_with("delta/"), numbers.as_slice()) {
        (true, [version]) => Ok((feed.begin(Some(*version)), 0)),
        (false, [round, page]) => Ok((*round, *page)),
        _ => Err(Status::invalid_argument(format!("link {link} was never given out"))),
    }
}

#[async_trait]
impl GraphConnector for Connector {
    async fn get_drive(&self, request: Request<pb::GetDriveRequest>) -> Answer<pb::GetDriveReply> {
        let drive = request.into_inner().drive_id;
        let root = self.with(&drive, |feed| feed.root());
        Ok(Response::new(pb::GetDriveReply {
            drive_id: drive,
            drive_type: "business".to_owned(),
            name: "Oracle".to_owned(),
            root_item_id: root.as_str().to_owned(),
            web_url: String::new(),
        }))
    }

    async fn delta_page(&self, request: Request<pb::DeltaPageRequest>) -> Answer<pb::DeltaPageReply> {
        use pb::delta_page_request::Cursor;
        let request = request.into_inner();
        let link = match &request.cursor {
            None | Some(Cursor::Start(_)) => None,
            Some(Cursor::Link(link) | Cursor::ResyncLocation(link)) => Some(link.as_str()),
        };
        self.with(&request.drive_id, |feed| {
            chance(feed, link.is_some())?;
            let (number, page) = page_of(feed, link)?;
            let round = feed.rounds[number].clone();
            if feed.restless && feed.dice.once_in(RESTLESS) {
                feed.act();
            }
            let next = if page + 1 < round.pages.len() {
                pb::delta_page_reply::Next::NextLink(format!("page/{number}/{}", page + 1))
            } else {
                pb::delta_page_reply::Next::DeltaLink(format!("delta/{}", round.version))
            };
            let items = round.pages.get(page).cloned().unwrap_or_default();
            Ok(Response::new(pb::DeltaPageReply {
                items: items.into_iter().map(wire).collect(),
                poison: Vec::new(),
                next: Some(next),
            }))
        })
    }

    async fn list_children(
        &self,
        request: Request<pb::ListChildrenRequest>,
    ) -> Answer<pb::ListChildrenReply> {
        use pb::list_children_request::Folder;
        let request = request.into_inner();
        self.with(&request.drive_id, |feed| {
            let (folder, from) = match request.folder {
                Some(Folder::ItemId(id)) => (id, 0),
                Some(Folder::Path(path)) => {
                    (feed.at(&path).map(|item| item.id.as_str().to_owned()).unwrap_or_default(), 0)
                }
                Some(Folder::Link(link)) => {
                    let (id, from) = link.rsplit_once('/').unwrap_or_default();
                    (id.to_owned(), from.parse().unwrap_or_default())
                }
                None => return Err(Status::invalid_argument("no folder")),
            };
            if feed.item(&folder).is_none() {
                return Ok(Response::new(pb::ListChildrenReply::default()));
            }
            let children = feed.children(&folder);
            let to = (from + PAGE).min(children.len());
            let more = to < children.len();
            Ok(Response::new(pb::ListChildrenReply {
                found: true,
                items: children[from.min(to)..to].iter().cloned().map(wire).collect(),
                poison: Vec::new(),
                next_link: if more { format!("{folder}/{to}") } else { String::new() },
            }))
        })
    }

    async fn get_item(&self, request: Request<pb::GetItemRequest>) -> Answer<pb::GetItemReply> {
        use pb::get_item_request::Item;
        let request = request.into_inner();
        self.with(&request.drive_id, |feed| {
            let found = match &request.item {
                Some(Item::ItemId(id)) => feed.item(id),
                Some(Item::Path(path)) => feed.at(path),
                None => None,
            };
            Ok(Response::new(pb::GetItemReply { item: found.cloned().map(wire) }))
        })
    }

    async fn get_status(&self, _: Request<pb::GetStatusRequest>) -> Answer<pb::GetStatusReply> {
        Ok(Response::new(pb::GetStatusReply { configured: true, ..pb::GetStatusReply::default() }))
    }

    async fn refresh_token(&self, _: Request<pb::RefreshTokenRequest>) -> Answer<pb::RefreshTokenReply> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn clear_cache(&self, _: Request<pb::ClearCacheRequest>) -> Answer<pb::ClearCacheReply> {
        Ok(Response::new(pb::ClearCacheReply { cleared: 0 }))
    }

    async fn ensure_drive_subscription(
        &self,
        _: Request<pb::EnsureDriveSubscriptionRequest>,
    ) -> Answer<pb::EnsureDriveSubscriptionReply> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn delete_subscription(
        &self,
        _: Request<pb::DeleteSubscriptionRequest>,
    ) -> Answer<pb::DeleteSubscriptionReply> {
        Err(Status::unimplemented("not in this test"))
    }
}
