//! Runs of mailboxes, channels and chats.

use contracts::jobs::{
    SyncChannel, SyncChat, SyncMailbox, SyncMode, Trigger, channel_resource, chat_resource, mailbox_resource,
};
use domain::ids::CompanyId;
use store::jobs::NewJob;

/// A run of a mailbox that a person waits for. `purpose` keeps it from coalescing with one that would do less.
pub(crate) fn mailbox_job(
    company: CompanyId,
    user_id: &str,
    mode: SyncMode,
    purpose: &str,
    by: &str,
    trigger: Trigger,
    approved_removals: Option<i64>,
) -> store::Result<NewJob> {
    let payload = SyncMailbox { user_id: user_id.to_owned(), mode, trigger, approved_removals };
    let key = mailbox_resource(user_id);
    Ok(NewJob::new(company, &payload, by)?.dedupe(format!("{key}:{purpose}")).resource(key).priority(8))
}

/// A run of a channel that a person waits for.
pub(crate) fn channel_job(
    company: CompanyId,
    team_id: &str,
    channel_id: &str,
    mode: SyncMode,
    by: &str,
    trigger: Trigger,
) -> store::Result<NewJob> {
    let payload =
        SyncChannel { team_id: team_id.to_owned(), channel_id: channel_id.to_owned(), mode, trigger };
    let key = channel_resource(team_id, channel_id);
    Ok(NewJob::new(company, &payload, by)?.dedupe(format!("{key}:{mode:?}")).resource(key).priority(8))
}

/// A run of a chat that a person waits for.
pub(crate) fn chat_job(
    company: CompanyId,
    chat_id: &str,
    mode: SyncMode,
    by: &str,
    trigger: Trigger,
) -> store::Result<NewJob> {
    let payload = SyncChat { chat_id: chat_id.to_owned(), mode, trigger };
    let key = chat_resource(chat_id);
    Ok(NewJob::new(company, &payload, by)?.dedupe(format!("{key}:{mode:?}")).resource(key).priority(8))
}
