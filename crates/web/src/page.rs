//! Lists in pages: `limit` and an opaque `cursor` in, `items` and `next_cursor` out.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{FieldError, Problem};

/// Largest page (CONTRACT, conventions).
pub const MAX_LIMIT: u32 = 200;
/// Page size when none is asked for.
pub const DEFAULT_LIMIT: u32 = 50;
/// Longest cursor that is read.
const MAX_CURSOR: usize = 1024;

/// The page that is asked for. Use it alone (`Query<PageQuery>`) or flattened into a filter that
/// denies unknown fields itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items on the page, 1 to 200.
    #[serde(default = "default_limit", deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: u32,
    /// `next_cursor` of the page before; nothing for the first page.
    #[serde(default)]
    pub cursor: Option<String>,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, cursor: None }
    }
}

impl PageQuery {
    /// The key that the page begins after; `None` for the first page.
    ///
    /// # Errors
    /// 422 when the cursor is not one that [`Page::cut`] gave out for this kind of key.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = self.cursor.as_deref() else { return Ok(None) };
        decode(cursor).map(Some).ok_or_else(|| {
            let message = "is not a cursor of this list; begin again without one";
            Problem::unprocessable(vec![FieldError::new("cursor", message)])
        })
    }

    /// How many rows to fetch: one more than the page holds, which says whether there is a next one.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Ask for the next page with it; `null` on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts the page out of `rows`, of which [`PageQuery::fetch`] were asked for; `key` is what the
    /// next page begins after.
    pub fn cut<K: Serialize>(query: &PageQuery, mut rows: Vec<T>, key: impl FnOnce(&T) -> K) -> Self {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| encode(&key(last)));
        Self { items: rows, next_cursor }
    }

    /// The same page of other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next_cursor: self.next_cursor }
    }
}

/// A key as an opaque cursor.
fn encode<K: Serialize>(key: &K) -> String {
    let json = serde_json::to_vec(key).expect("keys are ids, numbers and times, which are JSON");
    URL_SAFE_NO_PAD.encode(json)
}

fn decode<K: DeserializeOwned>(cursor: &str) -> Option<K> {
    if cursor.len() > MAX_CURSOR {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

fn default_limit() -> u32 {
    DEFAULT_LIMIT
}

/// Reads a limit from text too: flattened query parameters arrive as such.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    struct Limit;

    impl Visitor<'_> for Limit {
        type Value = u32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a number from 1 to {MAX_LIMIT}")
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u32, E> {
            let fits = u32::try_from(value).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
            fits.ok_or_else(|| out_of_range(value))
        }

        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<u32, E> {
            match value.parse() {
                Ok(number) => self.visit_u64(number),
                Err(_) => Err(out_of_range(value)),
            }
        }
    }

    /// Names the field itself: serde loses the path of flattened ones.
    fn out_of_range<E: serde::de::Error>(value: impl fmt::Display) -> E {
        E::custom(format!("invalid field `limit`: `{value}` is not a number from 1 to {MAX_LIMIT}"))
    }

    deserializer.deserialize_any(Limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_knows_whether_there_is_a_next_one() {
        let mut query = PageQuery { limit: 2, cursor: None };
        let first = Page::cut(&query, vec![1, 2, 3], |last| *last);
        assert_eq!(first.items, [1, 2]);
        query.cursor.clone_from(&first.next_cursor);
        assert_eq!(query.after::<i32>().expect("our own cursor"), Some(2));
        assert_eq!(Page::cut(&query, vec![3, 4], |last| *last).next_cursor, None);
        assert_eq!(query.fetch(), 3);
    }

    proptest! {
        #[test]
        fn cursors_survive_and_garbage_is_refused(id in any::<i64>(), name in ".{0,40}", garbage in "\\PC{0,60}") {
            let query = PageQuery { limit: 1, cursor: Some(encode(&(id, &name))) };
            prop_assert_eq!(query.after::<(i64, String)>().expect("ours"), Some((id, name)));
            let query = PageQuery { limit: 1, cursor: Some(garbage) };
            if let Err(problem) = query.after::<(i64, String)>() {
                prop_assert_eq!(problem.status().as_u16(), 422);
            }
        }
    }
}
