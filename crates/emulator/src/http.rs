//! Requests and replies as the handlers see them, and bodies as they go out.

use std::io::SeekFrom;
use std::path::PathBuf;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::microsoft::errors::GraphError;

/// Largest request body that is read: one upload fragment (60 MiB) and a little.
pub(crate) const MAX_BODY: usize = 62 * 1024 * 1024;
const PIECE: usize = 64 * 1024;
/// Content type of Graph's JSON answers.
const GRAPH_JSON: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// What a page handler is asked to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// No items, and a nextLink to the same place.
    Empty,
    /// The right items, and a nextLink that is the request's own URL.
    Loop,
}

/// One request, body already read.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path as sent, percent-encoded.
    pub(crate) path: String,
    /// Query as sent, without `?`.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Scheme and authority of the request: links in answers point back to it.
    pub(crate) origin: String,
    /// Client id of the token, when it is a good one.
    pub(crate) account: Option<String>,
    pub(crate) page_fault: Option<PageFault>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Decoded value of a query parameter; names are compared without regard to case.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        query_pairs(&self.query).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Result<Value, GraphError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| GraphError::new(400, "BadRequest", "Unable to read JSON request payload."))
    }

    /// Path and query, as the ledger and the faults see them.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.origin, self.target())
    }
}

/// Decoded pairs of a query string.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(&value.replace('+', "%20")))
    })
}

/// Percent-decoded text; bytes that are not UTF-8 are replaced.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// In memory.
    Bytes(Bytes),
    /// On disk.
    Disk(PathBuf),
    /// A head followed by NUL bytes.
    Synthetic(Bytes),
}

/// The body of a reply.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// All of it.
    Bytes(Bytes),
    /// A range of a file.
    Range {
        /// The file.
        content: Content,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Range { length, .. } => *length,
        }
    }

    /// The body in pieces of at most `piece` bytes.
    pub(crate) fn pieces(self, piece: usize) -> BoxStream<'static, std::io::Result<Bytes>> {
        match self {
            Self::Bytes(bytes) => {
                let starts = (0..bytes.len()).step_by(piece.max(1));
                stream::iter(starts.map(move |at| Ok(bytes.slice(at..bytes.len().min(at + piece))))).boxed()
            }
            Self::Range { content: Content::Bytes(bytes), offset, length } => {
                let from = bytes.len().min(offset as usize);
                let to = bytes.len().min(from + length as usize);
                Self::Bytes(bytes.slice(from..to)).pieces(piece)
            }
            Self::Range { content: Content::Synthetic(head), offset, length } => {
                let end = offset + length;
                stream::iter((offset..end).step_by(piece.max(1)).map(move |at| {
                    let size = (end - at).min(piece as u64) as usize;
                    let mut bytes = vec![0_u8; size];
                    if at < head.len() as u64 {
                        let from = at as usize;
                        let count = size.min(head.len() - from);
                        bytes[..count].copy_from_slice(&head[from..from + count]);
                    }
                    Ok(Bytes::from(bytes))
                }))
                .boxed()
            }
            Self::Range { content: Content::Disk(path), offset, length } => {
                disk_pieces(path, offset, length, piece).boxed()
            }
        }
    }

    pub(crate) fn default_pieces(self) -> BoxStream<'static, std::io::Result<Bytes>> {
        self.pieces(PIECE)
    }
}

fn disk_pieces(
    path: PathBuf,
    offset: u64,
    length: u64,
    piece: usize,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold((None, length), move |(file, left)| {
        let path = path.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let mut file = if let Some(file) = file {
                file
            } else {
                let mut file = tokio::fs::File::open(&path).await?;
                file.seek(SeekFrom::Start(offset)).await?;
                file
            };
            let mut bytes = vec![0_u8; left.min(piece as u64) as usize];
            file.read_exact(&mut bytes).await?;
            let left = left - bytes.len() as u64;
            Ok(Some((Bytes::from(bytes), (Some(file), left))))
        }
    })
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Set when the body is Graph's error body, written once the ids of the request are known.
    pub(crate) error: Option<Box<GraphError>>,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Bytes(Bytes::new()), error: None }
    }

    pub(crate) fn error(error: GraphError) -> Self {
        let mut reply = Self::empty(error.status);
        reply.error = Some(Box::new(error));
        reply
    }

    /// A Graph JSON answer from bytes that are JSON already.
    pub(crate) fn json_bytes(status: u16, bytes: Vec<u8>) -> Self {
        let mut reply = Self::empty(status).with(CONTENT_TYPE, GRAPH_JSON);
        reply.body = Body::Bytes(Bytes::from(bytes));
        reply
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::json_bytes(status, value.to_string().into_bytes())
    }

    /// Adds a header; a value that is not a legal header is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The body as bytes, when it is in memory.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            Body::Range { .. } => None,
        }
    }

    /// Writes the error body, if this is an error.
    pub(crate) fn seal(mut self, request_id: &str, client_request_id: &str, date: &str) -> Self {
        if let Some(error) = self.error.take() {
            let body = error.body(request_id, client_request_id, date).to_string();
            self.body = Body::Bytes(Bytes::from(body));
            if !self.headers.contains_key(CONTENT_TYPE) {
                self = self.with(CONTENT_TYPE, "application/json");
            }
        }
        self
    }
}
