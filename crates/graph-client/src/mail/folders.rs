//! Mailboxes and their folder tree (user-get, mailfolder-get, mailfolder-delta; Graph v1.0).

use domain::names::encode_segment;
use outbound::http::Request;
use outbound::provider::Call;
use serde::Deserialize;

use super::message::read_folder;
use super::{immutable, paged};
use crate::client::{GraphClient, found, reads};
use crate::error::{GraphError, GraphErrorKind};
use crate::page::{ChangePage, listed};

const USER: Call = reads("user");
const FOLDER: Call = reads("mail_folder");
const DELTA: Call = reads("mail_folder_delta");

/// Folders a page; a mailbox has some dozens.
const PAGE: u32 = 200;

/// Whose mailbox it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mailbox {
    /// Object id.
    pub id: String,
    /// Principal name.
    pub user_principal_name: Option<String>,
    /// Address.
    pub mail: Option<String>,
    /// Name for people.
    pub display_name: Option<String>,
}

/// A folder. What was not reported is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailFolder {
    /// Id; ids of folders never change.
    pub id: String,
    /// The feed names it as gone.
    pub removed: bool,
    /// Parent.
    pub parent_id: Option<String>,
    /// Name for people.
    pub name: Option<String>,
    /// Messages in it.
    pub total_item_count: Option<i64>,
    /// Unread ones.
    pub unread_item_count: Option<i64>,
    /// Folders in it.
    pub child_folder_count: Option<i64>,
    /// Such as `inbox`, where Graph says so.
    pub well_known_name: Option<String>,
    /// Not shown to people.
    pub is_hidden: Option<bool>,
}

impl GraphClient {
    /// A user by id, principal name or address; `None` when there is none.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn mailbox(&self, user: &str) -> Result<Option<Mailbox>, GraphError> {
        let mut url = self.url(USER.operation, &format!("/users/{}", encode_segment(user)))?;
        url.set_query(Some("$select=id,userPrincipalName,mail,displayName"));
        let request = immutable(Request::get(url));
        found(self.fetch(&USER, request, false, |b| serde_json::from_slice(b)).await)
    }

    /// One folder by id or well-known name; `None` when there is none.
    ///
    /// # Errors
    /// [`GraphError`]; a folder that cannot be read is `Refused` with code `malformedItem`.
    pub async fn mail_folder(&self, user: &str, folder: &str) -> Result<Option<MailFolder>, GraphError> {
        let path = format!("/users/{}/mailFolders/{}", encode_segment(user), encode_segment(folder));
        let request = immutable(Request::get(self.url(FOLDER.operation, &path)?));
        let decode = |body: &[u8]| serde_json::from_slice::<Box<serde_json::value::RawValue>>(body);
        let Some(raw) = found(self.fetch(&FOLDER, request, false, decode).await)? else {
            return Ok(None);
        };
        read_folder(raw.get()).map(Some).map_err(|reason| {
            GraphError::own(FOLDER.operation, GraphErrorKind::Refused, "malformedItem", reason, None)
        })
    }

    /// One page of the changes of a mailbox's folder tree; `link` continues, verbatim.
    ///
    /// # Errors
    /// [`GraphError`]; `Resync` when the cursor is gone.
    pub async fn mail_folder_delta(
        &self,
        user: &str,
        link: Option<&str>,
    ) -> Result<ChangePage<MailFolder>, GraphError> {
        let operation = DELTA.operation;
        let url = match link {
            Some(link) => self.link(operation, link)?,
            None => self.url(operation, &format!("/users/{}/mailFolders/delta", encode_segment(user)))?,
        };
        let decode = |body: &[u8]| listed(body, read_folder);
        let request = paged(Request::get(url), PAGE);
        self.fetch(&DELTA, request, link.is_some(), decode).await?.changes(operation)
    }
}
