//! driveItem delta (Graph v1.0): full and incremental rounds over the change log.

use std::collections::HashSet;

use chrono::DateTime;
use http::header::LOCATION;

use crate::config::DriveType;
use crate::http::{Call, PageFault, Reply};
use crate::microsoft::cursor::{BadToken, Cursor, Phase};
use crate::microsoft::drive::Drive;
use crate::microsoft::errors::GraphError;
use crate::microsoft::item_json::ItemWriter;
use crate::microsoft::json;
use crate::microsoft::select::Select;
use crate::microsoft::tree::ROOT;

/// Items of a page when `$top` is absent.
const DEFAULT_TOP: u32 = 200;
/// Most items of a page.
const MAX_TOP: u32 = 5000;
/// Log positions read for one page; a page that finds nothing in them is empty and links on.
const MAX_SCAN: u32 = 200_000;

/// The URL of a fresh enumeration.
pub(crate) fn fresh_url(drive: &str, origin: &str) -> String {
    let id = percent_encoding::utf8_percent_encode(drive, crate::microsoft::item_json::SEGMENT);
    format!("{origin}/v1.0/drives/{id}/root/delta")
}

/// Serves a page of the delta of `scope`.
pub(crate) fn serve(drive: &mut Drive, scope: u32, token: Option<&str>, call: &Call, now: i64) -> Reply {
    let select = call.query("$select");
    let top = match call.query("$top").map(|text| text.parse::<u32>()) {
        None => None,
        Some(Ok(top)) if top > 0 => Some(top.min(MAX_TOP)),
        Some(_) => return GraphError::invalid("Invalid value for $top.").into(),
    };
    let mut cursor = match open(drive, scope, token) {
        Ok(cursor) => cursor,
        Err(BadToken::Malformed) => {
            return GraphError::invalid("The provided token is not valid.").inner("badRequest").into();
        }
        Err(BadToken::Expired) => {
            return Reply::error(GraphError::of_status(410))
                .with(LOCATION, &fresh_url(&drive.id, &call.origin));
        }
    };
    if let Some(top) = top {
        cursor.top = top;
    }
    if select.is_some() {
        cursor.select = Select::parse(select.as_deref()).0;
    }
    if call.header("deltaexcludeparent").is_some()
        || call.header("prefer").is_some_and(|p| p.contains("deltaExcludeParent"))
    {
        cursor.exclude_parents = true;
    }
    if cursor.top == 0 {
        cursor.top = DEFAULT_TOP;
    }
    drive.pages = drive.pages.wrapping_add(1);
    cursor.nonce = drive.pages;

    let mut page = Page {
        drive,
        cursor,
        seen: HashSet::new(),
        count: 0,
        value: Vec::with_capacity(cursor.top as usize * 640),
    };
    let empty = call.page_fault == Some(PageFault::Empty) || page.pauses();
    let latest = token == Some("latest");
    let finished = if latest {
        true
    } else if empty {
        page.cursor.paused = true;
        false
    } else {
        page.cursor.paused = false;
        page.fill(&call.origin, now)
    };
    let Page { cursor, value, .. } = page;
    let link = if call.page_fault == Some(PageFault::Loop) {
        call.url()
    } else if finished {
        settled(drive, cursor).link(drive, &call.origin)
    } else {
        cursor.link(drive, &call.origin)
    };
    Reply::json_bytes(200, envelope(&call.origin, &value, &link, finished && call.page_fault.is_none()))
}

/// The cursor that the next round starts from.
fn settled(drive: &Drive, cursor: Cursor) -> Cursor {
    let position = cursor.position;
    Cursor {
        exclude_parents: cursor.exclude_parents,
        top: cursor.top,
        select: cursor.select,
        nonce: cursor.nonce,
        end: position,
        ..Cursor::begin(drive, cursor.scope, false, position)
    }
}

/// The cursor that a token stands for; a link at the end of a round begins the next one.
fn open(drive: &Drive, scope: u32, token: Option<&str>) -> Result<Cursor, BadToken> {
    let head = drive.tree.head();
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(Cursor::begin(drive, scope, true, 0));
    };
    if token == "latest" {
        return Ok(Cursor::begin(drive, scope, false, head));
    }
    // Changes since a time: Business and SharePoint only.
    if let Ok(time) = DateTime::parse_from_rfc3339(token) {
        if drive.options.drive_type != DriveType::Business {
            return Err(BadToken::Malformed);
        }
        let position = drive.tree.position_at(time.timestamp_millis());
        return Ok(Cursor::begin(drive, scope, false, position));
    }
    let mut cursor = Cursor::decode(token, drive)?;
    if cursor.scope != scope {
        return Err(BadToken::Malformed);
    }
    if !cursor.full && cursor.start == cursor.end && cursor.position == cursor.start {
        // A delta link: the round's end is now.
        cursor.end = head;
    }
    Ok(cursor)
}

fn envelope(origin: &str, value: &[u8], link: &str, finished: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 512);
    out.extend_from_slice(b"{\"@odata.context\":\"");
    json::escaped(&mut out, origin);
    out.extend_from_slice(b"/v1.0/$metadata#Collection(driveItem)\",\"");
    out.extend_from_slice(if finished { b"@odata.deltaLink" } else { b"@odata.nextLink" });
    out.extend_from_slice(b"\":");
    json::string(&mut out, link);
    out.extend_from_slice(b",\"value\":[");
    out.extend_from_slice(value);
    out.extend_from_slice(b"]}");
    out
}

/// What a log entry gives to a page.
enum Entry {
    Nothing,
    Item(u32),
    /// Alive, but no longer below the scope.
    Departed(u32),
    /// Alive, and new below the scope with everything in it.
    Arrived(u32),
}

struct Page<'a> {
    drive: &'a Drive,
    cursor: Cursor,
    seen: HashSet<u32>,
    count: u32,
    value: Vec<u8>,
}

impl Page<'_> {
    /// True when this page is one of the empty ones that the drive is configured to send.
    fn pauses(&self) -> bool {
        let every = self.drive.options.empty_page_every;
        every != 0 && !self.cursor.paused && self.cursor.nonce.is_multiple_of(every)
    }

    /// Fills the page; true when the round is complete.
    fn fill(&mut self, origin: &str, now: i64) -> bool {
        let drive = self.drive;
        let mut writer = ItemWriter::delta(drive, origin, Select(self.cursor.select), now);
        // The folder itself is always reported, changed or not.
        if !self.cursor.opened {
            self.cursor.opened = true;
            self.emit(&mut writer, self.cursor.scope);
        }
        let mut scanned = 0;
        loop {
            if self.cursor.phase == Phase::Deletions && self.cursor.position >= self.cursor.end {
                self.cursor.phase = Phase::Changes;
                self.cursor.position = self.cursor.start;
            }
            if self.cursor.phase == Phase::Changes && self.cursor.position >= drive.tree.head() {
                return true;
            }
            if self.count >= self.cursor.top || scanned >= MAX_SCAN {
                return false;
            }
            let entry = self.read(self.cursor.position);
            if !self.take(&mut writer, &entry) {
                return false;
            }
            self.cursor.position += 1;
            scanned += 1;
        }
    }

    /// The log position that is read at `position`: the same, or another one of the round when shuffling.
    fn shuffled(&self, position: u32) -> u32 {
        let from = if self.cursor.full { 0 } else { self.cursor.start };
        let span = u64::from(self.cursor.end.saturating_sub(from));
        if !self.drive.options.shuffle || position < from || position >= self.cursor.end || span < 3 {
            return position;
        }
        let mut step = (span * 618 / 1000).max(2);
        while gcd(step, span) != 1 {
            step += 1;
        }
        from + ((u64::from(position - from) * step + span / 3) % span) as u32
    }

    fn read(&self, at: u32) -> Entry {
        let (drive, cursor) = (self.drive, &self.cursor);
        let position = if cursor.phase == Phase::Deletions { at } else { self.shuffled(at) };
        let index = drive.tree.log()[position as usize];
        let item = drive.tree.item(index);
        let stale = item.seq != position;
        if index == cursor.scope || (stale && (!drive.options.repeats || item.is_deleted())) {
            return Entry::Nothing;
        }
        if item.is_deleted() {
            let in_round = position < cursor.end;
            let hidden = if cursor.full {
                in_round || drive.options.lose_deletes_in_full_round
            } else {
                // The deletions pass has shown those of before the round began.
                drive.options.deletes_first && in_round && cursor.phase == Phase::Changes
            };
            let outside = cursor.scope != ROOT && !drive.tree.is_within(index, cursor.scope);
            return if hidden || outside { Entry::Nothing } else { Entry::Item(index) };
        }
        if cursor.phase == Phase::Deletions {
            return Entry::Nothing;
        }
        if cursor.scope == ROOT {
            return Entry::Item(index);
        }
        self.scoped(index)
    }

    fn scoped(&self, index: u32) -> Entry {
        let (tree, cursor) = (&self.drive.tree, &self.cursor);
        let inside = tree.is_within(index, cursor.scope);
        let left = tree
            .departures()
            .iter()
            .rev()
            .take_while(|leave| leave.seq >= cursor.start)
            .filter(|leave| leave.item == index);
        // The oldest departure of the round tells where the item was when the round's token was made.
        let was_inside = left.last().map_or(inside, |leave| {
            tree.live(leave.from).is_some() && tree.is_within(leave.from, cursor.scope)
        });
        match (was_inside && !cursor.full, inside) {
            (true, false) => Entry::Departed(index),
            (false, true) if !cursor.full => Entry::Arrived(index),
            (_, true) => Entry::Item(index),
            (false, false) => Entry::Nothing,
        }
    }

    /// Writes an entry; false when it must wait for the next page.
    fn take(&mut self, writer: &mut ItemWriter<'_>, entry: &Entry) -> bool {
        match *entry {
            Entry::Nothing => true,
            Entry::Departed(index) => {
                self.separate();
                writer.write_departed(index, &mut self.value);
                self.count += 1;
                true
            }
            Entry::Arrived(index) => {
                for below in std::iter::once(index).chain(self.drive.tree.descendants(index)) {
                    self.emit(writer, below);
                }
                true
            }
            Entry::Item(index) => {
                let with_ancestors = !self.cursor.full
                    && !self.cursor.exclude_parents
                    && self.cursor.phase == Phase::Changes
                    && !self.drive.tree.item(index).is_deleted();
                let mut above: Vec<u32> = Vec::new();
                if with_ancestors {
                    let scope = self.cursor.scope;
                    above.extend(
                        self.drive
                            .tree
                            .ancestors(index)
                            .take_while(|folder| *folder != scope)
                            .filter(|folder| !self.seen.contains(folder)),
                    );
                }
                if self.count > 0 && self.count + above.len() as u32 + 1 > self.cursor.top {
                    return false;
                }
                for folder in above.iter().rev() {
                    self.emit(writer, *folder);
                }
                self.emit(writer, index);
                true
            }
        }
    }

    fn separate(&mut self) {
        if self.count > 0 {
            self.value.push(b',');
        }
    }

    fn emit(&mut self, writer: &mut ItemWriter<'_>, index: u32) {
        self.separate();
        writer.write(index, &mut self.value);
        self.count += 1;
        if !self.cursor.full {
            self.seen.insert(index);
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
