//! Everything that reads what a stranger sent, fed with changed seeds of `fuzz/seeds`. `FUZZ_SECONDS` runs each target
//! for that long instead of a fixed number of times, `FUZZ_SEED` repeats a run.

use std::path::Path;
use std::time::{Duration, Instant};

use outbound::rich::NotificationKeys;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use webhook_ingress::parse;

/// Inputs of one target when no time is given.
const INPUTS: u32 = 3_000;
/// Longest input, in bytes.
const MAX: usize = 64 * 1024;
/// What syntax is made of: changes with these reach further than random bytes.
const WORDS: [&[u8]; 18] = [
    b"{", b"}", b"[", b"]", b"\"", b"\\u0000", b"null", b"'", b"('", b"')", b"/", b".", b"%00", b"&", b"=",
    b":", b"-1", b"1e999",
];

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name)
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder(target)).expect("seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

fn change(rng: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(0..6) {
        let place = rng.random_range(0..=input.len());
        let end = rng.random_range(place..=input.len().min(place + 40));
        match rng.random_range(0..6) {
            0 => drop(input.drain(place..end)),
            1 => input.insert(place, rng.random()),
            2 if place < input.len() => input[place] ^= 1 << rng.random_range(0..8),
            3 => drop(input.splice(place..end, WORDS[rng.random_range(0..WORDS.len())].iter().copied())),
            4 => {
                let again = input[place..end].to_vec();
                input.splice(place..place, again);
            }
            _ => {
                let other = &seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                input.truncate(place);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(MAX);
    input
}

fn fuzz(target: &str, run: impl Fn(&[u8])) {
    let given = std::env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from_be_bytes(chassis::ids::random_bytes()));
    eprintln!("{target}: FUZZ_SEED={seed}");
    let limit =
        std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let (mut rng, seeds, begun) = (StdRng::seed_from_u64(seed), seeds(target), Instant::now());
    for input in &seeds {
        run(input);
    }
    let mut inputs = 0;
    while limit.map_or(inputs < INPUTS, |limit| begun.elapsed() < limit) {
        run(&change(&mut rng, &seeds));
        inputs += 1;
    }
    eprintln!("{target}: {inputs} inputs");
}

fn text(run: impl Fn(&str)) -> impl Fn(&[u8]) {
    move |bytes| run(&String::from_utf8_lossy(bytes))
}

#[test]
fn deliveries() {
    fuzz("delivery", parse::delivery);
}

#[test]
fn encrypted_content() {
    let pem = folder("../../crates/outbound/tests/vectors/encryption_private_key.pem");
    let pem = std::fs::read_to_string(pem).expect("a key");
    let keys = NotificationKeys::parse(&format!("id: test-cert-1\n{pem}")).expect("a key");
    fuzz("rich", |content| parse::rich(content, &keys));
}

#[test]
fn validation_tokens() {
    fuzz("validation_token", text(|token| parse::validation_token(token, 1_700_000_000)));
}

#[test]
fn handshakes() {
    fuzz("handshake", text(parse::handshake));
}

#[test]
fn resources() {
    fuzz("resource", text(parse::resource));
}

#[test]
fn messages_of_google() {
    fuzz("google_message", parse::google_message);
}
