//! What a run of a mailbox does: the messages that notifications named, or the walk over everything that changed.

/// Hints that one run reads one by one; with more of them a walk is cheaper.
pub const MAX_HINTS: usize = 200;

/// Who asked for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A notification, or one that says that notifications were lost.
    Notification,
    /// A schedule or a person.
    Walk,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Reads the hinted messages, and no more: the sweep walks.
    Hints,
    /// Reads the hinted messages, then walks.
    HintsThenWalk,
    /// Walks.
    Walk,
}

/// Chooses. `complete`: the mailbox was walked to its end once with the options at hand; before that, what a
/// notification names is shown early but replaces nothing.
pub fn plan(asked: Asked, hints: usize, complete: bool) -> Plan {
    match (asked, hints) {
        // A notification without a message: a lifecycle event that says that some were lost.
        (_, 0) => Plan::Walk,
        (_, hints) if hints > MAX_HINTS => Plan::Walk,
        (Asked::Notification, _) if complete => Plan::Hints,
        _ => Plan::HintsThenWalk,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_walk_is_left_out_only_when_hints_cover_what_changed(
            notified: bool, hints in 0usize..400, complete: bool,
        ) {
            let asked = if notified { Asked::Notification } else { Asked::Walk };
            let alone = plan(asked, hints, complete) == Plan::Hints;
            prop_assert_eq!(alone, notified && complete && (1..=MAX_HINTS).contains(&hints));
        }
    }
}
