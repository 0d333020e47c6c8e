//! A drive in memory: the slow and obvious answer to which documents a feed amounts to.
//!
//! Tests of other crates compare the database with it after any mixture of rounds.

use std::collections::BTreeMap;

use super::{ItemChange, fold_page};
use crate::ids::ItemId;
use crate::taxonomy::Taxonomy;

mod resolve;
mod view;

pub use view::{Anomaly, DocumentKind, DocumentRow, View};

/// Everything known about a drive's items.
#[derive(Clone, Debug, Default)]
pub struct DriveModel {
    items: BTreeMap<ItemId, Known>,
    generation: u64,
}

#[derive(Clone, Debug)]
struct Known {
    // Tombstones stay until a full round, so that laying over does not depend on page borders.
    state: ItemChange,
    generation: u64,
}

impl DriveModel {
    /// A drive of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the pages of a delta round.
    pub fn apply_delta(&mut self, pages: impl IntoIterator<Item = Vec<ItemChange>>) {
        self.generation += 1;
        self.apply(pages);
    }

    /// Applies the pages of a complete enumeration: what it did not name is gone.
    pub fn apply_full(&mut self, pages: impl IntoIterator<Item = Vec<ItemChange>>) {
        self.generation += 1;
        self.apply(pages);
        let generation = self.generation;
        self.items.retain(|_, known| known.generation == generation && !known.state.deleted);
    }

    fn apply(&mut self, pages: impl IntoIterator<Item = Vec<ItemChange>>) {
        for change in pages.into_iter().flat_map(fold_page) {
            let state = match self.items.get(&change.id) {
                Some(known) => change.laid_over(&known.state),
                None => change,
            };
            self.items.insert(state.id.clone(), Known { state, generation: self.generation });
        }
    }

    /// The items that exist, in the order of their ids.
    pub fn live_items(&self) -> impl Iterator<Item = &ItemChange> {
        self.items.values().map(|known| &known.state).filter(|item| !item.deleted)
    }

    /// The item `id`, if it exists.
    pub fn live_item(&self, id: &ItemId) -> Option<&ItemChange> {
        self.items.get(id).map(|known| &known.state).filter(|item| !item.deleted)
    }

    /// The documents under `taxonomy`, with what was found wrong on the way.
    pub fn view(&self, taxonomy: &Taxonomy) -> View {
        view::of(self, taxonomy)
    }

    /// The documents under `taxonomy`, by item.
    pub fn documents(&self, taxonomy: &Taxonomy) -> BTreeMap<ItemId, DocumentRow> {
        self.view(taxonomy).documents
    }

    /// What is wrong with the drive under `taxonomy`, in a stable order.
    pub fn anomalies(&self, taxonomy: &Taxonomy) -> Vec<Anomaly> {
        self.view(taxonomy).anomalies.into_iter().collect()
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulated;
