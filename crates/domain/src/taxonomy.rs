//! Where documents lie in a drive: `basePath/studiesPath/{aoPrefix}-{reference}/{category}`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::names::name_key;

mod category;
mod placement;
mod settings;

pub use placement::{Placement, PlacementFault, document_scope};
pub use settings::TaxonomyFault;

/// The folder structure of an organisation's drive (OneDrive runbook, "Configuration taxonomie").
///
/// All comparisons of names are by [`name_key`], as the provider's are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taxonomy {
    /// Path from the root of the drive, several folders separated by `/` allowed.
    pub base_path: String,
    /// Path below `base_path` that holds the AO folders; empty when they lie in it directly.
    pub studies_path: String,
    /// What an AO folder's name begins with, before the hyphen and the reference.
    pub ao_prefix: String,
    /// Names of the folders inside an AO, in the order in which they are shown.
    pub categories: Vec<String>,
}

impl Default for Taxonomy {
    /// The runbook's structure.
    fn default() -> Self {
        Self {
            base_path: "OneDrive-JLM".to_owned(),
            studies_path: "01 - ETUDES AO".to_owned(),
            ao_prefix: "AO".to_owned(),
            categories: ["01-DCE-Cotes-Photos", "02-Etudes-fournisseurs", "03-Devis-pieces-administratives"]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}

impl Taxonomy {
    /// The default structure with the values of `json` in place of its own (the variable
    /// `ONEDRIVE_TAXONOMY_CONFIG`: an object with any of `basePath`, `studiesPath`, `aoPrefix`,
    /// `categories`).
    ///
    /// # Errors
    /// A [`TaxonomyFault`] that names the key at fault.
    pub fn from_json_override(json: &str) -> Result<Self, TaxonomyFault> {
        settings::from_json_override(json)
    }

    /// The folders from the root of the drive to the one that holds the AO folders.
    pub fn track(&self) -> impl Iterator<Item = &str> {
        self.base_path.split('/').chain(self.studies_path.split('/')).filter(|name| !name.is_empty())
    }

    /// The name of an AO's folder.
    pub fn ao_folder(&self, reference: &str) -> String {
        format!("{}-{reference}", self.ao_prefix)
    }

    /// The folders from the root of the drive to an AO, or to one of its categories.
    pub fn folder_path_for(&self, reference: &str, category: Option<&str>) -> Vec<String> {
        self.track()
            .map(str::to_owned)
            .chain([self.ao_folder(reference)])
            .chain(category.map(str::to_owned))
            .collect()
    }

    /// The reference in an AO folder's name, as written there without surrounding spaces; `None`
    /// when the name is not an AO's.
    pub fn reference_of<'a>(&self, folder_name: &'a str) -> Option<&'a str> {
        let prefix = name_key(&self.ao_prefix);
        // Folding may change lengths, so the prefix is compared at each hyphen instead of cut off.
        folder_name
            .match_indices('-')
            .find(|(at, _)| name_key(&folder_name[..*at]) == prefix)
            .map(|(at, hyphen)| folder_name[at + hyphen.len()..].trim())
            .filter(|reference| !reference.is_empty())
    }

    /// The configured category that a folder inside an AO stands for.
    ///
    /// A folder of the configured name is that category. A folder that a person has renamed still
    /// is, when its name begins with the number of exactly one configured category: `01 Photos`
    /// stands for `01-DCE-Cotes-Photos`. The number ends at a separator, and no second number may
    /// follow it at once, so that `01.12.2024 visite` is a date and no category.
    pub fn category_of(&self, folder_name: &str) -> Option<&str> {
        category::find(&self.categories, folder_name)
    }

    /// A short hash of the structure: equal exactly when all names are. Stored placements of
    /// another fingerprint are out of date.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |tag: u8, text: &str| {
            hash.update([tag]);
            hash.update(text.len().to_le_bytes());
            hash.update(text.as_bytes());
        };
        self.track().for_each(|name| add(1, name));
        add(2, &self.ao_prefix);
        self.categories.iter().for_each(|name| add(3, name));
        hex::encode(&hash.finalize()[..8])
    }
}

#[cfg(test)]
mod tests;
