//! Cards for Teams through a workflow ("When a Teams webhook request is received", provider facts A5).
//!
//! A workflow's address is its credential (`sig=` in the query). It is called without our token, and only at hosts
//! that are allowed.

use outbound::http::Request;
use outbound::{Method, Url};
use serde_json::{Value, json};

use crate::client::GraphClient;
use crate::error::{GraphError, GraphErrorKind};

const POST: &str = "card_post";
/// Largest message that Teams takes from a webhook, bytes (add-incoming-webhook).
pub const MAX_CARD: usize = 28 * 1024;

/// Where workflows may live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowHosts {
    /// Host names; a leading `*.` stands for one or more labels.
    pub patterns: Vec<String>,
    /// Addresses below this one pass too, plain HTTP included: for development alone.
    pub development: Option<Url>,
}

impl WorkflowHosts {
    /// The hosts of Power Automate.
    pub const DEFAULT: &str = "*.logic.azure.com,*.environment.api.powerplatform.com";

    /// Whether a card may go there.
    pub fn allows(&self, url: &Url) -> bool {
        if let Some(base) = &self.development {
            let below = url.path().starts_with(base.path());
            if below && url.origin() == base.origin() {
                return true;
            }
        }
        let Some(host) = url.host_str() else { return false };
        let plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
        url.scheme() == "https" && plain && self.patterns.iter().any(|pattern| matches(pattern, host))
    }
}

fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host
            .strip_suffix(domain)
            .and_then(|labels| labels.strip_suffix('.'))
            .is_some_and(|labels| !labels.is_empty()),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

impl GraphClient {
    /// Posts an adaptive card. Never repeated here: workflows offer no look-up.
    ///
    /// # Errors
    /// [`GraphError`]; `Ambiguous` when the card may have been posted. Errors never show the address's query.
    pub async fn post_card(&self, url: &Url, hosts: &WorkflowHosts, card: &Value) -> Result<(), GraphError> {
        let refused =
            |code: &str, message: String| GraphError::own(POST, GraphErrorKind::Refused, code, message, None);
        if !hosts.allows(url) {
            let place = outbound::redact::place(url);
            let message = format!("{place} is not an allowed workflow host (TEAMS_WORKFLOW_HOSTS)");
            return Err(refused("foreignHost", message));
        }
        let message = json!({"type": "message", "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card,
        }]});
        let request = Request::new(Method::POST, url.clone()).json(&message);
        let request = request.map_err(|e| refused("invalidRequest", e.to_string()))?;
        if request.body.len() > MAX_CARD {
            let message = format!("the card has {} bytes, Teams takes {MAX_CARD}", request.body.len());
            return Err(refused("cardTooLarge", message));
        }
        let response = match self.provider().gated_without_token(self.priority(), POST, request).await {
            Ok(response) => response,
            Err(error) => return Err(GraphError::from_call(POST, error).of_write()),
        };
        if response.status.is_success() {
            return Ok(());
        }
        let mut error = GraphError::from_response(POST, &response, false);
        if matches!(error.status, Some(401 | 403 | 404)) {
            // Not our credential: the address was revoked, or its workflow deleted.
            error.kind = GraphErrorKind::Refused;
            error.message =
                format!("the workflow refused the card, create its address anew: {}", error.message);
        }
        Err(error.of_write())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_hosts_get_a_card() {
        let hosts = WorkflowHosts {
            patterns: WorkflowHosts::DEFAULT.split(',').map(str::to_owned).collect(),
            development: Url::parse("http://127.0.0.1:4010/flows/").ok(),
        };
        for good in [
            "https://prod-12.westeurope.logic.azure.com/workflows/x/triggers/manual?sig=s",
            "https://prod-12.westeurope.logic.azure.com:443/workflows/x",
            "https://0ab.d.environment.api.powerplatform.com/powerautomate/x?sig=s",
            "http://127.0.0.1:4010/flows/one?sig=s",
        ] {
            assert!(hosts.allows(&Url::parse(good).expect("a url")), "{good}");
        }
        for bad in [
            "http://prod-12.westeurope.logic.azure.com/x",
            "https://logic.azure.com/x",
            "https://evillogic.azure.com/x",
            "https://prod.logic.azure.com.evil.org/x",
            "https://prod.logic.azure.com@evil.org/x",
            "https://u@prod.logic.azure.com/x",
            "https://prod.logic.azure.com:8443/x",
            "http://127.0.0.1:4010/v1.0/users",
            "http://127.0.0.1:4011/flows/one",
        ] {
            assert!(!hosts.allows(&Url::parse(bad).expect("a url")), "{bad}");
        }
    }
}
