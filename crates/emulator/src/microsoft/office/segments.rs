//! Addresses of mail, Teams and the directory as a list of decoded segments.

use crate::http::decode;

/// Names that Graph compares without regard to case.
const NAMES: [&str; 34] = [
    "users",
    "mailFolders",
    "childFolders",
    "messages",
    "attachments",
    "createUploadSession",
    "send",
    "sendMail",
    "move",
    "copy",
    "permanentDelete",
    "delta",
    "chats",
    "teams",
    "channels",
    "replies",
    "getAllMessages",
    "members",
    "$value",
    "$count",
    "allChannels",
    "joinedTeams",
    "calendarView",
    "events",
    "calendars",
    "calendar",
    "instances",
    "drive",
    "drives",
    "groups",
    "sites",
    "hostedContents",
    "primaryChannel",
    "translateExchangeIds",
];

/// Splits a path: `users/u/mailFolders('f')/messages/microsoft.graph.delta()` is seven segments,
/// keys in brackets being segments of their own.
pub(crate) fn parse(path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for raw in path.split('/').filter(|raw| !raw.is_empty()) {
        let raw = raw.strip_prefix("microsoft.graph.").unwrap_or(raw);
        let (name, key) = match raw.split_once('(') {
            Some((name, inside)) if raw.ends_with(')') && !name.is_empty() => {
                (name, Some(inside.trim_end_matches(')')))
            }
            _ => (raw, None),
        };
        let name = decode(name);
        let known = NAMES.iter().find(|known| known.eq_ignore_ascii_case(&name));
        found.push(known.map_or(name, |known| (*known).to_owned()));
        if let Some(key) = key.map(decode).filter(|key| !key.is_empty()) {
            found.push(key.trim_matches('\'').to_owned());
        }
    }
    // A folder below a folder is addressed by the last id alone.
    while found.len() > 5 && found[2] == "mailFolders" && found[4] == "childFolders" && found[5] != "delta" {
        found.drain(3..5);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn all_spellings_come_out_alike() {
        for path in [
            "/users/u%40x.org/mailFolders/AA%3D/messages/delta",
            "/users('u@x.org')/mailfolders('AA=')/messages/microsoft.graph.delta()",
            "/users/u@x.org/mailFolders/P/childFolders/AA=/messages/delta()",
        ] {
            assert_eq!(
                parse(path),
                ["users", "u@x.org", "mailFolders", "AA=", "messages", "delta"],
                "{path}"
            );
        }
        assert_eq!(parse("/teams/t/channels/19:a@thread.tacv2/messages")[3], "19:a@thread.tacv2");
    }
}
