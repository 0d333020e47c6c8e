//! What an operator may see of a stored payload, message or error: everything but the secrets in it.
//!
//! [`restore`] is the way back for an edit: whoever changes one field of what was shown sends the marks along,
//! and the values behind them stay as they were.

use serde_json::{Map, Value};

/// Stands where a secret was.
pub const MARK: &str = "[redacted]";

/// Parts of a name (letters and digits, lower case) that make its value a secret.
const SECRET_NAMES: [&str; 17] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "authorization",
    "clientstate",
    "codeverifier",
    "codechallenge",
    "apikey",
    "privatekey",
    "accesskey",
    "credential",
    "cookie",
    "signature",
    "tempauth",
    "assertion",
];
/// Names that are secrets in the query of an address, and ordinary words elsewhere.
const QUERY_NAMES: [&str; 8] = ["code", "sig", "key", "jwt", "auth", "state", "ticket", "pwd"];
/// A word after one of these is a credential.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The value with its secrets replaced by [`MARK`]: members whose name says so, and in every text the query
/// parts, tokens and passwords that [`redact_text`] knows.
#[must_use]
pub fn redact(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| {
                    let shown = if is_secret_name(name) { conceal(value) } else { redact(value) };
                    (name.clone(), shown)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(redact).collect()),
        Value::String(text) => Value::String(redact_text(text)),
        other => other.clone(),
    }
}

/// Nothing, yes and no tell nothing.
fn conceal(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(text) if text.is_empty() => value.clone(),
        _ => Value::String(MARK.to_owned()),
    }
}

/// Whether a member of this name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let plain = plain(name);
    SECRET_NAMES.iter().any(|part| plain.contains(part))
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The text without secret query parts (`tempauth=...`, `access_token=...`, `delta(token='...')`), without the
/// user of an address, without what follows `Bearer` and without JSON web tokens. A text that is JSON is
/// redacted as such.
#[must_use]
pub fn redact_text(text: &str) -> String {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(inner) = serde_json::from_str::<Value>(text)
    {
        let shown = redact(&inner);
        return if shown == inner { text.to_owned() } else { shown.to_string() };
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((kept, after)) = secret_at(&out, rest) {
            out.push_str(kept);
            out.push_str(MARK);
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// What to keep of a secret that begins here, and what follows it. `before` is the text up to here as shown.
fn secret_at<'a>(before: &str, rest: &'a str) -> Option<(&'a str, &'a str)> {
    let boundary = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
    if let Some(value) = rest.strip_prefix('=')
        && names_a_secret(before)
    {
        return cut(rest, 1, value);
    }
    if let Some(authority) = rest.strip_prefix("://") {
        let end = authority.find(['/', '?', '#', ' ', '"', '\'']).unwrap_or(authority.len());
        let at = authority[..end].rfind('@').filter(|at| &authority[..*at] != MARK)?;
        return Some(("://", &authority[at..]));
    }
    if boundary && let Some(scheme) = scheme_of(rest) {
        let value = &rest[scheme..];
        // A word of prose after "basic" is shorter than any credential.
        if word(value).len() >= 12 {
            return cut(rest, scheme, value);
        }
    }
    if boundary && rest.starts_with("eyJ") && word(rest).len() >= 20 {
        return Some(("", &rest[word(rest).len()..]));
    }
    None
}

fn scheme_of(rest: &str) -> Option<usize> {
    SCHEMES.iter().map(|s| s.len()).zip(SCHEMES).find_map(|(length, scheme)| {
        rest.get(..length).is_some_and(|start| start.eq_ignore_ascii_case(scheme)).then_some(length)
    })
}

/// Whether the text before an equals sign ends in the name of a secret.
fn names_a_secret(before: &str) -> bool {
    let name_of = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = &before[before.trim_end_matches(name_of).len()..];
    if name.is_empty() {
        return false;
    }
    let in_query = before[..before.len() - name.len()].ends_with(['?', '&', '#']);
    is_secret_name(name) || (in_query && QUERY_NAMES.contains(&plain(name).as_str()))
}

/// Cuts a value, in quotes or up to the next delimiter, out of `rest`, of which the first `kept` bytes stay.
fn cut<'a>(rest: &'a str, kept: usize, value: &'a str) -> Option<(&'a str, &'a str)> {
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let inner = &value[1..];
        let end = inner.find(quote).unwrap_or(inner.len());
        let shown = &inner[..end] == MARK || end == 0;
        return (!shown).then_some((&rest[..=kept], &inner[end..]));
    }
    if value.starts_with(MARK) {
        return None;
    }
    let end =
        value.find(['&', ';', ' ', '"', '\'', '<', '>', ')', '#', '\n', '\t', ',']).unwrap_or(value.len());
    (end > 0).then_some((&rest[..kept], &value[end..]))
}

fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | '=')))
        .unwrap_or(text.len());
    &text[..end]
}

/// A mark that stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} holds {MARK}, but there is no value there to keep: write the value itself")]
pub struct NothingBehind {
    /// Where, as `a.b[2]`.
    pub path: String,
}

/// The edited value with the secrets of the original in the places where the edit shows what [`redact`] made of
/// them.
///
/// # Errors
/// [`NothingBehind`] for a mark in another place.
pub fn restore(edited: &Value, original: &Value) -> Result<Value, NothingBehind> {
    at(edited, Some((original, &redact(original))), "payload")
}

fn at(edited: &Value, known: Option<(&Value, &Value)>, path: &str) -> Result<Value, NothingBehind> {
    if let Some((original, shown)) = known
        && edited == shown
    {
        return Ok(original.clone());
    }
    match edited {
        Value::Object(members) => {
            let mut out = Map::new();
            for (name, value) in members {
                let known = known.and_then(|(o, s)| Some((o.get(name)?, s.get(name)?)));
                out.insert(name.clone(), at(value, known, &format!("{path}.{name}"))?);
            }
            Ok(Value::Object(out))
        }
        Value::Array(items) => {
            let mut out = Vec::with_capacity(items.len());
            for (index, value) in items.iter().enumerate() {
                let known = known.and_then(|(o, s)| Some((o.get(index)?, s.get(index)?)));
                out.push(at(value, known, &format!("{path}[{index}]"))?);
            }
            Ok(Value::Array(out))
        }
        Value::String(text) if text.contains(MARK) => Err(NothingBehind { path: path.to_owned() }),
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn members_with_a_secret_name_are_hidden() {
        let shown = redact(&json!({
            "drive_id": "b!d", "refresh_token": "r", "clientState": "c", "client_secret": { "value": "v" },
            "code_verifier": 12, "Authorization": "Bearer x", "tokens": ["a"], "has_token": true, "token": null,
            "nested": [{ "PASSWORD": "p", "kept": 1 }],
        }));
        assert_eq!(
            shown,
            json!({
                "drive_id": "b!d", "refresh_token": MARK, "clientState": MARK, "client_secret": MARK,
                "code_verifier": MARK, "Authorization": MARK, "tokens": MARK, "has_token": true, "token": null,
                "nested": [{ "PASSWORD": MARK, "kept": 1 }],
            })
        );
    }

    #[test]
    fn texts_lose_what_is_secret_in_them_and_nothing_else() {
        for (text, shown) in [
            (
                "https://x/download.aspx?UniqueId=1&tempauth=eyJ0.a-b&y=2",
                "https://x/download.aspx?UniqueId=1&tempauth=[redacted]&y=2",
            ),
            (
                "GET /cb?code=4/0Ab&state=s3#access_token=abc",
                "GET /cb?code=[redacted]&state=[redacted]#access_token=[redacted]",
            ),
            ("http://h/delta(token='abc def')?x=1", "http://h/delta(token='[redacted]')?x=1"),
            ("amqp://guest:guest@127.0.0.1:5672/%2f", "amqp://[redacted]@127.0.0.1:5672/%2f"),
            ("Authorization: Bearer abcdefghijklmnop, next", "Authorization: Bearer [redacted], next"),
            ("refused eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc here", "refused [redacted] here"),
            ("{\"client_secret\":\"x\",\"a\":1}", "{\"a\":1,\"client_secret\":\"[redacted]\"}"),
            (
                "status code=429 for key=7, basic checks of a token",
                "status code=429 for key=7, basic checks of a token",
            ),
            ("https://h/p?a=1&b=2", "https://h/p?a=1&b=2"),
            ("{ \"a\": 1 }", "{ \"a\": 1 }"),
        ] {
            assert_eq!(redact_text(text), shown);
        }
    }

    #[test]
    fn an_edit_keeps_the_secrets_that_it_was_not_shown() {
        let original = json!({ "url": "https://h/p?token=abc&x=1", "secret": "s", "list": [{ "password": "p", "n": 1 }] });
        let mut edited = redact(&original);
        edited["list"][0]["n"] = json!(2);
        let restored = restore(&edited, &original).expect("every mark has a value");
        assert_eq!(
            restored,
            json!({ "url": "https://h/p?token=abc&x=1", "secret": "s", "list": [{ "password": "p", "n": 2 }] })
        );
        edited["secret"] = json!("new");
        assert_eq!(restore(&edited, &original).expect("a value")["secret"], "new");
        edited["elsewhere"] = json!([MARK]);
        assert_eq!(restore(&edited, &original).expect_err("no value").path, "payload.elsewhere[0]");
    }

    fn payload() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z ?&=:/@.{\\[\"']{0,24}".prop_map(Value::from),
            "[a-z]{0,6}".prop_map(|v| json!(format!("https://u:{v}@h/p?a=1&access_token={v}&b='{v}'"))),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let name = prop_oneof!["[a-z]{1,5}", Just("clientState".to_owned()), Just("x_token".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn showing_twice_shows_the_same_and_what_was_shown_is_restored(value in payload()) {
            let shown = redact(&value);
            prop_assert_eq!(&redact(&shown), &shown);
            prop_assert_eq!(restore(&shown, &value), Ok(value));
        }

        #[test]
        fn no_secret_survives(secret in "[A-Z0-9]{16,32}", name in "[a-z]{0,4}", depth in 0_usize..4) {
            let mut value = json!({
                format!("{name}_token"): secret, "client_secret": [secret], "t": format!("x?sig={secret}&y=1"),
                "url": format!("https://h/a?b=1&tempauth={secret}"), "h": format!("bearer {secret}"),
                "inner": format!("{{\"password\":\"{secret}\"}}"), "who": format!("amqps://u:{secret}@h/"),
            });
            for _ in 0..depth {
                value = json!({ "a": [value] });
            }
            prop_assert!(!redact(&value).to_string().contains(&secret), "{}", redact(&value));
        }
    }
}
