//! One entry of a delta feed, and folding entries of the same item into one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{DriveId, ItemId};

/// What an item of a drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// The root folder of the drive.
    Root,
    /// A folder.
    Folder,
    /// A file, perhaps without bytes and then without a hash.
    File,
    /// A bundle shown as one thing (OneNote notebooks): no content hash, unreliable size.
    Package,
    /// A shortcut to an item of another drive. Delta never descends into it.
    Remote,
}

impl ItemKind {
    /// The stable name, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Folder => "folder",
            Self::File => "file",
            Self::Package => "package",
            Self::Remote => "remote",
        }
    }

    /// Whether the drive's own items can lie in it.
    pub const fn holds_items(self) -> bool {
        matches!(self, Self::Root | Self::Folder)
    }
}

/// The state of one item as a delta page gives it (driveitem-delta, Graph v1.0). What the provider
/// leaves out is `None`: Business omits `cTag` always and `name` on deletion, Personal omits `cTag`
/// and `size` on deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemChange {
    /// The item, unique in its drive. Items are told apart by this alone.
    pub id: ItemId,
    /// The folder that holds it; none for the root.
    pub parent_id: Option<ItemId>,
    /// The name in its folder.
    pub name: Option<String>,
    /// What it is. Without meaning when `deleted`.
    pub kind: ItemKind,
    /// The `deleted` facet.
    pub deleted: bool,
    /// Size in bytes.
    pub size: Option<i64>,
    /// Changes with any change of the item.
    pub e_tag: Option<String>,
    /// Changes with the content.
    pub c_tag: Option<String>,
    /// The content's quickXorHash in standard base64. Empty files may have none.
    pub quick_xor_hash: Option<String>,
    /// The media type.
    pub mime_type: Option<String>,
    /// `lastModifiedDateTime`.
    pub modified_at: Option<DateTime<Utc>>,
    /// `createdDateTime`.
    pub created_at: Option<DateTime<Utc>>,
    /// The `malware` facet: the provider refuses to hand the content out.
    pub malware: bool,
    /// The drive that a shortcut points into.
    pub remote_drive_id: Option<DriveId>,
    /// The item that a shortcut points at.
    pub remote_item_id: Option<ItemId>,
}

impl ItemChange {
    /// A live item with nothing known but its place. The other fields are public.
    pub fn new(id: impl Into<String>, parent_id: Option<&str>, name: &str, kind: ItemKind) -> Self {
        Self {
            id: ItemId::new(id),
            parent_id: parent_id.map(ItemId::new),
            name: Some(name.to_owned()),
            kind,
            deleted: false,
            size: None,
            e_tag: None,
            c_tag: None,
            quick_xor_hash: None,
            mime_type: None,
            modified_at: None,
            created_at: None,
            malware: false,
            remote_drive_id: None,
            remote_item_id: None,
        }
    }

    /// A tombstone as Business sends it: by id alone.
    pub fn tombstone(id: impl Into<String>) -> Self {
        Self { name: None, deleted: true, ..Self::new(id, None, "", ItemKind::File) }
    }

    /// This entry laid over an earlier state of the same item: what it leaves out keeps the earlier
    /// value. The hash, the facets and the kind are never kept: a file that was emptied has no hash,
    /// and its absence says so. Laying over is associative, so pages may be folded first.
    #[must_use]
    pub fn laid_over(self, earlier: &Self) -> Self {
        Self {
            parent_id: self.parent_id.or_else(|| earlier.parent_id.clone()),
            name: self.name.or_else(|| earlier.name.clone()),
            size: self.size.or(earlier.size),
            e_tag: self.e_tag.or_else(|| earlier.e_tag.clone()),
            c_tag: self.c_tag.or_else(|| earlier.c_tag.clone()),
            mime_type: self.mime_type.or_else(|| earlier.mime_type.clone()),
            modified_at: self.modified_at.or(earlier.modified_at),
            created_at: self.created_at.or(earlier.created_at),
            ..self
        }
    }

    /// Whether this state, laid over `stored` already, says anything that `stored` does not. Delta
    /// reports unchanged items (ancestors, the root), and those cause no write.
    pub fn differs_from(&self, stored: &Self) -> bool {
        fn told(item: &ItemChange) -> impl PartialEq {
            (
                (item.deleted, item.kind, item.malware, item.size),
                (&item.e_tag, &item.c_tag, &item.quick_xor_hash),
                (&item.parent_id, &item.name, &item.mime_type, item.modified_at),
                (&item.remote_drive_id, &item.remote_item_id),
            )
        }
        told(self) != told(stored)
    }
}

/// Folds entries by item: the last occurrence wins, laid over the earlier ones. Comes out in the
/// order of ids, so that concurrent writers lock rows in one order.
pub fn fold_page(changes: Vec<ItemChange>) -> Vec<ItemChange> {
    let mut folded: BTreeMap<ItemId, ItemChange> = BTreeMap::new();
    for change in changes {
        let change = match folded.remove(&change.id) {
            Some(earlier) => change.laid_over(&earlier),
            None => change,
        };
        folded.insert(change.id.clone(), change);
    }
    folded.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes() -> impl Strategy<Value = ItemChange> {
        let text = || proptest::option::of("[ab]");
        (0u8..3, text(), text(), text(), text(), any::<bool>(), proptest::option::of(0i64..3)).prop_map(
            |(id, parent, name, c_tag, hash, deleted, size)| ItemChange {
                name,
                deleted,
                size,
                c_tag,
                quick_xor_hash: hash,
                ..ItemChange::new(id.to_string(), parent.as_deref(), "", ItemKind::File)
            },
        )
    }

    #[test]
    fn the_last_occurrence_wins_and_keeps_what_it_omits() {
        let mut first = ItemChange::new("b", Some("r"), "old", ItemKind::File);
        first.c_tag = Some("c1".to_owned());
        first.quick_xor_hash = Some("h".to_owned());
        let second = ItemChange::new("b", Some("r"), "new", ItemKind::File);
        let folded = fold_page(vec![first, ItemChange::new("a", Some("r"), "a", ItemKind::Folder), second]);
        assert_eq!(folded.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(folded[1].name.as_deref(), Some("new"));
        assert_eq!(folded[1].c_tag.as_deref(), Some("c1"));
        assert_eq!(folded[1].quick_xor_hash, None, "an emptied file has no hash");
    }

    #[test]
    fn an_entry_without_a_name_keeps_the_stored_one() {
        let mut stored = ItemChange::new("b", Some("r"), "b", ItemKind::File);
        stored.e_tag = Some("e1".to_owned());
        let mut change = ItemChange { name: None, parent_id: None, ..stored.clone() };
        change.e_tag = Some("e2".to_owned());
        let now = change.laid_over(&stored);
        assert_eq!((now.name.as_deref(), now.parent_id), (Some("b"), stored.parent_id));
        assert_eq!(now.e_tag.as_deref(), Some("e2"));
    }

    #[test]
    fn unchanged_items_do_not_differ() {
        let stored = ItemChange::new("b", Some("r"), "b", ItemKind::File);
        let mut same = stored.clone();
        same.created_at = Some(DateTime::UNIX_EPOCH);
        assert!(!same.differs_from(&stored));
        same.name = Some("B".to_owned());
        assert!(same.differs_from(&stored), "a change of case is a rename");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn splits_do_not_matter(changes in proptest::collection::vec(changes(), 0..12), at: usize) {
            let whole = fold_page(changes.clone());
            let (head, tail) = changes.split_at(at % (changes.len() + 1));
            let parts = fold_page(head.to_vec()).into_iter().chain(fold_page(tail.to_vec())).collect();
            prop_assert_eq!(&fold_page(parts), &whole);
            prop_assert_eq!(&fold_page(whole.clone()), &whole);
        }
    }
}
