//! AES-256-GCM with a random nonce in front (NIST SP 800-38D).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::VaultError;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

/// A key that seals and opens. `Debug` shows nothing of it.
pub(super) struct Cipher(Option<LessSafeKey>);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(chassis::secret::REDACTED)
    }
}

impl Cipher {
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new))
    }

    fn key(&self) -> Result<&LessSafeKey, VaultError> {
        self.0.as_ref().ok_or(VaultError::Broken)
    }

    /// Random nonces are safe here: a data key seals a token a handful of times, a key of the ring wraps far less
    /// than 2^32 data keys.
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE_LEN] = chassis::ids::random_bytes();
        let mut body = plain.to_vec();
        self.key()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
            .map_err(|_| VaultError::Broken)?;
        let mut out = nonce.to_vec();
        out.append(&mut body);
        Ok(out)
    }

    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Broken)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .key()?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), body.as_mut_slice())
            .map_err(|_| VaultError::Broken)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}
