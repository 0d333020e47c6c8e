//! Attachments of drafts: small ones in one request, large ones by upload session (message-post-attachments,
//! attachment-createuploadsession, outlook-large-attachments; Graph v1.0).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::names::encode_segment;
use outbound::http::{Request, Response};
use outbound::provider::Call;
use outbound::{HeaderName, HeaderValue, Method, Url};
use serde::{Deserialize, Serialize};

use super::{Attachment, immutable};
use crate::client::{GraphClient, reads, writes};
use crate::error::{GraphError, GraphErrorKind};
use crate::page::listed;

const LIST: Call = reads("attachment_list");
const ADD: Call = writes("attachment_add");
const SESSION: Call = writes("attachment_session").repeatable();
const UPLOAD: &str = "attachment_upload";

/// Largest attachment that is sent in one request, bytes (outlook-large-attachments: 3 MB).
pub const MAX_DIRECT_ATTACHMENT: u64 = 3_000_000;
/// Bytes of one part of an upload: a multiple of 320 KiB, below the 4 MB that Outlook takes at a time.
pub const UPLOAD_SLICE: usize = 8 * 320 * 1024;
/// How often a part is sent again.
const ATTEMPTS: u32 = 6;
/// Pages of a draft's attachments that are read.
const MAX_PAGES: usize = 20;

/// A file to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttachment {
    /// File name.
    pub name: String,
    /// MIME type.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
}

/// A place to upload to. Its address is a secret: whoever has it may write.
#[derive(Clone)]
pub struct UploadSession {
    url: Url,
    total: u64,
}

impl std::fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadSession").field("total", &self.total).finish_non_exhaustive()
    }
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Next(u64),
    Complete,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileAttachment<'a> {
    #[serde(rename = "@odata.type")]
    kind: &'static str,
    name: &'a str,
    content_type: &'a str,
    content_bytes: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionBody<'a> {
    #[serde(rename = "AttachmentItem")]
    item: Item<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    attachment_type: &'static str,
    name: &'a str,
    content_type: &'a str,
    size: u64,
}

fn place(user: &str, message: &str) -> String {
    format!("/users/{}/messages/{}/attachments", encode_segment(user), encode_segment(message))
}

impl GraphClient {
    /// Metadata of all attachments of a message.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn attachments(&self, user: &str, message: &str) -> Result<Vec<Attachment>, GraphError> {
        let mut url = self.url(LIST.operation, &place(user, message))?;
        url.set_query(Some("$select=id,name,contentType,size,isInline"));
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let decode = |body: &[u8]| {
                listed(body, |raw| serde_json::from_str::<Attachment>(raw).map_err(|e| e.to_string()))
            };
            let body = self.fetch(&LIST, immutable(Request::get(url)), page > 0, decode).await?;
            all.extend(body.items);
            match body.next_link {
                Some(link) => url = self.link(LIST.operation, &link)?,
                None => return Ok(all),
            }
        }
        let message = format!("the list of attachments does not end after {MAX_PAGES} pages");
        Err(GraphError::own(LIST.operation, GraphErrorKind::Unavailable, "nextLinkLoop", message, None))
    }

    /// Attaches a file of at most [`MAX_DIRECT_ATTACHMENT`] bytes.
    ///
    /// # Errors
    /// [`GraphError`]; `Ambiguous` when it may be attached: look at [`GraphClient::attachments`].
    pub async fn attach(
        &self,
        user: &str,
        message: &str,
        new: &NewAttachment,
        content: &[u8],
    ) -> Result<(), GraphError> {
        let body = FileAttachment {
            kind: "#microsoft.graph.fileAttachment",
            name: &new.name,
            content_type: &new.content_type,
            content_bytes: STANDARD.encode(content),
        };
        let url = self.url(ADD.operation, &place(user, message))?;
        let request = immutable(Self::request(Method::POST, url)).json(&body);
        let request = request.map_err(|e| refused(e.to_string()))?;
        self.send(&ADD, request, false).await.map(drop).map_err(GraphError::of_write)
    }

    /// Opens an upload.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn open_upload(
        &self,
        user: &str,
        message: &str,
        new: &NewAttachment,
    ) -> Result<UploadSession, GraphError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Opened {
            upload_url: String,
        }
        let item = Item {
            attachment_type: "file",
            name: &new.name,
            content_type: &new.content_type,
            size: new.size,
        };
        let url = self.url(SESSION.operation, &format!("{}/createUploadSession", place(user, message)))?;
        let request = immutable(Self::request(Method::POST, url));
        let opened: Opened = self.write_json(&SESSION, request, &SessionBody { item }).await?;
        // The address carries its own token and leads to Outlook's host, not to Graph's: it never gets ours. Plain
        // HTTP is for a Graph that is itself reached so.
        let url = Url::parse(&opened.upload_url).ok().filter(|url| {
            url.has_host() && (url.scheme() == "https" || url.scheme() == self.base().scheme())
        });
        let url = url.ok_or_else(|| {
            let message = "the upload address is not usable".to_owned();
            GraphError::own(SESSION.operation, GraphErrorKind::BadLink, "malformedLink", message, None)
        })?;
        Ok(UploadSession { url, total: new.size })
    }

    /// Uploads the part that begins at `at`; a cut upload goes on where the provider says. True when the file is
    /// complete.
    ///
    /// # Errors
    /// [`GraphError`]; `Unavailable` when the session is lost: look whether the attachment is there, else begin anew.
    pub async fn upload(&self, session: &UploadSession, at: u64, part: &Bytes) -> Result<bool, GraphError> {
        let end = at + part.len() as u64;
        let mut next = at;
        let mut failures = 0;
        loop {
            let from = usize::try_from(next - at).unwrap_or(part.len());
            let outcome = self.put(session, next, part.slice(from..)).await;
            let outcome = match outcome {
                Ok(progress) => Ok(progress),
                Err(error) if failures + 1 < ATTEMPTS && again(&error.kind) => {
                    failures += 1;
                    self.provider().backoff(failures, wait_of(&error.kind)).await;
                    tracing::info!(
                        next,
                        failures,
                        error = error.message,
                        "upload was cut, asking where to go on"
                    );
                    match self.progress(session).await {
                        Ok(progress) => Ok(progress),
                        // Asked again after the next failure.
                        Err(error) if again(&error.kind) => continue,
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            match outcome? {
                Progress::Complete => return Ok(true),
                Progress::Next(offset) if offset >= end => return Ok(false),
                Progress::Next(offset) if offset >= at => next = offset,
                Progress::Next(offset) => {
                    let message = format!("the provider has {offset} bytes where it had {at}");
                    return Err(GraphError::own(
                        UPLOAD,
                        GraphErrorKind::Unavailable,
                        "uploadLost",
                        message,
                        None,
                    ));
                }
            }
            failures += 1;
            if failures > ATTEMPTS * 4 {
                let message = "the upload does not get on".to_owned();
                return Err(GraphError::own(
                    UPLOAD,
                    GraphErrorKind::Unavailable,
                    "uploadStuck",
                    message,
                    None,
                ));
            }
        }
    }

    async fn put(&self, session: &UploadSession, at: u64, part: Bytes) -> Result<Progress, GraphError> {
        let last = (at + part.len() as u64).saturating_sub(1);
        let range = HeaderValue::from_str(&format!("bytes {at}-{last}/{}", session.total));
        let range = range.map_err(|e| refused(e.to_string()))?;
        let mut request = Request::new(Method::PUT, session.url.clone())
            .header(HeaderName::from_static("content-range"), range)
            .header(
                HeaderName::from_static("content-type"),
                HeaderValue::from_static("application/octet-stream"),
            );
        request.body = part;
        read_progress(&self.provider().without_token(UPLOAD, request).await, session.total)
    }

    async fn progress(&self, session: &UploadSession) -> Result<Progress, GraphError> {
        let request = Request::get(session.url.clone());
        read_progress(&self.provider().without_token(UPLOAD, request).await, session.total)
    }
}

/// `200` or `202` with the ranges that are missing, `201` (or nothing missing) when complete. Outlook's host writes
/// `NextExpectedRanges` in Pascal case and without the dash (outlook-large-attachments).
fn read_progress(
    answer: &Result<Response, outbound::http::HttpError>,
    total: u64,
) -> Result<Progress, GraphError> {
    #[derive(Deserialize, Default)]
    struct Ranges {
        #[serde(default, rename = "nextExpectedRanges", alias = "NextExpectedRanges")]
        next: Option<Vec<String>>,
    }
    let response = match answer {
        Ok(response) => response,
        Err(fault) => {
            let kind = GraphErrorKind::Unavailable;
            return Err(GraphError::own(UPLOAD, kind, "transport", fault.to_string(), None));
        }
    };
    if !response.status.is_success() {
        let mut error = GraphError::from_response(UPLOAD, response, false);
        if error.kind == GraphErrorKind::NotFound {
            error.kind = GraphErrorKind::Unavailable;
            error.code = "uploadLost".into();
        }
        return Err(error);
    }
    if response.status.as_u16() == 201 {
        return Ok(Progress::Complete);
    }
    let ranges: Ranges = serde_json::from_slice(&response.body).unwrap_or_default();
    let Some(first) = ranges.next.unwrap_or_default().into_iter().next() else {
        return Ok(Progress::Complete);
    };
    let offset = first.split('-').next().unwrap_or_default().trim().parse::<u64>();
    match offset {
        Ok(offset) if offset <= total => Ok(Progress::Next(offset)),
        _ => {
            let message = "the provider names no usable range".to_owned();
            Err(GraphError::own(UPLOAD, GraphErrorKind::Unavailable, "malformedAnswer", message, None))
        }
    }
}

fn again(kind: &GraphErrorKind) -> bool {
    matches!(kind, GraphErrorKind::Unavailable | GraphErrorKind::Throttled { .. } | GraphErrorKind::TryLater)
}

fn wait_of(kind: &GraphErrorKind) -> Option<std::time::Duration> {
    match kind {
        GraphErrorKind::Throttled { retry_after } => Some(*retry_after),
        _ => None,
    }
}

fn refused(message: String) -> GraphError {
    GraphError::own(UPLOAD, GraphErrorKind::Refused, "invalidRequest", message, None)
}
