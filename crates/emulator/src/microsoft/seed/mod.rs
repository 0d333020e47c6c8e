//! The demo tree: some hundred small real files in the taxonomy of the runbook, and a few beside it.

mod bytes;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::microsoft::generated::{BASE, CATEGORIES};
use crate::rng::SplitMix;

/// How many files there are, and how many of them were not there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Files of the demo tree.
    pub total: usize,
    /// Files that were written now.
    pub new: usize,
}

const STUDIES: std::ops::RangeInclusive<u32> = 2501..=2506;

/// Stems, extension; one list for each category.
const DOCUMENTS: [&[(&str, &str)]; 3] = [
    &[
        ("CCTP lot 06 menuiseries", "docx"),
        ("DPGF", "csv"),
        ("Règlement de consultation", "pdf"),
        ("Plan de masse", "pdf"),
        ("Plan niveau 0", "pdf"),
        ("Plan niveau 1", "pdf"),
        ("Coupe AA", "pdf"),
        ("Façade nord", "png"),
        ("Façade sud", "png"),
        ("Cotes relevées", "csv"),
        ("Notes de visite", "txt"),
    ],
    &[
        ("Consultation fournisseurs", "csv"),
        ("Demande de prix vitrages", "docx"),
        ("Offre Schüco", "pdf"),
        ("Offre Technal", "pdf"),
        ("Comparatif", "csv"),
        ("Fiche technique profilé", "pdf"),
        ("Fiche technique vitrage", "pdf"),
        ("Etude thermique", "pdf"),
        ("Détail appui", "png"),
        ("Echanges", "txt"),
    ],
    &[
        ("Devis", "pdf"),
        ("Devis détaillé", "csv"),
        ("Acte d'engagement", "docx"),
        ("Attestation décennale", "pdf"),
        ("Kbis", "pdf"),
        ("DC1", "docx"),
        ("DC2", "docx"),
        ("Mémoire technique", "docx"),
        ("RIB", "pdf"),
        ("Planning prévisionnel", "csv"),
        ("Courrier", "txt"),
    ],
];

const SUBFOLDERS: [&str; 3] = ["Photos chantier", "Réponses", "Pièces signées"];

/// Names that break careless clients, each in its own way.
const UNUSUAL: [&str; 12] = [
    "remise #2 (100%).txt",
    "l'été à l'œuvre.txt",
    // The same word in composed and decomposed letters, in different names.
    "compose\u{301} décomposé e\u{301}te\u{301}.txt",
    "compos\u{e9} \u{e9}t\u{e9}.txt",
    "plan 📐 définitif ✅.txt",
    "a+b & c = d; e.txt",
    "[brouillon] {v1} ^2.txt",
    "deux  espaces.txt",
    "sans extension",
    ".cache-masquée.txt",
    "prix 50%25 remise %2F.txt",
    "日本語のファイル.txt",
];

fn tree() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let studies = format!("{}/{}", BASE[0], BASE[1]);
    for number in STUDIES {
        for (category, documents) in CATEGORIES.iter().zip(DOCUMENTS) {
            let folder = format!("{studies}/AO-{number}/{category}");
            for (stem, extension) in documents {
                add(&mut files, format!("{folder}/AO-{number} {stem}.{extension}"));
            }
            let subfolder = SUBFOLDERS[files.len() % SUBFOLDERS.len()];
            for letter in ["A", "B"] {
                add(&mut files, format!("{folder}/{subfolder}/indice {letter}/relevé.png"));
                add(&mut files, format!("{folder}/{subfolder}/indice {letter}/note.txt"));
            }
        }
    }
    let odd = format!("{studies}/AO-2506/{}/Noms inhabituels", CATEGORIES[0]);
    for name in UNUSUAL {
        add(&mut files, format!("{odd}/{name}"));
    }
    files.insert(format!("{odd}/vide.txt"), Vec::new());
    add(&mut files, format!("{odd}/{}.txt", "très long nom ".repeat(9).trim()));
    for month in 1..=6 {
        add(&mut files, format!("{}/02 - ADMINISTRATION/Factures/2025-{month:02}.pdf", BASE[0]));
    }
    for outside in [
        "02 - ADMINISTRATION/Contacts.csv",
        "02 - ADMINISTRATION/Modèles/Courrier type.docx",
        "A lire d'abord.txt",
        "01 - ETUDES AO/Suivi des AO.csv",
        "01 - ETUDES AO/AO-2501/Lettre hors catégorie.txt",
        "01 - ETUDES AO/Brouillons/croquis.png",
    ] {
        add(&mut files, format!("{}/{outside}", BASE[0]));
    }
    add(&mut files, "Documents personnels/liste.txt".into());
    files
}

fn add(files: &mut BTreeMap<String, Vec<u8>>, path: String) {
    let mut dice = SplitMix::new(crate::rng::hash_str(&path));
    let title = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let extension = title.rsplit_once('.').map_or("", |(_, extension)| extension);
    let content = match extension {
        "pdf" => bytes::pdf(&title),
        "png" => bytes::png(16 + dice.below(32) as u32, 16 + dice.below(32) as u32, &mut dice),
        "docx" => bytes::docx(&title),
        "csv" => bytes::csv(&title, &mut dice),
        _ => bytes::text(&title, &mut dice),
    };
    files.insert(path, content);
}

/// Writes the tree below `dir`. Files that exist are left as they are, so that running it again
/// does not undo what someone tried out.
///
/// # Errors
/// The directory cannot be written.
pub fn write(dir: &Path) -> io::Result<Written> {
    let files = tree();
    let mut new = 0;
    for (path, content) in &files {
        let file = dir.join(path);
        if file.exists() {
            continue;
        }
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, content)?;
        new += 1;
    }
    Ok(Written { total: files.len(), new })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::microsoft::names;

    #[test]
    fn every_category_has_files_and_every_name_is_allowed() {
        let files = tree();
        let studies = format!("{}/{}/AO-", BASE[0], BASE[1]);
        assert!(files.keys().filter(|path| path.starts_with(&studies)).count() >= 220);
        for number in STUDIES {
            for category in CATEGORIES {
                let folder = format!("{studies}{number}/{category}/");
                assert!(files.keys().filter(|path| path.starts_with(&folder)).count() >= 10, "{folder}");
            }
        }
        for path in files.keys() {
            assert!(path.chars().count() < names::MAX_PATH);
            for name in path.split('/') {
                assert_eq!(names::refusal(name, false, false), None, "{name:?}");
            }
        }
        assert_eq!(files, tree());
    }
}
