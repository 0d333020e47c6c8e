//! The canonical dump of all drives, mailboxes and Teams, streamed, to compare with a database.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;

use crate::control::{Control, Refusal};
use crate::google;
use crate::microsoft::drive::{Drive, DriveHandle};
use crate::microsoft::item_json;
use crate::microsoft::json;
use crate::microsoft::office;
use crate::microsoft::quickxor;
use crate::microsoft::tree::{ROOT, flag};

/// Items of one piece of the answer.
const PIECE: usize = 5000;

#[derive(Debug, Deserialize)]
pub(crate) struct DumpQuery {
    provider: Option<String>,
    drive: Option<String>,
    calendar: Option<String>,
}

enum Step {
    Open,
    Items { sorted: Arc<Vec<u32>>, at: usize },
    Close,
}

/// `GET /state`: `{"drives":[{"id","kind","changes","items":[…]}]}`, items sorted by id. Live items only.
pub(crate) async fn dump(
    State(control): State<Control>,
    Query(query): Query<DumpQuery>,
) -> Result<Response, Refusal> {
    match query.provider.as_deref() {
        None | Some("microsoft") => {}
        Some("google") => {
            return Ok(axum::Json(google::state(&control.world, query.calendar.as_deref())).into_response());
        }
        Some(other) => {
            return Err(Refusal::invalid(format!("provider: expected microsoft or google, got {other:?}")));
        }
    }
    let drives: Vec<Arc<DriveHandle>> = control
        .world
        .mounted()
        .into_iter()
        .filter(|mounted| query.drive.as_ref().is_none_or(|wanted| *wanted == mounted.spec.id))
        .map(|mounted| mounted.handle)
        .collect();
    // A dump of one drive is of that drive alone.
    let rest = match query.drive {
        Some(_) => "}\n".to_owned(),
        None => office::dump::all(&control.world.office.office()).to_string().replacen('{', ",", 1),
    };
    let rest = Bytes::from(rest);
    let pieces = stream::unfold((0, Step::Open, drives, rest), |(number, step, drives, rest)| async move {
        let Some(handle) = drives.get(number) else {
            // One piece after the last drive closes the list.
            return (number == drives.len()).then(|| {
                let end: &[u8] = if drives.is_empty() { b"{\"drives\":[]" } else { b"]" };
                let end = Bytes::from([end, &rest].concat());
                (Ok::<_, std::convert::Infallible>(end), (number + 1, Step::Close, drives, rest))
            });
        };
        let (bytes, next) = piece(&handle.lock(), number, step);
        let number = if matches!(next, Step::Open) { number + 1 } else { number };
        Some((Ok(Bytes::from(bytes)), (number, next, drives, rest)))
    });
    Ok(([(CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response())
}

fn piece(drive: &Drive, number: usize, step: Step) -> (Vec<u8>, Step) {
    let mut out = Vec::new();
    match step {
        Step::Open => {
            out.extend_from_slice(if number == 0 { b"{\"drives\":[{\"id\":" } else { b",{\"id\":" });
            json::string(&mut out, &drive.id);
            out.extend_from_slice(b",\"changes\":");
            json::number(&mut out, u64::from(drive.tree.head()));
            out.extend_from_slice(b",\"items\":[\n");
            let mut sorted: Vec<(String, u32)> =
                drive.tree.live_indexes().map(|index| (drive.ids.text(index), index)).collect();
            sorted.sort_unstable();
            let sorted = Arc::new(sorted.into_iter().map(|(_, index)| index).collect());
            (out, Step::Items { sorted, at: 0 })
        }
        Step::Items { sorted, at } if at < sorted.len() => {
            let end = sorted.len().min(at + PIECE);
            for (offset, index) in sorted[at..end].iter().enumerate() {
                if at + offset > 0 {
                    out.extend_from_slice(b",\n");
                }
                write_item(drive, *index, &mut out);
            }
            (out, Step::Items { sorted, at: end })
        }
        Step::Items { .. } | Step::Close => {
            out.extend_from_slice(b"]}");
            (out, Step::Open)
        }
    }
}

fn write_item(drive: &Drive, index: u32, out: &mut Vec<u8>) {
    let item = drive.tree.item(index);
    let kind = if index == ROOT {
        "root"
    } else if item.has(flag::REMOTE) {
        "remote_item"
    } else if item.has(flag::PACKAGE) {
        "package"
    } else if item.is_folder() {
        "folder"
    } else {
        "file"
    };
    let text = |out: &mut Vec<u8>, key: &str, value: &str| {
        out.push(b',');
        json::string(out, key);
        out.push(b':');
        json::string(out, value);
    };
    out.extend_from_slice(b"{\"id\":");
    json::string(out, &drive.ids.text(index));
    if index == ROOT {
        out.extend_from_slice(b",\"parent_id\":null");
    } else {
        text(out, "parent_id", &drive.ids.text(item.parent));
    }
    text(out, "path", &drive.tree.path(index));
    text(out, "name", &item.name);
    text(out, "kind", kind);
    out.extend_from_slice(b",\"size\":");
    json::number(out, item.size);
    text(out, "e_tag", &item_json::etag(drive, index));
    match drive.hash(index) {
        Some(hash) => text(out, "quick_xor_hash", &quickxor::encode(&hash)),
        None => out.extend_from_slice(b",\"quick_xor_hash\":null"),
    }
    out.extend_from_slice(b",\"modified_at\":\"");
    json::date(out, item.modified);
    out.extend_from_slice(b"\",\"malware\":");
    out.extend_from_slice(if item.has(flag::MALWARE) { b"true" } else { b"false" });
    out.push(b'}');
}
