//! The rules of the model, one small drive each.

use super::*;
use crate::drive::ItemKind;

fn folder(id: &str, parent: &str, name: &str) -> ItemChange {
    ItemChange::new(id, Some(parent), name, ItemKind::Folder)
}

fn file(id: &str, parent: &str, name: &str) -> ItemChange {
    ItemChange::new(id, Some(parent), name, ItemKind::File)
}

/// An AO `2503` (id `ao`) with its first category (id `cat`).
fn tree() -> Vec<ItemChange> {
    vec![
        ItemChange::new("root", None, "root", ItemKind::Root),
        folder("base", "root", "OneDrive-JLM"),
        folder("studies", "base", "01 - ETUDES AO"),
        folder("ao", "studies", "AO-2503"),
        folder("cat", "ao", "01-DCE-Cotes-Photos"),
    ]
}

fn drive_with(extra: Vec<ItemChange>) -> DriveModel {
    let mut model = DriveModel::new();
    // The feed promises no order: children first.
    let mut feed: Vec<ItemChange> = tree().into_iter().chain(extra).collect();
    feed.reverse();
    model.apply_full([feed]);
    model
}

fn view(model: &DriveModel) -> View {
    model.view(&Taxonomy::default())
}

fn paths(model: &DriveModel) -> Vec<String> {
    model.documents(&Taxonomy::default()).into_values().map(|row| row.path).collect()
}

const CATEGORY: &str = "/OneDrive-JLM/01 - ETUDES AO/AO-2503/01-DCE-Cotes-Photos";

#[test]
fn files_and_packages_are_documents_even_when_empty() {
    let mut empty = file("f", "cat", " 100% # rev 'b'.pdf");
    empty.size = Some(0);
    let notes = ItemChange::new("n", Some("cat"), "Notes", ItemKind::Package);
    let documents = drive_with(vec![empty, notes]).documents(&Taxonomy::default());
    assert_eq!(documents[&ItemId::new("f")].path, format!("{CATEGORY}/ 100% # rev 'b'.pdf"));
    assert_eq!(documents[&ItemId::new("f")].size, Some(0));
    assert_eq!(documents[&ItemId::new("n")].kind, DocumentKind::Package);
}

#[test]
fn a_deleted_folder_takes_its_documents_along_and_back() {
    let mut model = drive_with(vec![folder("sub", "cat", "sub"), file("f", "sub", "a.txt")]);
    model.apply_delta([vec![ItemChange::tombstone("sub")]]);
    assert!(paths(&model).is_empty());
    assert_eq!(
        model.anomalies(&Taxonomy::default()),
        [Anomaly::MissingParent { item: ItemId::new("f"), parent: Some(ItemId::new("sub")) }]
    );
    model.apply_delta([vec![], vec![folder("sub", "cat", "Sub")]]);
    assert_eq!(paths(&model), [format!("{CATEGORY}/Sub/a.txt")]);
}

#[test]
fn moving_a_folder_moves_what_it_holds_in_and_out_of_scope() {
    let mut model = drive_with(vec![folder("sub", "root", "elsewhere"), file("f", "sub", "a.txt")]);
    assert!(paths(&model).is_empty());
    model.apply_delta([vec![folder("sub", "cat", "inside")]]);
    assert_eq!(paths(&model), [format!("{CATEGORY}/inside/a.txt")]);
    model.apply_delta([vec![folder("sub", "ao", "inside")]]);
    assert!(paths(&model).is_empty());
    assert!(view(&model).anomalies.contains(&Anomaly::Uncategorised { item: ItemId::new("f") }));
}

#[test]
fn a_change_of_case_is_a_rename() {
    let mut model = drive_with(vec![file("f", "cat", "plan.dwg")]);
    model.apply_delta([vec![file("f", "cat", "Plan.DWG"), folder("cat", "ao", "01-dce-cotes-photos")]]);
    let row = &model.documents(&Taxonomy::default())[&ItemId::new("f")];
    assert_eq!(row.name, "Plan.DWG");
    assert_eq!(row.category, "01-DCE-Cotes-Photos", "the configured spelling");
    assert_eq!(row.path, "/OneDrive-JLM/01 - ETUDES AO/AO-2503/01-dce-cotes-photos/Plan.DWG");
}

#[test]
fn of_two_folders_with_one_reference_the_lesser_id_is_the_ao() {
    let mut model = drive_with(vec![
        file("f", "cat", "kept.txt"),
        folder("zz", "studies", "ao-2503"),
        folder("zcat", "zz", "02-Etudes-fournisseurs"),
        file("g", "zcat", "refused.txt"),
    ]);
    assert_eq!(paths(&model), [format!("{CATEGORY}/kept.txt")]);
    assert_eq!(
        model.anomalies(&Taxonomy::default()),
        [Anomaly::DuplicateReference {
            reference: "2503".to_owned(),
            kept: ItemId::new("ao"),
            refused: ItemId::new("zz"),
        }]
    );
    model.apply_delta([vec![folder("zz", "studies", "AO-2504")]]);
    assert_eq!(model.documents(&Taxonomy::default())[&ItemId::new("g")].reference, "2504");
}

#[test]
fn cycles_and_nameless_items_are_reported_once() {
    let mut model = drive_with(vec![
        folder("b", "a", "b"),
        folder("a", "c", "a"),
        folder("c", "b", "c"),
        file("f", "c", "lost.txt"),
        folder("d", "cat", "d"),
    ]);
    let mut nameless = folder("e", "d", "");
    nameless.name = None;
    model.apply_delta([vec![nameless, file("g", "e", "g.txt")]]);
    assert!(paths(&model).is_empty());
    assert_eq!(
        model.anomalies(&Taxonomy::default()),
        [Anomaly::Cycle { item: ItemId::new("a") }, Anomaly::Nameless { item: ItemId::new("e") }]
    );
}

#[test]
fn shortcuts_are_not_descended_and_malware_is_kept_apart() {
    let mut bad = file("m", "cat", "bad.exe");
    bad.malware = true;
    let model = drive_with(vec![
        ItemChange::new("s", Some("cat"), "shared", ItemKind::Remote),
        file("x", "s", "x.txt"),
        bad,
    ]);
    let view = view(&model);
    let documents: Vec<_> = view.documents.iter().map(|(id, row)| (id.as_str(), row.kind)).collect();
    assert_eq!(documents, [("s", DocumentKind::Remote)]);
    assert_eq!(view.quarantined.into_iter().collect::<Vec<_>>(), [ItemId::new("m")]);
    assert_eq!(
        view.anomalies.into_iter().collect::<Vec<_>>(),
        [Anomaly::ParentHoldsNoItems { item: ItemId::new("x"), parent: ItemId::new("s") }]
    );
}

#[test]
fn a_full_round_removes_what_it_does_not_name() {
    let mut model = drive_with(vec![file("f", "cat", "a.txt"), file("g", "cat", "b.txt")]);
    let again = tree().into_iter().chain([file("g", "cat", "b.txt")]);
    model.apply_full(again.map(|item| vec![item]));
    assert_eq!(paths(&model), [format!("{CATEGORY}/b.txt")]);
}

#[test]
fn a_deep_chain_does_not_exhaust_the_stack() {
    let mut extra = vec![folder("n00000", "cat", "n")];
    for depth in 1..20_000 {
        extra.push(folder(&format!("n{depth:05}"), &format!("n{:05}", depth - 1), "n"));
    }
    extra.push(file("f", "n00099", "deep.txt"));
    assert_eq!(paths(&drive_with(extra)).len(), 1);
}
