//! Who sent it: the clientState decides, compared by digest in constant time.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use store::Tx;
use store::subscriptions::{Target, find_by_graph_ids, find_pending_by_digest};
use subtle::ConstantTimeEq;

use crate::notification::Notification;

/// A notification with its verdict.
#[derive(Debug)]
pub enum Judged {
    /// From a subscription of ours, with its clientState.
    Accepted(Notification, Target),
    /// The subscription is not known (yet).
    Unknown(Notification),
    /// The subscription is known, the clientState is another.
    Refused(Notification, Target),
}

/// Judges the notifications of a delivery with two statements at most.
pub async fn judge(tx: &mut Tx, notifications: Vec<Notification>) -> store::Result<Vec<Judged>> {
    let mut ids: Vec<String> = notifications.iter().map(|n| n.subscription_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let known: HashMap<String, Target> = find_by_graph_ids(tx, &ids)
        .await?
        .into_iter()
        .filter_map(|target| Some((target.subscription_id.clone()?, target)))
        .collect();

    // A notification can overtake Graph's answer to our POST: the row is there, Graph's id in it is not.
    let mut digests: Vec<Vec<u8>> = notifications
        .iter()
        .filter(|n| !known.contains_key(&n.subscription_id))
        .filter_map(|n| n.client_state.as_deref().map(digest))
        .collect();
    digests.sort_unstable();
    digests.dedup();
    let pending = if digests.is_empty() { Vec::new() } else { find_pending_by_digest(tx, &digests).await? };

    Ok(notifications
        .into_iter()
        .map(|notification| {
            let sent = notification.client_state.as_deref().map(digest);
            match known.get(&notification.subscription_id) {
                Some(target) if matches(sent.as_deref(), target) => {
                    Judged::Accepted(notification, target.clone())
                }
                Some(target) => Judged::Refused(notification, target.clone()),
                None => match pending.iter().find(|target| matches(sent.as_deref(), target)) {
                    Some(target) => Judged::Accepted(notification, target.clone()),
                    None => Judged::Unknown(notification),
                },
            }
        })
        .collect())
}

fn matches(sent: Option<&[u8]>, target: &Target) -> bool {
    sent.is_some_and(|sent| sent.ct_eq(&target.client_state_sha256).into())
}

fn digest(client_state: &str) -> Vec<u8> {
    Sha256::digest(client_state.as_bytes()).to_vec()
}
