//! Upload sessions: fragments in order, multiples of 320 KiB, an item at the end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use chrono::{SecondsFormat, TimeDelta};
use http::Method;
use serde_json::{Value, json};

use crate::http::{Call, Reply};
use crate::microsoft::drive::{Conflict, Drive};
use crate::microsoft::errors::GraphError;
use crate::microsoft::items;
use crate::microsoft::target::{DriveRef, ItemRef};
use crate::world::World;

/// Fragments are multiples of this, but for the last.
const FRAGMENT_UNIT: u64 = 320 * 1024;
/// Largest fragment.
const MAX_FRAGMENT: usize = 60 * 1024 * 1024;
/// Largest file; the parts are kept in memory until the last one.
const MAX_FILE: u64 = 512 * 1024 * 1024;
/// Open sessions at once.
const MAX_SESSIONS: usize = 1000;
const LIFETIME_DAYS: i64 = 7;

#[derive(Debug)]
struct Session {
    drive: String,
    parent: u32,
    name: String,
    conflict: Conflict,
    received: BytesMut,
    total: Option<u64>,
    deferred: bool,
    expires_ms: i64,
}

/// The open upload sessions.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    sessions: Mutex<HashMap<String, Session>>,
}

impl Uploads {
    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clear(&self) {
        self.sessions().clear();
    }
}

/// `POST …/createUploadSession`.
pub(crate) fn create(
    world: &World,
    drive: &Drive,
    address: &ItemRef,
    call: &Call,
) -> Result<Reply, GraphError> {
    let body = if call.body.is_empty() { Value::Null } else { call.json()? };
    let (parent, mut name) = items::resolve_new(drive, address)?;
    if let Some(wanted) = body["item"]["name"].as_str() {
        wanted.clone_into(&mut name);
    }
    drive.check_name(parent, &name, false)?;
    let conflict = Conflict::parse(items::conflict_of(&body["item"]), Conflict::Replace)?;
    if let Some(existing) = drive.tree.child(parent, &name) {
        items::check_if_match(drive, existing, call)?;
        if conflict == Conflict::Fail {
            return Err(GraphError::name_exists());
        }
    }
    let now = world.clock.now();
    let mut sessions = world.uploads.sessions();
    sessions.retain(|_, session| session.expires_ms > now.timestamp_millis());
    if sessions.len() >= MAX_SESSIONS {
        return Err(GraphError::of_status(507));
    }
    let id = chassis::ids::new_id().simple().to_string();
    let expires = now + TimeDelta::days(LIFETIME_DAYS);
    sessions.insert(
        id.clone(),
        Session {
            drive: drive.id.clone(),
            parent,
            name,
            conflict,
            received: BytesMut::new(),
            total: None,
            deferred: body["deferCommit"].as_bool().unwrap_or(false),
            expires_ms: expires.timestamp_millis(),
        },
    );
    let answer = json!({
        "@odata.context": format!("{}/v1.0/$metadata#microsoft.graph.uploadSession", call.origin),
        "uploadUrl": format!("{}/_upload/{id}", call.origin),
        "expirationDateTime": expires.to_rfc3339_opts(SecondsFormat::Millis, true),
        "nextExpectedRanges": ["0-"],
    });
    Ok(Reply::json(200, &answer))
}

fn progress(session: &Session) -> Value {
    let at = session.received.len() as u64;
    let range =
        session.total.map_or_else(|| format!("{at}-"), |total| format!("{at}-{}", total.saturating_sub(1)));
    let expires = chrono::DateTime::from_timestamp_millis(session.expires_ms).unwrap_or_default();
    json!({
        "expirationDateTime": expires.to_rfc3339_opts(SecondsFormat::Millis, true),
        "nextExpectedRanges": if session.total == Some(at) { vec![] } else { vec![range] },
    })
}

/// Everything at an upload URL; no bearer token is needed there.
pub(crate) fn serve(world: &World, id: &str, call: &Call) -> Result<Reply, GraphError> {
    let now = world.clock.now_ms();
    let mut sessions = world.uploads.sessions();
    let gone = || GraphError::new(404, "itemNotFound", "The upload session was not found");
    let session = sessions.get_mut(id).filter(|session| session.expires_ms > now).ok_or_else(gone)?;
    match call.method {
        Method::GET => Ok(Reply::json(200, &progress(session))),
        Method::DELETE => {
            sessions.remove(id);
            Ok(Reply::empty(204))
        }
        Method::PUT if !accept(session, call)? => Ok(Reply::json(202, &progress(session))),
        // POST ends a session with deferCommit.
        Method::PUT | Method::POST if session.total == Some(session.received.len() as u64) => {
            let session = sessions.remove(id).ok_or_else(gone)?;
            // The lock of the drive is never waited for under the lock of the sessions.
            drop(sessions);
            commit(world, session, call, now)
        }
        _ => Err(GraphError::new(405, "invalidRequest", "The method is not possible here.")),
    }
}

/// Takes a fragment; true when the file is complete and to be committed.
fn accept(session: &mut Session, call: &Call) -> Result<bool, GraphError> {
    let malformed = || GraphError::invalid("The Content-Range header is missing or malformed.");
    let spec =
        call.header("content-range").and_then(|text| text.strip_prefix("bytes ")).ok_or_else(malformed)?;
    let (range, total) = spec.split_once('/').ok_or_else(malformed)?;
    let (from, to) = range.split_once('-').ok_or_else(malformed)?;
    let parse = |text: &str| text.trim().parse::<u64>().map_err(|_| malformed());
    let (from, to, total) = (parse(from)?, parse(to)?, parse(total)?);
    if to < from || to >= total || to - from + 1 != call.body.len() as u64 {
        return Err(GraphError::invalid("The Content-Range header does not fit the body."));
    }
    if total > MAX_FILE {
        return Err(GraphError::of_status(507));
    }
    if call.body.len() > MAX_FRAGMENT {
        return Err(GraphError::new(413, "invalidRequest", "The fragment is larger than 60 MiB."));
    }
    if session.total.is_some_and(|known| known != total) {
        return Err(GraphError::invalid("The total size differs from that of earlier fragments."));
    }
    let at = session.received.len() as u64;
    if from < at {
        return Err(GraphError::new(416, "invalidRange", "Uploaded fragment overlaps with existing data.")
            .inner("fragmentOverlap"));
    }
    if from > at {
        return Err(GraphError::new(416, "invalidRange", "The uploaded fragment is out of order.")
            .inner("fragmentOutOfOrder"));
    }
    if to + 1 != total && !(to - from + 1).is_multiple_of(FRAGMENT_UNIT) {
        return Err(GraphError::invalid("The fragment size is not a multiple of 320 KiB."));
    }
    session.total = Some(total);
    session.received.extend_from_slice(&call.body);
    Ok(to + 1 == total && !session.deferred)
}

fn commit(world: &World, session: Session, call: &Call, now: i64) -> Result<Reply, GraphError> {
    let handle = world.drive(&DriveRef::Id(session.drive.clone()))?;
    let mut drive = handle.lock();
    if drive.tree.live(session.parent).is_none() {
        return Err(GraphError::not_found());
    }
    let bytes: Bytes = session.received.freeze();
    let (index, new) = drive.put_file(session.parent, &session.name, &bytes, session.conflict, now)?;
    let reply = items::reply(&drive, index, if new { 201 } else { 200 }, call, now);
    world.dirty.mark(&session.drive);
    Ok(reply)
}
