//! A record of the trail, and its place in the chain.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::canonical::canonical;
use super::chain::Hash;
use super::merkle::leaf_hash;

/// One action. As it is sealed, markers stand for who is named in it ([`super::personal`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Id.
    pub id: Uuid,
    /// Organization; `None` for what belongs to none.
    pub company_id: Option<Uuid>,
    /// Place in the organization's chain, from 1 without gaps.
    pub sequence: u64,
    /// Key that sealed it.
    pub key_id: String,
    /// When, to the microsecond.
    pub occurred_at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// As what.
    pub role: String,
    /// From which address.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// Why.
    pub reason: Option<String>,
    /// Request.
    pub request_id: Option<String>,
    /// Trace.
    pub trace_id: Option<String>,
    /// Job.
    pub job_id: Option<Uuid>,
    /// Member by member: before and after.
    pub changes: Option<Value>,
    /// Whatever else tells the action apart.
    pub details: Value,
}

impl Record {
    /// The bytes that chain and tree cover; the sequence, the key and the organization are among them, so that a
    /// record fits nowhere else.
    pub fn canonical(&self) -> Vec<u8> {
        canonical(&json!({
            "v": 1,
            "id": self.id,
            "company_id": self.company_id,
            "sequence": self.sequence,
            "key_id": self.key_id,
            "occurred_at": self.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "actor": self.actor,
            "role": self.role,
            "address": self.address,
            "action": self.action,
            "resource": self.resource,
            "reason": self.reason,
            "request_id": self.request_id,
            "trace_id": self.trace_id,
            "job_id": self.job_id,
            "changes": self.changes,
            "details": self.details,
        }))
    }

    /// Record class: the first word of the action, such as `schedule` of `schedule.pause`.
    pub fn class(&self) -> &str {
        self.action.split('.').next().unwrap_or_default()
    }
}

/// A record with the link that holds it; one line of an export or an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The record.
    pub record: Record,
    /// `HMAC(key, hash before || sequence || record)`.
    pub hash: Hash,
}

impl Sealed {
    /// Hash of its leaf in the tree.
    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.record.canonical())
    }
}
