//! What in a record tells who somebody is, and the markers that stand for it once the record is sealed.
//!
//! Chain and tree are over the markers: whoever is forgotten leaves every proof as it was. A marker is
//! `<subject:ID>` for the subject's own name, or `<subject:ID:BOX>` with a value that the subject's key encrypts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::record::Record;

/// Members whose texts name a person, whatever they look like.
const PERSONAL: [&str; 17] = [
    "user",
    "user_id",
    "userId",
    "upn",
    "userPrincipalName",
    "mail",
    "email",
    "account",
    "organizer",
    "attendees",
    "by",
    "actor",
    "requested_by",
    "updated_by",
    "changed_by",
    "displayName",
    "display_name",
];
/// Hosts of names that look like an address and are nobody's.
const PLACES: [&str; 4] = [
    "group.calendar.google.com",
    "import.calendar.google.com",
    "resource.calendar.google.com",
    "unq.gbl.spaces",
];
/// Roles of what is no person.
const SERVICES: [&str; 2] = ["service", "system"];
const OPENS: &str = "<subject:";
/// Subjects shorter than this are only found where they are the whole text: they may be ordinary words.
const LONG_ENOUGH: usize = 8;

/// The form under which somebody is looked up.
pub fn normalized(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The marker of a subject's own name.
pub fn marker(subject: Uuid) -> String {
    format!("{OPENS}{}>", subject.simple())
}

/// The marker of another value of theirs; `sealed` is base64url without padding.
pub fn boxed_marker(subject: Uuid, sealed: &str) -> String {
    format!("{OPENS}{}:{sealed}>", subject.simple())
}

/// Whether a text names a person by an address.
pub fn names_someone(text: &str) -> bool {
    next_span(text, None).is_some()
}

/// Everyone whom a record that is not sealed yet names: normalized, with the spelling.
pub fn subjects(record: &Record) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    conceal(&mut record.clone(), &mut |whom, plain| {
        // An actor's address is sealed under the actor's name, and is no spelling of it.
        if normalized(plain) == whom {
            found.entry(whom.to_owned()).or_insert_with(|| plain.to_owned());
        }
        plain.to_owned()
    });
    found
}

/// Replaces every personal value by what `seal(whose, value)` makes of it; `whose` is normalized. Whether anything
/// was replaced is seen by comparing.
pub fn conceal(record: &mut Record, seal: &mut impl FnMut(&str, &str) -> String) {
    let person = (!SERVICES.contains(&record.role.as_str()) && !record.actor.trim().is_empty())
        .then(|| record.actor.clone());
    let actor = person.as_deref();
    let mut walk = Walk { actor, seal };
    record.resource = walk.text(&record.resource, false);
    record.reason = record.reason.as_deref().map(|reason| walk.text(reason, false));
    record.changes = record.changes.as_ref().map(|changes| walk.value(changes, false));
    record.details = walk.value(&record.details, false);
    if let Some(actor) = actor {
        let whom = normalized(actor);
        record.address = record.address.as_deref().map(|address| (walk.seal)(&whom, address));
        record.actor = (walk.seal)(&whom, actor);
    }
}

struct Walk<'a, S> {
    actor: Option<&'a str>,
    seal: &'a mut S,
}

impl<S: FnMut(&str, &str) -> String> Walk<'_, S> {
    fn value(&mut self, value: &Value, personal: bool) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text, personal)),
            Value::Array(items) => items.iter().map(|item| self.value(item, personal)).collect(),
            Value::Object(members) => {
                let mut out = Map::new();
                for (name, value) in members {
                    let inherited = personal && matches!(name.as_str(), "before" | "after");
                    let inner = inherited || PERSONAL.contains(&name.as_str());
                    out.insert(self.text(name, false), self.value(value, inner));
                }
                Value::Object(out)
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str, personal: bool) -> String {
        if text.trim().is_empty() {
            return text.to_owned();
        }
        if personal || self.actor.is_some_and(|actor| normalized(actor) == normalized(text)) {
            return (self.seal)(&normalized(text), text);
        }
        let (mut out, mut rest) = (String::new(), text);
        while let Some((from, to)) = next_span(rest, self.actor) {
            let found = &rest[from..to];
            out.push_str(&rest[..from]);
            out.push_str(&(self.seal)(&normalized(found), found));
            rest = &rest[to..];
        }
        out.push_str(rest);
        out
    }
}

/// Replaces every marker of a text by what `open(subject, box)` says.
pub fn reveal_text(text: &str, open: &mut impl FnMut(Uuid, Option<&str>) -> String) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((from, to)) = next_marker(rest) {
        out.push_str(&rest[..from]);
        let inside = &rest[from + OPENS.len()..to - 1];
        let (id, sealed) = inside.split_once(':').map_or((inside, None), |(id, sealed)| (id, Some(sealed)));
        match Uuid::try_parse(id) {
            Ok(id) => out.push_str(&open(id, sealed)),
            Err(_) => out.push_str(&rest[from..to]),
        }
        rest = &rest[to..];
    }
    out.push_str(rest);
    out
}

/// Replaces every marker of a sealed record, to show it to somebody. What comes out is not what was sealed.
pub fn reveal(record: &mut Record, open: &mut impl FnMut(Uuid, Option<&str>) -> String) {
    record.actor = reveal_text(&record.actor, open);
    record.address = record.address.as_deref().map(|text| reveal_text(text, open));
    record.resource = reveal_text(&record.resource, open);
    record.reason = record.reason.as_deref().map(|text| reveal_text(text, open));
    record.changes = record.changes.as_ref().map(|value| reveal_value(value, open));
    record.details = reveal_value(&record.details, open);
}

fn reveal_value(value: &Value, open: &mut impl FnMut(Uuid, Option<&str>) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(reveal_text(text, open)),
        Value::Array(items) => items.iter().map(|item| reveal_value(item, open)).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (reveal_text(name, open), reveal_value(value, open)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// The subjects whose markers a sealed record has.
pub fn marked(record: &Record) -> BTreeSet<Uuid> {
    let mut found = BTreeSet::new();
    reveal(&mut record.clone(), &mut |id, _| {
        found.insert(id);
        String::new()
    });
    found
}

/// The first span that is a name: an address, the actor, or what somebody wrote to look like a marker.
fn next_span(text: &str, actor: Option<&str>) -> Option<(usize, usize)> {
    let own = actor.filter(|actor| actor.len() >= LONG_ENOUGH).and_then(|actor| whole_word(text, actor));
    [next_address(text), next_marker(text), own]
        .into_iter()
        .flatten()
        .min_by_key(|(from, to)| (*from, usize::MAX - to))
}

/// Where a name stands by itself, in whatever letters.
fn whole_word(text: &str, word: &str) -> Option<(usize, usize)> {
    let mut before = None;
    for (from, c) in text.char_indices() {
        let free = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        if free(before)
            && let Some(length) = begins_with(&text[from..], word)
            && free(text[from + length..].chars().next())
        {
            return Some((from, from + length));
        }
        before = Some(c);
    }
    None
}

/// Bytes of `text` that are `word` but for the case of its letters.
fn begins_with(text: &str, word: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    for wanted in word.chars() {
        let (_, found) = chars.next()?;
        if !found.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
    }
    Some(chars.next().map_or(text.len(), |(at, _)| at))
}

fn next_marker(text: &str) -> Option<(usize, usize)> {
    let mut begin = 0;
    while let Some(at) = text[begin..].find(OPENS).map(|at| begin + at) {
        let inside = &text[at + OPENS.len()..];
        let length = inside.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, ':' | '-' | '_'));
        if let Some(length) = length.filter(|length| inside[*length..].starts_with('>')) {
            return Some((at, at + OPENS.len() + length + 1));
        }
        begin = at + OPENS.len();
    }
    None
}

/// The first e-mail address: generous, since what is concealed in vain is still shown to who may read.
fn next_address(text: &str) -> Option<(usize, usize)> {
    for (at, _) in text.match_indices('@') {
        let local = |c: char| c.is_alphanumeric() || "._%+'-!#$&*/=?^`{|}~".contains(c);
        let from =
            text[..at].char_indices().rev().take_while(|(_, c)| local(*c)).last().map(|(from, _)| from);
        let host = &text[at + 1..];
        let end = host.find(|c: char| !c.is_alphanumeric() && c != '.' && c != '-').unwrap_or(host.len());
        let host = host[..end].trim_end_matches(['.', '-']);
        let top = host.rsplit_once('.').map(|(_, top)| top);
        let real = top.is_some_and(|top| top.chars().count() >= 2 && top.chars().all(char::is_alphabetic));
        let place = PLACES.iter().any(|place| host.eq_ignore_ascii_case(place));
        if let Some(from) = from.filter(|_| real && !place) {
            return Some((from, at + 1 + host.len()));
        }
    }
    None
}

#[cfg(test)]
mod tests;
