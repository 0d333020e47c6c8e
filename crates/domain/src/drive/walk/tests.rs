use proptest::prelude::*;

use super::*;

fn link(name: &str) -> Link {
    Link::new(format!("https://graph.example/delta?token={name}"))
}

fn next(name: &str, novel_items: u64) -> PageFacts {
    PageFacts { next_link: Some(link(name)), delta_link: None, novel_items }
}

fn last(name: &str) -> PageFacts {
    PageFacts { next_link: None, delta_link: Some(link(name)), novel_items: 0 }
}

fn gone(location: Option<&str>) -> WalkError {
    WalkError::Gone {
        instruction: Some("resyncChangesApplyDifferences".to_owned()),
        location: location.map(link),
    }
}

fn delta() -> Walk {
    Walk::begin(Some(link("old")), WalkMode::Delta, 1)
}

fn follows(name: &str) -> WalkRequest {
    WalkRequest::Follow { link: link(name) }
}

#[test]
fn a_quiet_delta() {
    let mut walk = delta();
    assert_eq!(walk.next_request(), &follows("old"));
    assert_eq!(walk.on_page(next("p2", 3)), WalkStep::Continue);
    assert_eq!(walk.next_request(), &follows("p2"));
    assert_eq!(walk.on_page(last("new")), WalkStep::Complete { delta_link: link("new"), full: false });
    assert_eq!((walk.generation(), walk.restarts(), walk.pages()), (1, 0, 2));
}

#[test]
fn without_a_link_or_by_force_everything_is_read() {
    for mut walk in [Walk::begin(None, WalkMode::Delta, 5), Walk::begin(Some(link("old")), WalkMode::Full, 5)]
    {
        assert_eq!(walk.next_request(), &WalkRequest::Start);
        assert!(walk.is_full());
        assert_eq!(walk.on_page(last("new")), WalkStep::Complete { delta_link: link("new"), full: true });
    }
}

#[test]
fn gone_takes_the_location_first_and_falls_back() {
    let mut walk = delta();
    walk.on_page(next("p2", 1));
    assert!(matches!(walk.on_error(gone(Some("fresh"))), WalkStep::Restart(RestartReason::Gone { .. })));
    assert_eq!(walk.next_request(), &WalkRequest::StartAt { location: link("fresh") });
    assert!(walk.is_full());
    assert_eq!(walk.generation(), 2, "what the broken attempt saw proves nothing");
    assert_eq!(walk.on_error(WalkError::Server), WalkStep::Restart(RestartReason::LocationFailed));
    assert_eq!(walk.next_request(), &WalkRequest::Start);
    assert_eq!(walk.stored_link(), Some(&link("old")));
    let mut walk = delta();
    walk.on_error(gone(Some("fresh")));
    walk.on_error(gone(Some("fresh")));
    assert_eq!(walk.next_request(), &WalkRequest::Start, "a location that is gone is not asked again");
}

#[test]
fn restarts_are_counted() {
    let mut walk = delta();
    for _ in 0..MAX_RESTARTS {
        assert!(matches!(walk.on_error(gone(None)), WalkStep::Restart(_)));
    }
    let step = walk.on_error(gone(None));
    let WalkStep::Abort(reason) = step else { panic!("{step:?}") };
    assert_eq!(
        reason.to_string(),
        "given up after 3 restarts, the last because the provider no longer knows the delta token \
         (resyncChangesApplyDifferences)"
    );
}

#[test]
fn a_refused_stored_link_means_everything() {
    for error in [WalkError::BadLink, WalkError::UntrustedLink, WalkError::NotFound] {
        let mut walk = delta();
        assert_eq!(walk.on_error(error), WalkStep::Restart(RestartReason::StoredLinkRefused));
        assert_eq!(walk.next_request(), &WalkRequest::Start);
    }
}

#[test]
fn a_round_that_breaks_begins_again_then_reads_everything() {
    let mut walk = delta();
    walk.on_page(next("p2", 1));
    assert_eq!(walk.on_error(WalkError::BadLink), WalkStep::Restart(RestartReason::BrokenRound { page: 2 }));
    assert_eq!(walk.next_request(), &follows("old"));
    assert!(!walk.is_full());
    walk.on_page(next("p2", 1));
    assert_eq!(walk.on_error(WalkError::BadLink), WalkStep::Restart(RestartReason::BrokenRound { page: 2 }));
    assert_eq!(walk.next_request(), &WalkRequest::Start);
    assert!(walk.is_full());
    let mut walk = delta();
    walk.on_page(next("p2", 1));
    walk.on_error(WalkError::NotFound);
    assert_eq!(walk.next_request(), &WalkRequest::Start, "404 in the middle: the link is worth nothing");
}

#[test]
fn a_drive_that_is_not_there_is_no_reason_to_delete() {
    let mut walk = Walk::begin(None, WalkMode::Full, 1);
    assert_eq!(walk.on_error(WalkError::NotFound), WalkStep::Abort(AbortReason::DriveNotFound));
    assert_eq!(walk.on_error(WalkError::BadLink), WalkStep::Abort(AbortReason::Refused));
}

#[test]
fn failures_pause_and_then_decide() {
    let mut walk = delta();
    assert_eq!(walk.on_error(WalkError::Server), WalkStep::RetryLater);
    assert_eq!(walk.on_error(WalkError::Server), WalkStep::RetryLater);
    assert_eq!(walk.on_error(WalkError::Server), WalkStep::Abort(AbortReason::Unavailable));
    let mut walk = delta();
    walk.on_page(next("p2", 1));
    assert_eq!(walk.on_error(WalkError::CannotSnapshot), WalkStep::RetryLater);
    assert_eq!(walk.next_request(), &follows("p2"));
    walk.on_page(next("p3", 1));
    walk.on_error(WalkError::Server);
    walk.on_error(WalkError::Server);
    assert_eq!(walk.on_error(WalkError::Server), WalkStep::Restart(RestartReason::BrokenRound { page: 3 }));
}

#[test]
fn loops_are_found() {
    let mut walk = delta();
    walk.on_page(next("a", 1));
    walk.on_page(next("b", 1));
    assert_eq!(walk.on_page(next("a", 1)), WalkStep::Abort(AbortReason::RepeatedLink { pages: 3 }));

    let mut walk = delta();
    for page in 1..MAX_IDLE_PAGES {
        assert_eq!(walk.on_page(next(&page.to_string(), 0)), WalkStep::Continue, "empty pages are legal");
    }
    assert_eq!(walk.on_page(next("x", 0)), WalkStep::Abort(AbortReason::NoProgress { pages: 50 }));
    assert_eq!(
        walk.on_page(PageFacts { next_link: None, delta_link: None, novel_items: 9 }),
        WalkStep::Abort(AbortReason::NoLink)
    );
}

#[test]
fn memory_is_bounded_and_links_stay_out_of_debug() {
    let mut walk = Walk::begin(None, WalkMode::Full, 1);
    for page in 0..10_000 {
        assert_eq!(walk.on_page(next(&page.to_string(), 1)), WalkStep::Continue);
    }
    assert_eq!(walk.seen_links.len(), REMEMBERED_LINKS);
    assert!(serde_json::to_string(&walk).expect("json").len() < 8_192);
    assert!(!format!("{walk:?}").contains("token="));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    // Against a provider that never says anything good the walk ends, and a walk that was stored
    // and read back at every step does exactly the same.
    #[test]
    fn it_ends_and_survives_storage(
        stored: bool,
        answers in proptest::collection::vec((0u8..9, 0u8..40, 0u64..2), 1..40),
    ) {
        let mut walk = Walk::begin(stored.then(|| link("old")), WalkMode::Delta, 1);
        let mut steps = 0u32;
        let mut generation = 0;
        for (answer, name, novel) in answers.iter().cycle() {
            steps += 1;
            prop_assert!(steps < 5_000, "it does not end");
            let json = serde_json::to_string(&walk).expect("json");
            let mut copy: Walk = serde_json::from_str(&json).expect("a walk");
            let act = |walk: &mut Walk| match answer {
                0 => walk.on_error(gone(Some("fresh"))),
                1 => walk.on_error(gone(None)),
                2 => walk.on_error(WalkError::NotFound),
                3 => walk.on_error(WalkError::BadLink),
                4 => walk.on_error(WalkError::CannotSnapshot),
                5 => walk.on_error(WalkError::Server),
                _ => walk.on_page(next(&name.to_string(), *novel)),
            };
            let step = act(&mut walk);
            prop_assert_eq!(&act(&mut copy), &step);
            prop_assert_eq!(&copy, &walk);
            prop_assert!(walk.generation() >= generation);
            generation = walk.generation();
            prop_assert!(walk.restarts() <= MAX_RESTARTS);
            if matches!(step, WalkStep::Abort(_) | WalkStep::Complete { .. }) {
                break;
            }
        }
    }
}
