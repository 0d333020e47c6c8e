//! Which jobs a notification asks for, by the type of its resource (`microsoft_subscriptions.resource_type`).

use contracts::jobs::{
    EnsureSubscription, PullCalendar, SubscriptionIntent, SyncChannel, SyncChat, SyncDrive, SyncMailbox,
    SyncMode, Trigger, calendar_resource, channel_resource, chat_resource, drive_resource, mailbox_resource,
};
use domain::ids::CompanyId;
use store::jobs::NewJob;
use uuid::Uuid;

const BY: &str = "webhook-ingress";

/// What a subscription watches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// Owner.
    pub company: CompanyId,
    /// `drive`, `mailbox`, `events`, `channel` or `chat`.
    pub kind: String,
    /// Drive or user id, `{team}/{channel}` or chat id.
    pub id: String,
    /// Of `events`: the connection of the mailbox's calendar, while it takes part.
    pub connection: Option<Uuid>,
}

impl Resource {
    /// Resource key of the runs that read it; none when no run does.
    pub fn key(&self) -> Option<String> {
        match self.kind.as_str() {
            "drive" => Some(drive_resource(&self.id)),
            "mailbox" => Some(mailbox_resource(&self.id)),
            "channel" => self.id.split_once('/').map(|(team, channel)| channel_resource(team, channel)),
            "chat" => Some(chat_resource(&self.id)),
            "events" => self.connection.map(calendar_resource),
            _ => None,
        }
    }

    /// Whether its runs read hints.
    pub fn takes_hints(&self) -> bool {
        matches!(self.kind.as_str(), "mailbox" | "channel" | "chat")
    }

    /// The run that reads what changed; one that waits serves every notification before it.
    pub fn run(&self) -> store::Result<Option<NewJob>> {
        let (mode, trigger) = (SyncMode::Delta, Trigger::Webhook);
        let (company, id) = (self.company, || self.id.clone());
        let Some(key) = self.key() else { return Ok(None) };
        if let Some(connection_id) = self.connection {
            let run = PullCalendar { connection_id, trigger, full: false, approved_removals: None };
            // Every source of pulls asks by this name.
            let job = NewJob::new(company, &run, BY)?.dedupe(format!("calendar.pull:{connection_id}"));
            return Ok(Some(job.resource(key)));
        }
        let job = match self.kind.as_str() {
            "drive" => {
                let run =
                    SyncDrive { drive_id: id(), mode, trigger, dry_run: false, approved_removals: None };
                NewJob::new(company, &run, BY)?
            }
            "mailbox" => NewJob::new(
                company,
                &SyncMailbox { user_id: id(), mode, trigger, approved_removals: None },
                BY,
            )?,
            "channel" => {
                let Some((team, channel)) = self.id.split_once('/') else { return Ok(None) };
                let run =
                    SyncChannel { team_id: team.to_owned(), channel_id: channel.to_owned(), mode, trigger };
                NewJob::new(company, &run, BY)?
            }
            _ => NewJob::new(company, &SyncChat { chat_id: id(), mode, trigger }, BY)?,
        };
        Ok(Some(job.dedupe(&*key).resource(&*key)))
    }

    /// The look at the subscription that a lifecycle event asks for (change-notifications-lifecycle-events, Graph v1.0).
    pub fn look_after(&self, event: &str) -> store::Result<NewJob> {
        let (intent, word) = match event {
            "reauthorizationRequired" => (SubscriptionIntent::Reauthorize, "reauthorize"),
            "subscriptionRemoved" => (SubscriptionIntent::Recreate, "recreate"),
            _ => (SubscriptionIntent::Ensure, "ensure"),
        };
        let (kind, id) = (&self.kind, &self.id);
        let payload = EnsureSubscription { resource_type: kind.clone(), resource_id: id.clone(), intent };
        // Older jobs of drives have this key.
        let resource =
            if kind == "drive" { format!("subscription:{id}") } else { format!("subscription:{kind}:{id}") };
        Ok(NewJob::new(self.company, &payload, BY)?.dedupe(format!("{kind}:{id}:{word}")).resource(resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_run_and_key() {
        let company = CompanyId(uuid::Uuid::nil());
        for (kind, id, job, key) in [
            ("drive", "b!d", "documents.sync_drive", "drive:b!d"),
            ("mailbox", "u", "messages.sync_mailbox", "mailbox:u"),
            ("channel", "t/19:c@thread.tacv2", "messages.sync_channel", "channel:t/19:c@thread.tacv2"),
            ("chat", "19:x", "messages.sync_chat", "chat:19:x"),
        ] {
            let resource = Resource { company, kind: kind.to_owned(), id: id.to_owned(), connection: None };
            let run = resource.run().expect("a payload").expect("a run");
            assert_eq!(
                (run.kind, run.dedupe_key.as_deref(), run.resource_key.as_deref()),
                (job, Some(key), Some(key))
            );
        }
        let calendar = Uuid::from_u128(7);
        let events =
            Resource { company, kind: "events".to_owned(), id: "u".to_owned(), connection: Some(calendar) };
        let run = events.run().expect("a payload").expect("a run");
        assert_eq!((run.kind, run.dedupe_key), ("calendar.pull", Some(format!("calendar.pull:{calendar}"))));
        for (kind, id) in [("events", "u"), ("channel", "without a team"), ("new", "x")] {
            let resource = Resource { company, kind: kind.to_owned(), id: id.to_owned(), connection: None };
            assert!(resource.run().expect("a payload").is_none(), "{kind}");
            assert!(resource.look_after("missed").is_ok());
        }
    }
}
