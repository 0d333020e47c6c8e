//! What a folder is to the taxonomy, decided from its parent's placement and its own name.

use super::Taxonomy;
use crate::names::name_key;

mod codec;

pub use codec::PlacementFault;

/// What a folder is to the taxonomy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Placement {
    /// Nothing below it can be a document.
    Outside,
    /// The root of the drive (depth 0), a folder on the way to the studies folder, or that folder.
    OnTrack {
        /// Folders between the root and here.
        depth: usize,
    },
    /// An AO's folder.
    Ao {
        /// The AO's reference, as its folder is named.
        reference: String,
    },
    /// A category's folder inside an AO.
    Category {
        /// The AO's reference.
        reference: String,
        /// The category as configured.
        category: String,
        /// The folder's own name, which a person may have changed.
        as_named: String,
    },
    /// Somewhere below a category.
    Inside {
        /// The AO's reference.
        reference: String,
        /// The category as configured.
        category: String,
    },
    /// Inside an AO but in no category.
    AoLoose {
        /// The AO's reference.
        reference: String,
    },
}

impl Placement {
    /// The placement of the root of a drive.
    pub const fn root() -> Self {
        Self::OnTrack { depth: 0 }
    }

    /// The placement of the folder `name` inside a folder placed here.
    #[must_use]
    pub fn child(&self, taxonomy: &Taxonomy, name: &str) -> Self {
        match self {
            Self::Outside => Self::Outside,
            Self::OnTrack { depth } => match taxonomy.track().nth(*depth) {
                Some(expected) if name_key(expected) == name_key(name) => Self::OnTrack { depth: depth + 1 },
                Some(_) => Self::Outside,
                None => taxonomy
                    .reference_of(name)
                    .map_or(Self::Outside, |reference| Self::Ao { reference: reference.to_owned() }),
            },
            Self::Ao { reference } => match taxonomy.category_of(name) {
                Some(category) => Self::Category {
                    reference: reference.clone(),
                    category: category.to_owned(),
                    as_named: name.to_owned(),
                },
                None => Self::AoLoose { reference: reference.clone() },
            },
            Self::Category { reference, category, .. } | Self::Inside { reference, category } => {
                Self::Inside { reference: reference.clone(), category: category.clone() }
            }
            Self::AoLoose { .. } => self.clone(),
        }
    }

    /// The placement of the folder at a path from the root.
    pub fn of_path<S: AsRef<str>>(taxonomy: &Taxonomy, path: impl IntoIterator<Item = S>) -> Self {
        path.into_iter().fold(Self::root(), |placement, name| placement.child(taxonomy, name.as_ref()))
    }

    /// The reference of the AO that the folder belongs to.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Outside | Self::OnTrack { .. } => None,
            Self::Ao { reference }
            | Self::Category { reference, .. }
            | Self::Inside { reference, .. }
            | Self::AoLoose { reference } => Some(reference),
        }
    }
}

/// The AO reference and the category of a file that lies in a folder placed at `placement`; `None`
/// when such a file is no document (outside, beside the AOs, in an AO but in no category).
pub fn document_scope(placement: &Placement) -> Option<(&str, &str)> {
    match placement {
        Placement::Category { reference, category, .. } | Placement::Inside { reference, category } => {
            Some((reference, category))
        }
        Placement::Outside | Placement::OnTrack { .. } | Placement::Ao { .. } | Placement::AoLoose { .. } => {
            None
        }
    }
}
