use proptest::prelude::*;

use super::*;

fn page(next: &str) -> Listed {
    Listed::Page { next_page: Some(next.to_owned()), next_token: None }
}

fn last(token: &str) -> Listed {
    Listed::Page { next_page: None, next_token: Some(token.to_owned()) }
}

#[test]
fn a_full_round_then_changes() {
    let mut cursor = Cursor::default();
    assert_eq!(cursor.request(), Request { sync_token: None, page_token: None });
    assert_eq!(cursor.step(page("p2")), Ok(Progress::More));
    assert_eq!(cursor.request().page_token.as_deref(), Some("p2"));
    assert!(!cursor.bootstrapped);
    assert_eq!(cursor.step(last("t1")), Ok(Progress::Sweep(1)));
    assert!(cursor.bootstrapped);
    assert_eq!(cursor.step(page("q2")), Ok(Progress::More));
    let both = Request { sync_token: Some("t1".to_owned()), page_token: Some("q2".to_owned()) };
    assert_eq!(cursor.request(), both, "the token stays beside the page inside a round");
    assert_eq!(cursor.step(last("t2")), Ok(Progress::Complete));
    assert_eq!(cursor.request(), Request { sync_token: Some("t2".to_owned()), page_token: None });
}

#[test]
fn a_void_token_starts_a_new_generation_and_not_for_ever() {
    let mut cursor = Cursor::default();
    cursor.step(last("t1")).expect("complete");
    cursor.step(page("q2")).expect("more");
    assert_eq!(cursor.step(Listed::TokenRefused), Ok(Progress::Restarted));
    assert_eq!((cursor.generation, cursor.request()), (2, Request { sync_token: None, page_token: None }));
    for _ in 1..MAX_RESTARTS {
        assert_eq!(cursor.step(Listed::TokenRefused), Ok(Progress::Restarted));
    }
    assert_eq!(cursor.step(Listed::TokenRefused), Err(CursorError::Restarts(MAX_RESTARTS)));
    assert_eq!(cursor.step(last("t9")), Ok(Progress::Sweep(4)));
    assert_eq!(cursor.restarts, 0);
}

#[test]
fn impossible_answers_do_not_move_it() {
    let mut cursor = Cursor::default();
    cursor.step(page("p2")).expect("more");
    let before = cursor.clone();
    let none = Listed::Page { next_page: None, next_token: None };
    let both = Listed::Page { next_page: Some("x".to_owned()), next_token: Some("t".to_owned()) };
    assert_eq!(cursor.step(none), Err(CursorError::NoToken(1)));
    assert_eq!(cursor.step(both), Err(CursorError::BothTokens(1)));
    assert_eq!(cursor.step(page("p2")), Err(CursorError::PageLoop(1, "p2".to_owned())));
    assert_eq!(cursor.step(Listed::WindowRefused), Err(CursorError::Window));
    assert_eq!(cursor.step(Listed::CalendarGone), Ok(Progress::CalendarGone));
    assert_eq!(cursor, before);
}

#[test]
fn parameters_are_part_of_the_identity() {
    let hash = Parameters::default().hash();
    assert_eq!(hash.len(), 16);
    assert_ne!(hash, Parameters { single_events: true, ..Parameters::default() }.hash());
    assert_ne!(hash, Parameters { version: 2, ..Parameters::default() }.hash());
    let types = |types: &[&str]| Parameters {
        event_types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        ..Parameters::default()
    };
    assert_eq!(types(&["a", "b"]).hash(), types(&["b", "a"]).hash());
}

#[test]
fn a_sweep_of_too_much_waits_for_a_person() {
    let limits = MassChange::default();
    assert_eq!(sweep_verdict(&limits, 1_000, 10, false), MassChangeVerdict::Proceed);
    assert!(matches!(sweep_verdict(&limits, 1_000, 900, false), MassChangeVerdict::Park { .. }));
    assert_eq!(sweep_verdict(&limits, 1_000, 900, true), MassChangeVerdict::Proceed);
}

proptest! {
    #[test]
    fn the_generation_never_falls_and_pages_end(answers in proptest::collection::vec(0u8..6, 0..60)) {
        let mut cursor = Cursor::default();
        for (index, answer) in answers.into_iter().enumerate() {
            let before = cursor.clone();
            let listed = match answer {
                0 | 1 => page(&format!("p{index}")),
                2 => last(&format!("t{index}")),
                3 => Listed::TokenRefused,
                4 => Listed::Page { next_page: None, next_token: None },
                _ => Listed::CalendarGone,
            };
            match cursor.step(listed) {
                Err(_) | Ok(Progress::CalendarGone) => prop_assert_eq!(&cursor, &before),
                Ok(Progress::Restarted) => prop_assert_eq!(cursor.generation, before.generation + 1),
                Ok(Progress::Sweep(generation)) => prop_assert!(before.is_full() && generation == before.generation),
                Ok(Progress::Complete | Progress::More) => prop_assert_eq!(cursor.generation, before.generation),
            }
            let json = serde_json::to_string(&cursor).expect("json");
            prop_assert_eq!(serde_json::from_str::<Cursor>(&json).expect("cursor"), cursor.clone());
        }
    }
}
