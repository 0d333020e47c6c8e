//! The documents of a drive under a taxonomy.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::DriveModel;
use super::resolve::Resolver;
use crate::drive::{ItemChange, ItemKind};
use crate::ids::ItemId;
use crate::names::name_key;
use crate::taxonomy::{Placement, Taxonomy, document_scope};

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// A file, empty ones included.
    File,
    /// A package, such as a OneNote notebook.
    Package,
    /// A shortcut to an item of another drive; what it points at is not synced from here.
    Remote,
}

impl DocumentKind {
    /// The stable name, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Package => "package",
            Self::Remote => "remote",
        }
    }
}

/// A document, as the table `documents` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRow {
    /// The AO's reference, as its folder is named.
    pub reference: String,
    /// The category, as configured.
    pub category: String,
    /// Decoded path from the root of the drive, with a leading slash.
    pub path: String,
    /// The name, as the provider spells it.
    pub name: String,
    /// File, package or shortcut.
    pub kind: DocumentKind,
    /// Size in bytes.
    pub size: Option<i64>,
    /// The provider's eTag.
    pub e_tag: Option<String>,
    /// The content's quickXorHash in standard base64.
    pub quick_xor_hash: Option<String>,
    /// The media type.
    pub mime_type: Option<String>,
    /// When the file was last changed, by the provider's clock.
    pub modified_at: Option<DateTime<Utc>>,
}

/// Something about a drive that a person should see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// The item's parent is unknown or deleted.
    MissingParent {
        /// The item.
        item: ItemId,
        /// The parent it names.
        parent: Option<ItemId>,
    },
    /// Folders that are each other's parents.
    Cycle {
        /// The one of them with the least id.
        item: ItemId,
    },
    /// The item's parent is a file, a package or a shortcut.
    ParentHoldsNoItems {
        /// The item.
        item: ItemId,
        /// The parent it names.
        parent: ItemId,
    },
    /// A live item whose name was never given.
    Nameless {
        /// The item.
        item: ItemId,
    },
    /// Two AO folders of one reference: the one with the lesser id is the AO, the other's files are
    /// no documents until it is renamed.
    DuplicateReference {
        /// The reference, as the refused folder is named.
        reference: String,
        /// The folder that is the AO.
        kept: ItemId,
        /// The folder that is not.
        refused: ItemId,
    },
    /// A file in an AO but in none of its categories.
    Uncategorised {
        /// The file.
        item: ItemId,
    },
}

/// What a drive amounts to under a taxonomy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The documents, by item.
    pub documents: BTreeMap<ItemId, DocumentRow>,
    /// Files that would be documents, but which the provider found malware in.
    pub quarantined: BTreeSet<ItemId>,
    /// What a person should see.
    pub anomalies: BTreeSet<Anomaly>,
}

pub(super) fn of(model: &DriveModel, taxonomy: &Taxonomy) -> View {
    let mut resolver = Resolver::new(model, taxonomy);
    let owners = ao_folders(model, &mut resolver);
    let mut view = View::default();
    for item in model.live_items() {
        let kind = match item.kind {
            ItemKind::Root | ItemKind::Folder => continue,
            ItemKind::File => DocumentKind::File,
            ItemKind::Package => DocumentKind::Package,
            ItemKind::Remote => DocumentKind::Remote,
        };
        let Some(parent) = resolver.parent_of(item) else { continue };
        let Some(reference) = parent.placement.reference() else { continue };
        if owners.get(&name_key(reference)) != parent.ao_folder.as_ref() {
            continue;
        }
        let id = item.id.clone();
        let Some((reference, category)) = document_scope(&parent.placement) else {
            view.anomalies.insert(Anomaly::Uncategorised { item: id });
            continue;
        };
        let Some(name) = &item.name else {
            view.anomalies.insert(Anomaly::Nameless { item: id });
            continue;
        };
        if item.malware {
            view.quarantined.insert(id);
            continue;
        }
        view.documents.insert(id, row(item, kind, (reference, category), name, parent.path_of(name)));
    }
    view.anomalies.append(&mut resolver.anomalies);
    view
}

/// The folder that is each AO, by the reference's key. Items come in the order of ids, so the first
/// folder of a reference is the one that keeps it.
fn ao_folders<'a>(model: &'a DriveModel, resolver: &mut Resolver<'a>) -> BTreeMap<String, ItemId> {
    let mut owners: BTreeMap<String, ItemId> = BTreeMap::new();
    for folder in model.live_items().filter(|item| item.kind.holds_items()) {
        let Some(located) = resolver.locate(folder) else { continue };
        let Placement::Ao { reference } = located.placement else { continue };
        match owners.entry(name_key(&reference)) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(folder.id.clone());
            }
            std::collections::btree_map::Entry::Occupied(entry) => {
                resolver.anomalies.insert(Anomaly::DuplicateReference {
                    reference,
                    kept: entry.get().clone(),
                    refused: folder.id.clone(),
                });
            }
        }
    }
    owners
}

fn row(item: &ItemChange, kind: DocumentKind, scope: (&str, &str), name: &str, path: String) -> DocumentRow {
    DocumentRow {
        reference: scope.0.to_owned(),
        category: scope.1.to_owned(),
        path,
        name: name.to_owned(),
        kind,
        size: item.size,
        e_tag: item.e_tag.clone(),
        quick_xor_hash: item.quick_xor_hash.clone(),
        mime_type: item.mime_type.clone(),
        modified_at: item.modified_at,
    }
}
