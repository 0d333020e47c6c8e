//! Graph's addresses: `/drives/{id}/root:/a/b:/children`, `drives('id')/items('id')/…`, users and sites.

use crate::http::{Call, decode, query_pairs};
use crate::microsoft::errors::GraphError;

/// Which drive is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DriveRef {
    Id(String),
    User(String),
    Site(String),
}

/// Which item is meant, before it is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemRef {
    /// Item id; `None` for the root.
    pub(crate) id: Option<String>,
    /// Names below it.
    pub(crate) path: Vec<String>,
}

/// What is asked of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Item,
    Children,
    Content,
    Delta(Option<String>),
    CreateUploadSession,
}

/// A parsed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Drives,
    DrivesOf(DriveRef),
    Drive(DriveRef),
    Item(DriveRef, ItemRef, Action),
    Subscriptions,
    Subscription(String),
    Reauthorize(String),
    Batch,
}

/// Splits off the first segment; both parts without the slash between them.
fn segment(rest: &str) -> (&str, &str) {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    rest.split_once('/').unwrap_or((rest, ""))
}

/// The key in `items/{key}` or `items('{key}')`, and what follows.
fn keyed<'a>(rest: &'a str, collection: &str) -> Option<(String, &'a str)> {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let tail = rest.strip_prefix(collection)?;
    if let Some(inside) = tail.strip_prefix("('") {
        let (key, after) = inside.split_once("')")?;
        return Some((decode(key), after));
    }
    let tail = tail.strip_prefix('/')?;
    let end = tail.find(['/', ':']).unwrap_or(tail.len());
    let (key, after) = tail.split_at(end);
    (!key.is_empty()).then(|| (decode(key), after))
}

/// Parses what follows `/v1.0`.
pub(crate) fn parse(path: &str, call: &Call) -> Result<Target, GraphError> {
    let unknown = || {
        GraphError::new(
            400,
            "BadRequest",
            format!("Resource not found for the segment '{}'.", segment(path).0),
        )
    };
    let path = path.trim_end_matches('/');
    if path == "/$batch" {
        return Ok(Target::Batch);
    }
    if path == "/subscriptions" {
        return Ok(Target::Subscriptions);
    }
    if let Some((id, rest)) = keyed(path, "subscriptions") {
        return match rest {
            "" => Ok(Target::Subscription(id)),
            "/reauthorize" => Ok(Target::Reauthorize(id)),
            _ => Err(unknown()),
        };
    }
    if path == "/drives" {
        return Ok(Target::Drives);
    }
    if let Some((id, rest)) = keyed(path, "drives") {
        return drive(DriveRef::Id(id), rest, call).ok_or_else(unknown);
    }
    if segment(path).0 == "me" {
        return Err(GraphError::invalid(
            "Call was made to the default drive, which is not supported for apponly tokens.",
        ));
    }
    for (collection, wrap) in [
        ("users", DriveRef::User as fn(String) -> DriveRef),
        ("groups", DriveRef::Site),
        ("sites", DriveRef::Site),
    ] {
        let Some((mut id, mut rest)) = keyed(path, collection) else { continue };
        // sites/{origin}:/{server-relative path}:
        if let Some(colon) = rest.strip_prefix(':') {
            let (relative, after) = colon.split_once(':').unwrap_or((colon, ""));
            id = format!("{id}:{}", decode(relative));
            rest = after;
        }
        let owner = wrap(id);
        return match segment(rest) {
            ("drives", "") => Ok(Target::DrivesOf(owner)),
            ("drive", _) => {
                let after = rest.strip_prefix("/drive").unwrap_or_default();
                drive(owner, after, call).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        };
    }
    Err(unknown())
}

fn drive(owner: DriveRef, rest: &str, call: &Call) -> Option<Target> {
    if rest.is_empty() {
        return Some(Target::Drive(owner));
    }
    let (id, rest) = match keyed(rest, "items") {
        Some((id, rest)) => (Some(id), rest),
        None => (None, rest.strip_prefix("/root")?),
    };
    let (path, rest) = match rest.strip_prefix(':') {
        None => (Vec::new(), rest),
        Some(relative) => {
            let (relative, after) = relative.split_once(':').unwrap_or((relative, ""));
            let names = relative.split('/').filter(|name| !name.is_empty()).map(decode).collect();
            (names, after)
        }
    };
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let action = match rest {
        "" => Action::Item,
        "children" => Action::Children,
        "content" => Action::Content,
        "createUploadSession" | "microsoft.graph.createUploadSession" => Action::CreateUploadSession,
        _ => Action::Delta(delta_token(rest, call)?),
    };
    Some(Target::Item(owner, ItemRef { id, path }, action))
}

/// The token of `delta`, wherever it is spelled; `None` outside when this is no delta at all.
#[expect(clippy::option_option, reason = "no delta, delta without token, delta with token")]
fn delta_token(rest: &str, call: &Call) -> Option<Option<String>> {
    let rest = rest.strip_prefix("microsoft.graph.").unwrap_or(rest);
    let arguments = rest.strip_prefix("delta")?;
    let inside = match arguments {
        "" => "",
        _ => arguments.strip_prefix('(')?.strip_suffix(')')?,
    };
    let quoted = |text: &str| {
        let text = decode(text);
        text.trim_matches('\'').to_owned()
    };
    if let Some(token) = inside.strip_prefix("token=") {
        return Some(Some(quoted(token)));
    }
    if !inside.is_empty() {
        return None;
    }
    let token = query_pairs(&call.query).find_map(|(key, value)| match key.as_str() {
        "token" | "$deltatoken" | "$skiptoken" => Some(value),
        // The odd spelling `delta?(token='…')` of the documentation.
        "(token" => Some(value.trim_end_matches(')').trim_matches('\'').to_owned()),
        _ => None,
    });
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    fn call(path: &str) -> Call {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Call {
            method: Method::GET,
            path: path.into(),
            query: query.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            origin: "h".into(),
            account: None,
            page_fault: None,
        }
    }

    fn item(url: &str) -> (DriveRef, ItemRef, Action) {
        let call = call(url);
        match parse(&call.path, &call) {
            Ok(Target::Item(drive, item, action)) => (drive, item, action),
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn all_spellings_of_delta_carry_their_token() {
        for url in [
            "/drives/b!x/root/delta?token=T-1_2",
            "/drives/b!x/root/delta(token='T-1_2')",
            "/drives/b!x/root/delta(token=T-1_2)",
            "/drives/b!x/root/delta?(token='T-1_2')",
            "/drives('b!x')/root/microsoft.graph.delta(token='T-1_2')",
            "/drives('b!x')/root/microsoft.graph.delta(token=%27T-1_2%27)",
        ] {
            assert_eq!(item(url).2, Action::Delta(Some("T-1_2".into())), "{url}");
        }
        assert_eq!(item("/drives/x/root/delta").2, Action::Delta(None));
        assert_eq!(item("/drives/x/root/delta()").2, Action::Delta(None));
        let (drive, folder, _) = item("/drives('x')/items('01ABC')/microsoft.graph.delta(token='t')");
        assert_eq!((drive, folder.id.as_deref()), (DriveRef::Id("x".into()), Some("01ABC")));
    }

    #[test]
    fn paths_are_decoded_by_segment() {
        let (_, address, action) = item("/drives/x/root:/Ryan's%20Files/100%25%20%23.txt:/children");
        assert_eq!(address.path, ["Ryan's Files", "100% #.txt"]);
        assert_eq!(action, Action::Children);
        let (_, address, action) = item("/users/u@example.org/drive/items/01A:/b/c.txt:/content");
        assert_eq!((address.id.as_deref(), address.path.len(), action), (Some("01A"), 2, Action::Content));
        assert_eq!(item("/sites/contoso.sharepoint.com:/sites/plans:/drive/root").2, Action::Item);
        let root = item("/drives/x/root:/");
        assert_eq!(root.1, ItemRef { id: None, path: vec![] });
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["/planner/tasks", "/drives/x/root/deltas", "/me/drive", "/drives/x/rot"] {
            let call = call(url);
            assert!(parse(&call.path, &call).is_err(), "{url}");
        }
    }
}
