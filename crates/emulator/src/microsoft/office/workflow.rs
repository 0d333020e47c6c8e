//! Workflow webhooks ("When a Teams webhook request is received"): an address whose secret is `sig`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;

/// Largest body of a webhook (add-incoming-webhook).
const MAX_BODY: usize = 28 * 1024;
const MAX_CARDS: usize = 100_000;
const CARD: &str = "application/vnd.microsoft.card.adaptive";

/// Workflows by name, and the cards that they took.
#[derive(Debug)]
pub(crate) struct Workflows {
    secrets: BTreeMap<String, String>,
    cards: Vec<Value>,
}

impl Default for Workflows {
    fn default() -> Self {
        let secrets = BTreeMap::from([("demo".to_owned(), "demo-sig".to_owned())]);
        Self { secrets, cards: Vec::new() }
    }
}

impl Workflows {
    pub(crate) fn put(&mut self, name: &str, secret: &str) {
        self.secrets.insert(name.to_owned(), secret.to_owned());
    }

    pub(crate) fn cards(&self) -> &[Value] {
        &self.cards
    }

    /// `POST /workflows/{name}?sig=…` with a message of adaptive cards.
    pub(crate) fn take(&mut self, name: &str, call: &Call, now: i64) -> Result<Reply, GraphError> {
        if call.method != http::Method::POST {
            return Err(super::not_allowed());
        }
        let secret = self.secrets.get(name).ok_or_else(|| {
            GraphError::new(404, "WorkflowNotFound", format!("The workflow '{name}' could not be found."))
        })?;
        if call.query("sig").as_ref() != Some(secret) {
            let text = "The authentication credentials are not valid.";
            return Err(GraphError::new(401, "AuthorizationFailed", text));
        }
        if call.body.len() > MAX_BODY {
            return Err(GraphError::new(413, "RequestEntityTooLarge", "A message can have 28 KB at most."));
        }
        let invalid = |text: &str| GraphError::new(400, "InvalidRequestContent", text);
        let body = call.json()?;
        let attachments = body["attachments"].as_array().filter(|list| !list.is_empty());
        let attachments = attachments.ok_or_else(|| invalid("The message needs attachments."))?;
        let card = |one: &Value| one["contentType"] == CARD && one["content"]["type"] == "AdaptiveCard";
        if body["type"] != "message" || !attachments.iter().all(card) {
            return Err(invalid("Expected a message with adaptive cards."));
        }
        if self.cards.len() < MAX_CARDS {
            let number = self.cards.len() + 1;
            self.cards.push(json!({"number": number, "time_ms": now, "workflow": name, "message": body}));
        }
        Ok(Reply::empty(202))
    }
}
