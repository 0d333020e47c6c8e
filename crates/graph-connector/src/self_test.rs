//! Calls our own public addresses as Graph does before it creates a subscription (pain 17).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::ids::new_id;
use chrono::{DateTime, Utc};
use domain::time::{SharedClock, after};
use outbound::HeaderValue;
use outbound::http::{HttpClient, HttpError, Request, Response};
use outbound::{Method, Url, header};

/// Graph gives up after ten seconds (change-notifications-delivery-webhooks).
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a passed test is believed.
const BELIEVED: Duration = Duration::from_mins(10);

/// The doors that Graph calls.
pub(crate) const DOORS: [&str; 4] = [
    "/api/webhooks/onedrive",
    "/api/webhooks/outlook",
    "/api/webhooks/teams",
    crate::subscription::LIFECYCLE_PATH,
];

/// One tested address.
#[derive(Debug)]
pub(crate) struct Tested {
    pub url: String,
    /// What is wrong and what to do.
    pub fault: Option<String>,
}

/// Tests, and remembers what passed.
#[derive(Debug)]
pub(crate) struct SelfTest {
    http: Arc<HttpClient>,
    base: Option<Url>,
    clock: SharedClock,
    passed: Mutex<HashMap<&'static str, DateTime<Utc>>>,
}

impl SelfTest {
    pub fn new(http: Arc<HttpClient>, base: Option<Url>, clock: SharedClock) -> Self {
        Self { http, base, clock, passed: Mutex::default() }
    }

    /// Tests all doors anew.
    pub async fn all(&self) -> Vec<Tested> {
        let mut tested = Vec::with_capacity(DOORS.len());
        for door in DOORS {
            if let Some(url) = self.address(door) {
                let fault = self.test(door, url.clone()).await;
                tested.push(Tested { url: url.to_string(), fault });
            }
        }
        tested
    }

    /// The first fault of these doors; what passed a while ago is believed.
    pub async fn fault(&self, doors: &[&'static str]) -> Option<String> {
        for &door in doors {
            let believed = {
                let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
                passed.get(door).is_some_and(|at| self.clock.now() < after(*at, BELIEVED))
            };
            if !believed
                && let Some(url) = self.address(door)
                && let Some(fault) = self.test(door, url.clone()).await
            {
                return Some(format!("{url}: {fault}"));
            }
        }
        None
    }

    fn address(&self, door: &str) -> Option<Url> {
        let base = self.base.as_ref()?.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{door}")).ok()
    }

    async fn test(&self, door: &'static str, mut url: Url) -> Option<String> {
        // Like Graph's own: blanks, colons and signs that an encoded echo would give back encoded.
        let token =
            format!("Validation: Testing client application reachability+for/subscription {}", new_id());
        url.query_pairs_mut().append_pair("validationToken", &token);
        let request = Request::new(Method::POST, url)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
            .deadline(DEADLINE);
        let fault = judge(&self.http.send(request).await, &token);
        if fault.is_none() {
            let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            passed.insert(door, self.clock.now());
        }
        fault
    }
}

/// What is wrong with an answer to the handshake, and what to do.
fn judge(answer: &Result<Response, HttpError>, token: &str) -> Option<String> {
    let response = match answer {
        Ok(response) => response,
        Err(HttpError::Timeout { .. }) => {
            return Some("no answer within 10 s: check that webhook-ingress runs behind this address".into());
        }
        Err(HttpError::Connect { .. }) => {
            return Some("no connection: check DNS, firewall and certificate of WEBHOOK_BASE_URL".into());
        }
        Err(error) => return Some(error.to_string()),
    };
    let status = response.status.as_u16();
    match status {
        200 => {}
        401 | 403 => {
            return Some(format!(
                "status {status}: something in front asks for a login or filters; let POST through"
            ));
        }
        301..=308 => {
            return Some(format!("status {status}: Graph follows no redirect; set the final address"));
        }
        404 | 405 => return Some(format!("status {status}: the path does not reach webhook-ingress")),
        _ => return Some(format!("status {status} instead of 200")),
    }
    let text = String::from_utf8_lossy(&response.body);
    if text != token {
        let encoded: String = url_encoded(token);
        return Some(if *text == *encoded {
            "the token came back encoded: it must be decoded before it is echoed".into()
        } else {
            "the token did not come back: something else answers at this address".into()
        });
    }
    let kind = response.header("content-type").unwrap_or_default().to_ascii_lowercase();
    if !kind.starts_with("text/plain") {
        return Some(format!("the answer is `{kind}`, Graph needs text/plain"));
    }
    None
}

fn url_encoded(token: &str) -> String {
    let mut url = Url::parse("http://x/").expect("a constant that is an address");
    url.query_pairs_mut().append_pair("t", token);
    url.query().and_then(|query| query.strip_prefix("t=")).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use outbound::{HeaderMap, StatusCode};

    #[expect(clippy::unnecessary_wraps, reason = "the shape of an exchange")]
    fn answer(status: u16, kind: &'static str, body: &str) -> Result<Response, HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        let status = StatusCode::from_u16(status).expect("a status");
        Ok(Response { status, headers, body: body.as_bytes().to_vec().into(), place: String::new() })
    }

    #[test]
    fn faults_say_what_to_do() {
        let token = "a b: c+d";
        assert_eq!(judge(&answer(200, "text/plain; charset=utf-8", token), token), None);
        for (given, word) in [
            (answer(200, "text/plain", &url_encoded(token)), "encoded"),
            (answer(200, "text/plain", "hello"), "something else"),
            (answer(200, "application/json", token), "text/plain"),
            (answer(403, "text/html", ""), "filters"),
            (answer(404, "text/plain", token), "webhook-ingress"),
            (answer(302, "text/plain", token), "redirect"),
            (answer(202, "text/plain", token), "instead of 200"),
        ] {
            let fault = judge(&given, token).expect("a fault");
            assert!(fault.contains(word), "{fault}");
        }
    }
}
