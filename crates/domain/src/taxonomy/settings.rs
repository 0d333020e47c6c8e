//! Reading `ONEDRIVE_TAXONOMY_CONFIG`.

use serde_json::{Map, Value};

use super::Taxonomy;
use crate::names::{NameFault, name_key, preflight};

const MAX_CATEGORIES: usize = 50;

/// What is wrong with a taxonomy.
#[derive(Debug, thiserror::Error)]
pub enum TaxonomyFault {
    /// The text is not JSON.
    #[error("the taxonomy is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The JSON is not an object.
    #[error("the taxonomy is not a JSON object")]
    NotAnObject,
    /// A key that means nothing here.
    #[error("unknown key {key:?}, known are basePath, studiesPath, aoPrefix, categories")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A value of the wrong type.
    #[error("{key} must be {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// The type it should have.
        expected: &'static str,
    },
    /// A value that cannot be used.
    #[error("{key} {problem}")]
    Unusable {
        /// The key.
        key: &'static str,
        /// Why not.
        problem: String,
    },
    /// A name that the provider refuses.
    #[error("{key} holds a name that the provider refuses")]
    Name {
        /// The key.
        key: &'static str,
        /// The rule that the name breaks.
        #[source]
        source: NameFault,
    },
}

pub(super) fn from_json_override(json: &str) -> Result<Taxonomy, TaxonomyFault> {
    let value: Value = serde_json::from_str(json).map_err(TaxonomyFault::NotJson)?;
    let Value::Object(object) = value else { return Err(TaxonomyFault::NotAnObject) };
    let taxonomy = merged(object)?;
    check(&taxonomy)?;
    Ok(taxonomy)
}

fn merged(object: Map<String, Value>) -> Result<Taxonomy, TaxonomyFault> {
    let mut taxonomy = Taxonomy::default();
    for (key, value) in object {
        match key.as_str() {
            "basePath" => taxonomy.base_path = text("basePath", value)?,
            "studiesPath" => taxonomy.studies_path = text("studiesPath", value)?,
            "aoPrefix" => taxonomy.ao_prefix = text("aoPrefix", value)?,
            "categories" => taxonomy.categories = texts("categories", value)?,
            _ => return Err(TaxonomyFault::UnknownKey { key }),
        }
    }
    Ok(taxonomy)
}

fn text(key: &'static str, value: Value) -> Result<String, TaxonomyFault> {
    match value {
        Value::String(text) => Ok(text.trim_matches('/').to_owned()),
        _ => Err(TaxonomyFault::WrongType { key, expected: "a string" }),
    }
}

fn texts(key: &'static str, value: Value) -> Result<Vec<String>, TaxonomyFault> {
    let wrong = || TaxonomyFault::WrongType { key, expected: "a list of strings" };
    let Value::Array(values) = value else { return Err(wrong()) };
    values
        .into_iter()
        .map(|value| match value {
            Value::String(text) => Ok(text),
            _ => Err(wrong()),
        })
        .collect()
}

fn check(taxonomy: &Taxonomy) -> Result<(), TaxonomyFault> {
    let paths = [("basePath", &taxonomy.base_path), ("studiesPath", &taxonomy.studies_path)];
    for (key, path) in paths {
        if path.is_empty() {
            continue;
        }
        path.split('/').try_for_each(|name| check_name(key, name))?;
    }
    check_name("aoPrefix", &format!("{}-0", taxonomy.ao_prefix))?;
    if taxonomy.ao_prefix.is_empty() {
        return Err(TaxonomyFault::Unusable { key: "aoPrefix", problem: "must not be empty".to_owned() });
    }
    let categories = &taxonomy.categories;
    let unusable = |problem| Err(TaxonomyFault::Unusable { key: "categories", problem });
    if categories.is_empty() || categories.len() > MAX_CATEGORIES {
        return unusable(format!("must list 1 to {MAX_CATEGORIES} names, got {}", categories.len()));
    }
    for (index, category) in categories.iter().enumerate() {
        check_name("categories", category)?;
        let key = name_key(category);
        if categories[..index].iter().any(|earlier| name_key(earlier) == key) {
            return unusable(format!("lists {category:?} twice (case does not distinguish names)"));
        }
    }
    Ok(())
}

fn check_name(key: &'static str, name: &str) -> Result<(), TaxonomyFault> {
    // The parent is left out: only the name itself is judged here.
    preflight(name, "").map_err(|source| TaxonomyFault::Name { key, source })
}
