//! Drives made from a seed: the taxonomy of the runbook at any size, and some files outside it.

use crate::config::DriveOptions;
use crate::microsoft::drive::{Backing, Drive, new_item};
use crate::microsoft::tree::{ROOT, Tree, flag};
use crate::rng::{SplitMix, hash_str};

/// The categories of an AO (OneDrive seed, default taxonomy).
pub(crate) const CATEGORIES: [&str; 3] =
    ["01-DCE-Cotes-Photos", "02-Etudes-fournisseurs", "03-Devis-pieces-administratives"];
/// The folder above all AOs.
pub(crate) const BASE: [&str; 2] = ["OneDrive-JLM", "01 - ETUDES AO"];

const SUBJECTS: [&str; 16] = [
    "Plan de masse",
    "Coupe façade",
    "CCTP menuiserie",
    "DPGF",
    "Photo chantier",
    "Cotes relevées",
    "Devis fournisseur",
    "Notice technique",
    "Etude thermique",
    "PV réception",
    "Attestation",
    "Bordereau",
    "Planning",
    "Compte rendu",
    "Fiche produit",
    "Mémoire technique",
];
const EXTENSIONS: [&str; 8] = ["pdf", "pdf", "docx", "xlsx", "png", "jpg", "txt", "csv"];
const SUBFOLDERS: [&str; 8] =
    ["Plans", "Photos", "Lot 06", "Consultations", "Réponses", "Indice A", "Indice B", "Archives"];
/// Names that break careless clients.
const UNUSUAL: [&str; 8] = [
    "devis #2 (100%)",
    "l'été à l'œuvre",
    "e\u{301}tude de\u{301}compose\u{301}e",
    "plan 📐 final",
    "a+b & c = d;e",
    "[brouillon] {v1}",
    "prix 50%25 remise",
    "nom très long qui continue encore et encore jusqu'à devenir pénible à lire en entier",
];
/// 2025-01-06T08:00:00Z.
const EPOCH_MS: i64 = 1_736_150_400_000;

struct Builder {
    tree: Tree,
    dice: SplitMix,
    left: u32,
    now: i64,
}

impl Builder {
    /// Adds a folder while there is room.
    fn folder(&mut self, parent: u32, name: &str) -> Option<u32> {
        self.add(parent, name, 0, flag::FOLDER)
    }

    fn add(&mut self, parent: u32, name: &str, size: u64, flags: u8) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let mut item = new_item(parent, name, size, flags, self.now);
        item.created = EPOCH_MS + self.dice.below(300 * 86_400) as i64 * 1000;
        item.modified = item.created + self.dice.below(30 * 86_400) as i64 * 1000;
        Some(self.tree.insert_unsorted(item, self.now))
    }

    fn files(&mut self, parent: u32, count: u64) -> Option<()> {
        for number in 0..count {
            let extension = *self.dice.pick(&EXTENSIONS);
            let name = if self.dice.below(200) == 0 {
                format!("{} {number:03}.{extension}", self.dice.pick(&UNUSUAL))
            } else {
                format!("{} {number:03}.{extension}", self.dice.pick(&SUBJECTS))
            };
            let size = random_size(&mut self.dice);
            self.add(parent, &name, size, flag::SYNTHETIC)?;
        }
        Some(())
    }

    fn studies(&mut self, studies: u32, outside: u32, number: u32) -> Option<()> {
        let study = self.folder(studies, &format!("AO-{}", 2501 + number))?;
        for category in CATEGORIES {
            let category = self.folder(study, category)?;
            let direct = 4 + self.dice.below(12);
            self.files(category, direct)?;
            let subfolders = self.dice.below(4) as usize;
            for name in SUBFOLDERS.iter().skip(self.dice.below(4) as usize).take(subfolders) {
                let subfolder = self.folder(category, name)?;
                let inside = 3 + self.dice.below(14);
                self.files(subfolder, inside)?;
            }
        }
        let folder = self.folder(outside, &format!("Dossier {number:05}"))?;
        let beside = 2 + self.dice.below(6);
        self.files(folder, beside)
    }

    fn fill(&mut self) -> Option<()> {
        let base = self.folder(ROOT, BASE[0])?;
        let studies = self.folder(base, BASE[1])?;
        let outside = self.folder(base, "02 - ADMINISTRATION")?;
        for number in 0.. {
            self.studies(studies, outside, number)?;
        }
        Some(())
    }
}

pub(crate) fn random_size(dice: &mut SplitMix) -> u64 {
    match dice.below(100) {
        0 => 0,
        1..60 => 1000 + dice.below(90_000),
        60..95 => 90_000 + dice.below(3_000_000),
        _ => 3_000_000 + dice.below(60_000_000),
    }
}

/// Makes a drive of `items` items (the root not counted); the same arguments give the same drive.
pub(crate) fn build(id: &str, seed: u64, items: u32, options: DriveOptions, now: i64) -> Drive {
    let instance = hash_str(&format!("{id}/{seed}/{items}"));
    let mut drive = Drive::new(id, options, instance, Backing::Memory, now);
    let mut tree = Tree::new(now);
    tree.reserve(items as usize + 1);
    let mut builder = Builder { tree, dice: SplitMix::new(seed), left: items, now };
    // Ends when there is no room left.
    builder.fill();
    builder.tree.sort_children();
    let root = builder.tree.item_mut(ROOT);
    (root.created, root.modified) = (EPOCH_MS, EPOCH_MS);
    drive.tree = builder.tree;
    drive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_world_of_the_wanted_size() {
        for items in [0, 1, 7, 5000] {
            let left = build("d", 42, items, DriveOptions::default(), 1);
            let right = build("d", 42, items, DriveOptions::default(), 2);
            assert_eq!(left.tree.live_count(), items as usize + 1);
            for index in left.tree.live_indexes() {
                assert_eq!(left.tree.path(index), right.tree.path(index));
                assert_eq!(left.hash(index), right.hash(index));
                assert_eq!(left.ids.text(index), right.ids.text(index));
            }
        }
        let other = build("d", 43, 5000, DriveOptions::default(), 1);
        let same = build("d", 42, 5000, DriveOptions::default(), 1);
        assert!((1..5000).any(|index| other.tree.path(index) != same.tree.path(index)));
    }

    #[test]
    fn names_are_unique_and_allowed() {
        let drive = build("d", 7, 20_000, DriveOptions::default(), 1);
        for index in drive.tree.live_indexes().skip(1) {
            let item = drive.tree.item(index);
            assert_eq!(drive.tree.child(item.parent, &item.name), Some(index), "{}", drive.tree.path(index));
            assert_eq!(
                drive.check_name(item.parent, &item.name, item.is_folder()).err().map(|e| e.message),
                None
            );
        }
    }
}
