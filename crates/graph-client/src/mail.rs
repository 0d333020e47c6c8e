//! Outlook mail (provider facts A3). Every request asks for immutable ids: an id that was learnt without would change
//! when its message moves.

mod attachments;
mod draft;
mod find;
mod folders;
mod message;
mod messages;

pub use attachments::{MAX_DIRECT_ATTACHMENT, NewAttachment, UPLOAD_SLICE, UploadSession};
pub use draft::{Draft, NewDraft};
pub use find::{Outgoing, OutgoingState};
pub use folders::{MailFolder, Mailbox};
pub use message::{Attachment, MailAddress, MailMessage, read_folder, read_message};
pub use messages::{MailSelection, Window};

use outbound::http::Request;
use outbound::{HeaderName, HeaderValue};

/// Asks for ids that survive moves inside the mailbox (outlook-immutable-id, Graph v1.0).
pub(crate) const IMMUTABLE_IDS: &str = r#"IdType="ImmutableId""#;
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The request with the mark that every mail request carries.
pub(crate) fn immutable(request: Request) -> Request {
    request.header(PREFER, HeaderValue::from_static(IMMUTABLE_IDS))
}

/// [`immutable`], with at most `size` items a page.
pub(crate) fn paged(request: Request, size: u32) -> Request {
    let both = HeaderValue::from_str(&format!("{IMMUTABLE_IDS}, odata.maxpagesize={size}"));
    request.header(PREFER, both.unwrap_or(HeaderValue::from_static(IMMUTABLE_IDS)))
}

/// An instant as filters take it.
pub(crate) fn written(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
