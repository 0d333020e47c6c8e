//! Envelope encryption of tokens at rest.
//!
//! Each row has a data key of its own (AES-256-GCM), which a key of the ring `TOKEN_ENCRYPTION_KEYS` wraps. Both
//! layers are bound to purpose, tenant and row, so that sealed bytes copied into another row, or another tenant's,
//! do not open. A new first key of the ring takes over by wrapping the data keys anew; what they seal stays as it is.

mod cipher;
mod ring;

pub use ring::{KeyRing, RingFault};

use domain::ids::CompanyId;
use zeroize::Zeroizing;

use cipher::{Cipher, KEY_BYTES};

/// What opened nothing. Says nothing about the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The ring has no key of this id.
    #[error(
        "the key {id:?} is not in TOKEN_ENCRYPTION_KEYS: put it back behind the first one until everything is \
         wrapped anew"
    )]
    UnknownKey {
        /// Id that the row names.
        id: String,
    },
    /// Changed, cut, sealed for another row, or with another key of the same id.
    #[error("sealed bytes do not open: they were changed, or belong to another row or key")]
    Broken,
}

/// What sealed bytes belong to.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// What they are, such as `calendar_accounts.refresh_token`.
    pub purpose: &'a str,
    /// Tenant.
    pub company: CompanyId,
    /// Row.
    pub row: &'a str,
}

impl Binding<'_> {
    /// Unambiguous bytes: each part has its length in front.
    fn bytes(&self) -> Vec<u8> {
        let company = self.company.to_string();
        let mut out = b"syncline vault 1".to_vec();
        for part in [self.purpose, &company, self.row] {
            out.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            out.extend(part.as_bytes());
        }
        out
    }

    /// The same row, for the key that is wrapped rather than what it seals.
    fn wrapping(&self) -> Vec<u8> {
        let mut out = self.bytes();
        out.extend(b"data key");
        out
    }
}

/// A data key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// Key of the ring that wraps it.
    pub key_id: String,
    /// The wrapped bytes.
    pub bytes: Vec<u8>,
}

/// A row's data key, open.
#[derive(Debug)]
pub struct DataKey(Cipher);

impl DataKey {
    /// Seals bytes for this row and purpose.
    ///
    /// # Errors
    /// [`VaultError::Broken`] when the cipher refuses (text of more than 64 GiB).
    pub fn seal(&self, binding: &Binding<'_>, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.0.seal(&binding.bytes(), plain)
    }

    /// Opens what [`DataKey::seal`] sealed.
    ///
    /// # Errors
    /// [`VaultError::Broken`].
    pub fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.0.open(&binding.bytes(), sealed)
    }
}

/// Makes, wraps and opens data keys.
#[derive(Debug)]
pub struct Vault {
    ring: KeyRing,
}

impl Vault {
    /// A vault over a ring.
    pub fn new(ring: KeyRing) -> Self {
        Self { ring }
    }

    /// The ring.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// A new data key for a row, and the form in which it is stored. The binding's purpose names the key, not what
    /// it will seal.
    ///
    /// # Errors
    /// [`VaultError::Broken`] when the cipher refuses.
    pub fn data_key(&self, binding: &Binding<'_>) -> Result<(DataKey, Wrapped), VaultError> {
        let bytes = Zeroizing::new(chassis::ids::random_bytes::<KEY_BYTES>());
        let (id, wrapping) = self.ring.active();
        let wrapped = wrapping.seal(&binding.wrapping(), bytes.as_slice())?;
        Ok((DataKey(Cipher::new(&bytes)), Wrapped { key_id: id.to_owned(), bytes: wrapped }))
    }

    /// Opens a stored data key.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn unwrap(&self, binding: &Binding<'_>, wrapped: &Wrapped) -> Result<DataKey, VaultError> {
        let bytes = self.bare(binding, wrapped)?;
        Ok(DataKey(Cipher::new(&bytes)))
    }

    /// The same data key under the ring's first key; `None` when it is already.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn rewrap(&self, binding: &Binding<'_>, wrapped: &Wrapped) -> Result<Option<Wrapped>, VaultError> {
        let (id, wrapping) = self.ring.active();
        if wrapped.key_id == id {
            return Ok(None);
        }
        let bytes = self.bare(binding, wrapped)?;
        let wrapped = wrapping.seal(&binding.wrapping(), bytes.as_slice())?;
        Ok(Some(Wrapped { key_id: id.to_owned(), bytes: wrapped }))
    }

    /// Seals a short-lived value with a data key of its own, key and all in one.
    ///
    /// # Errors
    /// [`VaultError::Broken`] when the cipher refuses.
    pub fn seal(&self, binding: &Binding<'_>, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (key, wrapped) = self.data_key(binding)?;
        let mut out = Vec::new();
        for part in [wrapped.key_id.as_bytes(), &wrapped.bytes] {
            out.extend(u32::try_from(part.len()).map_err(|_| VaultError::Broken)?.to_be_bytes());
            out.extend(part);
        }
        out.extend(key.seal(binding, plain)?);
        Ok(out)
    }

    /// Opens what [`Vault::seal`] sealed.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (id, rest) = part(sealed)?;
        let (bytes, rest) = part(rest)?;
        let key_id = std::str::from_utf8(id).map_err(|_| VaultError::Broken)?.to_owned();
        self.unwrap(binding, &Wrapped { key_id, bytes: bytes.to_vec() })?.open(binding, rest)
    }

    fn bare(
        &self,
        binding: &Binding<'_>,
        wrapped: &Wrapped,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        let key = self
            .ring
            .get(&wrapped.key_id)
            .ok_or_else(|| VaultError::UnknownKey { id: wrapped.key_id.clone() })?;
        let bytes = key.open(&binding.wrapping(), &wrapped.bytes)?;
        let bytes: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| VaultError::Broken)?;
        Ok(Zeroizing::new(bytes))
    }
}

fn part(bytes: &[u8]) -> Result<(&[u8], &[u8]), VaultError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(VaultError::Broken)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| VaultError::Broken)?;
    rest.split_at_checked(length).ok_or(VaultError::Broken)
}

#[cfg(test)]
mod tests;
