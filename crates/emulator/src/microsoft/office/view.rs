//! What all lists of this half share: options of the query, preferences, pages.

use std::collections::BTreeSet;

use http::HeaderName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::http::{Call, PageFault, Reply, query_pairs};

const IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'$');

/// Whether `Prefer` has this value; names are compared without regard to case and spaces.
pub(crate) fn prefers(call: &Call, wanted: &str) -> bool {
    let clean = |text: &str| text.to_ascii_lowercase().replace([' ', '"'], "");
    let wanted = clean(wanted);
    call.headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split([',', ';']).any(|one| clean(one) == wanted))
}

/// Whether immutable ids are wanted (outlook-immutable-id): on this request, not for ever.
pub(crate) fn immutable(call: &Call) -> bool {
    prefers(call, "IdType=ImmutableId")
}

/// `Prefer: odata.maxpagesize=n`.
pub(crate) fn page_size(call: &Call) -> Option<usize> {
    let values = call.headers.get_all("prefer");
    let mut parts =
        values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([',', ';']));
    parts.find_map(|one| one.trim().strip_prefix("odata.maxpagesize=")?.trim_matches('"').parse().ok())
}

/// The names of `$select`; `None` for all.
pub(crate) fn selected(list: Option<&str>) -> Option<BTreeSet<String>> {
    let list = list.filter(|list| !list.trim().is_empty())?;
    Some(list.split(',').map(|name| name.trim().to_owned()).collect())
}

/// Keeps what was selected, the id, and annotations.
pub(crate) fn keep(map: &mut Map<String, Value>, select: Option<&BTreeSet<String>>) {
    if let Some(select) = select {
        map.retain(|name, _| name == "id" || name.starts_with('@') || select.contains(name));
    }
}

/// The address of this call with some options replaced.
pub(crate) fn link(call: &Call, drop: &[&str], add: &[(&str, &str)]) -> String {
    let kept = query_pairs(&call.query).filter(|(name, _)| {
        !drop.iter().chain(add.iter().map(|(name, _)| name)).any(|gone| gone.eq_ignore_ascii_case(name))
    });
    let all = kept.chain(add.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let query: Vec<String> =
        all.map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, IN_QUERY))).collect();
    format!("{}{}?{}", call.origin, call.path, query.join("&"))
}

/// One page of a list or of a delta.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) context: String,
    pub(crate) value: Vec<Value>,
    pub(crate) next: Option<String>,
    pub(crate) delta: Option<String>,
    pub(crate) count: Option<usize>,
}

impl Page {
    /// The answer, with the faults that pages can have.
    pub(crate) fn reply(mut self, call: &Call) -> Reply {
        match call.page_fault {
            Some(PageFault::Empty) => {
                self.value.clear();
                (self.next, self.delta) = (Some(call.url()), None);
            }
            Some(PageFault::Loop) => (self.next, self.delta) = (Some(call.url()), None),
            None => {}
        }
        let mut body = json!({"@odata.context": format!("{}/v1.0/$metadata#{}", call.origin, self.context)});
        if let Some(count) = self.count {
            body["@odata.count"] = json!(count);
        }
        if let Some(next) = self.next {
            body["@odata.nextLink"] = json!(next);
        }
        if let Some(delta) = self.delta {
            body["@odata.deltaLink"] = json!(delta);
        }
        body["value"] = Value::Array(self.value);
        applied(Reply::json(200, &body), call)
    }
}

/// Says which preferences were honoured.
pub(crate) fn applied(reply: Reply, call: &Call) -> Reply {
    let mut honoured = Vec::new();
    if immutable(call) {
        honoured.push("IdType=\"ImmutableId\"".to_owned());
    }
    if let Some(size) = page_size(call) {
        honoured.push(format!("odata.maxpagesize={size}"));
    }
    if honoured.is_empty() {
        return reply;
    }
    reply.with(HeaderName::from_static("preference-applied"), &honoured.join(", "))
}
