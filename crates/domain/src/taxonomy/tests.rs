use proptest::prelude::*;

use super::*;
use crate::names::same_name;

fn place(path: &str) -> Placement {
    Placement::of_path(&Taxonomy::default(), path.split('/').filter(|name| !name.is_empty()))
}

fn inside(reference: &str, category: &str) -> Placement {
    Placement::Inside { reference: reference.to_owned(), category: category.to_owned() }
}

#[test]
fn the_runbooks_tree() {
    assert_eq!(place(""), Placement::OnTrack { depth: 0 });
    assert_eq!(place("onedrive-jlm/01 - Etudes AO"), Placement::OnTrack { depth: 2 });
    assert_eq!(place("Other/01 - ETUDES AO/AO-2503"), Placement::Outside);
    let ao = "OneDrive-JLM/01 - ETUDES AO/AO-2503";
    assert_eq!(place(ao), Placement::Ao { reference: "2503".to_owned() });
    let category = place(&format!("{ao}/01 Photos chantier"));
    assert_eq!(
        category,
        Placement::Category {
            reference: "2503".to_owned(),
            category: "01-DCE-Cotes-Photos".to_owned(),
            as_named: "01 Photos chantier".to_owned(),
        }
    );
    assert_eq!(document_scope(&category), Some(("2503", "01-DCE-Cotes-Photos")));
    assert_eq!(
        place(&format!("{ao}/02-etudes-fournisseurs/a/b/c")),
        inside("2503", "02-Etudes-fournisseurs")
    );
    let loose = place(&format!("{ao}/Divers/01-DCE-Cotes-Photos"));
    assert_eq!(loose, Placement::AoLoose { reference: "2503".to_owned() });
    assert_eq!(document_scope(&loose), None);
    assert_eq!(loose.reference(), Some("2503"));
}

#[test]
fn references() {
    let taxonomy = Taxonomy { ao_prefix: "Appel-d'Offre".to_owned(), ..Taxonomy::default() };
    assert_eq!(taxonomy.reference_of("APPEL-D'OFFRE-25-03 b"), Some("25-03 b"));
    assert_eq!(taxonomy.reference_of("Appel-d'Offre- 7 "), Some("7"));
    assert_eq!(taxonomy.reference_of("Appel-d'Offre-"), None);
    assert_eq!(taxonomy.reference_of("Appel-2503"), None);
    assert_eq!(Taxonomy::default().reference_of("AO 2503"), None);
}

#[test]
fn overrides_merge_with_the_default() {
    let taxonomy = Taxonomy::from_json_override(r#"{"basePath":"/OneDrive-JLM/Projects/","studiesPath":""}"#)
        .expect("valid");
    assert_eq!(taxonomy.track().collect::<Vec<_>>(), ["OneDrive-JLM", "Projects"]);
    assert_eq!(taxonomy.categories, Taxonomy::default().categories);
    assert_eq!(
        taxonomy.folder_path_for("2503", Some("01-DCE-Cotes-Photos")),
        ["OneDrive-JLM", "Projects", "AO-2503", "01-DCE-Cotes-Photos"]
    );
    assert_eq!(Taxonomy::from_json_override("{}").expect("valid"), Taxonomy::default());
    let custom = Taxonomy::from_json_override(r#"{"basePath":"OneDrive-Custom","aoPrefix":"Project"}"#);
    assert_eq!(custom.expect("the runbook's example").ao_folder("9"), "Project-9");
}

#[test]
fn faults_name_the_key() {
    for (json, message) in [
        ("", "the taxonomy is not JSON"),
        ("[]", "the taxonomy is not a JSON object"),
        (
            r#"{"basepath":"x"}"#,
            "unknown key \"basepath\", known are basePath, studiesPath, aoPrefix, categories",
        ),
        (r#"{"basePath":1}"#, "basePath must be a string"),
        (r#"{"categories":["a",1]}"#, "categories must be a list of strings"),
        (r#"{"categories":[]}"#, "categories must list 1 to 50 names, got 0"),
        (
            r#"{"categories":["01-A","01-a"]}"#,
            "categories lists \"01-a\" twice (case does not distinguish names)",
        ),
        (r#"{"aoPrefix":""}"#, "aoPrefix must not be empty"),
        (r#"{"aoPrefix":"A/O"}"#, "aoPrefix holds a name that the provider refuses"),
        (r#"{"studiesPath":"a//b"}"#, "studiesPath holds a name that the provider refuses"),
    ] {
        assert_eq!(Taxonomy::from_json_override(json).expect_err(json).to_string(), message);
    }
}

#[test]
fn fingerprints_differ_with_any_name() {
    let seed = Taxonomy::default();
    assert_eq!(seed.fingerprint(), Taxonomy::default().fingerprint());
    assert_eq!(seed.fingerprint().len(), 16);
    let mut others = vec![seed.fingerprint()];
    for json in [
        r#"{"basePath":"x"}"#,
        r#"{"studiesPath":""}"#,
        r#"{"aoPrefix":"Project"}"#,
        r#"{"categories":["01-DCE-Cotes-Photos"]}"#,
        r#"{"categories":["01-DCE-Cotes-Photos02-Etudes-fournisseurs"]}"#,
    ] {
        others.push(Taxonomy::from_json_override(json).expect("valid").fingerprint());
    }
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 6);
}

/// The definition, on the whole path at once.
fn classified(taxonomy: &Taxonomy, path: &[String]) -> Placement {
    let track: Vec<&str> = taxonomy.track().collect();
    if path.iter().zip(&track).any(|(name, expected)| !same_name(name, expected)) {
        return Placement::Outside;
    }
    let Some(below) = path.get(track.len()..) else { return Placement::OnTrack { depth: path.len() } };
    let [ao, rest @ ..] = below else { return Placement::OnTrack { depth: path.len() } };
    let Some(reference) = taxonomy.reference_of(ao).map(str::to_owned) else { return Placement::Outside };
    let [folder, deeper @ ..] = rest else { return Placement::Ao { reference } };
    match taxonomy.category_of(folder).map(str::to_owned) {
        None => Placement::AoLoose { reference },
        Some(category) if deeper.is_empty() => {
            Placement::Category { reference, category, as_named: folder.clone() }
        }
        Some(category) => Placement::Inside { reference, category },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn child_by_child_is_the_whole_path(
        path in proptest::collection::vec(
            prop_oneof![
                Just("base".to_owned()),
                Just("Base".to_owned()),
                Just("sub".to_owned()),
                Just("studies".to_owned()),
                Just("AO-1".to_owned()),
                Just("ao-2".to_owned()),
                Just("01-A".to_owned()),
                Just("02 other".to_owned()),
                "\\PC{1,6}",
            ],
            0..8,
        ),
        on_track in 0usize..=3,
        studies in prop_oneof![Just(""), Just("studies")],
    ) {
        let taxonomy = Taxonomy {
            base_path: "base/sub".to_owned(),
            studies_path: studies.to_owned(),
            ao_prefix: "AO".to_owned(),
            categories: vec!["01-A".to_owned(), "02-B".to_owned()],
        };
        let track: Vec<String> = taxonomy.track().take(on_track).map(str::to_owned).collect();
        let path: Vec<String> = track.into_iter().chain(path).collect();
        prop_assert_eq!(Placement::of_path(&taxonomy, &path), classified(&taxonomy, &path));
    }
}
