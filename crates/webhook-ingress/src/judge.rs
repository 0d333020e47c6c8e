//! Who sent it: the clientState decides, compared by digest in constant time.

use std::collections::HashMap;

use store::Tx;
use store::subscriptions::{Target, find_by_graph_ids, find_pending_by_digest};

use crate::notification::Notification;

/// Verdict over a notification; targets are those of [`Judged::targets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// From a subscription of ours, with its clientState.
    Accepted(usize),
    /// The subscription is not known (yet).
    Unknown,
    /// The subscription is known and the clientState is another, or what is encrypted was not proven.
    Refused(Option<usize>),
}

/// Verdicts over notifications, in their order.
#[derive(Debug, Default)]
pub struct Judged {
    /// Subscriptions.
    pub targets: Vec<Target>,
    /// One for each notification.
    pub verdicts: Vec<Verdict>,
}

/// Judges notifications with two statements at most.
pub async fn judge(tx: &mut Tx, notifications: &[&Notification]) -> store::Result<Judged> {
    let mut ids: Vec<&str> = notifications.iter().map(|n| n.subscription_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Judged::default());
    }
    let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
    let mut targets = find_by_graph_ids(tx, &ids).await?;
    let known: HashMap<String, usize> = targets
        .iter()
        .enumerate()
        .filter_map(|(n, target)| Some((target.subscription_id.clone()?, n)))
        .collect();

    // A notification can overtake Graph's answer to our POST: the row is there, Graph's id in it is not.
    let mut digests: Vec<Vec<u8>> = notifications
        .iter()
        .filter(|n| !known.contains_key(&n.subscription_id))
        .filter_map(|n| n.proof.map(|proof| proof.bytes().to_vec()))
        .collect();
    digests.sort_unstable();
    digests.dedup();
    let first_pending = targets.len();
    if !digests.is_empty() {
        targets.extend(find_pending_by_digest(tx, &digests).await?);
    }

    let verdict = |notification: &&Notification| {
        let fits =
            |target: &Target| notification.proof.is_some_and(|proof| proof.is(&target.client_state_sha256));
        let known = known.get(&notification.subscription_id).copied();
        if notification.refused.is_some() {
            return Verdict::Refused(known);
        }
        match known {
            Some(n) if fits(&targets[n]) => Verdict::Accepted(n),
            Some(n) => Verdict::Refused(Some(n)),
            None => (first_pending..targets.len())
                .find(|n| fits(&targets[*n]))
                .map_or(Verdict::Unknown, Verdict::Accepted),
        }
    };
    let verdicts = notifications.iter().map(verdict).collect();
    Ok(Judged { targets, verdicts })
}
