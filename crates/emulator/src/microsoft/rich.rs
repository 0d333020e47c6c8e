//! Notifications with data: encryption for the receiver's certificate, and tokens that say who sends.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::office::message::hex;

/// The application that sends change notifications (change-notifications-with-resource-data).
const PUBLISHER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";
const TOKEN_SECONDS: i64 = 3600;
const IV: usize = 16;

/// One element of DER: tag, content, the whole element, and what follows.
type Element<'a> = (u8, &'a [u8], &'a [u8], &'a [u8]);

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, head) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let count = usize::from(first & 0x7f);
        let digits = rest.get(..count).filter(|_| count <= 4)?;
        (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), 2 + count)
    };
    let end = head + length;
    Some((tag, bytes.get(head..end)?, bytes.get(..end)?, bytes.get(end..)?))
}

/// The SubjectPublicKeyInfo of an X.509 certificate (RFC 5280, 4.1).
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (_, outer, ..) = element(certificate)?;
    let (_, mut rest, ..) = element(outer)?;
    let mut place = 0;
    loop {
        let (tag, _, whole, after) = element(rest)?;
        // The version is optional; then serial, algorithm, issuer, validity, subject, key.
        if tag != 0xa0 {
            if place == 5 {
                return Some(whole);
            }
            place += 1;
        }
        rest = after;
    }
}

/// A receiver's certificate.
#[derive(Clone)]
pub(crate) struct Certificate {
    id: String,
    text: String,
    thumbprint: String,
    key: Vec<u8>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads base64 of an X.509 certificate with an RSA key of 2048 to 4096 bits.
    pub(crate) fn parse(text: &str, id: &str) -> Option<Self> {
        let der = STANDARD.decode(text.trim()).ok()?;
        let key = public_key(&der)?.to_vec();
        PublicEncryptingKey::from_der(&key).ok()?;
        let hash = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &der);
        let thumbprint = hex(hash.as_ref()).to_uppercase();
        Some(Self { id: id.to_owned(), text: text.to_owned(), thumbprint, key })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `encryptedContent` of a resource: a key of its own, wrapped, and a signature over what it encrypts.
    pub(crate) fn seal(&self, resource: &Value) -> Result<Value, Unspecified> {
        let key: [u8; 32] = chassis::ids::random_bytes();
        let iv: [u8; IV] = key[..IV].try_into().map_err(|_| Unspecified)?;
        let mut data = resource.to_string().into_bytes();
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &key)?)?;
        cipher.less_safe_encrypt(&mut data, EncryptionContext::Iv128(FixedLength::from(iv)))?;
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &data);
        let wrapping = PublicEncryptingKey::from_der(&self.key).map_err(|_| Unspecified)?;
        let wrapping = OaepPublicEncryptingKey::new(wrapping)?;
        let mut wrapped = vec![0; wrapping.ciphertext_size()];
        let wrapped = wrapping.encrypt(&OAEP_SHA1_MGF1SHA1, &key, &mut wrapped, None)?;
        Ok(json!({
            "data": STANDARD.encode(&data),
            "dataSignature": STANDARD.encode(signature.as_ref()),
            "dataKey": STANDARD.encode(&*wrapped),
            "encryptionCertificateId": self.id,
            "encryptionCertificateThumbprint": self.thumbprint,
        }))
    }
}

struct Signer {
    pair: KeyPair,
    id: String,
}

impl Signer {
    fn new() -> Result<Self, Unspecified> {
        let id = chassis::ids::new_id().simple().to_string();
        Ok(Self { pair: KeyPair::generate(KeySize::Rsa2048)?, id })
    }

    /// The public half as a JWK.
    fn jwk(&self) -> Option<Value> {
        let (_, inside, ..) = element(self.pair.public_key().as_ref())?;
        let (_, modulus, _, rest) = element(inside)?;
        let (_, exponent, ..) = element(rest)?;
        let number = |bytes: &[u8]| {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            URL_SAFE_NO_PAD.encode(&bytes[zeros..])
        };
        Some(json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "x5t": self.id,
            "n": number(modulus), "e": number(exponent),
        }))
    }
}

/// The keys that sign validation tokens; made when first needed.
#[derive(Default)]
pub(crate) struct Signing {
    signers: Mutex<Vec<Signer>>,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing").finish_non_exhaustive()
    }
}

impl Signing {
    fn with<T>(&self, work: impl FnOnce(&[Signer]) -> Option<T>) -> Option<T> {
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        if signers.is_empty() {
            signers.push(Signer::new().ok()?);
        }
        work(&signers)
    }

    /// A new key signs from now on; the two last ones are published.
    pub(crate) fn rotate(&self) {
        if let Ok(new) = Signer::new() {
            let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
            signers.push(new);
            let old = signers.len().saturating_sub(2);
            signers.drain(..old);
        }
    }

    /// The published keys.
    pub(crate) fn jwks(&self) -> Value {
        let keys = self.with(|signers| signers.iter().map(Signer::jwk).collect::<Option<Vec<_>>>());
        json!({"keys": keys.unwrap_or_default()})
    }

    /// A token for an application of a tenant: who sends, to whom, until when.
    pub(crate) fn token(&self, tenant: &str, audience: &str, now: i64) -> Option<String> {
        self.with(|signers| {
            let signer = signers.last()?;
            let head = json!({"typ": "JWT", "alg": "RS256", "kid": signer.id, "x5t": signer.id});
            let claims = json!({
                "aud": audience, "iss": format!("https://sts.windows.net/{tenant}/"),
                "iat": now, "nbf": now, "exp": now + TOKEN_SECONDS,
                "appid": PUBLISHER, "appidacr": "2", "tid": tenant, "ver": "1.0",
                "oid": PUBLISHER, "sub": PUBLISHER,
            });
            let text = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(head.to_string()),
                URL_SAFE_NO_PAD.encode(claims.to_string())
            );
            let mut signature = vec![0; signer.pair.public_modulus_len()];
            let random = SystemRandom::new();
            signer.pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).ok()?;
            Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
        })
    }
}
