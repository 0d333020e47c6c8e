//! The outer shape of a validation token: a JSON web signature in compact form (RFC 7515), read before its signature is
//! looked at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::claims::Claims;

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Longest name of a key.
const MAX_KEY: usize = 256;

/// A token whose signature nobody has checked yet.
#[derive(Debug, Clone)]
pub struct Unproven<'a> {
    /// Name of the key that is said to have signed it.
    pub key: String,
    /// What is signed.
    pub signed: &'a str,
    /// The signature.
    pub signature: Vec<u8>,
    /// What it says.
    pub claims: Claims,
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not three parts of base64url with JSON in two of them.
    #[error("it is no signed token")]
    Shape,
    /// Another algorithm than RS256: `none`, or a shared secret that a public key would be taken for.
    #[error("it is not signed with RS256")]
    Algorithm,
    /// The header asks for what nobody here understands (`crit`), or names no key.
    #[error("its header cannot be honoured")]
    Header,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

/// Takes a token apart.
///
/// # Errors
/// [`TokenFault`].
pub fn take_apart(token: &str) -> Result<Unproven<'_>, TokenFault> {
    if token.len() > MAX_TOKEN {
        return Err(TokenFault::Shape);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Shape)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenFault::Shape)?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Shape);
    let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| TokenFault::Shape)?;
    if header.alg != "RS256" {
        return Err(TokenFault::Algorithm);
    }
    let key = header.kid.filter(|kid| (1..=MAX_KEY).contains(&kid.len())).ok_or(TokenFault::Header)?;
    if header.crit.is_some() {
        return Err(TokenFault::Header);
    }
    let claims = serde_json::from_slice(&bytes(claims)?).map_err(|_| TokenFault::Shape)?;
    Ok(Unproven { key, signed, signature: bytes(signature)?, claims })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims),
            URL_SAFE_NO_PAD.encode("s")
        )
    }

    #[test]
    fn only_signed_tokens_with_a_key_are_taken_apart() {
        let good = token(r#"{"alg":"RS256","kid":"k"}"#, r#"{"aud":"a","iss":"i","exp":1}"#);
        let read = take_apart(&good).expect("a token");
        assert_eq!((read.key.as_str(), read.signature.as_slice()), ("k", b"s".as_slice()));
        assert!(good.starts_with(read.signed));
        for (header, fault) in [
            (r#"{"alg":"none","kid":"k"}"#, TokenFault::Algorithm),
            (r#"{"alg":"HS256","kid":"k"}"#, TokenFault::Algorithm),
            (r#"{"alg":"RS256"}"#, TokenFault::Header),
            (r#"{"alg":"RS256","kid":"k","crit":["x"]}"#, TokenFault::Header),
            ("no JSON", TokenFault::Shape),
        ] {
            let token = token(header, r#"{"aud":"a","iss":"i","exp":1}"#);
            assert_eq!(take_apart(&token).err(), Some(fault), "{header}");
        }
        for text in ["", ".", "..", "a.b", "eyJ0eXAiOiJKV1QiLCJhb...", &"a".repeat(MAX_TOKEN + 1)] {
            assert_eq!(take_apart(text).err(), Some(TokenFault::Shape), "{text:.20}");
        }
    }
}
