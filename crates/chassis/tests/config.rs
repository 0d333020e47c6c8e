//! Reading the environment.

use chassis::config::{ConfigFaults, Env};
use std::time::Duration;

fn faults(env: Env) -> Vec<String> {
    let ConfigFaults(faults) = env.finish().expect_err("faults");
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn values_defaults_and_empty_variables() {
    let mut env = Env::from_pairs([("A", " 7 "), ("B", ""), ("ON", "Yes"), ("APP_ENV", "production")]);
    assert_eq!(env.parse("A", 1_u32), 7);
    assert_eq!(env.parse("B", 3_u32), 3);
    assert_eq!(env.parse_optional::<u32>("C"), None);
    assert_eq!(env.string("B", "default"), "default");
    assert_eq!(env.seconds("C", 5), Duration::from_secs(5));
    assert!(env.flag("ON", false) && env.flag("OFF", true));
    assert!(env.production());
    assert!(env.secret("S").is_none());
    assert_eq!(env.finish(), Ok(()));
}

#[test]
fn every_fault_is_reported_and_no_secret_is_quoted() {
    let mut env = Env::from_pairs([
        ("NUMBER", "many"),
        ("SWITCH", "maybe"),
        ("API_KEY", "k3y"),
        ("URL", "amqp://u:pw@host/bad"),
        ("SYNCLINE_TYPO", "1"),
        ("SYNCLINE_API_URL", "http://x"),
        ("TWICE", "s3cret"),
        ("TWICE_FILE", "/a"),
        ("GONE_FILE", "/nowhere/secret"),
    ]);
    env.parse("NUMBER", 1_u32);
    env.flag("SWITCH", true);
    env.parse("API_KEY", 1_u32);
    env.parse("URL", 1_u32);
    env.required("MISSING");
    env.secret("TWICE");
    env.required_secret("GONE");
    env.required_secret("NOWHERE");
    let lines = faults(env);
    let names: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
    let expected =
        ["NUMBER", "SWITCH", "API_KEY", "URL", "MISSING", "TWICE", "GONE_FILE", "NOWHERE", "SYNCLINE_TYPO"];
    assert_eq!(names, expected, "{lines:#?}");
    let all = lines.join("\n");
    assert!(!all.contains("k3y") && !all.contains("pw") && !all.contains("s3cret"), "{all}");
    assert!(all.contains("`many`") && all.contains("/nowhere/secret"), "{all}");
}
