//! Drives: delta, children, items (driveitem-delta, driveitem-list-children, driveitem-get, drive-get; Graph v1.0).

use domain::names::{encode_path, encode_segment};
use domain::throttle::Operation;
use outbound::Url;
use outbound::provider::Call;
use serde::{Deserialize, Serialize};

use crate::client::{GraphClient, found};
use crate::error::{GraphError, GraphErrorKind};
use crate::items::{Item, ItemPageBody, PoisonItem, read_item, read_page};

/// The properties that are read. `parentReference.path` is left alone: it is a hint at best (provider facts A1).
const SELECT: &str = "id,name,size,eTag,cTag,file,folder,package,root,deleted,malware,remoteItem,parentReference,\
                      lastModifiedDateTime,createdDateTime,webUrl";

const DELTA: Call = Call::read("delta", Operation::DeltaWithToken);
const DELTA_START: Call = Call::read("delta", Operation::DeltaStart);
const CHILDREN: Call = Call::read("children", Operation::List);
const ITEM: Call = Call::read("item", Operation::GetItem);
const DRIVE: Call = Call::read("drive", Operation::GetItem);

/// Where a delta page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaCursor<'a> {
    /// Full enumeration.
    Start,
    /// No items, only a link that stands for now.
    Latest,
    /// A nextLink, a deltaLink or the Location of a 410, verbatim.
    Link(&'a str),
}

/// How an enumeration goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextLink {
    /// More pages.
    Next(String),
    /// The round is complete; the next one starts here.
    Delta(String),
}

/// One page of a delta round.
#[derive(Debug, Clone, PartialEq)]
pub struct DeltaPage {
    /// Items in the order of the page; an item may occur again later in the round.
    pub items: Vec<Item>,
    /// Items that could not be read.
    pub poison: Vec<PoisonItem>,
    /// How the round goes on.
    pub next: NextLink,
}

/// One page of a folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ItemPage {
    /// Items.
    pub items: Vec<Item>,
    /// Items that could not be read.
    pub poison: Vec<PoisonItem>,
    /// More pages.
    pub next_link: Option<String>,
}

/// A folder to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderRef<'a> {
    /// By id.
    Id(&'a str),
    /// By decoded path below the root, segments separated by `/`; empty is the root.
    Path(&'a str),
    /// A nextLink of an earlier page, verbatim.
    Link(&'a str),
}

/// An item to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemRef<'a> {
    /// By id.
    Id(&'a str),
    /// By decoded path below the root, segments separated by `/`; empty is the root.
    Path(&'a str),
}

/// A drive and its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveInfo {
    /// Drive id.
    pub id: String,
    /// `personal`, `business`, `documentLibrary`, or a word that is newer than this code.
    pub drive_type: String,
    /// Name for people.
    pub name: String,
    /// The root item's id.
    pub root_item_id: String,
    /// Address for people.
    pub web_url: String,
}

impl GraphClient {
    /// One page of the drive's delta feed. `page_size` applies to the first page; links carry their own.
    ///
    /// # Errors
    /// [`GraphError`]; `Resync` when the cursor is gone, `BadLink` when the link is refused or foreign.
    pub async fn delta_page(
        &self,
        drive: &str,
        cursor: DeltaCursor<'_>,
        page_size: u32,
    ) -> Result<DeltaPage, GraphError> {
        let start = || self.url("delta", &format!("/drives/{}/root/delta", encode_segment(drive)));
        let (call, url, on_link) = match cursor {
            DeltaCursor::Start => (DELTA_START, with_query(start()?, page_size, ""), false),
            DeltaCursor::Latest => (DELTA, with_query(start()?, page_size, "&token=latest"), false),
            DeltaCursor::Link(link) => (DELTA, self.link("delta", link)?, true),
        };
        let ItemPageBody { items, poison, next_link, delta_link } =
            self.read(&call, url, on_link, read_page).await?;
        let next = match (next_link, delta_link) {
            (Some(next), _) => NextLink::Next(next),
            (None, Some(delta)) => NextLink::Delta(delta),
            (None, None) => {
                let message = "the page carries neither nextLink nor deltaLink".to_owned();
                let kind = GraphErrorKind::Unavailable;
                return Err(GraphError::own("delta", kind, "malformedAnswer", message, None));
            }
        };
        Ok(DeltaPage { items, poison, next })
    }

    /// One page of a folder; `None` when there is no such folder.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn children(
        &self,
        drive: &str,
        folder: FolderRef<'_>,
        page_size: u32,
    ) -> Result<Option<ItemPage>, GraphError> {
        let drive = encode_segment(drive);
        let (url, on_link) = match folder {
            FolderRef::Link(link) => (self.link("children", link)?, true),
            FolderRef::Id(id) => {
                let path = format!("/drives/{drive}/items/{}/children", encode_segment(id));
                (with_query(self.url("children", &path)?, page_size, ""), false)
            }
            FolderRef::Path(path) => {
                let path = match encoded_path("children", path)? {
                    None => format!("/drives/{drive}/root/children"),
                    Some(path) => format!("/drives/{drive}/root:/{path}:/children"),
                };
                (with_query(self.url("children", &path)?, page_size, ""), false)
            }
        };
        let page = found(self.read(&CHILDREN, url, on_link, read_page).await)?;
        Ok(page.map(|body| ItemPage { items: body.items, poison: body.poison, next_link: body.next_link }))
    }

    /// One item; `None` when there is none.
    ///
    /// # Errors
    /// [`GraphError`]; an item that cannot be read is `Unavailable` with code `malformedItem`.
    pub async fn item(&self, drive: &str, item: ItemRef<'_>) -> Result<Option<Item>, GraphError> {
        let drive = encode_segment(drive);
        let path = match item {
            ItemRef::Id(id) => format!("/drives/{drive}/items/{}", encode_segment(id)),
            ItemRef::Path(path) => match encoded_path("item", path)? {
                None => format!("/drives/{drive}/root"),
                Some(path) => format!("/drives/{drive}/root:/{path}"),
            },
        };
        let mut url = self.url("item", &path)?;
        url.set_query(Some(&format!("$select={SELECT}")));
        let decode = |body: &[u8]| serde_json::from_slice::<Box<serde_json::value::RawValue>>(body);
        let Some(raw) = found(self.read(&ITEM, url, false, decode).await)? else {
            return Ok(None);
        };
        read_item(raw.get()).map(Some).map_err(|poison| {
            let kind = GraphErrorKind::Refused;
            GraphError::own("item", kind, "malformedItem", poison.reason, None)
        })
    }

    /// The drive and its root item.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn drive(&self, drive: &str) -> Result<DriveInfo, GraphError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Drive {
            id: String,
            #[serde(rename = "driveType")]
            kind: Option<String>,
            name: Option<String>,
            web_url: Option<String>,
        }
        #[derive(Deserialize)]
        struct Root {
            id: String,
        }
        let encoded = encode_segment(drive);
        let url = self.url("drive", &format!("/drives/{encoded}"))?;
        let body: Drive = self.read(&DRIVE, url, false, |b| serde_json::from_slice(b)).await?;
        let mut url = self.url("drive", &format!("/drives/{encoded}/root"))?;
        url.set_query(Some("$select=id"));
        let root: Root = self.read(&DRIVE, url, false, |b| serde_json::from_slice(b)).await?;
        Ok(DriveInfo {
            id: body.id,
            drive_type: body.kind.unwrap_or_default(),
            name: body.name.unwrap_or_default(),
            root_item_id: root.id,
            web_url: body.web_url.unwrap_or_default(),
        })
    }
}

fn with_query(mut url: Url, page_size: u32, more: &str) -> Url {
    // Written by hand: a serializer would turn `$` and `,` into escapes that not every front end decodes.
    url.set_query(Some(&format!("$select={SELECT}&$top={page_size}{more}")));
    url
}

/// The encoded path; `None` for the root. Empty segments are skipped, dot segments refused: no item has such a name.
fn encoded_path(operation: &'static str, path: &str) -> Result<Option<String>, GraphError> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        let message = "the path has a dot segment".to_owned();
        return Err(GraphError::own(operation, GraphErrorKind::Refused, "invalidPath", message, None));
    }
    Ok(if segments.is_empty() { None } else { Some(encode_path(segments)) })
}
