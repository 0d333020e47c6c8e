//! The spool against crashes at every byte.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// A folder that is removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("spool-{}", chassis::ids::new_id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, 1 << 26).expect("a spool")
}

fn payloads(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Replays everything.
fn drain(spool: &Spool) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(batch) = spool.next().expect("a read") {
        found.extend(batch.entries.iter().map(|e| String::from_utf8(e.payload.clone()).expect("text")));
        spool.settle(&batch).expect("a removal");
    }
    found
}

fn only_file(folder: &Path) -> PathBuf {
    let files = segment::list(folder).expect("a list");
    assert_eq!(files.len(), 1);
    files[0].clone()
}

#[test]
fn what_is_appended_comes_back_in_order_once() {
    let folder = Folder::new();
    let spool = open(&folder.0);
    assert_eq!((spool.state(), spool.next().expect("a read")), (SpoolState::default(), None));
    spool.append(&payloads(&["a", "b"]), 5).expect("room");
    spool.append(&payloads(&["c"]), 7).expect("room");
    let state = spool.state();
    assert_eq!((state.entries, state.oldest), (3, Some(5)));
    assert!(matches!(Spool::open(&folder.0, 1 << 20), Err(SpoolFault::InUse(_))));
    drop(spool);

    let spool = open(&folder.0);
    assert_eq!(spool.state(), state);
    // A process that ends in the middle: what it replayed comes again with the same numbers.
    let batch = spool.next().expect("a read").expect("a batch");
    assert_eq!((batch.first, batch.end()), (0, 3));
    spool.append(&payloads(&["d"]), 9).expect("room");
    assert_eq!(drain(&spool), ["a", "b", "c", "d"]);
    assert_eq!((spool.state(), segment::list(&folder.0).expect("a list").len()), (SpoolState::default(), 0));
    spool.append(&payloads(&["e"]), 11).expect("room");
    assert_eq!(drain(&spool), ["e"]);
}

#[test]
fn a_full_spool_refuses_whole_and_takes_again_when_it_was_replayed() {
    let folder = Folder::new();
    let spool = Spool::open(&folder.0, 1 << 20).expect("a spool");
    let large = vec![b'x'; 100_000];
    let mut taken = 0;
    while spool.append(std::slice::from_ref(&large), 1).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 10);
    assert!(matches!(spool.append(&[b"s".to_vec(), large.clone()], 1), Err(SpoolFault::Full)));
    assert!(spool.state().bytes <= 1 << 20);
    assert!(segment::list(&folder.0).expect("a list").len() > 5, "room comes back bit by bit");
    let batch = spool.next().expect("a read").expect("a batch");
    spool.settle(&batch).expect("a removal");
    spool.append(std::slice::from_ref(&large), 1).expect("room again");
    assert_eq!(drain(&spool).len(), taken + 1 - batch.entries.len());
    assert!(matches!(spool.append(&[Vec::new()], 1), Err(SpoolFault::TooLarge(0))));
}

#[test]
fn a_crash_at_any_byte_loses_only_what_was_not_finished() {
    let folder = Folder::new();
    let texts = ["first", "a second entry", "3", "the last one of them"];
    {
        let spool = open(&folder.0);
        for text in texts {
            spool.append(&payloads(&[text]), 3).expect("room");
        }
    }
    let file = only_file(&folder.0);
    let whole = fs::read(&file).expect("bytes");
    let mut ends = vec![usize::try_from(HEAD).expect("small")];
    for text in texts {
        ends.push(ends[ends.len() - 1] + frame::HEAD + text.len());
    }
    assert_eq!(ends.last(), Some(&whole.len()));
    for cut in 0..=whole.len() {
        let other = Folder::new();
        fs::write(other.0.join(file.file_name().expect("a name")), &whole[..cut]).expect("a file");
        let complete = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        let spool = open(&other.0);
        assert_eq!(spool.state().entries, complete as u64, "cut at byte {cut}");
        spool.append(&payloads(&["new"]), 4).expect("room");
        let mut expected: Vec<&str> = texts[..complete].to_vec();
        expected.push("new");
        assert_eq!(drain(&spool), expected, "cut at byte {cut}");
    }
}

#[test]
fn a_segment_that_cannot_be_read_is_kept_and_the_next_one_replayed() {
    let folder = Folder::new();
    let spool = open(&folder.0);
    spool.append(&payloads(&["a", "b"]), 1).expect("room");
    let file = only_file(&folder.0);
    let mut bytes = fs::read(&file).expect("bytes");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).expect("a file");
    assert!(matches!(spool.next(), Err(SpoolFault::Disk { .. })));
    spool.give_up_first().expect("a rename");
    assert!(file.with_extension("damaged").exists());
    spool.append(&payloads(&["c"]), 1).expect("room");
    assert_eq!(drain(&spool), ["c"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Appends, replays and crashes in any order: every finished entry comes back in order, and none that was settled.
    #[test]
    fn any_history_is_survived(steps in proptest::collection::vec((0_u8..4, 1_usize..2000, 0_usize..3000), 1..40)) {
        let folder = Folder::new();
        let (mut spool, mut expected, mut number) = (open(&folder.0), VecDeque::new(), 0);
        for (what, size, cut) in steps {
            match what {
                0 | 1 => {
                    number += 1;
                    let text = format!("{number}:{}", "x".repeat(size));
                    spool.append(&[text.clone().into_bytes()], number).expect("room");
                    expected.push_back(text);
                }
                2 => if let Some(batch) = spool.next().expect("a read") {
                    let texts: Vec<String> = batch.entries.iter()
                        .map(|e| String::from_utf8(e.payload.clone()).expect("text")).collect();
                    let front: Vec<String> = expected.drain(..texts.len()).collect();
                    prop_assert_eq!(texts, front);
                    spool.settle(&batch).expect("a removal");
                },
                _ => {
                    drop(spool);
                    // The machine dies while another entry is written: any part of it may be there.
                    if let Some(last) = segment::list(&folder.0).expect("a list").last() {
                        let mut torn = Vec::new();
                        frame::write(&mut torn, 1, &vec![b'y'; size]);
                        torn.truncate(cut.min(torn.len() - 1));
                        let mut file = OpenOptions::new().append(true).open(last).expect("a file");
                        file.write_all(&torn).expect("a write");
                    }
                    spool = open(&folder.0);
                    // Without the database's memory the first segment begins anew.
                    let again: Vec<String> = drain(&spool);
                    let skipped = again.len() - expected.len();
                    prop_assert_eq!(&again[skipped..], expected.make_contiguous());
                    expected.clear();
                }
            }
        }
        let rest: Vec<String> = expected.into();
        prop_assert_eq!(drain(&spool), rest);
    }

    /// A changed byte is never taken for an entry.
    #[test]
    fn a_changed_byte_is_found(place in 0_usize..200, bit in 0_u8..8) {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, 77, &[b'z'; 100]);
        frame::write(&mut bytes, 78, &[b'w'; 100]);
        let at = place % (frame::HEAD + 100);
        bytes[at] ^= 1 << bit;
        let read = matches!(frame::read(&bytes), frame::Read::Entry { .. });
        prop_assert!(!read);
    }
}
