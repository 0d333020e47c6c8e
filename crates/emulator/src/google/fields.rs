//! Partial responses: `fields=items(id,start/dateTime),nextPageToken` (E39).

use serde_json::{Map, Value};

use super::model::ApiError;

/// A selection: names with what is selected below them; nothing below selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Mask(Vec<(String, Mask)>);

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn list(&mut self) -> Option<Mask> {
        let mut mask = Mask::default();
        loop {
            let (name, below) = self.path()?;
            match mask.0.iter_mut().find(|(known, _)| *known == name) {
                // A name twice selects both; one of them without a selection selects all.
                Some((_, known)) if !known.0.is_empty() && !below.0.is_empty() => known.0.extend(below.0),
                Some((_, known)) => *known = Mask::default(),
                None => mask.0.push((name, below)),
            }
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None => return Some(mask),
            }
        }
    }

    fn path(&mut self) -> Option<(String, Mask)> {
        let end = self.rest.find(['/', '(', ')', ',']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-*@.".contains(c);
        if name.is_empty() || !name.chars().all(legal) {
            return None;
        }
        self.rest = rest;
        if let Some(rest) = self.rest.strip_prefix('/') {
            self.rest = rest;
            let below = self.path()?;
            return Some((name.to_owned(), Mask(vec![below])));
        }
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let below = self.list()?;
            self.rest = self.rest.strip_prefix(')')?;
            return Some((name.to_owned(), below));
        }
        Some((name.to_owned(), Mask::default()))
    }
}

fn apply(mask: &Mask, value: Value) -> Value {
    if mask.0.is_empty() {
        return value;
    }
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(|item| apply(mask, item)).collect()),
        Value::Object(map) => {
            let mut kept = Map::new();
            for (key, value) in map {
                let hit = mask.0.iter().find(|(name, _)| *name == key || name == "*");
                if let Some((_, below)) = hit {
                    kept.insert(key, apply(below, value));
                }
            }
            Value::Object(kept)
        }
        other => other,
    }
}

/// Keeps what is selected.
pub(crate) fn select(selection: &str, value: Value) -> Result<Value, ApiError> {
    let text: String = selection.chars().filter(|c| !c.is_whitespace()).collect();
    let mut reader = Reader { rest: &text };
    match reader.list() {
        Some(mask) if reader.rest.is_empty() => Ok(apply(&mask, value)),
        _ => Err(ApiError::parameter("fields", format!("Invalid field selection {selection}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn e39_only_what_is_selected_comes() {
        let page = json!({"items": [{"id": "a", "start": {"date": "d", "timeZone": "z"}, "etag": "e"}],
            "nextPageToken": "n", "etag": "x"});
        let picked = select("items(id,start/date),nextPageToken", page.clone()).unwrap();
        assert_eq!(picked, json!({"items": [{"id": "a", "start": {"date": "d"}}], "nextPageToken": "n"}));
        assert_eq!(select("items/id", page.clone()).unwrap(), json!({"items": [{"id": "a"}]}));
        assert_eq!(select("*", page.clone()).unwrap(), page);
        assert_eq!(
            select("items/id,items", json!({"items": [{"id": 1, "b": 2}]})).unwrap()["items"][0]["b"],
            2
        );
        for bad in ["items(", "items)", "", "a,,b", "items(id))", "a b?"] {
            assert_eq!(select(bad, page.clone()).unwrap_err().status, 400, "{bad}");
        }
    }
}
