//! Where each folder lies: its path and placement, found by following parents.

use std::collections::{BTreeMap, BTreeSet};

use super::{Anomaly, DriveModel};
use crate::drive::{ItemChange, ItemKind};
use crate::ids::ItemId;
use crate::taxonomy::{Placement, Taxonomy};

/// A folder whose parents lead to the root.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// Decoded path from the root, with a leading slash; empty for the root.
    pub path: String,
    pub placement: Placement,
    /// The AO folder at or above it.
    pub ao_folder: Option<ItemId>,
}

impl Located {
    pub fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn child(&self, taxonomy: &Taxonomy, id: &ItemId, name: &str) -> Self {
        let placement = self.placement.child(taxonomy, name);
        let ao_folder = match placement {
            Placement::Ao { .. } => Some(id.clone()),
            _ => self.ao_folder.clone(),
        };
        Self { path: self.path_of(name), placement, ao_folder }
    }
}

/// All folders, located once each; `None` for those that do not lead to the root.
pub(super) struct Resolver<'a> {
    model: &'a DriveModel,
    taxonomy: &'a Taxonomy,
    located: BTreeMap<ItemId, Option<Located>>,
    pub anomalies: BTreeSet<Anomaly>,
}

impl<'a> Resolver<'a> {
    pub fn new(model: &'a DriveModel, taxonomy: &'a Taxonomy) -> Self {
        Self { model, taxonomy, located: BTreeMap::new(), anomalies: BTreeSet::new() }
    }

    /// The folder that holds `item`; `None`, with the anomaly noted, when it leads nowhere.
    pub fn parent_of(&mut self, item: &ItemChange) -> Option<Located> {
        let parent = self.sound_parent(item)?;
        self.locate(parent)
    }

    /// Where a folder lies. Follows parents up to one that is known, then names the way down.
    pub fn locate(&mut self, folder: &'a ItemChange) -> Option<Located> {
        let mut chain: Vec<&ItemChange> = Vec::new();
        let mut current = folder;
        let mut place = loop {
            if let Some(known) = self.located.get(&current.id) {
                break known.clone();
            }
            if let Some(first) = chain.iter().position(|seen| seen.id == current.id) {
                if let Some(least) = chain[first..].iter().map(|item| &item.id).min() {
                    self.anomalies.insert(Anomaly::Cycle { item: least.clone() });
                }
                break None;
            }
            chain.push(current);
            if current.kind == ItemKind::Root {
                break None;
            }
            match self.sound_parent(current) {
                Some(parent) => current = parent,
                None => break None,
            }
        };
        for item in chain.into_iter().rev() {
            place = match (item.kind, &place, &item.name) {
                (ItemKind::Root, ..) => {
                    Some(Located { path: String::new(), placement: Placement::root(), ao_folder: None })
                }
                (_, Some(parent), Some(name)) => Some(parent.child(self.taxonomy, &item.id, name)),
                (_, Some(_), None) => {
                    self.anomalies.insert(Anomaly::Nameless { item: item.id.clone() });
                    None
                }
                (_, None, _) => None,
            };
            self.located.insert(item.id.clone(), place.clone());
        }
        place
    }

    fn sound_parent(&mut self, item: &ItemChange) -> Option<&'a ItemChange> {
        let parent = item.parent_id.as_ref().and_then(|id| self.model.live_item(id));
        match parent {
            Some(parent) if parent.kind.holds_items() => Some(parent),
            Some(parent) => {
                self.anomalies
                    .insert(Anomaly::ParentHoldsNoItems { item: item.id.clone(), parent: parent.id.clone() });
                None
            }
            None => {
                self.anomalies
                    .insert(Anomaly::MissingParent { item: item.id.clone(), parent: item.parent_id.clone() });
                None
            }
        }
    }
}
