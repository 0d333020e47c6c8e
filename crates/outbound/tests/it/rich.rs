//! Encrypted resources and validation tokens: the vectors of Graph's documentation, cross-checked with OpenSSL.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::notification::claims::ClaimFault;
use domain::notification::token::TokenFault;
use outbound::jwks::{ProofFault, SigningKeys};
use outbound::rich::{Encrypted, KeysFault, NotificationKeys, RichFault};
use serde_json::Value;

use crate::support::{Provider, clock, http};

const TENANT: &str = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
const APP: &str = "8e460676-ae3f-4b1e-8790-ee0fb5d6148f";

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    std::fs::read_to_string(path).expect("a vector")
}

fn json(name: &str) -> Value {
    serde_json::from_str(&vector(name)).expect("JSON")
}

fn keys() -> NotificationKeys {
    let pem = vector("encryption_private_key.pem");
    NotificationKeys::parse(&format!("id: test-cert-1\n{pem}")).expect("keys")
}

fn content(name: &str) -> Encrypted {
    serde_json::from_value(json(name)["value"][0]["encryptedContent"].clone()).expect("encrypted content")
}

#[test]
fn the_vectors_are_decided() {
    let plain = keys().open(&content("rich_valid.json")).expect("it opens");
    let expected = vector("rich_plaintext.json");
    assert_eq!(std::str::from_utf8(&plain), Ok(expected.trim_end()));
    assert_eq!(keys().open(&content("rich_tampered_data.json")).err(), Some(RichFault::Signature));
    assert_eq!(keys().open(&content("rich_unknown_cert.json")).err(), Some(RichFault::UnknownCertificate));
    assert_eq!(
        NotificationKeys::none().open(&content("rich_valid.json")).err(),
        Some(RichFault::UnknownCertificate)
    );
}

#[test]
fn every_changed_field_is_refused() {
    let good = content("rich_valid.json");
    let unsigned = Encrypted { data_signature: String::new(), ..good.clone() };
    assert_eq!(
        keys().open(&unsigned).err(),
        Some(RichFault::Signature),
        "a missing signature is a wrong one"
    );
    let unwrapped = Encrypted { data_key: good.data_signature.clone(), ..good.clone() };
    assert_eq!(keys().open(&unwrapped).err(), Some(RichFault::Key));
    let cut = Encrypted { data: good.data[..good.data.len() - 4].to_owned(), ..good.clone() };
    assert_eq!(keys().open(&cut).err(), Some(RichFault::Signature));
    for field in [0, 1, 2] {
        let mut bad = good.clone();
        *[&mut bad.data, &mut bad.data_signature, &mut bad.data_key][field] = "<HMAC-SHA256 hash>".to_owned();
        assert_eq!(keys().open(&bad).err(), Some(RichFault::NotBase64), "field {field}");
    }
}

#[test]
fn keys_are_read_in_both_forms_and_never_shown() {
    let pem = vector("encryption_private_key.pem");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let two = NotificationKeys::parse(&format!("a:b/1:{body}, test-cert-1:{body}")).expect("two keys");
    assert!(two.open(&content("rich_valid.json")).is_ok(), "old and new certificate at once");
    assert_eq!(format!("{two:?}"), r#"["a:b/1", "test-cert-1"]"#);
    let id = || "x".to_owned();
    for (text, fault) in [
        (String::new(), KeysFault::Empty),
        (body.clone(), KeysFault::NoId { number: 1 }),
        (pem.clone(), KeysFault::NoId { number: 1 }),
        (format!("x:{body},x:{body}"), KeysFault::Twice { id: id() }),
        ("x:AAAA".to_owned(), KeysFault::Key { id: id() }),
        (format!("id: x\n{}", pem.replacen('M', "N", 1)), KeysFault::Key { id: id() }),
    ] {
        assert_eq!(NotificationKeys::parse(&text).err(), Some(fault), "{text:.20}");
    }
}

/// A server of the key set that can be switched off.
async fn authority() -> (Provider, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&up);
    let provider = Provider::start(move |seen| {
        assert_eq!(seen.path, "/common/discovery/v2.0/keys");
        if switch.load(Ordering::SeqCst) {
            vector("jwks.json").into_response()
        } else {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    });
    (provider.await, up)
}

#[tokio::test]
async fn every_validation_token_is_decided() {
    let (provider, _up) = authority().await;
    let keys = SigningKeys::new(http(), &provider.base, clock());
    let apps = [APP.to_owned()];
    let tokens = json("validation_tokens.json");
    let all = tokens.as_object().expect("tokens");
    assert_eq!(all.len(), 8);
    for (name, token) in all {
        let proven = keys.prove(token.as_str().expect("a token"), &apps).await;
        let as_expected = match (name.as_str(), &proven) {
            ("valid" | "v2_azp_form", Ok(tenant)) => tenant == TENANT,
            ("bad_audience", Err(ProofFault::Claims(ClaimFault::Audience)))
            | ("bad_publisher_appid", Err(ProofFault::Claims(ClaimFault::Publisher)))
            | ("bad_issuer", Err(ProofFault::Claims(ClaimFault::Issuer)))
            | ("expired", Err(ProofFault::Claims(ClaimFault::Expired)))
            | ("alg_none", Err(ProofFault::Token(TokenFault::Algorithm)))
            | ("tampered", Err(ProofFault::Signature)) => true,
            _ => false,
        };
        assert!(as_expected, "{name}: {proven:?}");
    }
    assert_eq!(provider.count(), 1, "one fetch for all of them");
    assert!(matches!(keys.prove("x", &apps).await, Err(ProofFault::Token(TokenFault::Shape))));
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait_and_an_old_set_stays_in_use() {
    let (provider, up) = authority().await;
    let keys = SigningKeys::new(http(), &provider.base, clock());
    let apps = [APP.to_owned()];
    let tokens = json("validation_tokens.json");
    let valid = tokens["valid"].as_str().expect("a token");
    let all = futures::future::join_all((0..50).map(|_| keys.prove(valid, &apps))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(provider.count(), 1);

    up.store(false, Ordering::SeqCst);
    assert!(keys.prove(valid, &apps).await.is_ok());
    // A name that nobody published: no fetch within a minute of the last one.
    let header = r#"{"alg":"RS256","kid":"another"}"#;
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header);
    let (_, rest) = valid.split_once('.').expect("three parts");
    let strange = keys.prove(&format!("{encoded}.{rest}"), &apps).await;
    assert!(matches!(strange, Err(ProofFault::UnknownKey)), "{strange:?}");
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn without_a_set_nothing_is_decided() {
    let (provider, up) = authority().await;
    up.store(false, Ordering::SeqCst);
    let keys = SigningKeys::new(http(), &provider.base, clock());
    let tokens = json("validation_tokens.json");
    let valid = tokens["valid"].as_str().expect("a token");
    for _ in 0..3 {
        let undecided = keys.prove(valid, &[APP.to_owned()]).await;
        assert!(matches!(undecided, Err(ProofFault::NoKeys)), "{undecided:?}");
    }
    assert_eq!(provider.count(), 1, "a failing server is not asked for each notification");
}
