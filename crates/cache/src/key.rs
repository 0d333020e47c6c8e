//! Keys: `cache:onedrive:{kind}:{id}`, where an id begins with its scope (an AO or a drive).

/// What is cached (TTLs of the OneDrive runbook).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Metadata of one item.
    Item,
    /// Children of a folder.
    List,
    /// The delta link of the last round.
    Delta,
    /// A drive and its root.
    Drive,
}

impl Kind {
    /// The kind's place in a key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::List => "list",
            Self::Delta => "delta",
            Self::Drive => "drive",
        }
    }
}

const PREFIX: &str = "cache:onedrive:";

pub(crate) fn key(kind: Kind, id: &str) -> String {
    format!("{PREFIX}{}:{id}", kind.as_str())
}

/// Which keys to forget. Redis matches them as glob patterns, the memory store by the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Every key of ours.
    All,
    /// Every key whose id is the scope or begins with it and a colon.
    Scope(String),
}

pub(crate) fn patterns(scope: Option<&str>) -> Pattern {
    match scope.filter(|scope| !scope.is_empty()) {
        None => Pattern::All,
        Some(scope) => Pattern::Scope(scope.to_owned()),
    }
}

impl Pattern {
    /// Glob patterns of `SCAN`; the scope's own special characters are escaped.
    pub(crate) fn globs(&self) -> Vec<String> {
        match self {
            Self::All => vec![format!("{PREFIX}*")],
            Self::Scope(scope) => {
                let mut escaped = String::with_capacity(scope.len());
                for c in scope.chars() {
                    if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                        escaped.push('\\');
                    }
                    escaped.push(c);
                }
                vec![format!("{PREFIX}*:{escaped}"), format!("{PREFIX}*:{escaped}:*")]
            }
        }
    }

    /// Whether a key is meant. `SCAN` may offer more than is meant, since its `*` also matches colons.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let Some(rest) = key.strip_prefix(PREFIX) else {
            return false;
        };
        match self {
            Self::All => true,
            Self::Scope(scope) => rest
                .split_once(':')
                .and_then(|(_, id)| id.strip_prefix(scope.as_str()))
                .is_some_and(|tail| tail.is_empty() || tail.starts_with(':')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_means_its_own_keys_only() {
        let scope = patterns(Some("ao-25"));
        assert!(scope.matches(&key(Kind::Delta, "ao-25")));
        assert!(scope.matches(&key(Kind::Item, "ao-25:drive:item")));
        assert!(!scope.matches(&key(Kind::Item, "ao-2503")));
        assert!(!scope.matches(&key(Kind::Item, "other:ao-25")));
        assert!(!scope.matches("session:ao-25"));
        assert!(patterns(None).matches(&key(Kind::List, "x")));
        assert_eq!(patterns(Some("")), Pattern::All);
        assert_eq!(patterns(Some("a*b")).globs()[0], r"cache:onedrive:*:a\*b");
    }
}
