//! What the tokens of an account are bound to, and how its columns seal them.

use chassis::secret::Secret;
use domain::ids::CompanyId;
use outbound::vault::{Binding, DataKey, Vault, VaultError, Wrapped};
use store::calendar::grants::Grant;
use uuid::Uuid;

const KEY: &str = "calendar_accounts.token_data_key";
const REFRESH: &str = "calendar_accounts.refresh_token";
const ACCESS: &str = "calendar_accounts.access_token";

/// One account's row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    company: CompanyId,
    id: String,
}

impl Row {
    pub fn new(company: CompanyId, account: Uuid) -> Self {
        Self { company, id: account.to_string() }
    }

    fn of<'a>(&'a self, purpose: &'a str) -> Binding<'a> {
        Binding { purpose, company: self.company, row: &self.id }
    }

    /// A new data key and its stored form.
    pub fn new_key(&self, vault: &Vault) -> Result<(DataKey, Wrapped), VaultError> {
        vault.data_key(&self.of(KEY))
    }

    /// The row's data key; `None` when it has none.
    pub fn key(&self, vault: &Vault, grant: &Grant) -> Result<Option<DataKey>, VaultError> {
        wrapped(grant).map(|wrapped| vault.unwrap(&self.of(KEY), &wrapped)).transpose()
    }

    /// The data key under the ring's first key, when it is not already.
    pub fn rewrap(&self, vault: &Vault, grant: &Grant) -> Result<Option<Wrapped>, VaultError> {
        let Some(wrapped) = wrapped(grant) else { return Ok(None) };
        vault.rewrap(&self.of(KEY), &wrapped)
    }

    pub fn seal_refresh(&self, key: &DataKey, token: &Secret) -> Result<Vec<u8>, VaultError> {
        key.seal(&self.of(REFRESH), token.expose().as_bytes())
    }

    pub fn seal_access(&self, key: &DataKey, token: &Secret) -> Result<Vec<u8>, VaultError> {
        key.seal(&self.of(ACCESS), token.expose().as_bytes())
    }

    pub fn open_refresh(&self, key: &DataKey, sealed: &[u8]) -> Result<Secret, VaultError> {
        open(key, &self.of(REFRESH), sealed)
    }

    pub fn open_access(&self, key: &DataKey, sealed: &[u8]) -> Result<Secret, VaultError> {
        open(key, &self.of(ACCESS), sealed)
    }
}

fn wrapped(grant: &Grant) -> Option<Wrapped> {
    Some(Wrapped { key_id: grant.key_id.clone()?, bytes: grant.data_key.clone()? })
}

fn open(key: &DataKey, binding: &Binding<'_>, sealed: &[u8]) -> Result<Secret, VaultError> {
    let plain = key.open(binding, sealed)?;
    std::str::from_utf8(&plain).map(Secret::from).map_err(|_| VaultError::Broken)
}
