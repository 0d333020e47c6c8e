//! What the documents of a drive must be, from the drive's own canonical dump, and the comparison with the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use domain::names::name_key;
use domain::taxonomy::{Placement, Taxonomy, document_scope};
use serde::Deserialize;
use uuid::Uuid;

use super::caller::{Caller, encode};
use super::sql::{Sql, quote};

/// Differences that a message shows.
const SHOWN: usize = 12;

/// One live item of the dump.
#[derive(Debug, Clone, Deserialize)]
pub struct Item {
    /// Item id.
    pub id: String,
    /// Folder that holds it; none for the root.
    pub parent_id: Option<String>,
    /// Path from the root, with a leading slash.
    pub path: String,
    /// Name.
    pub name: String,
    /// `root`, `folder`, `file`, `package`, `remote_item`.
    pub kind: String,
    /// Bytes.
    pub size: i64,
    /// eTag.
    pub e_tag: String,
    /// Content hash, where the item has one.
    pub quick_xor_hash: Option<String>,
    /// Last change.
    pub modified_at: DateTime<Utc>,
    /// Malware was found in it.
    pub malware: bool,
}

/// A row of `documents`, as far as the provider determines it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Document {
    /// The item.
    pub onedrive_id: String,
    /// Folded reference of the AO.
    pub reference: String,
    /// Category as configured.
    pub category: String,
    /// Path from the root, without a leading slash.
    pub path: String,
    /// Name.
    pub name: String,
    /// `file`, `package`, `remote`.
    pub kind: String,
    /// Bytes; unreliable for packages and shortcuts, and so not compared there.
    pub size: Option<i64>,
    /// eTag.
    pub e_tag: Option<String>,
    /// Content hash.
    pub quick_xor_hash: Option<String>,
    /// Last change.
    pub modified_at: Option<DateTime<Utc>>,
}

/// Documents by item id.
pub type Documents = BTreeMap<String, Document>;

/// The live items of a drive, from the control side.
///
/// # Errors
/// When the stand-in does not answer.
pub async fn items(control: &Caller, drive: &str) -> Result<Vec<Item>> {
    #[derive(Deserialize)]
    struct Dump {
        drives: Vec<Dumped>,
    }
    #[derive(Deserialize)]
    struct Dumped {
        items: Vec<Item>,
    }
    let state = control.get(&format!("/state?provider=microsoft&drive={}", encode(drive))).await?;
    let mut dump: Dump = serde_json::from_value(state).context("the dump")?;
    Ok(dump.drives.pop().with_context(|| format!("the dump has no drive {drive}"))?.items)
}

/// The documents that these items amount to. When two folders carry one AO reference, the smaller item id has it
/// (rule of the document sync).
pub fn documents_of(items: &[Item], taxonomy: &Taxonomy) -> Documents {
    let by_id: BTreeMap<&str, &Item> = items.iter().map(|item| (item.id.as_str(), item)).collect();
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    // Parents first: a path is longer than its parent's.
    let mut folders: Vec<&Item> =
        items.iter().filter(|item| matches!(item.kind.as_str(), "root" | "folder")).collect();
    folders.sort_by_key(|item| item.path.matches('/').count() + usize::from(item.kind != "root"));
    let mut holders: BTreeMap<String, &str> = BTreeMap::new();
    for folder in &folders {
        let place = match folder.parent_id.as_deref().and_then(|parent| places.get(parent)) {
            None => Place { placement: Placement::root(), ao: None },
            Some(above) => {
                let placement = above.placement.child(taxonomy, &folder.name);
                let ao = if let Placement::Ao { reference } = &placement {
                    let holder = holders.entry(name_key(reference)).or_insert(&folder.id);
                    if folder.id.as_str() < *holder {
                        *holder = &folder.id;
                    }
                    Some(folder.id.as_str())
                } else {
                    above.ao
                };
                Place { placement, ao }
            }
        };
        places.insert(&folder.id, place);
    }
    let mut found = Documents::new();
    for item in items {
        let kind = match item.kind.as_str() {
            "file" => "file",
            "package" => "package",
            "remote_item" => "remote",
            _ => continue,
        };
        let Some(parent) = item.parent_id.as_deref().filter(|parent| by_id.contains_key(parent)) else {
            continue;
        };
        let Some(place) = places.get(parent).filter(|_| !item.malware) else { continue };
        let Some((reference, category)) = document_scope(&place.placement) else { continue };
        let reference = name_key(reference);
        if holders.get(&reference).copied() != place.ao {
            continue;
        }
        let document = Document {
            onedrive_id: item.id.clone(),
            reference,
            category: category.to_owned(),
            path: item.path.trim_start_matches('/').to_owned(),
            name: item.name.clone(),
            kind: kind.to_owned(),
            size: (kind == "file").then_some(item.size),
            e_tag: Some(item.e_tag.clone()),
            quick_xor_hash: item.quick_xor_hash.clone().filter(|_| kind == "file"),
            modified_at: Some(item.modified_at),
        };
        found.insert(item.id.clone(), document);
    }
    found
}

struct Place<'a> {
    placement: Placement,
    /// Folder of the AO above.
    ao: Option<&'a str>,
}

/// The live documents of a drive as the table has them. Read as superuser, past row-level security.
///
/// # Errors
/// When the database does not answer, or two rows stand for one item.
pub async fn documents_in(sql: &Sql, company: Uuid, drive: &str) -> Result<Documents> {
    let query = format!(
        "SELECT d.onedrive_id, a.reference_key AS reference, d.category, d.path, d.name, d.kind,
             CASE WHEN d.kind = 'file' THEN d.size END AS size, d.e_tag,
             CASE WHEN d.kind = 'file' THEN d.quick_xor_hash END AS quick_xor_hash, d.modified_at
         FROM documents d LEFT JOIN aos a ON a.company_id = d.company_id AND a.id = d.entity_id
         WHERE d.company_id = '{company}' AND d.drive_id = {} AND d.deleted_at IS NULL",
        quote(drive)
    );
    let mut found = Documents::new();
    for row in sql.rows(&query).await? {
        let document: Document =
            serde_json::from_value(row.clone()).with_context(|| format!("a row: {row}"))?;
        if let Some(twin) = found.insert(document.onedrive_id.clone(), document) {
            bail!("two live rows for item {}", twin.onedrive_id);
        }
    }
    Ok(found)
}

/// How the table differs from what it should be.
#[derive(Debug, Default)]
pub struct Difference {
    lines: Vec<String>,
}

impl Difference {
    /// Compares.
    pub fn between(expected: &Documents, found: &Documents) -> Self {
        let mut lines = Vec::new();
        let ids: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        for id in ids {
            match (expected.get(id), found.get(id)) {
                (Some(want), None) => lines.push(format!("missing {id} {}", want.path)),
                (None, Some(row)) => lines.push(format!("surplus {id} {}", row.path)),
                (Some(want), Some(row)) if want != row => {
                    lines.push(format!("different {id}\n  is  {row:?}\n  not {want:?}"));
                }
                _ => {}
            }
        }
        Self { lines }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} differences", self.lines.len())?;
        for line in self.lines.iter().take(SHOWN) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
