//! What the `resource` of a notification names (changeNotification, Graph v1.0): the OData form
//! `teams('t')/channels('c')/messages('m')/replies('r')`, the path form `Users/u/Messages/m`, and mixtures of both.

use percent_encoding::percent_decode_str;

/// Longest path that is looked at, in bytes.
const MAX_PATH: usize = 4096;
/// Segments of a path that is looked at.
const MAX_SEGMENTS: usize = 16;

/// A message, as a notification names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A message in a channel, or a reply to one.
    Channel {
        /// Team.
        team: String,
        /// Channel.
        channel: String,
        /// The message that begins the thread.
        root: String,
        /// The reply.
        reply: Option<String>,
    },
    /// A message in a chat.
    Chat {
        /// Chat.
        chat: String,
        /// Message.
        message: String,
    },
    /// A mail.
    Mail {
        /// Owner of the mailbox as the path says it: an id, a principal name, or `id@tenant`.
        user: String,
        /// Message.
        message: String,
    },
    /// An event of a calendar.
    Event {
        /// Owner of the calendar as the path says it.
        user: String,
        /// Event.
        event: String,
    },
}

impl Named {
    /// Reads a path; none when it names no message or event, or is none.
    pub fn read(path: &str) -> Option<Self> {
        let pairs = pairs(path)?;
        let find =
            |name: &str| pairs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, id)| id.clone());
        let last =
            |name: &str| pairs.iter().rfind(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, id)| id.clone());
        let (begins, first) = pairs.first()?;
        match begins.to_ascii_lowercase().as_str() {
            "teams" => Some(Self::Channel {
                team: first.clone(),
                channel: find("channels")?,
                root: find("messages")?,
                reply: find("replies"),
            }),
            "chats" => Some(Self::Chat { chat: first.clone(), message: find("messages")? }),
            "users" => match (last("messages"), last("events")) {
                (Some(message), _) => Some(Self::Mail { user: first.clone(), message }),
                (None, Some(event)) => Some(Self::Event { user: first.clone(), event }),
                (None, None) => None,
            },
            _ => None,
        }
    }

    /// What the run is told to read: the provider's id; a reply is `{root}/{reply}`.
    pub fn hint(&self) -> String {
        match self {
            Self::Channel { root, reply: Some(reply), .. } => format!("{root}/{reply}"),
            Self::Channel { root: id, .. }
            | Self::Chat { message: id, .. }
            | Self::Mail { message: id, .. } => id.clone(),
            Self::Event { event, .. } => event.clone(),
        }
    }
}

/// Collections with the id that follows each. A collection without one, as in `mailFolders('x')/messages`, ends the list.
fn pairs(path: &str) -> Option<Vec<(String, String)>> {
    if path.len() > MAX_PATH {
        return None;
    }
    let mut pairs = Vec::new();
    let mut name: Option<String> = None;
    for segment in segments(path)? {
        match (name.take(), segment) {
            (None, Segment::Plain(collection)) => name = Some(collection),
            (None, Segment::Key(collection, id)) | (Some(collection), Segment::Plain(id)) => {
                pairs.push((collection, id));
            }
            // `me/messages('m')`: the collection before it had no id.
            (Some(alone), Segment::Key(collection, id)) => {
                pairs.push((alone, String::new()));
                pairs.push((collection, id));
            }
        }
    }
    Some(pairs)
}

enum Segment {
    /// `collection('id')`.
    Key(String, String),
    /// Anything else.
    Plain(String),
}

/// Splits at slashes outside of quotes: an id may hold slashes there.
fn segments(path: &str) -> Option<Vec<Segment>> {
    let mut found = Vec::new();
    let mut rest = path.trim_start_matches('/');
    while !rest.is_empty() {
        if found.len() == MAX_SEGMENTS {
            return None;
        }
        let end = rest.find('/').unwrap_or(rest.len());
        if let Some(open) = rest.find("('").filter(|open| *open < end) {
            let (id, after) = quoted(&rest[open + 2..])?;
            found.push(Segment::Key(rest[..open].to_owned(), id));
            rest = match after.strip_prefix(')')? {
                "" => "",
                more => more.strip_prefix('/')?,
            };
        } else {
            let plain = percent_decode_str(&rest[..end]).decode_utf8().ok()?;
            found.push(Segment::Plain(usable(plain.into_owned())?));
            rest = rest[end..].trim_start_matches('/');
        }
    }
    Some(found)
}

/// The text up to the closing quote, of which `''` is none (OData 4.01, URL conventions), and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut id = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('\'')?;
        id.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => {
                id.push('\'');
                rest = more;
            }
            None => return Some((usable(id)?, rest)),
        }
    }
}

/// Ids are never empty and hold no control characters.
fn usable(id: String) -> Option<String> {
    (!id.is_empty() && !id.chars().any(char::is_control)).then_some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel(reply: Option<&str>) -> Named {
        Named::Channel {
            team: "t-1".to_owned(),
            channel: "19:c@thread.tacv2".to_owned(),
            root: "1".to_owned(),
            reply: reply.map(str::to_owned),
        }
    }

    #[test]
    fn both_forms_name_the_same() {
        for (path, named) in [
            ("teams('t-1')/channels('19:c@thread.tacv2')/messages('1')", channel(None)),
            ("teams('t-1')/channels('19:c@thread.tacv2')/messages('1')/replies('2')", channel(Some("2"))),
            ("/Teams/t-1/Channels/19:c%40thread.tacv2/Messages/1/Replies/2", channel(Some("2"))),
            (
                "chats('it''s/1')/messages('9')",
                Named::Chat { chat: "it's/1".to_owned(), message: "9".to_owned() },
            ),
            ("users/u@t/messages/AAMk=", Named::Mail { user: "u@t".to_owned(), message: "AAMk=".to_owned() }),
            (
                "Users('u')/mailFolders('inbox')/messages('m')",
                Named::Mail { user: "u".to_owned(), message: "m".to_owned() },
            ),
            ("Users/u/Events/e", Named::Event { user: "u".to_owned(), event: "e".to_owned() }),
        ] {
            assert_eq!(Named::read(path), Some(named), "{path}");
        }
        assert_eq!(channel(Some("2")).hint(), "1/2");
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "",
            "NA",
            "/me/drive/root",
            "drives/b!d/root",
            "teams('t')",
            "teams('t')/channels('c')",
            "chats('c')/members('m')",
            "chats('c'/messages('m')",
            "chats('')/messages('m')",
            "chats('c')messages('m')",
            "users/u",
            "chats('c')/messages('\u{0}')",
        ] {
            assert_eq!(Named::read(path), None, "{path}");
        }
        assert_eq!(Named::read(&"a/".repeat(40)), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ids in proptest::collection::vec("[ -~]{1,30}", 4)) {
            let quoted: Vec<String> = ids.iter().map(|id| id.replace('\'', "''")).collect();
            let path = format!(
                "teams('{}')/channels('{}')/messages('{}')/replies('{}')", quoted[0], quoted[1], quoted[2], quoted[3]
            );
            let named = Named::Channel {
                team: ids[0].clone(), channel: ids[1].clone(), root: ids[2].clone(), reply: Some(ids[3].clone()),
            };
            prop_assert_eq!(Named::read(&path), Some(named));
        }

        #[test]
        fn nothing_makes_it_panic(path in "(teams|chats|users|messages|\\('|'\\)|'|/|%[0-9a-f]{0,2}|é|[a-z]){0,20}") {
            let _ = Named::read(&path);
        }
    }
}
