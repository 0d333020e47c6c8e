//! `messages/delta` of a folder and `mailFolders/delta`: rounds, opaque links, and their known faults.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::filter::{self, Clause};
use super::ids;
use super::mail_read;
use super::mailbox::{Folder, Happened, Logged, Mailbox};
use super::model::Office;
use super::view::{self, Page};
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;

const DEFAULT_PAGE: usize = 10;
const MAX_PAGE: usize = 1000;

/// What a link carries: where the round is, and the options it began with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Cursor {
    folder: u32,
    epoch: u32,
    /// Changes up to here are known; `None` in the first round.
    since: Option<u64>,
    /// The round ends here.
    upto: u64,
    /// Place in a first round: below this receipt and key.
    below: Option<(i64, u64)>,
    /// Place in a later round: after this change.
    after: u64,
    /// Messages given so far, and pages.
    given: u32,
    pages: u32,
    select: Option<String>,
    filter: Option<String>,
    kind: Option<String>,
    size: Option<usize>,
    /// A nextLink, not a deltaLink.
    midway: bool,
}

impl Cursor {
    fn encode(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        // Turned about, so that nobody is tempted to read it.
        URL_SAFE_NO_PAD.encode(text.iter().rev().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>())
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&bytes.iter().rev().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>()).ok()
    }

    fn link(&self, call: &Call, midway: bool) -> String {
        let cursor = Self { midway, ..self.clone() };
        let name = if midway { "$skiptoken" } else { "$deltatoken" };
        format!("{}{}?{name}={}", call.origin, call.path, cursor.encode())
    }
}

fn gone(code: &str, epoch: u32, head: u32) -> GraphError {
    let message = match code {
        "SyncStateNotFound" => {
            format!("The sync state generation is not found; generation={epoch};[highest={head}]")
        }
        "ResyncRequired" => "Resync required. The sync state is no longer valid.".to_owned(),
        _ => "The sync state is invalid.".to_owned(),
    };
    GraphError::new(410, code, message)
}

/// The cursor of a request: from its link, or a new one with the options of the query.
fn cursor(call: &Call, folder: u32, epoch: u32, void_code: &str, head: u64) -> Result<Cursor, GraphError> {
    let token = ["$skiptoken", "$deltatoken"].iter().find_map(|name| call.query(name));
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        for refused in ["$search", "$skip"] {
            if call.query(refused).is_some() {
                let text = format!("{refused} is not supported with delta.");
                return Err(GraphError::new(400, "ErrorInvalidUrlQuery", text));
            }
        }
        return Ok(Cursor {
            folder,
            epoch,
            upto: head,
            select: call.query("$select"),
            filter: call.query("$filter"),
            kind: call.query("changeType"),
            size: call.query("$top").and_then(|top| top.parse().ok()),
            ..Cursor::default()
        });
    };
    let mut cursor = Cursor::decode(&token)
        .ok_or_else(|| GraphError::new(400, "SyncStateInvalid", "The sync state is badly formed."))?;
    if cursor.folder != folder || cursor.epoch != epoch {
        return Err(gone(void_code, cursor.epoch, epoch));
    }
    if !cursor.midway {
        // A deltaLink opens the next round.
        (cursor.since, cursor.upto, cursor.after) = (Some(cursor.upto), head, cursor.upto);
        (cursor.below, cursor.given, cursor.pages) = (None, 0, 0);
    }
    Ok(cursor)
}

/// `GET …/messages/delta`.
pub(crate) fn messages(office: &Office, user: &str, folder: &str, call: &Call) -> Result<Reply, GraphError> {
    let mailbox = &office.user(user)?.mailbox;
    let key = mailbox.folder(folder)?;
    let folder = &mailbox.folders[&key];
    let mut cursor = cursor(call, key, folder.epoch, &folder.void_code, mailbox.seq)?;
    let clauses = clauses(&cursor)?;
    let size = view::page_size(call).or(cursor.size).unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    // The options of the link count, not those of the request.
    let mut asked = call.clone();
    asked.query = cursor.select.as_ref().map(|list| format!("$select={list}")).unwrap_or_default();
    let (value, more) = match cursor.since {
        None => first_round(office, mailbox, folder, &mut cursor, &clauses, size, &asked)?,
        Some(since) => later_round(office, mailbox, since, &mut cursor, &clauses, size, &asked)?,
    };
    cursor.pages += 1;
    let cut = office.switches.drop_next_link_after.is_some_and(|pages| cursor.pages >= pages);
    let page = Page {
        context: "Collection(message)".into(),
        value,
        next: (more && !cut).then(|| cursor.link(call, true)),
        delta: (!more || cut).then(|| cursor.link(call, false)),
        count: None,
    };
    Ok(page.reply(call))
}

/// Delta takes `receivedDateTime ge|gt` only.
fn clauses(cursor: &Cursor) -> Result<Vec<Clause>, GraphError> {
    let clauses = cursor.filter.as_deref().map(filter::parse).transpose()?.unwrap_or_default();
    let legal = |clause: &Clause| match clause {
        Clause::Time { property, compare, .. } => {
            property == "receivedDateTime" && matches!(compare, filter::Compare::Ge | filter::Compare::Gt)
        }
        _ => false,
    };
    if clauses.iter().all(legal) {
        return Ok(clauses);
    }
    let text = "Only receivedDateTime ge and gt can be filtered by with delta.";
    Err(GraphError::new(400, "ErrorInvalidUrlQueryFilter", text))
}

fn entry(mailbox: &Mailbox, key: u64, call: &Call) -> Option<Value> {
    let message = mailbox.messages.get(&key)?;
    let mut map: Map<String, Value> = mail_read::shown(mailbox, message, call);
    map.insert("@odata.type".into(), json!("#microsoft.graph.message"));
    Some(Value::Object(map))
}

type Items = (Vec<Value>, bool);

/// All messages of the folder, newest first; with a filter not more than the cap.
fn first_round(
    office: &Office,
    mailbox: &Mailbox,
    folder: &Folder,
    cursor: &mut Cursor,
    clauses: &[Clause],
    size: usize,
    call: &Call,
) -> Result<Items, GraphError> {
    let cap = if clauses.is_empty() { u32::MAX } else { office.switches.filter_cap };
    let end = cursor.below.unwrap_or((i64::MAX, u64::MAX));
    let mut value = Vec::new();
    if cursor.pages > 0 && office.switches.duplicates_over_pages {
        // `below` is the last one of the page before.
        value.extend(entry(mailbox, end.1, call));
    }
    let full = value.len() + size;
    if cursor.kind.as_deref().is_some_and(|kind| kind != "created") {
        return Ok((value, false));
    }
    for (received, key) in folder.index.range(..end).rev() {
        if cursor.given >= cap {
            return Ok((value, false));
        }
        let Some(message) = mailbox.messages.get(key) else { continue };
        if !filter::matches(clauses, message)? {
            continue;
        }
        if value.len() == full {
            return Ok((value, true));
        }
        value.extend(entry(mailbox, *key, call));
        cursor.given += 1;
        cursor.below = Some((*received, *key));
    }
    Ok((value, false))
}

/// What became of one message in this round.
#[derive(Debug, Clone, Copy)]
struct Fate {
    last: Logged,
    /// It came within the round.
    came: bool,
    /// It was here before the round, left within it, and is here again.
    returned: bool,
}

fn later_round(
    office: &Office,
    mailbox: &Mailbox,
    since: u64,
    cursor: &mut Cursor,
    clauses: &[Clause],
    size: usize,
    call: &Call,
) -> Result<Items, GraphError> {
    let immutable = view::immutable(call);
    let from = mailbox.log.partition_point(|line| line.seq <= since);
    let lines = mailbox.log[from..]
        .iter()
        .take_while(|line| line.seq <= cursor.upto)
        .filter(|line| line.folder == cursor.folder);
    // With default ids a message that moved is another one.
    let mut fates: HashMap<(u64, u32), Fate> = HashMap::new();
    for line in lines {
        let identity = (line.key, if immutable { 0 } else { line.moves });
        let came = line.what == Happened::Came;
        fates
            .entry(identity)
            .and_modify(|fate| {
                fate.returned |= fate.last.what == Happened::Left && came && !fate.came;
                fate.last = *line;
            })
            .or_insert(Fate { last: *line, came, returned: false });
    }
    let mut fates: Vec<Fate> = fates.into_values().filter(|fate| fate.last.seq > cursor.after).collect();
    fates.sort_unstable_by_key(|fate| (fate.last.seq, fate.last.key));
    let mut value = Vec::new();
    let count = fates.len();
    for (at, fate) in fates.into_iter().enumerate() {
        let line = fate.last;
        let here = matches!(line.what, Happened::Came | Happened::Changed);
        let kind = match (here, fate.came) {
            (true, true) => "created",
            (true, false) => "updated",
            (false, _) => "deleted",
        };
        cursor.after = line.seq;
        // Came and went within the round: never seen from here.
        if cursor.kind.as_deref().is_some_and(|wanted| wanted != kind) || (!here && fate.came) {
            continue;
        }
        let lost = fate.returned && immutable && office.switches.lose_round_trips;
        if here && !lost {
            let Some(message) = mailbox.messages.get(&line.key) else { continue };
            // What has moved on since the round began is told in the next one.
            if message.folder == cursor.folder && filter::matches(clauses, message)? {
                value.extend(entry(mailbox, line.key, call));
            }
        } else {
            let reason = match line.what {
                Happened::Gone => "deleted",
                _ => office.switches.move_reason.text(),
            };
            value.push(json!({
                "@odata.type": "#microsoft.graph.message",
                "id": ids::message(mailbox.salt, line.key, line.moves, immutable),
                "@removed": {"reason": reason},
            }));
        }
        if value.len() == size && at + 1 < count {
            return Ok((value, true));
        }
    }
    Ok((value, false))
}

/// `GET /users/{u}/mailFolders/delta`: all folders, hidden ones too, then what changed.
pub(crate) fn folders(office: &Office, user: &str, call: &Call) -> Result<Reply, GraphError> {
    let mailbox = &office.user(user)?.mailbox;
    let mut cursor = cursor(call, 0, mailbox.tree_epoch, "SyncStateNotFound", mailbox.seq)?;
    let size = view::page_size(call).or(cursor.size).unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let mut keys: Vec<(u64, u32)> = match cursor.since {
        None => mailbox.all_folders().map(|folder| (u64::from(folder.key), folder.key)).collect(),
        Some(since) => {
            let lines = mailbox.folder_log.iter().filter(|(seq, _)| *seq > since && *seq <= cursor.upto);
            let last: HashMap<u32, u64> = lines.map(|(seq, key)| (*key, *seq)).collect();
            last.into_iter().map(|(key, seq)| (seq, key)).collect()
        }
    };
    keys.sort_unstable();
    keys.retain(|(place, _)| *place > cursor.after);
    let more = keys.len() > size;
    keys.truncate(size);
    cursor.after = keys.last().map_or(cursor.after, |(place, _)| *place);
    let value = keys
        .into_iter()
        .map(|(_, key)| {
            let mut shown = mailbox.folder_json(key).unwrap_or_else(
                || json!({"id": ids::folder(mailbox.salt, key), "@removed": {"reason": "deleted"}}),
            );
            shown["@odata.type"] = json!("#microsoft.graph.mailFolder");
            shown
        })
        .collect();
    let page = Page {
        context: "Collection(mailFolder)".into(),
        value,
        next: more.then(|| cursor.link(call, true)),
        delta: (!more).then(|| cursor.link(call, false)),
        count: None,
    };
    Ok(page.reply(call))
}
