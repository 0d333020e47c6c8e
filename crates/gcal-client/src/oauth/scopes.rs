//! What is asked for, and whether it was granted: people may untick single scopes (provider facts A8).

/// Least privilege for an engine: events of every calendar, the list of calendars, and who the account is.
pub(super) const SCOPES: [&str; 4] = [
    "openid",
    "email",
    "https://www.googleapis.com/auth/calendar.events",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
];

/// What the engine cannot work without, and the scopes that give it.
const NEEDED: [(&str, &[&str]); 2] = [
    (
        "https://www.googleapis.com/auth/calendar.events",
        &["https://www.googleapis.com/auth/calendar", "https://www.googleapis.com/auth/calendar.events"],
    ),
    (
        "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
        &[
            "https://www.googleapis.com/auth/calendar",
            "https://www.googleapis.com/auth/calendar.readonly",
            "https://www.googleapis.com/auth/calendar.calendarlist",
            "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
        ],
    ),
];

/// Scopes that the engine needs and that no granted one covers.
pub fn missing_scopes(granted: &[String]) -> Vec<&'static str> {
    let lacks = |enough: &[&str]| !granted.iter().any(|scope| enough.contains(&scope.as_str()));
    NEEDED.iter().filter(|(_, enough)| lacks(enough)).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(granted: &[&str]) -> usize {
        let granted: Vec<String> = granted.iter().map(|s| (*s).to_owned()).collect();
        missing_scopes(&granted).len()
    }

    #[test]
    fn wider_scopes_count() {
        assert_eq!(missing(&SCOPES), 0);
        assert_eq!(missing(&["https://www.googleapis.com/auth/calendar"]), 0);
        assert_eq!(missing(&["https://www.googleapis.com/auth/calendar.events"]), 1);
        assert_eq!(missing(&["openid", "email"]), 2);
    }
}
