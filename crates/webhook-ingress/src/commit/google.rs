//! What messages of Google's push channels cause: hints without content, judged by channel, token and resource.

use std::collections::BTreeMap;

use contracts::jobs::{PullCalendar, Trigger, calendar_resource};
use domain::ids::CompanyId;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::Tx;
use store::calendar::webhooks::{Webhook, find_channel, touch};
use store::jobs::{Enqueued, NewJob, enqueue};
use store::receipts::{self, Judgement, NewReceipt};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Effects, Rules, Tally};
use crate::arrival::{Arrival, Content, Source};
use crate::google::message::{Message, State};
use crate::memory::{google_channel, google_sender};

const PROVIDER: &str = "google";
const BY: &str = "webhook-ingress";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Coalesced,
    Sync,
    Ignored,
    Unknown,
    Refused,
}

/// Judges the messages of arrivals and writes what they cause; equal ones are looked at once.
pub(super) async fn write(
    tx: &mut Tx,
    arrivals: &[Arrival],
    rules: &Rules<'_>,
    effects: &mut Effects,
) -> store::Result<()> {
    let mut groups: BTreeMap<_, Vec<(usize, &Message)>> = BTreeMap::new();
    for (place, arrival) in arrivals.iter().enumerate() {
        if let Content::Google(message) = &arrival.content {
            let key = (&message.channel, message.proof, &message.resource, message.state == State::Sync);
            groups.entry(key).or_default().push((place, message));
        }
    }
    for group in groups.into_values() {
        // The newest number is the one to note.
        let Some((place, message)) = group.iter().max_by_key(|(_, message)| message.number).copied() else {
            continue;
        };
        let mut verdict = judge(tx, message, &arrivals[place], rules, effects).await?;
        for (place, _) in group {
            count(&mut effects.tallies[place], verdict);
            if verdict == Verdict::Accepted {
                verdict = Verdict::Coalesced;
            }
        }
    }
    Ok(())
}

fn count(tally: &mut Tally, verdict: Verdict) {
    let counted = match verdict {
        Verdict::Accepted => &mut tally.accepted,
        Verdict::Coalesced => &mut tally.coalesced,
        Verdict::Sync => &mut tally.sync,
        Verdict::Ignored => &mut tally.ignored,
        Verdict::Unknown => &mut tally.unknown,
        Verdict::Refused => &mut tally.refused,
    };
    *counted += 1;
}

async fn judge(
    tx: &mut Tx,
    message: &Message,
    arrival: &Arrival,
    rules: &Rules<'_>,
    effects: &mut Effects,
) -> store::Result<Verdict> {
    let sender = google_sender(&message.channel, message.proof.bytes(), &message.resource);
    let Some(channel) = find_channel(tx, &message.channel).await? else {
        effects.strangers.insert(google_channel(&message.channel));
        keep_stranger(tx, rules, receipt(None, Judgement::Unknown, None, message)).await?;
        return Ok(Verdict::Unknown);
    };
    let company = CompanyId(channel.company_id);
    if !genuine(message, &channel) {
        tracing::warn!(channel = message.channel, %company, "a message of Google is not genuine");
        effects.strangers.insert(sender);
        keep_stranger(tx, rules, receipt(Some(company), Judgement::Refused, None, message)).await?;
        return Ok(Verdict::Refused);
    }
    effects.friends.insert(sender);
    // Late messages of a channel that was stopped, or that nobody can stop.
    if matches!(channel.state.as_str(), "stopped" | "orphaned") || !rules.wake(company) {
        return Ok(Verdict::Ignored);
    }
    touch(tx, channel.id, message.number, &message.resource).await?;
    if message.state == State::Sync {
        return Ok(Verdict::Sync);
    }
    let job = NewJob { trace: arrival.trace(), ..pull_job(company, channel.connection_id)? };
    match enqueue(tx, job).await? {
        // The job that waits has not asked Google yet, and the first of the burst left its receipt.
        Enqueued::Coalesced(_) => Ok(Verdict::Coalesced),
        Enqueued::New(job) => {
            let receipt = receipt(Some(company), Judgement::Accepted, Some(job.uuid()), message);
            receipts::record(tx, &[receipt]).await?;
            Ok(Verdict::Accepted)
        }
    }
}

async fn keep_stranger(tx: &mut Tx, rules: &Rules<'_>, receipt: NewReceipt) -> store::Result<()> {
    if (rules.keep_strangers)(Source::Google) { receipts::record(tx, &[receipt]).await } else { Ok(()) }
}

/// Whether the message carries the channel's token and resource, compared in constant time. While the registration
/// is not answered the resource is not known yet: the token alone decides.
fn genuine(message: &Message, channel: &Webhook) -> bool {
    let token_fits = message.proof.bytes().ct_eq(&channel.token_sha256);
    let resource_fits = match &channel.resource_id {
        Some(resource) => {
            Sha256::digest(resource.as_bytes()).ct_eq(Sha256::digest(message.resource.as_bytes()).as_slice())
        }
        None => 1.into(),
    };
    (token_fits & resource_fits).into()
}

fn pull_job(company: CompanyId, connection: Uuid) -> store::Result<NewJob> {
    let payload = PullCalendar {
        connection_id: connection,
        trigger: Trigger::Webhook,
        full: false,
        approved_removals: None,
    };
    Ok(NewJob::new(company, &payload, BY)?
        .dedupe(format!("calendar.pull:{connection}"))
        .resource(calendar_resource(connection)))
}

fn receipt(
    company: Option<CompanyId>,
    result: Judgement,
    job_id: Option<Uuid>,
    message: &Message,
) -> NewReceipt {
    NewReceipt {
        id: message.id,
        company,
        provider: PROVIDER,
        subscription_id: Some(message.channel.clone()),
        resource: message.resource_uri.clone(),
        change_type: Some(message.state.as_str().to_owned()),
        result,
        job_id,
        body: json!({
            "channel_id": message.channel, "resource_id": message.resource, "message_number": message.number,
            "resource_state": message.state.as_str(), "resource_uri": message.resource_uri,
            "channel_expiration": message.expiration,
        }),
    }
}
