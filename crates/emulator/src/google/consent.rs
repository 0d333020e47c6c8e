//! `/o/oauth2/v2/auth`: the consent page, for people and for tests that approve at once.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use http::Method;
use http::header::{CONTENT_TYPE, LOCATION};
use url::Url;

use super::oauth::Asked;
use crate::http::{Body, Call, Reply, query_pairs};
use crate::world::World;

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) fn html(status: u16, text: String) -> Reply {
    let mut reply = Reply::empty(status).with(CONTENT_TYPE, "text/html; charset=utf-8");
    reply.body = Body::Bytes(text.into());
    reply
}

fn fault(code: &str, detail: &str) -> Reply {
    html(
        400,
        format!(
            "<!doctype html><title>Error 400: {code}</title><h1>Access blocked</h1><p>Error 400: {code}</p><p>{}</p>",
            escape(detail)
        ),
    )
}

struct Request {
    asked: Asked,
    state: Option<String>,
    account: Option<String>,
}

fn read(world: &World, pairs: &[(String, String)]) -> Result<Request, Box<Reply>> {
    let fields: HashMap<&str, &str> =
        pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    let oauth = world.google.oauth();
    let Some(app) = oauth.app(field("client_id")) else {
        return Err(Box::new(fault("invalid_client", "The OAuth client was not found.")));
    };
    let redirect_uri = field("redirect_uri");
    let registered = app.redirect_uris.is_empty() || app.redirect_uris.iter().any(|one| one == redirect_uri);
    if !registered || Url::parse(redirect_uri).is_err() {
        return Err(Box::new(fault(
            "redirect_uri_mismatch",
            &format!("redirect_uri={redirect_uri} is not registered for this client"),
        )));
    }
    if field("response_type") != "code" {
        return Err(Box::new(fault("unsupported_response_type", "response_type must be code")));
    }
    let scopes: BTreeSet<String> = field("scope").split_whitespace().map(ToOwned::to_owned).collect();
    if scopes.is_empty() {
        return Err(Box::new(fault("invalid_request", "Missing required parameter: scope")));
    }
    let method = match field("code_challenge_method") {
        "" => "plain",
        method @ ("plain" | "S256") => method,
        other => {
            return Err(Box::new(fault(
                "invalid_request",
                &format!("Invalid code_challenge_method: {other}"),
            )));
        }
    };
    let challenge = field("code_challenge");
    Ok(Request {
        asked: Asked {
            client_id: app.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            offline: field("access_type") == "offline",
            consent: field("prompt").split_whitespace().any(|word| word == "consent"),
            include_granted: field("include_granted_scopes") == "true",
            challenge: (!challenge.is_empty()).then(|| (method.to_owned(), challenge.to_owned())),
        },
        state: fields.get("state").map(|state| (*state).to_owned()),
        account: fields
            .get("account")
            .or_else(|| fields.get("login_hint"))
            .map(|account| (*account).to_owned())
            .filter(|account| !account.is_empty()),
    })
}

/// Sends the browser back with these parameters and the state.
fn back(request: &Request, pairs: &[(&str, &str)]) -> Reply {
    let Ok(mut url) = Url::parse(&request.asked.redirect_uri) else {
        return fault("redirect_uri_mismatch", "The redirect URI cannot be read.");
    };
    {
        let mut query = url.query_pairs_mut();
        if let Some(state) = &request.state {
            query.append_pair("state", state);
        }
        for (key, value) in pairs {
            query.append_pair(key, value);
        }
    }
    Reply::empty(302).with(LOCATION, url.as_str())
}

fn approve(world: &World, mut request: Request, account: &str) -> Reply {
    let now = world.clock.now();
    let withheld = {
        let mut model = world.google.model();
        if let Err(error) = model.create_account(account, "UTC") {
            return fault("server_error", &error.to_string());
        }
        model.switches().withheld_scopes.clone()
    };
    // Granular consent: the answer may be a subset.
    request.asked.scopes.retain(|scope| !withheld.contains(scope));
    let scopes: Vec<String> = request.asked.scopes.iter().cloned().collect();
    let code = world.google.oauth().approve(request.asked.clone(), account, now);
    back(&request, &[("code", &code), ("scope", &scopes.join(" "))])
}

/// GET shows the page; POST with `decision=approve` or `deny` answers it. `auto_approve=true` in the query, or
/// the emulator's option, answers at once.
pub(crate) fn answer(world: &World, call: &Call) -> Reply {
    let body = String::from_utf8_lossy(&call.body).into_owned();
    let mut pairs: Vec<(String, String)> = query_pairs(&call.query).collect();
    if call.method == Method::POST {
        pairs.extend(query_pairs(&body));
    }
    let mut request = match read(world, &pairs) {
        Ok(request) => request,
        Err(reply) => return *reply,
    };
    let known: Vec<String> = world.google.model().accounts().map(ToOwned::to_owned).collect();
    let account = request.account.clone().or_else(|| known.first().cloned());
    let value = |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let auto = world.config.google_auto_approve || value("auto_approve") == Some("true");
    match (value("decision"), account) {
        (Some("deny"), _) => back(&request, &[("error", "access_denied")]),
        (Some("approve"), Some(account)) => {
            let ticked: BTreeSet<String> =
                pairs.iter().filter(|(key, _)| key == "grant").map(|(_, scope)| scope.clone()).collect();
            if !ticked.is_empty() {
                request.asked.scopes.retain(|scope| ticked.contains(scope));
            }
            approve(world, request, &account)
        }
        (None, Some(account)) if auto => approve(world, request, &account),
        _ => page(&request, &known, &pairs),
    }
}

fn page(request: &Request, known: &[String], pairs: &[(String, String)]) -> Reply {
    let (mut hidden, mut scopes, mut options) = (String::new(), String::new(), String::new());
    for (key, value) in pairs {
        if !matches!(key.as_str(), "login_hint" | "account" | "decision") {
            let (key, value) = (escape(key), escape(value));
            let _ = write!(hidden, "<input type=hidden name=\"{key}\" value=\"{value}\">");
        }
    }
    for scope in &request.asked.scopes {
        let scope = escape(scope);
        let _ = write!(
            scopes,
            "<label><input type=checkbox name=grant value=\"{scope}\" checked> {scope}</label><br>"
        );
    }
    for email in known {
        let _ = write!(options, "<option value=\"{}\">", escape(email));
    }
    let chosen = request.account.as_ref().or_else(|| known.first()).map(|email| escape(email));
    html(
        200,
        format!(
            "<!doctype html><meta charset=utf-8><title>Sign in - Google (emulator)</title>\
             <h1>{} wants access to your account</h1>\
             <form method=post action=\"/o/oauth2/v2/auth\">{hidden}\
             <p><label>Account <input name=account list=accounts value=\"{}\" required></label>\
             <datalist id=accounts>{options}</datalist></p><p>{scopes}</p>\
             <button name=decision value=approve>Allow</button> <button name=decision value=deny>Cancel</button></form>",
            escape(&request.asked.client_id),
            chosen.unwrap_or_default(),
        ),
    )
}
