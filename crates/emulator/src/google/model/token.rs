//! Sync tokens and page tokens: all they need is in them, and a check value, so that a foreign or damaged
//! one is told apart from an expired one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::rng::hash_str;

/// What a sync token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncToken {
    /// What is synchronised: `events/{calendar}`, `list`, `acl/{calendar}`, `settings`.
    pub(crate) resource: String,
    pub(crate) account: String,
    /// Hash of the parameters that belong to the identity of the cursor.
    pub(crate) parameters: u64,
    /// Last change that the holder knows.
    pub(crate) seq: u64,
    pub(crate) issued_ms: i64,
    /// Window of the first run, in milliseconds since the epoch.
    pub(crate) window: (Option<i64>, Option<i64>),
}

fn seal(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{text}\u{1f}{:x}", hash_str(text)))
}

fn open(token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?).ok()?;
    let (text, check) = text.rsplit_once('\u{1f}')?;
    (u64::from_str_radix(check, 16).ok()? == hash_str(text)).then(|| text.to_owned())
}

fn bound(value: Option<i64>) -> String {
    value.map(|ms| ms.to_string()).unwrap_or_default()
}

impl SyncToken {
    pub(crate) fn seal(&self) -> String {
        let text = format!(
            "s\u{1f}{}\u{1f}{}\u{1f}{}\u{1f}{}\u{1f}{}\u{1f}{}\u{1f}{}",
            self.resource,
            self.account,
            self.parameters,
            self.seq,
            self.issued_ms,
            bound(self.window.0),
            bound(self.window.1)
        );
        // The service's own tokens end like this.
        format!("{}=", seal(&text))
    }

    pub(crate) fn open(token: &str) -> Option<Self> {
        let text = open(token)?;
        let parts: Vec<&str> = text.split('\u{1f}').collect();
        let ["s", resource, account, parameters, seq, issued, from, to] = parts[..] else { return None };
        let bound = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
        Some(Self {
            resource: resource.to_owned(),
            account: account.to_owned(),
            parameters: parameters.parse().ok()?,
            seq: seq.parse().ok()?,
            issued_ms: issued.parse().ok()?,
            window: (bound(from)?, bound(to)?),
        })
    }
}

/// What a page token says: which frozen run, where in it, and which page that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageToken {
    pub(crate) run: u64,
    pub(crate) offset: usize,
    pub(crate) page: u32,
}

impl PageToken {
    pub(crate) fn seal(&self) -> String {
        seal(&format!("p\u{1f}{}\u{1f}{}\u{1f}{}", self.run, self.offset, self.page))
    }

    pub(crate) fn open(token: &str) -> Option<Self> {
        let text = open(token)?;
        let parts: Vec<&str> = text.split('\u{1f}').collect();
        let ["p", run, offset, page] = parts[..] else { return None };
        Some(Self { run: run.parse().ok()?, offset: offset.parse().ok()?, page: page.parse().ok()? })
    }
}
