//! Drive items as Graph sends them: every field optional, unknown ones ignored, one bad item never fails its page.

use chrono::{DateTime, Utc};
use domain::drive::{ItemChange, ItemKind};
use domain::ids::{DriveId, ItemId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::timestamp::parse_timestamp;

/// An item that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What the feed says about it.
    pub change: ItemChange,
    /// Address for people.
    pub web_url: Option<String>,
}

/// An item that could not be read; it goes to quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonItem {
    /// The item as it was sent.
    pub raw_json: String,
    /// Why it could not be read.
    pub reason: String,
    /// Its id, when at least that is readable.
    pub id: Option<String>,
}

/// Largest raw body that is kept of a poison item; a longer one is cut and says so in its reason.
const MAX_RAW: usize = 64 * 1024;

#[expect(clippy::struct_excessive_bools, reason = "one for each facet")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemBody {
    id: Option<String>,
    name: Option<String>,
    #[serde(default, deserialize_with = "size")]
    size: Option<i64>,
    e_tag: Option<String>,
    c_tag: Option<String>,
    web_url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    deleted: bool,
    #[serde(default, deserialize_with = "present")]
    root: bool,
    #[serde(default, deserialize_with = "present")]
    folder: bool,
    #[serde(default, deserialize_with = "present")]
    package: bool,
    #[serde(default, deserialize_with = "present")]
    malware: bool,
    file: Option<FileFacet>,
    remote_item: Option<RemoteItem>,
    parent_reference: Option<Reference>,
    #[serde(default, deserialize_with = "instant")]
    last_modified_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    created_date_time: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileFacet {
    mime_type: Option<String>,
    hashes: Option<Hashes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hashes {
    quick_xor_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoteItem {
    id: Option<String>,
    parent_reference: Option<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    id: Option<String>,
    drive_id: Option<String>,
}

/// A facet is there when it is anything but null: documented bodies show `{}`, objects and even numbers.
fn present<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(!matches!(Value::deserialize(d)?, Value::Null | Value::Bool(false)))
}

/// A size, also as a string or with a fraction, as large numbers have been seen through gateways.
fn size<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(d)? {
        Value::Null => Ok(None),
        Value::Number(n) if n.is_i64() => Ok(n.as_i64()),
        Value::String(s) => s.parse().map(Some).map_err(serde::de::Error::custom),
        other => Err(serde::de::Error::custom(format!("size is {other}"))),
    }
}

/// A timestamp that cannot be read is unknown: it decides nothing, and an item is not refused for it.
fn instant<'de, D: Deserializer<'de>>(d: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(Value::deserialize(d)?.as_str().and_then(parse_timestamp))
}

/// Reads one item.
///
/// # Errors
/// [`PoisonItem`] with the raw body when the item has no id, no recognisable kind, or a field of the wrong type.
pub fn read_item(raw: &str) -> Result<Item, PoisonItem> {
    let body: ItemBody = serde_json::from_str(raw).map_err(|e| poison(raw, e.to_string()))?;
    let kind = kind_of(&body)
        .ok_or_else(|| poison(raw, "none of root, folder, file, package, remoteItem".into()))?;
    let Some(id) = body.id.filter(|id| !id.is_empty()) else {
        return Err(poison(raw, "the item has no id".into()));
    };
    let (remote_drive_id, remote_item_id) = match body.remote_item {
        Some(remote) => (remote.parent_reference.and_then(|p| p.drive_id), remote.id),
        None => (None, None),
    };
    let (mime_type, hashes) = body.file.map_or((None, None), |f| (f.mime_type, f.hashes));
    let change = ItemChange {
        id: ItemId(id),
        parent_id: body.parent_reference.and_then(|p| p.id).map(ItemId),
        name: body.name,
        kind,
        deleted: body.deleted,
        size: body.size,
        e_tag: body.e_tag,
        c_tag: body.c_tag,
        quick_xor_hash: hashes.and_then(|h| h.quick_xor_hash),
        mime_type,
        modified_at: body.last_modified_date_time,
        created_at: body.created_date_time,
        malware: body.malware,
        remote_drive_id: remote_drive_id.map(DriveId),
        remote_item_id: remote_item_id.map(ItemId),
    };
    Ok(Item { change, web_url: body.web_url })
}

/// A remote item carries the facets of its target too, and a package may carry `folder`: the order matters.
fn kind_of(body: &ItemBody) -> Option<ItemKind> {
    if body.root {
        Some(ItemKind::Root)
    } else if body.remote_item.is_some() {
        Some(ItemKind::Remote)
    } else if body.package {
        Some(ItemKind::Package)
    } else if body.folder {
        Some(ItemKind::Folder)
    } else if body.file.is_some() || body.deleted || body.size.is_some() {
        // Tombstones carry an id and little else; what has a size and no facet is content.
        Some(ItemKind::File)
    } else {
        None
    }
}

pub(crate) fn poison(raw: &str, reason: String) -> PoisonItem {
    let id = serde_json::from_str::<Value>(raw).ok().and_then(|v| Some(v.get("id")?.as_str()?.to_owned()));
    if raw.len() <= MAX_RAW {
        return PoisonItem { raw_json: raw.to_owned(), reason, id };
    }
    let mut end = MAX_RAW;
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    let reason = format!("{reason} (raw body cut from {} bytes)", raw.len());
    PoisonItem { raw_json: raw[..end].to_owned(), reason, id }
}

/// A page of items, whatever it was asked for with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ItemPageBody {
    /// Items in the order of the page.
    pub items: Vec<Item>,
    /// Items that could not be read.
    pub poison: Vec<PoisonItem>,
    /// Continues the enumeration.
    pub next_link: Option<String>,
    /// Ends a delta round.
    pub delta_link: Option<String>,
}

/// Reads a page.
///
/// # Errors
/// The decoder's error when the page itself is not what a page looks like.
pub fn read_page(body: &[u8]) -> Result<ItemPageBody, serde_json::Error> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        value: Vec<&'a RawValue>,
        #[serde(rename = "@odata.nextLink")]
        next_link: Option<String>,
        #[serde(rename = "@odata.deltaLink")]
        delta_link: Option<String>,
    }
    let page: Page<'_> = serde_json::from_slice(body)?;
    let mut read = ItemPageBody {
        items: Vec::with_capacity(page.value.len()),
        poison: Vec::new(),
        next_link: page.next_link.filter(|link| !link.is_empty()),
        delta_link: page.delta_link.filter(|link| !link.is_empty()),
    };
    for raw in page.value {
        match read_item(raw.get()) {
            Ok(item) => read.items.push(item),
            Err(poison) => read.poison.push(poison),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(json: &str) -> ItemKind {
        read_item(json).expect(json).change.kind
    }

    #[test]
    fn kinds() {
        assert_eq!(kind(r#"{"id":"1","root":{},"folder":{}}"#), ItemKind::Root);
        assert_eq!(kind(r#"{"id":"1","folder":{"childCount":0}}"#), ItemKind::Folder);
        assert_eq!(kind(r#"{"id":"1","package":{"type":"oneNote"},"folder":{}}"#), ItemKind::Package);
        assert_eq!(kind(r#"{"id":"1","remoteItem":{"id":"2"},"folder":{}}"#), ItemKind::Remote);
        assert_eq!(kind(r#"{"id":"1","file":{},"size":0}"#), ItemKind::File);
        assert_eq!(kind(r#"{"id":"1","deleted":{"state":"deleted"}}"#), ItemKind::File);
        assert!(read_item(r#"{"id":"1","name":"x","brandNew":{}}"#).is_err());
    }

    #[test]
    fn one_bad_item_does_not_fail_its_page() {
        let page = read_page(
            br#"{"value":[{"id":"a","file":{}},{"name":"no id","file":{}},{"id":"c","file":{},"size":"many"},
                {"id":"d","name":7,"folder":{}},17,{"id":"e","folder":{}}],"@odata.nextLink":"https://x"}"#,
        )
        .expect("a page");
        let ids: Vec<_> = page.items.iter().map(|i| i.change.id.as_str()).collect();
        assert_eq!(ids, ["a", "e"]);
        let poison: Vec<_> = page.poison.iter().map(|p| p.id.as_deref()).collect();
        assert_eq!(poison, [None, Some("c"), Some("d"), None]);
        assert!(page.poison[1].raw_json.contains("many") && page.poison[1].reason.contains("invalid digit"));
    }

    #[test]
    fn unusual_items() {
        let item = read_item(
            r#"{"id":"1","name":" lead #%'é","size":0,"file":{"hashes":null},"parentReference":{"id":"p","path":null},
                "lastModifiedDateTime":"2024-01-01T00:00:00.1234567+02:00","malware":{"description":"x"},"eTag":null}"#,
        )
        .expect("an item");
        assert_eq!(item.change.name.as_deref(), Some(" lead #%'é"));
        assert!(item.change.malware && item.change.quick_xor_hash.is_none());
        assert_eq!(
            item.change.modified_at.expect("a time").to_rfc3339(),
            "2023-12-31T22:00:00.123456700+00:00"
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(raw in "\\PC{0,200}") {
            let _ = read_item(&raw);
            let _ = read_page(raw.as_bytes());
        }
    }
}
