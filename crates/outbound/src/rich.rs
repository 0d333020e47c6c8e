//! Notifications that carry their resource, encrypted for one of our certificates (change-notifications-with-
//! resource-data, Graph v1.0).
//!
//! `dataKey` is wrapped by RSA-OAEP with SHA-1; `dataSignature` is HMAC-SHA256 under that key over the bytes of `data`,
//! and is checked, in constant time, before anything is decrypted; `data` is AES-256-CBC with PKCS7, its initialisation
//! vector the first 16 bytes of the key.

mod keys;

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

pub use keys::{KeysFault, NotificationKeys};

/// Bytes of the symmetric key.
const KEY_BYTES: usize = 32;
/// Bytes of the initialisation vector.
const IV_BYTES: usize = 16;

/// `encryptedContent` of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Encrypted {
    /// The resource, encrypted; base64.
    pub data: String,
    /// Proof that `data` is what was sent; base64. Graph has been documented without it: then nothing is proven.
    #[serde(default)]
    pub data_signature: String,
    /// The symmetric key, wrapped; base64.
    pub data_key: String,
    /// Our name for the certificate.
    pub encryption_certificate_id: String,
}

/// Why an encrypted resource was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RichFault {
    /// No private key of that name is configured.
    #[error("no key of that certificate is configured")]
    UnknownCertificate,
    /// A field is not base64.
    #[error("a field is not base64")]
    NotBase64,
    /// The key was not wrapped for this certificate.
    #[error("its key cannot be unwrapped")]
    Key,
    /// The data is not what was signed.
    #[error("its signature is wrong")]
    Signature,
    /// The signature is right, but the data cannot be decrypted.
    #[error("it cannot be decrypted")]
    Cipher,
}

impl NotificationKeys {
    /// Opens an encrypted resource. RSA: about a millisecond of CPU; keep it off the runtime's threads.
    ///
    /// # Errors
    /// [`RichFault`]; nothing of the data is returned then.
    pub fn open(&self, encrypted: &Encrypted) -> Result<Zeroizing<Vec<u8>>, RichFault> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| RichFault::NotBase64);
        let wrapped = decode(&encrypted.data_key)?;
        let signature = decode(&encrypted.data_signature)?;
        let mut data = Zeroizing::new(decode(&encrypted.data)?);
        let key = self.unwrap(&encrypted.encryption_certificate_id, &wrapped)?;
        if key.len() != KEY_BYTES {
            return Err(RichFault::Key);
        }
        let signing = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&signing, &data, &signature).map_err(|_| RichFault::Signature)?;
        let iv = <[u8; IV_BYTES]>::try_from(&key[..IV_BYTES]).map_err(|_| RichFault::Key)?;
        let length = UnboundCipherKey::new(&AES_256, &key)
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .and_then(|cipher| {
                cipher
                    .decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv)))
                    .map(|plain| plain.len())
            })
            .map_err(|_| RichFault::Cipher)?;
        data.truncate(length);
        Ok(data)
    }
}
