//! Pages of anything: one bad item never fails its page.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use chrono::{DateTime, Utc};

use crate::drives::NextLink;
use crate::error::{GraphError, GraphErrorKind};
use crate::items::{PoisonItem, poison};
use crate::timestamp::parse_timestamp;

/// One page of a feed of changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangePage<T> {
    /// What changed, in the order of the page; it may occur again later in the round.
    pub items: Vec<T>,
    /// What could not be read.
    pub poison: Vec<PoisonItem>,
    /// How the round goes on.
    pub next: NextLink,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage<T> {
    /// Items.
    pub items: Vec<T>,
    /// What could not be read.
    pub poison: Vec<PoisonItem>,
    /// More pages.
    pub next_link: Option<String>,
}

/// A page as it was sent.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub items: Vec<T>,
    pub poison: Vec<PoisonItem>,
    pub next_link: Option<String>,
    pub delta_link: Option<String>,
}

/// Reads a page with `one` for each item; what `one` refuses is kept raw.
pub(crate) fn listed<T>(
    body: &[u8],
    one: impl Fn(&str) -> Result<T, String>,
) -> Result<Listed<T>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        value: Vec<&'a RawValue>,
        #[serde(rename = "@odata.nextLink")]
        next_link: Option<String>,
        #[serde(rename = "@odata.deltaLink")]
        delta_link: Option<String>,
    }
    let page: Page<'_> = serde_json::from_slice(body)?;
    let mut read = Listed {
        items: Vec::with_capacity(page.value.len()),
        poison: Vec::new(),
        next_link: page.next_link.filter(|link| !link.is_empty()),
        delta_link: page.delta_link.filter(|link| !link.is_empty()),
    };
    for raw in page.value {
        match one(raw.get()) {
            Ok(item) => read.items.push(item),
            Err(reason) => read.poison.push(poison(raw.get(), reason)),
        }
    }
    Ok(read)
}

impl<T> Listed<T> {
    /// As a page of a feed, which must say how it goes on.
    pub(crate) fn changes(self, operation: &'static str) -> Result<ChangePage<T>, GraphError> {
        let next = match (self.next_link, self.delta_link) {
            (Some(next), _) => NextLink::Next(next),
            (None, Some(delta)) => NextLink::Delta(delta),
            (None, None) => {
                let message = "the page carries neither nextLink nor deltaLink".to_owned();
                let kind = GraphErrorKind::Unavailable;
                return Err(GraphError::own(operation, kind, "malformedAnswer", message, None));
            }
        };
        Ok(ChangePage { items: self.items, poison: self.poison, next })
    }

    /// As a page of a list.
    pub(crate) fn list(self) -> ListPage<T> {
        ListPage { items: self.items, poison: self.poison, next_link: self.next_link }
    }
}

/// A switch, also as the text `"true"` (documented message delta).
pub(crate) fn switch<'de, D: Deserializer<'de>>(d: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Bool(on) => Some(on),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// A count; one that cannot be read is unknown.
pub(crate) fn count<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// A timestamp; one that cannot be read is unknown.
pub(crate) fn instant<'de, D: Deserializer<'de>>(d: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(Value::deserialize(d)?.as_str().and_then(parse_timestamp))
}

/// Cuts a text to at most `limit` bytes, at a character; true when something was cut.
pub(crate) fn cut(text: &mut String, limit: usize) -> bool {
    if text.len() <= limit {
        return false;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_items_are_kept_raw() {
        let body = br#"{"value":[{"id":"a"},7,{"id":"c"}],"@odata.nextLink":""}"#;
        let page = listed(body, |raw| {
            #[derive(Deserialize)]
            struct One {
                id: String,
            }
            serde_json::from_str::<One>(raw).map(|one| one.id).map_err(|e| e.to_string())
        })
        .expect("a page");
        assert_eq!(
            (page.items.as_slice(), page.poison.len()),
            (["a".to_owned(), "c".to_owned()].as_slice(), 1)
        );
        assert!(page.changes("x").is_err(), "an empty link is no link");
    }

    proptest! {
        #[test]
        fn a_cut_is_a_prefix_within_the_limit(text in "\\PC{0,60}", limit in 0usize..80) {
            let mut kept = text.clone();
            let was_cut = cut(&mut kept, limit);
            prop_assert!(text.starts_with(&kept) && kept.len() <= limit.max(text.len().min(limit)));
            prop_assert_eq!(was_cut, text.len() > limit);
        }
    }
}
