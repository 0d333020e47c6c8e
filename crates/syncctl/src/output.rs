//! What a command answers: JSON for scripts, lines for people.

use serde_json::Value;

/// The answer of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// For scripts.
    pub json: Value,
    /// For people; without a final line feed.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

impl Output {
    /// A success.
    pub fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into(), code: 0 }
    }

    /// The same answer, failing.
    #[must_use]
    pub fn failing(mut self) -> Self {
        self.code = 1;
        self
    }

    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{}", self.json);
        } else if !self.text.is_empty() {
            println!("{}", self.text);
        }
    }
}

/// `name: value` lines of an object, nested names joined with dots.
pub fn lines(value: &Value) -> String {
    let mut out = Vec::new();
    flatten("", value, &mut out);
    let width = out.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    out.into_iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (name, value) in object {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, value, out);
            }
        }
        other => out.push((prefix.to_owned(), plain(other))),
    }
}

/// A table of the named columns, one line per element.
pub fn table(rows: &[Value], columns: &[&str]) -> String {
    let cells: Vec<Vec<String>> = std::iter::once(columns.iter().map(|c| (*c).to_owned()).collect())
        .chain(rows.iter().map(|row| columns.iter().map(|c| plain(&row[*c])).collect()))
        .collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|i| cells.iter().map(|row: &Vec<String>| row[i].chars().count()).max().unwrap_or(0))
        .collect();
    cells
        .iter()
        .map(|row| {
            let line: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}", width = *width))
                .collect();
            line.join("  ").trim_end().to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_get_aligned_lines() {
        assert_eq!(
            lines(&json!({ "pending": 1, "by_kind": { "a.b": { "dead": 0 } }, "x": null })),
            "by_kind.a.b.dead  0\npending           1\nx                 -"
        );
        assert_eq!(
            table(&[json!({ "id": "1", "state": "active" }), json!({ "id": "22" })], &["id", "state"]),
            "id  state\n1   active\n22  -"
        );
    }
}
