//! Subscriptions on mail and Teams: limits, notifications, lifecycle, data encrypted for the receiver.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};

use crate::subscriptions::{Receiver, request, subscribe};
use crate::support::{Answer, Stage, exchange};

const INBOX: &str = "users/ada@example.org/mailFolders('inbox')/messages";

fn wish(url: &str, resource: &str, minutes: i64) -> Value {
    let mut body = request(url, minutes);
    (body["resource"], body["changeType"]) = (json!(resource), json!("created,updated,deleted"));
    body
}

async fn channel(stage: &Stage) -> (String, String) {
    let teams = stage.control(Method::GET, "/microsoft/teams", "").await.expect(200).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&teams["items"][0]["id"]), text(&teams["items"][0]["channels"][0]["id"]))
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_resource_has_its_limits() {
    let stage = Stage::generated(0).await;
    let receiver = Receiver::start().await;
    let url = &receiver.url;
    let long = subscribe(&stage, &wish(url, INBOX, 4300)).await.expect(400);
    assert_eq!(message(&long), "Subscription expiration can only be 4230 minutes in the future.");
    let (team, place) = channel(&stage).await;
    let resource = format!("teams/{team}/channels/{place}/messages");
    let bare = subscribe(&stage, &wish(url, &resource, 120)).await.expect(400);
    assert!(message(&bare).starts_with("lifecycleNotificationUrl is a required property"));
    let mut whole = wish(url, &resource, 4000);
    whole["lifecycleNotificationUrl"] = json!(url);
    let made = subscribe(&stage, &whole).await.expect(201).json();
    assert_eq!(subscribe(&stage, &whole).await.expect(403).code(), "ExtensionError");

    let mail = subscribe(&stage, &wish(url, INBOX, 60)).await.expect(201).json();
    let at = format!("/subscriptions/{}", mail["id"].as_str().unwrap());
    let mut renewal = json!({"expirationDateTime": made["expirationDateTime"]});
    stage.send(Method::PATCH, &at, renewal.to_string()).await.expect(200);
    renewal["lifecycleNotificationUrl"] = json!(url);
    stage.send(Method::PATCH, &at, renewal.to_string()).await.expect(400);
    subscribe(&stage, &wish(url, "users/nobody@example.org/messages", 60)).await.expect(404);
    let denied = r#"{"denied":["Mail.Read","Mail.ReadWrite"]}"#;
    stage.control(Method::PUT, "/microsoft/permissions", denied).await.expect(200);
    subscribe(&stage, &wish(url, INBOX, 60)).await.expect(403);
    receiver.end().await;
    stage.emulator.stop().await;
}

#[tokio::test]
async fn mail_and_messages_ring() {
    let stage = Stage::generated(0).await;
    let mut receiver = Receiver::start().await;
    let body = wish(&receiver.url, INBOX, 60).to_string();
    let prefer = [("prefer", "IdType=\"ImmutableId\"")];
    let made =
        stage.try_send(Method::POST, "/subscriptions", &prefer, body).await.unwrap().expect(201).json();
    let mail = stage.mail("rings").await;
    let told = receiver.next().await["value"][0].clone();
    assert_eq!(told["subscriptionId"], made["id"]);
    assert_eq!((&told["changeType"], &told["clientState"]), (&json!("created"), &json!("secret")));
    assert_eq!(told["resourceData"]["id"], mail["id"]);
    assert_eq!(told["resourceData"]["@odata.type"], "#Microsoft.Graph.Message");
    assert!(told["resource"].as_str().unwrap().starts_with("Users/"));

    let (team, place) = channel(&stage).await;
    let resource = format!("teams/{team}/channels/{place}/messages");
    subscribe(&stage, &wish(&receiver.url, &resource, 60)).await.expect(201);
    let say = json!({"team": team, "channel": place, "from": "ben@example.org", "body": "hi"});
    let id = stage.act("/microsoft/channel-message", say).await["id"].clone();
    let told = receiver.next().await["value"][0].clone();
    let expected = format!("teams('{team}')/channels('{place}')/messages('{}')", id.as_str().unwrap());
    assert_eq!(told["resource"], json!(expected));
    receiver.end().await;
    stage.emulator.stop().await;
}

#[tokio::test]
async fn lifecycle_events_pause_remove_and_are_answered() {
    let stage = Stage::generated(0).await;
    let mut receiver = Receiver::start().await;
    let mut body = wish(&receiver.url, INBOX, 60);
    body["lifecycleNotificationUrl"] = json!(receiver.url);
    let id = subscribe(&stage, &body).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let event = |name: &str| json!({"subscription": id, "event": name});
    stage.act("/microsoft/lifecycle", event("reauthorizationRequired")).await;
    let told = receiver.next().await["value"][0].clone();
    assert_eq!(told["lifecycleEvent"], "reauthorizationRequired");
    assert!(told.get("resource").is_none());
    stage.mail("lost").await;
    crate::support::eventually("the loss", async || {
        let list = stage.control(Method::GET, "/notifications", "").await.json();
        list["items"].as_array().unwrap().iter().any(|one| one["action"] == "paused").then_some(())
    })
    .await;
    stage.send(Method::POST, &format!("/subscriptions/{id}/reauthorize"), "").await.expect(202);
    stage.mail("told").await;
    assert_eq!(receiver.next().await["value"][0]["changeType"], "created");
    stage.act("/microsoft/lifecycle", event("subscriptionRemoved")).await;
    assert_eq!(receiver.next().await["value"][0]["lifecycleEvent"], "subscriptionRemoved");
    stage.get(&format!("/subscriptions/{id}")).await.expect(404);

    let silent = subscribe(&stage, &body).await.expect(201).json()["id"].clone();
    let body = json!({"subscription": silent}).to_string();
    stage.control(Method::POST, "/microsoft/subscriptions/remove", &body).await.expect(204);
    assert_eq!(stage.get("/subscriptions").await.expect(200).json()["value"], json!([]));
    receiver.end().await;
    stage.emulator.stop().await;
}

/// An element of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], content.as_slice()].concat()
}

/// A key, and a certificate of it with nothing in it but what a sender needs.
fn receiver_key() -> (PrivateDecryptingKey, String) {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let (version, serial, empty) = (der(0xa0, &[&[2, 1, 2]]), der(2, &[&[1]]), der(0x30, &[]));
    let body = der(0x30, &[&version, &serial, &empty, &empty, &empty, &empty, public.as_ref()]);
    (key.clone(), STANDARD.encode(der(0x30, &[&body, &empty])))
}

fn open(key: PrivateDecryptingKey, sealed: &Value) -> Value {
    let bytes = |name: &str| STANDARD.decode(sealed[name].as_str().unwrap()).unwrap();
    let key = OaepPrivateDecryptingKey::new(key).unwrap();
    let mut room = vec![0; key.min_output_size()];
    let key = key.decrypt(&OAEP_SHA1_MGF1SHA1, &bytes("dataKey"), &mut room, None).unwrap().to_vec();
    let mut data = bytes("data");
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &data, &bytes("dataSignature")).unwrap();
    let iv: [u8; 16] = key[..16].try_into().unwrap();
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
    let plain = cipher.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv))).unwrap();
    serde_json::from_slice(plain).unwrap()
}

#[tokio::test]
async fn data_is_encrypted_and_the_sender_proves_itself() {
    let stage = Stage::generated(0).await;
    let mut receiver = Receiver::start().await;
    let (key, certificate) = receiver_key();
    let (team, place) = channel(&stage).await;
    let mut body = wish(&receiver.url, &format!("teams/{team}/channels/{place}/messages"), 60);
    body["includeResourceData"] = json!(true);
    subscribe(&stage, &body).await.expect(400);
    body["encryptionCertificate"] = json!(certificate);
    body["encryptionCertificateId"] = json!("c1");
    subscribe(&stage, &body).await.expect(201);
    let say = json!({"team": team, "channel": place, "from": "ben@example.org", "body": "secret words"});
    stage.act("/microsoft/channel-message", say).await;
    let told = receiver.next().await;
    let sealed = &told["value"][0]["encryptedContent"];
    assert_eq!(sealed["encryptionCertificateId"], "c1");
    assert_eq!(open(key, sealed)["body"]["content"], "secret words");

    let token = told["validationTokens"][0].as_str().unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let read =
        |text: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap() };
    assert_eq!(read(claims)["appid"], "0bf30f3b-4a52-48df-9a82-234910c4a086");
    let base = stage.emulator.login_base_url();
    let openid = format!("{base}/common/v2.0/.well-known/openid-configuration");
    let openid = exchange(Method::GET, &openid, &[], "").await.unwrap().expect(200).json();
    let keys = openid["jwks_uri"].as_str().unwrap();
    let keys = exchange(Method::GET, keys, &[], "").await.unwrap().expect(200).json();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == read(head)["kid"]).unwrap();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let key = RsaPublicKeyComponents { n: number("n"), e: number("e") };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
    receiver.end().await;
    stage.emulator.stop().await;
}
