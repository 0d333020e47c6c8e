//! Which application permission a call needs, and what its absence answers.

use std::collections::BTreeSet;

use http::Method;

use crate::microsoft::errors::GraphError;

/// The permissions that an application has until they are taken away.
pub(crate) const ALL: [&str; 13] = [
    "Files.ReadWrite.All",
    "Sites.Read.All",
    "User.Read.All",
    "Mail.ReadWrite",
    "Mail.Send",
    "Calendars.ReadWrite",
    "Team.ReadBasic.All",
    "Channel.ReadBasic.All",
    "ChannelMessage.Read.All",
    "Chat.Read.All",
    "Mail.Read",
    "Calendars.Read",
    "MailboxSettings.Read",
];

/// What a call needs: any of these is enough.
fn needed(path: &[String], method: &Method) -> &'static [&'static str] {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let read = method == Method::GET;
    match names.as_slice() {
        ["users", _, "sendMail", ..] | ["users", _, "messages", _, "send"] => &["Mail.Send"],
        ["users", _, "messages" | "mailFolders", ..] if read => &["Mail.Read", "Mail.ReadWrite"],
        ["users", _, "messages" | "mailFolders", ..] => &["Mail.ReadWrite"],
        ["users", _, "chats", ..] | ["chats", ..] => &["Chat.Read.All"],
        ["teams", _, "channels", _, "messages", ..] | ["teams", _, "channels", "getAllMessages"] => {
            &["ChannelMessage.Read.All"]
        }
        ["teams", _, "channels", ..] => &["Channel.ReadBasic.All"],
        ["teams", ..] | ["users", _, "joinedTeams"] => &["Team.ReadBasic.All"],
        ["users", _, "events" | "calendar" | "calendars" | "calendarView", ..] if read => {
            &["Calendars.Read", "Calendars.ReadWrite"]
        }
        ["users", _, "events" | "calendar" | "calendars" | "calendarView", ..] => &["Calendars.ReadWrite"],
        ["drives" | "sites" | "groups", ..] | ["users", _, "drive" | "drives", ..] => {
            &["Files.ReadWrite.All"]
        }
        ["users"] | ["users", _] => &["User.Read.All"],
        _ => &[],
    }
}

/// Refuses a call whose permissions were all taken away, in the words of its workload.
pub(crate) fn check(denied: &BTreeSet<String>, path: &[String], method: &Method) -> Result<(), GraphError> {
    if denied.is_empty() {
        return Ok(());
    }
    let needed = needed(path, method);
    if needed.is_empty() || needed.iter().any(|one| !denied.contains(*one)) {
        return Ok(());
    }
    Err(refusal(needed, denied))
}

/// Refuses a subscription to a resource that cannot be read.
pub(crate) fn check_resource(denied: &BTreeSet<String>, path: &[String]) -> Result<(), GraphError> {
    check(denied, path, &Method::GET)
}

fn refusal(needed: &[&str], denied: &BTreeSet<String>) -> GraphError {
    match needed.first().copied().unwrap_or_default() {
        "Mail.Read" | "Mail.ReadWrite" | "Mail.Send" | "Calendars.Read" | "Calendars.ReadWrite" => {
            GraphError::new(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        }
        "User.Read.All" => GraphError::new(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ),
        "Files.ReadWrite.All" => GraphError::new(403, "accessDenied", "Access denied"),
        _ => {
            let roles: Vec<&str> = ALL.into_iter().filter(|role| !denied.contains(*role)).collect();
            let text = format!(
                "Missing role permissions on the request. API requires one of '{}'. Roles on the request '{}'.",
                needed.join(", "),
                roles.join(", ")
            );
            GraphError::new(403, "Forbidden", text)
        }
    }
}
