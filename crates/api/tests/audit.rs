//! What changes something leaves an audit record, or it stands here why not.

use std::collections::BTreeSet;
use std::path::Path;

/// Method, path, and the actions of its records; no action: the reason.
type Row = (&'static str, &'static str, Result<&'static [&'static str], &'static str>);

const TABLE: &[Row] = &[
    ("put", "/api/aos/{aoId}", Ok(&["ao.put"])),
    ("post", "/api/cache/clear", Ok(&["cache.clear"])),
    ("post", "/api/calendar/sync", Ok(&["calendar.sync"])),
    ("post", "/api/connections", Ok(&["connection.connect"])),
    ("delete", "/api/connections/{id}", Ok(&["connection.disconnect"])),
    ("patch", "/api/connections/{id}", Ok(&["connection.change"])),
    ("put", "/api/drives/{driveId}", Ok(&["drive.put"])),
    ("post", "/api/events", Ok(&["event.create"])),
    ("delete", "/api/events/{id}", Ok(&["event.delete"])),
    ("patch", "/api/events/{id}", Ok(&["event.change"])),
    ("post", "/api/events/{series}/occurrences", Ok(&["event.except"])),
    ("post", "/api/events/{series}/split", Ok(&["event.split"])),
    ("put", "/api/flags/{name}", Ok(&["flag.set"])),
    ("get", "/api/login/microsoft", Ok(&["microsoft.login"])),
    ("put", "/api/mailboxes/{user}", Ok(&["mailbox.put"])),
    ("post", "/api/messages/outbox/{id}/cancel", Ok(&["messages.cancel"])),
    ("post", "/api/messages/outbox/{id}/retry", Ok(&["messages.retry"])),
    ("post", "/api/messages/send", Ok(&["messages.send"])),
    ("get", "/api/oauth/google/callback", Ok(&["connection.connect"])),
    ("get", "/api/oauth/google/start", Err("the consent leaves the record when it is given")),
    ("delete", "/api/queue/dead-letter/{jobId}", Ok(&["dead_letter.discard", "broker_message.discard"])),
    ("put", "/api/queue/dead-letter/{jobId}", Ok(&["dead_letter.edit"])),
    ("post", "/api/queue/operations/{id}/cancel", Ok(&["operation.cancel"])),
    ("post", "/api/queue/operations/{id}/start", Ok(&["operation.start"])),
    ("post", "/api/queue/parked/release", Ok(&["job.release_all"])),
    ("post", "/api/queue/parked/{jobId}/release", Ok(&["job.release"])),
    ("post", "/api/queue/retry-all", Ok(&["operation.plan", "operation.start"])),
    ("post", "/api/queue/retry/{jobId}", Ok(&["dead_letter.retry"])),
    ("put", "/api/schedules/{name}", Ok(&["schedule.change"])),
    ("post", "/api/schedules/{name}/pause", Ok(&["schedule.pause"])),
    ("post", "/api/schedules/{name}/resume", Ok(&["schedule.resume"])),
    ("post", "/api/schedules/{name}/trigger", Ok(&["schedule.trigger"])),
    ("put", "/api/sync/config", Ok(&["sync.config"])),
    ("post", "/api/sync/conflicts/{id}/resolve", Ok(&["conflict.resolve"])),
    ("post", "/api/sync/delta", Ok(&["sync.delta"])),
    ("post", "/api/sync/disable", Ok(&["sync.disable"])),
    ("post", "/api/sync/enable", Ok(&["sync.enable"])),
    ("post", "/api/sync/full", Ok(&["sync.full"])),
    ("post", "/api/sync/jobs/{id}/cancel", Ok(&["job.cancel"])),
    ("post", "/api/sync/manual", Ok(&["sync.manual"])),
    ("post", "/api/sync/onedrive/{aoId}", Ok(&["sync.ao"])),
    ("post", "/api/sync/parked/{id}/approve", Ok(&["parked.approve"])),
    ("post", "/api/sync/parked/{id}/reject", Ok(&["parked.reject"])),
    ("post", "/api/sync/quarantine/{id}/retry", Ok(&["quarantine.retry"])),
    ("post", "/api/sync/reset", Ok(&["sync.reset"])),
    ("post", "/api/sync/run", Ok(&["sync.run"])),
    ("put", "/api/teams/channels/{teamId}/{channelId}", Ok(&["channel.put"])),
    ("put", "/api/teams/chats/{chatId}", Ok(&["chat.put"])),
    ("post", "/api/v1/audit/organizations/{org}/archives/{id}/restore", Ok(&["archive.restore"])),
    ("post", "/api/v1/audit/organizations/{org}/erasure", Ok(&["erasure.ask"])),
    ("put", "/api/v1/audit/organizations/{org}/policies", Ok(&["retention.policies"])),
    ("post", "/api/v1/audit/organizations/{org}/retention/pause", Ok(&["retention.pause"])),
    ("post", "/api/v1/audit/organizations/{org}/retention/resume", Ok(&["retention.resume"])),
    ("post", "/api/v1/audit/organizations/{org}/retention/run", Ok(&["retention.run"])),
    ("post", "/api/v1/audit/organizations/{org}/verify", Ok(&["audit.verify"])),
    ("post", "/api/webhooks/cleanup", Ok(&["webhooks.cleanup"])),
    ("post", "/api/webhooks/renew", Ok(&["webhooks.renew"])),
    ("post", "/api/webhooks/setup", Ok(&["webhooks.setup"])),
];

#[test]
fn every_route_that_changes_something_says_what_it_records() {
    let document = api::document();
    let mut served = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths is an object") {
        for method in item.as_object().expect("a path item is an object").keys() {
            served.insert((method.clone(), path.clone()));
        }
    }
    for (method, path) in &served {
        let known = TABLE.iter().filter(|row| row.0 == method && row.1 == path).count();
        assert!(method == "get" || known == 1, "{method} {path} stands {known} times in the table");
    }
    for (method, path, _) in TABLE {
        assert!(served.contains(&((*method).to_owned(), (*path).to_owned())), "{method} {path} is no route");
    }
}

#[test]
fn every_action_of_the_table_is_recorded_somewhere() {
    let mut sources = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes"), &mut sources);
    for (method, path, records) in TABLE {
        match records {
            Ok(actions) => {
                assert!(!actions.is_empty(), "{method} {path} has neither action nor reason");
                for action in *actions {
                    assert!(sources.contains(&format!("\"{action}\"")), "nobody records {action}");
                }
            }
            Err(reason) => assert!(!reason.is_empty(), "{method} {path} has neither action nor reason"),
        }
    }
}

fn read(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            read(&path, into);
        } else {
            into.push_str(&std::fs::read_to_string(&path).expect("a source is text"));
        }
    }
}
