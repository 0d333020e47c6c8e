//! Who may do what with a calendar.

use serde_json::{Value, json};

use super::Google;
use super::error::ApiError;
use super::page::{Envelope, Rows};
use super::params::{Caller, ListParams};

/// Access to a calendar, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nothing.
    None,
    /// Free or busy, no details.
    FreeBusyReader,
    /// Reads.
    Reader,
    /// Writes events.
    Writer,
    /// Everything.
    Owner,
}

impl Role {
    /// The API's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FreeBusyReader => "freeBusyReader",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Owner => "owner",
        }
    }

    /// The role of a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::FreeBusyReader, Self::Reader, Self::Writer, Self::Owner]
            .into_iter()
            .find(|role| role.text() == text)
    }
}

/// A rule of an access list; `None` as role is a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) role: Role,
    pub(crate) changed: u64,
}

fn json_of(scope: &str, rule: &Rule) -> Value {
    let (kind, value) = scope.split_once(':').unwrap_or((scope, ""));
    json!({
        "kind": "calendar#aclRule",
        "etag": format!("\"{:020}\"", rule.changed),
        "id": scope,
        "scope": if value.is_empty() { json!({"type": kind}) } else { json!({"type": kind, "value": value}) },
        "role": rule.role.text(),
    })
}

impl Google {
    /// `acl.list`, with a sync token of its own.
    ///
    /// # Errors
    /// No owner's access, a bad token.
    pub fn acl_list(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        params: &ListParams,
    ) -> Result<Value, ApiError> {
        let id = self.access(caller, calendar, Role::Owner)?;
        let resource = format!("acl/{id}");
        if params.page_token.is_some() {
            return self.next_page(caller, params, None);
        }
        if params.sync_token.is_some() && params.show_deleted == Some(false) {
            return Err(ApiError::parameter("showDeleted", "showDeleted must be set with syncToken."));
        }
        let since = self.sync_start(caller, &resource, 0, params)?.map(|token| token.seq);
        let calendar = self.calendar(&id)?;
        let rows: Rows = calendar
            .acl
            .iter()
            .filter(|(_, rule)| since.is_none_or(|since| rule.changed > since))
            .filter(|(_, rule)| {
                since.is_some() || rule.role != Role::None || params.show_deleted == Some(true)
            })
            .map(|(scope, rule)| Some(json_of(scope, rule)))
            .collect();
        let envelope = Envelope {
            body: json!({"kind": "calendar#acl", "etag": format!("\"p{}\"", self.changes)}),
            sync: Some(self.fresh_token(caller, resource, 0, (None, None))),
        };
        self.first_page(caller, params, rows, envelope, (100, 250), None)
    }

    /// Grants a role on a calendar, or takes it back with [`Role::None`]; the calendar appears in the list of
    /// the account, or goes from it (E41).
    ///
    /// # Errors
    /// No owner's access, an unknown calendar.
    pub fn share(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        account: &str,
        role: Role,
    ) -> Result<Value, ApiError> {
        let id = self.access(caller, calendar, Role::Owner)?;
        let scope = format!("user:{account}");
        let changed = self.next_change();
        let granted = Rule { role, changed };
        let Some(target) = self.calendars.get_mut(&id) else { return Err(ApiError::not_found()) };
        if role == Role::None && account == target.owner {
            return Err(ApiError::forbidden("The data owner of a calendar cannot lose access to it."));
        }
        target.acl.insert(scope.clone(), granted);
        if role == Role::None {
            self.unlist(account, &id);
        } else {
            self.enlist(account, &id);
        }
        self.ring(&format!("acl/{id}"));
        Ok(json_of(&scope, &granted))
    }
}
