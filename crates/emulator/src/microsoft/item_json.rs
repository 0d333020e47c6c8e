//! A driveItem as JSON, in the shape that Business and Personal drives send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::config::DriveType;
use crate::microsoft::drive::Drive;
use crate::microsoft::json;
use crate::microsoft::names;
use crate::microsoft::preauth;
use crate::microsoft::select::{Select, field};
use crate::microsoft::tree::{Item, ROOT, flag};

/// What a path segment must escape (RFC 3986 pchar).
pub(crate) const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'|')
    .add(b'\\');

/// Writes items of one answer; remembers the parent's path, which siblings share.
pub(crate) struct ItemWriter<'a> {
    drive: &'a Drive,
    origin: &'a str,
    select: Select,
    in_delta: bool,
    now: i64,
    parent_path: Option<(u32, String, String)>,
}

impl<'a> ItemWriter<'a> {
    pub(crate) fn new(drive: &'a Drive, origin: &'a str, select: Select, now: i64) -> Self {
        Self { drive, origin, select, in_delta: false, now, parent_path: None }
    }

    /// The same, leaving out what delta leaves out (driveItem-delta, "Properties omitted").
    pub(crate) fn delta(drive: &'a Drive, origin: &'a str, select: Select, now: i64) -> Self {
        let mut select = select;
        if drive.options.drive_type == DriveType::Business {
            select = select.without(field::CTAG);
        }
        if select.0 | field::CTAG == Select::ALL.0 && !drive.options.download_url_in_delta {
            select = select.without(field::DOWNLOAD);
        }
        Self { in_delta: true, ..Self::new(drive, origin, select, now) }
    }

    fn key(out: &mut Vec<u8>, name: &str) {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
    }

    fn date(out: &mut Vec<u8>, ms: i64) {
        out.push(b'"');
        json::date(out, ms);
        out.push(b'"');
    }

    fn parent_path(&mut self, parent: u32) -> (&str, &str) {
        if self.parent_path.as_ref().is_none_or(|(known, ..)| *known != parent) {
            let path = self.drive.tree.path(parent);
            let encoded = utf8_percent_encode(&path, SEGMENT).to_string().replace("%2F", "/");
            self.parent_path = Some((parent, path, encoded));
        }
        self.parent_path.as_ref().map_or(("", ""), |(_, path, encoded)| (path, encoded))
    }

    /// Appends the item as an object without `@odata.context`.
    pub(crate) fn write(&mut self, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        self.drive.ids.write(index, out);
        out.push(b'"');
        let item = self.drive.tree.item(index);
        if item.is_deleted() {
            self.tombstone(index, item, out);
        } else {
            self.properties(index, item, out);
        }
        out.push(b'}');
    }

    fn tombstone(&mut self, index: u32, item: &Item, out: &mut Vec<u8>) {
        // Business leaves out name and cTag, Personal cTag and size; the name is forgotten anyway.
        if self.drive.options.drive_type == DriveType::Business && self.select.has(field::SIZE) {
            out.extend_from_slice(b",\"size\":0");
        }
        self.parent(index, item, false, out);
        if item.is_folder() && self.select.has(field::FOLDER) {
            out.extend_from_slice(b",\"folder\":{}");
        }
        if !item.is_folder() && self.select.has(field::FILE) {
            out.extend_from_slice(b",\"file\":{}");
        }
        out.extend_from_slice(b",\"deleted\":{\"state\":\"deleted\"}");
    }

    /// Appends a deletion marker for an item that is alive, but left the folder whose delta is read.
    pub(crate) fn write_departed(&mut self, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        self.drive.ids.write(index, out);
        out.push(b'"');
        let item = self.drive.tree.item(index);
        self.tombstone(index, item, out);
        out.push(b'}');
    }

    fn parent(&mut self, index: u32, item: &Item, with_path: bool, out: &mut Vec<u8>) {
        if !self.select.has(field::PARENT) {
            return;
        }
        Self::key(out, "parentReference");
        out.extend_from_slice(match self.drive.options.drive_type {
            DriveType::Business => b"{\"driveType\":\"business\",\"driveId\":".as_slice(),
            DriveType::Personal => b"{\"driveType\":\"personal\",\"driveId\":".as_slice(),
        });
        json::string(out, &self.drive.id);
        if index != ROOT {
            out.extend_from_slice(b",\"id\":\"");
            self.drive.ids.write(item.parent, out);
            out.push(b'"');
            if with_path {
                out.extend_from_slice(b",\"path\":\"/drives/");
                json::escaped(out, &self.drive.id);
                out.extend_from_slice(b"/root:");
                let (_, encoded) = self.parent_path(item.parent);
                json::escaped(out, encoded);
                out.push(b'"');
            }
        }
        if let Some(site) = &self.drive.options.site {
            Self::key(out, "siteId");
            json::string(out, site);
        }
        out.push(b'}');
    }

    fn properties(&mut self, index: u32, item: &Item, out: &mut Vec<u8>) {
        let select = self.select;
        if select.has(field::CREATED) {
            Self::key(out, "createdDateTime");
            Self::date(out, item.created);
        }
        if select.has(field::ETAG) {
            Self::key(out, "eTag");
            json::string(out, &etag(self.drive, index));
        }
        if select.has(field::CTAG) {
            Self::key(out, "cTag");
            json::string(out, &ctag(self.drive, index));
        }
        if select.has(field::MODIFIED) {
            Self::key(out, "lastModifiedDateTime");
            Self::date(out, item.modified);
        }
        if select.has(field::NAME) {
            Self::key(out, "name");
            json::string(out, &item.name);
        }
        if select.has(field::SIZE) {
            Self::key(out, "size");
            json::number(out, item.size);
        }
        if select.has(field::WEB_URL) {
            self.web_url(index, item, out);
        }
        let with_path = !self.in_delta || self.drive.options.path_in_delta;
        self.parent(index, item, with_path, out);
        if select.has(field::CREATED_BY) {
            out.extend_from_slice(b",\"createdBy\":{\"user\":{\"displayName\":\"Emulator\"}}");
        }
        if select.has(field::MODIFIED_BY) {
            out.extend_from_slice(b",\"lastModifiedBy\":{\"user\":{\"displayName\":\"Emulator\"}}");
        }
        if select.has(field::FILE_SYSTEM) {
            out.extend_from_slice(b",\"fileSystemInfo\":{\"createdDateTime\":");
            Self::date(out, item.created);
            out.extend_from_slice(b",\"lastModifiedDateTime\":");
            Self::date(out, item.modified);
            out.push(b'}');
        }
        self.facets(index, item, out);
    }

    fn web_url(&mut self, index: u32, item: &Item, out: &mut Vec<u8>) {
        let origin = self.origin;
        let (_, parent) = if index == ROOT { ("", "") } else { self.parent_path(item.parent) };
        out.extend_from_slice(b",\"webUrl\":\"");
        json::escaped(out, origin);
        out.extend_from_slice(b"/web");
        json::escaped(out, parent);
        if index != ROOT {
            out.push(b'/');
            for part in utf8_percent_encode(&item.name, SEGMENT) {
                json::escaped(out, part);
            }
        }
        out.push(b'"');
    }

    fn facets(&mut self, index: u32, item: &Item, out: &mut Vec<u8>) {
        let select = self.select;
        if index == ROOT && select.has(field::ROOT) {
            out.extend_from_slice(b",\"root\":{}");
        }
        if item.has(flag::REMOTE) {
            if select.has(field::REMOTE) {
                self.remote(index, item, out);
            }
            return;
        }
        if item.has(flag::PACKAGE) {
            if select.has(field::PACKAGE) {
                out.extend_from_slice(b",\"package\":{\"type\":\"oneNote\"}");
            }
            return;
        }
        if item.is_folder() {
            if select.has(field::FOLDER) {
                out.extend_from_slice(b",\"folder\":{\"childCount\":");
                json::number(out, self.drive.tree.children(index).len() as u64);
                out.push(b'}');
            }
            return;
        }
        if select.has(field::FILE) {
            out.extend_from_slice(b",\"file\":{\"mimeType\":\"");
            out.extend_from_slice(names::mime_type(&item.name).as_bytes());
            out.push(b'"');
            if let Some(hash) = self.drive.hash(index) {
                out.extend_from_slice(b",\"hashes\":{\"quickXorHash\":\"");
                let mut text = [0_u8; 28];
                if let Ok(count) = STANDARD.encode_slice(hash, &mut text) {
                    out.extend_from_slice(&text[..count]);
                }
                out.extend_from_slice(b"\"}");
            }
            out.push(b'}');
        }
        if item.has(flag::MALWARE) && select.has(field::MALWARE) {
            out.extend_from_slice(b",\"malware\":{\"description\":\"EICAR test signature\"}");
        }
        if select.has(field::DOWNLOAD) && !item.has(flag::MALWARE) {
            Self::key(out, "@microsoft.graph.downloadUrl");
            out.push(b'"');
            preauth::write_download_url(self.drive, index, self.origin, self.now, out);
            out.push(b'"');
        }
    }

    fn remote(&self, index: u32, item: &Item, out: &mut Vec<u8>) {
        let Some(remote) = self.drive.remotes.get(&index) else { return };
        out.extend_from_slice(b",\"remoteItem\":{\"id\":");
        json::string(out, &remote.item);
        out.extend_from_slice(b",\"name\":");
        json::string(out, &item.name);
        out.extend_from_slice(
            b",\"folder\":{\"childCount\":0},\"parentReference\":{\"driveType\":\"business\",\"driveId\":",
        );
        json::string(out, &remote.drive);
        out.extend_from_slice(b"}}");
    }
}

fn tag(drive: &Drive, index: u32, prefix: &str, version: u32) -> String {
    let mut out = Vec::with_capacity(52);
    out.push(b'"');
    out.extend_from_slice(prefix.as_bytes());
    out.push(b'{');
    json::guid(&mut out, drive.ids.guid(index));
    out.make_ascii_uppercase();
    if !prefix.is_empty() {
        out[1..=prefix.len()].make_ascii_lowercase();
    }
    out.extend_from_slice(b"},");
    json::number(&mut out, u64::from(version));
    out.push(b'"');
    String::from_utf8(out).expect("hexadecimal digits are ASCII")
}

/// The eTag: any change raises it.
pub(crate) fn etag(drive: &Drive, index: u32) -> String {
    tag(drive, index, "", drive.tree.item(index).etag)
}

/// The cTag: a change of the content raises it.
pub(crate) fn ctag(drive: &Drive, index: u32) -> String {
    tag(drive, index, "c:", drive.tree.item(index).ctag)
}
