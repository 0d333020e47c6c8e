//! `AUDIT_SUBJECT_KEYS`: the keys behind who is named in audit records. Each person has a data key of their own, which
//! the first key wraps; destroying it forgets them. A ring beside `AUDIT_HMAC_KEYS`, so that who may read names cannot
//! seal records.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::config::{Env, FromEnv};
use domain::audit::personal::normalized;
use domain::ids::CompanyId;
use uuid::Uuid;

use crate::vault::{Binding, DataKey, KeyRing, Vault, VaultError, Wrapped};

const VARIABLE: &str = "AUDIT_SUBJECT_KEYS";
const KEY: &str = "audit.subject";
const NAME: &str = "audit.subject.name";
const VALUE: &str = "audit.subject.value";

/// Makes, finds and opens subjects.
#[derive(Debug)]
pub struct SubjectKeys(Vault);

/// A person as the database has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSubject {
    /// Id in markers.
    pub id: Uuid,
    /// The data key.
    pub wrapped: Wrapped,
    /// The name under the data key.
    pub name: Vec<u8>,
    /// What the name is found by.
    pub lookup: Vec<u8>,
}

/// A person whose key is at hand.
#[derive(Debug)]
pub struct Subject {
    /// Id in markers.
    pub id: Uuid,
    /// The name as it was first seen.
    pub name: String,
    chain: CompanyId,
    key: DataKey,
}

impl SubjectKeys {
    /// Over a ring.
    pub fn new(ring: KeyRing) -> Self {
        Self(Vault::new(ring))
    }

    /// The publicly known key, for development.
    pub fn development() -> Self {
        Self::new(KeyRing::development())
    }

    /// Id of the key that wraps.
    pub fn active_id(&self) -> &str {
        self.0.ring().active_id()
    }

    /// What a person of a chain is found by, with each key; the first key's first.
    pub fn lookups(&self, chain: Uuid, name: &str) -> Vec<Vec<u8>> {
        let mut text = chain.as_bytes().to_vec();
        text.extend(normalized(name).as_bytes());
        self.0.ring().finders(&text).into_iter().map(Vec::from).collect()
    }

    /// A new person.
    ///
    /// # Errors
    /// [`VaultError`] when the cipher refuses.
    pub fn make(&self, chain: Uuid, name: &str) -> Result<(Subject, SealedSubject), VaultError> {
        let id = chassis::ids::new_id();
        let row = id.to_string();
        let chain_id = CompanyId(chain);
        let (key, wrapped) = self.0.data_key(&Binding { purpose: KEY, company: chain_id, row: &row })?;
        let sealed = key.seal(&Binding { purpose: NAME, company: chain_id, row: &row }, name.as_bytes())?;
        let lookup = self.lookups(chain, name).into_iter().next().ok_or(VaultError::Broken)?;
        let subject = Subject { id, name: name.to_owned(), chain: chain_id, key };
        Ok((subject, SealedSubject { id, wrapped, name: sealed, lookup }))
    }

    /// Opens a person.
    ///
    /// # Errors
    /// [`VaultError`]; `Broken` also for a row of another chain or person.
    pub fn open(&self, chain: Uuid, sealed: &SealedSubject) -> Result<Subject, VaultError> {
        let row = sealed.id.to_string();
        let chain = CompanyId(chain);
        let key = self.0.unwrap(&Binding { purpose: KEY, company: chain, row: &row }, &sealed.wrapped)?;
        let name = key.open(&Binding { purpose: NAME, company: chain, row: &row }, &sealed.name)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| VaultError::Broken)?;
        Ok(Subject { id: sealed.id, name, chain, key })
    }

    /// The same person under the first key; `None` when they are already.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn renew(&self, chain: Uuid, sealed: &SealedSubject) -> Result<Option<SealedSubject>, VaultError> {
        let row = sealed.id.to_string();
        let binding = Binding { purpose: KEY, company: CompanyId(chain), row: &row };
        let Some(wrapped) = self.0.rewrap(&binding, &sealed.wrapped)? else { return Ok(None) };
        let subject = self.open(chain, sealed)?;
        let lookup = self.lookups(chain, &subject.name).into_iter().next().ok_or(VaultError::Broken)?;
        Ok(Some(SealedSubject { wrapped, lookup, ..sealed.clone() }))
    }
}

impl Subject {
    /// Another value of theirs, as it stands in a marker.
    ///
    /// # Errors
    /// [`VaultError`] when the cipher refuses.
    pub fn seal(&self, value: &str) -> Result<String, VaultError> {
        let row = self.id.to_string();
        let sealed =
            self.key.seal(&Binding { purpose: VALUE, company: self.chain, row: &row }, value.as_bytes())?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what [`Subject::seal`] sealed.
    ///
    /// # Errors
    /// [`VaultError::Broken`].
    pub fn reveal(&self, sealed: &str) -> Result<String, VaultError> {
        let row = self.id.to_string();
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::Broken)?;
        let plain = self.key.open(&Binding { purpose: VALUE, company: self.chain, row: &row }, &bytes)?;
        String::from_utf8(plain.to_vec()).map_err(|_| VaultError::Broken)
    }
}

impl FromEnv for SubjectKeys {
    fn from_env(env: &mut Env) -> Self {
        Self::new(KeyRing::read(env, VARIABLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const NEW: &str = "b:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    fn keys(text: &str) -> SubjectKeys {
        SubjectKeys::new(KeyRing::parse(text).expect("a ring"))
    }

    #[test]
    fn a_person_is_found_and_opened_in_their_chain_alone_also_with_a_new_key() {
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let old = keys(OLD);
        let (subject, sealed) = old.make(mine, "Anna@Example.com").expect("made");
        assert!(old.lookups(mine, " anna@example.COM").contains(&sealed.lookup));
        assert!(!old.lookups(other, "Anna@Example.com").contains(&sealed.lookup));
        assert_eq!(old.open(mine, &sealed).expect("opened").name, "Anna@Example.com");
        assert!(old.open(other, &sealed).is_err());
        let sibling = SealedSubject { id: Uuid::from_u128(9), ..sealed.clone() };
        assert!(old.open(mine, &sibling).is_err());

        let value = subject.seal("192.0.2.1").expect("sealed");
        let both = keys(&format!("{NEW},{OLD}"));
        assert!(both.lookups(mine, "anna@example.com").contains(&sealed.lookup));
        let renewed = both.renew(mine, &sealed).expect("renewed").expect("under the new key");
        assert_eq!(both.renew(mine, &renewed), Ok(None));
        let new = keys(NEW);
        assert!(new.lookups(mine, "anna@example.com").contains(&renewed.lookup));
        let again = new.open(mine, &renewed).expect("opened");
        assert_eq!(again.reveal(&value).expect("opened"), "192.0.2.1");
        let (stranger, _) = new.make(mine, "b@example.com").expect("made");
        assert!(stranger.reveal(&value).is_err());
        assert!(new.open(mine, &sealed).is_err());
    }
}
