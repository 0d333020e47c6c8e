//! `settings.list` and `settings.get`.

use serde_json::{Value, json};

use super::Google;
use super::error::ApiError;
use super::page::{Envelope, Rows};
use super::params::{Caller, ListParams};

fn json_of(id: &str, value: &str) -> Value {
    json!({"kind": "calendar#setting", "etag": "\"0\"", "id": id, "value": value})
}

impl Google {
    /// `settings.list`.
    ///
    /// # Errors
    /// A bad token.
    pub fn settings(&mut self, caller: &Caller<'_>, params: &ListParams) -> Result<Value, ApiError> {
        if params.page_token.is_some() {
            return self.next_page(caller, params, None);
        }
        let known = self.sync_start(caller, "settings", 0, params)?.is_some();
        let account = self.accounts.get(caller.account).ok_or_else(ApiError::not_found)?;
        // Nobody can change them here, so that a delta is empty.
        let rows: Rows =
            account.settings.iter().filter(|_| !known).map(|(id, value)| Some(json_of(id, value))).collect();
        let envelope = Envelope {
            body: json!({"kind": "calendar#settings", "etag": format!("\"p{}\"", self.changes)}),
            sync: Some(self.fresh_token(caller, "settings".into(), 0, (None, None))),
        };
        self.first_page(caller, params, rows, envelope, (100, 250), None)
    }

    /// `settings.get`.
    ///
    /// # Errors
    /// 404 for an unknown setting.
    pub fn setting(&self, caller: &Caller<'_>, id: &str) -> Result<Value, ApiError> {
        let account = self.accounts.get(caller.account).ok_or_else(ApiError::not_found)?;
        account.settings.get(id).map(|value| json_of(id, value)).ok_or_else(ApiError::not_found)
    }
}
