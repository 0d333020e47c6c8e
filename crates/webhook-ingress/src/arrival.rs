//! One delivery on its way to the database or into the spool.

use chassis::trace::TraceContext;
use serde::{Deserialize, Serialize};

use crate::google::message::Message;
use crate::memory::{Key, google_sender, graph_sender};
use crate::notification::Notification;

/// Which door it came through: the label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `/api/webhooks/microsoft`
    Microsoft,
    /// `/api/webhooks/onedrive`
    Onedrive,
    /// `/api/webhooks/teams`
    Teams,
    /// `/api/webhooks/outlook`
    Outlook,
    /// `/api/webhooks/microsoft/lifecycle`
    Lifecycle,
    /// `/api/webhooks/google-calendar`
    Google,
}

impl Source {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Microsoft => "microsoft",
            Source::Onedrive => "onedrive",
            Source::Teams => "teams",
            Source::Outlook => "outlook",
            Source::Lifecycle => "lifecycle",
            Source::Google => "google",
        }
    }
}

/// A delivery that was read and not judged. No secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// Its door.
    pub source: Source,
    /// What it says.
    pub content: Content,
    /// Trace of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Trace of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Notifications of Graph.
    Graph(Vec<Notification>),
    /// A message of Google.
    Google(Message),
}

impl Arrival {
    /// A delivery, with the trace under way.
    pub fn new(source: Source, content: Content) -> Self {
        let TraceContext { traceparent, tracestate } = TraceContext::current();
        Self { source, content, traceparent, tracestate }
    }

    /// The trace of its request.
    pub fn trace(&self) -> TraceContext {
        TraceContext { traceparent: self.traceparent.clone(), tracestate: self.tracestate.clone() }
    }

    /// How many notifications it has.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Graph(notifications) => notifications.len(),
            Content::Google(_) => 1,
        }
    }

    /// Its senders, for the memories.
    pub fn senders(&self) -> Vec<Key> {
        match &self.content {
            Content::Graph(all) => all.iter().map(sender).collect(),
            Content::Google(message) => {
                vec![google_sender(&message.channel, message.proof.bytes(), &message.resource)]
            }
        }
    }
}

/// The sender of a notification.
pub fn sender(notification: &Notification) -> Key {
    let proof = notification.proof.as_ref().map_or(&[][..], |proof| proof.bytes());
    graph_sender(&notification.subscription_id, proof)
}
