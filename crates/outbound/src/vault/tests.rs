use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::config::{Env, FromEnv};
use domain::ids::CompanyId;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Binding, KeyRing, RingFault, Vault, VaultError, Wrapped};

fn entry(id: &str, byte: u8) -> String {
    format!("{id}:{}", STANDARD.encode([byte; 32]))
}

fn vault(keys: &[(&str, u8)]) -> Vault {
    let text: Vec<String> = keys.iter().map(|(id, byte)| entry(id, *byte)).collect();
    Vault::new(KeyRing::parse(&text.join(",")).expect("a ring"))
}

fn company(number: u128) -> CompanyId {
    CompanyId(uuid::Uuid::from_u128(number))
}

proptest! {
    #[test]
    fn what_is_sealed_opens_for_its_row_alone(
        plain in vec(any::<u8>(), 0..200),
        (purpose, other_purpose) in ("[a-z.]{1,20}", "[a-z.]{1,20}"),
        (row, other_row) in ("[a-z0-9]{0,20}", "[a-z0-9]{0,20}"),
        (tenant, other_tenant) in (any::<u128>(), any::<u128>()),
    ) {
        let vault = vault(&[("a", 1)]);
        let mine = Binding { purpose: &purpose, company: company(tenant), row: &row };
        let sealed = vault.seal(&mine, &plain).expect("sealed");
        let opened = vault.open(&mine, &sealed).expect("opens");
        prop_assert_eq!(opened.as_slice(), plain.as_slice());
        for other in [
            Binding { purpose: &other_purpose, ..mine },
            Binding { company: company(other_tenant), ..mine },
            Binding { row: &other_row, ..mine },
            // The border between the parts counts.
            Binding { purpose: &format!("{purpose}x"), row: row.get(1..).unwrap_or("y"), ..mine },
        ] {
            let same = other.purpose == purpose && other.company == mine.company && other.row == row;
            prop_assert_eq!(vault.open(&other, &sealed).is_ok(), same);
        }
    }

    #[test]
    fn changed_bytes_never_open(plain in vec(any::<u8>(), 1..64), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let vault = vault(&[("a", 1)]);
        let binding = Binding { purpose: "p", company: company(1), row: "r" };
        let mut sealed = vault.seal(&binding, &plain).expect("sealed");
        let at = at.index(sealed.len());
        sealed[at] ^= flip;
        prop_assert!(vault.open(&binding, &sealed).is_err());
        sealed[at] ^= flip;
        sealed.truncate(at);
        prop_assert!(vault.open(&binding, &sealed).is_err());
    }

    #[test]
    fn rotation_wraps_anew_and_keeps_the_content(plain in vec(any::<u8>(), 0..64)) {
        let binding = Binding { purpose: "calendar_accounts", company: company(7), row: "account" };
        let old = vault(&[("old", 1)]);
        let (key, wrapped) = old.data_key(&binding).expect("a key");
        let sealed = key.seal(&binding, &plain).expect("sealed");
        let both = vault(&[("new", 2), ("old", 1)]);
        let rewrapped = both.rewrap(&binding, &wrapped).expect("opens").expect("needs it");
        prop_assert_eq!(&rewrapped.key_id, "new");
        prop_assert_eq!(both.rewrap(&binding, &rewrapped).expect("opens"), None);
        let new = vault(&[("new", 2)]);
        let opened = new.unwrap(&binding, &rewrapped).expect("opens").open(&binding, &sealed).expect("opens");
        prop_assert_eq!(opened.as_slice(), plain.as_slice());
        prop_assert_eq!(new.unwrap(&binding, &wrapped).expect_err("gone"), VaultError::UnknownKey { id: "old".into() });
        let lying = Wrapped { key_id: "new".into(), ..wrapped };
        prop_assert_eq!(new.unwrap(&binding, &lying).expect_err("another key"), VaultError::Broken);
    }
}

#[test]
fn sealing_twice_shows_nothing_alike() {
    let vault = vault(&[("a", 1)]);
    let binding = Binding { purpose: "p", company: company(1), row: "r" };
    let one = vault.seal(&binding, b"the same").expect("sealed");
    let two = vault.seal(&binding, b"the same").expect("sealed");
    assert_ne!(one, two);
    assert!(!one.windows(4).any(|w| w == b"same"));
    let shown = format!("{vault:?}");
    assert!(shown.contains("\"a\"") && !shown.contains(&STANDARD.encode([1; 32])), "{shown}");
    let (key, _) = vault.data_key(&binding).expect("a key");
    assert_eq!(format!("{key:?}"), "DataKey([redacted])");
}

#[test]
fn faults_name_the_key_and_never_quote_it() {
    let short = format!("k1:{}", STANDARD.encode([9; 16]));
    let development = format!("k:{}", STANDARD.encode(b"syncline development key, public"));
    let cases = [
        ("", RingFault::Empty),
        ("no colon", RingFault::Shape { number: 1 }),
        (":AAAA", RingFault::Shape { number: 1 }),
        (short.as_str(), RingFault::Key { id: "k1".into() }),
        (&format!("{},{}", entry("a", 1), entry("a", 2)), RingFault::Twice { id: "a".into() }),
        (&development, RingFault::Development { id: "k".into() }),
    ];
    for (text, fault) in cases {
        assert_eq!(KeyRing::parse(text).expect_err("a fault"), fault, "{text}");
        assert!(!fault.to_string().contains(&STANDARD.encode([9; 16])));
    }
}

#[test]
fn production_refuses_to_start_without_keys() {
    let mut env = Env::from_pairs([("APP_ENV", "production")]);
    KeyRing::from_env(&mut env);
    let faults = env.finish().expect_err("a fault").to_string();
    assert!(faults.contains("TOKEN_ENCRYPTION_KEYS"), "{faults}");
    let mut env =
        Env::from_pairs([("APP_ENV", "production".to_owned()), ("TOKEN_ENCRYPTION_KEYS", entry("k", 3))]);
    assert!(!KeyRing::from_env(&mut env).is_development());
    env.finish().expect("a key is configured");
    let mut env = Env::from_pairs(Vec::<(String, String)>::new());
    assert!(KeyRing::from_env(&mut env).is_development());
    env.finish().expect("development needs none");
}
