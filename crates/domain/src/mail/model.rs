//! A mailbox that behaves as Graph's does, an engine out of this module's rules, and proof that they agree.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Lookup, difference, fold, judge, needs_listing};

/// What happens between two runs.
#[derive(Clone, Debug)]
enum Act {
    Create(u8),
    Move(u8, u8),
    /// To a folder and back before anyone looks: reported as removed, and never again.
    ThereAndBack(u8, u8),
    Delete(u8),
    /// A page is lost without a trace.
    Forget(u8),
    /// The token of a folder's feed is gone.
    LoseToken(u8),
    Run,
}

#[derive(Clone, Debug)]
enum Change {
    Here(u16),
    Removed(u16),
}

impl Change {
    fn id(&self) -> u16 {
        match self {
            Change::Here(id) | Change::Removed(id) => *id,
        }
    }
}

/// The provider: where messages lie, and what each folder's feed still has to say.
#[derive(Default)]
struct Provider {
    messages: BTreeMap<u16, u8>,
    feeds: [Vec<Change>; 3],
    lost: [bool; 3],
    next: u16,
}

impl Provider {
    fn some(&self, n: u8) -> Option<u16> {
        (!self.messages.is_empty())
            .then(|| *self.messages.keys().nth(usize::from(n) % self.messages.len()).expect("one"))
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Create(folder) => {
                self.messages.insert(self.next, folder);
                self.feeds[usize::from(folder)].push(Change::Here(self.next));
                self.next += 1;
            }
            Act::Move(n, to) => {
                if let Some(id) = self.some(n) {
                    let from = self.messages.insert(id, to).expect("it is there");
                    self.feeds[usize::from(from)].push(Change::Removed(id));
                    self.feeds[usize::from(to)].push(Change::Here(id));
                }
            }
            Act::ThereAndBack(n, over) => {
                if let Some(id) = self.some(n) {
                    let home = self.messages[&id];
                    self.feeds[usize::from(home)].push(Change::Removed(id));
                    if over != home {
                        self.feeds[usize::from(over)].push(Change::Here(id));
                        self.feeds[usize::from(over)].push(Change::Removed(id));
                    }
                }
            }
            Act::Delete(n) => {
                if let Some(id) = self.some(n) {
                    let from = self.messages.remove(&id).expect("it is there");
                    self.feeds[usize::from(from)].push(Change::Removed(id));
                }
            }
            Act::Forget(folder) => {
                self.feeds[usize::from(folder)].pop();
            }
            Act::LoseToken(folder) => self.lost[usize::from(folder)] = true,
            Act::Run => {}
        }
    }

    fn ids(&self, folder: u8) -> BTreeSet<String> {
        self.messages.iter().filter(|(_, f)| **f == folder).map(|(id, _)| id.to_string()).collect()
    }

    fn folders(&self) -> BTreeMap<String, u8> {
        self.messages.iter().map(|(id, folder)| (id.to_string(), *folder)).collect()
    }

    fn find(&self, id: &str) -> Option<u8> {
        self.messages.get(&id.parse().expect("an id")).copied()
    }
}

/// What we have stored: folder, and whether it is to be looked up.
#[derive(Default)]
struct Stored {
    rows: BTreeMap<String, (u8, bool)>,
    deleted: usize,
}

impl Stored {
    fn folders(&self) -> BTreeMap<String, u8> {
        self.rows.iter().map(|(id, row)| (id.clone(), row.0)).collect()
    }

    fn run(&mut self, provider: &mut Provider) {
        for folder in 0..3_u8 {
            let place = usize::from(folder);
            let feed = std::mem::take(&mut provider.feeds[place]);
            if std::mem::take(&mut provider.lost[place]) {
                let seen = provider.ids(folder);
                for (id, row) in &mut self.rows {
                    if row.0 == folder && !seen.contains(id) {
                        row.1 = true;
                    }
                }
                self.rows.extend(seen.into_iter().map(|id| (id, (folder, false))));
                continue;
            }
            for change in fold(feed, |change| change.id().to_string()) {
                let id = change.id().to_string();
                match change {
                    Change::Here(_) => {
                        self.rows.insert(id, (folder, false));
                    }
                    Change::Removed(_) => {
                        if let Some(row) = self.rows.get_mut(&id).filter(|row| row.0 == folder) {
                            row.1 = true;
                        }
                    }
                }
            }
        }
        self.look_up(provider);
        for folder in 0..3_u8 {
            let stored: BTreeSet<String> =
                self.rows.iter().filter(|(_, row)| row.0 == folder).map(|(id, _)| id.clone()).collect();
            let listed = provider.ids(folder);
            let count = |ids: &BTreeSet<String>| i64::try_from(ids.len()).expect("few");
            if needs_listing(count(&stored), Some(count(&listed))) {
                let found = difference(&stored, &listed);
                for id in found.surplus {
                    self.rows.get_mut(&id).expect("stored").1 = true;
                }
                for id in found.missing {
                    let at = provider.find(&id).expect("listed");
                    self.rows.insert(id, (at, false));
                }
            }
        }
        self.look_up(provider);
    }

    fn look_up(&mut self, provider: &Provider) {
        let suspects: Vec<String> =
            self.rows.iter().filter(|(_, row)| row.1).map(|(id, _)| id.clone()).collect();
        for id in suspects {
            let stored = self.rows[&id].0.to_string();
            let found = provider.find(&id).map(|folder| folder.to_string());
            match judge(Some(&stored), found.as_ref().map(|folder| Some(folder.as_str()))) {
                Lookup::Gone => {
                    self.rows.remove(&id);
                    self.deleted += 1;
                }
                Lookup::Moved { to } => {
                    self.rows.insert(id, (to.parse().expect("a folder"), false));
                }
                Lookup::Stays => self.rows.get_mut(&id).expect("stored").1 = false,
            }
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u8..3).prop_map(Act::Create),
        3 => (any::<u8>(), 0u8..3).prop_map(|(n, to)| Act::Move(n, to)),
        3 => (any::<u8>(), 0u8..3).prop_map(|(n, over)| Act::ThereAndBack(n, over)),
        2 => any::<u8>().prop_map(Act::Delete),
        1 => (0u8..3).prop_map(Act::Forget),
        1 => (0u8..3).prop_map(Act::LoseToken),
        3 => Just(Act::Run),
    ]
}

proptest! {
    #[test]
    fn after_a_run_both_hold_the_same_and_nothing_was_deleted_for_nothing(acts in proptest::collection::vec(act(), 0..80)) {
        let mut provider = Provider::default();
        let mut stored = Stored::default();
        // Equal counts may hide a pair of pages that were lost, until the next enumeration.
        let mut forgot = false;
        let enumeration = [Act::LoseToken(0), Act::LoseToken(1), Act::LoseToken(2), Act::Run];
        for act in acts.iter().chain([&Act::Run]).chain(&enumeration) {
            provider.act(act);
            forgot |= matches!(act, Act::Forget(_));
            if matches!(act, Act::Run) {
                stored.run(&mut provider);
                prop_assert!(forgot || stored.folders() == provider.folders());
            }
        }
        prop_assert_eq!(stored.folders(), provider.folders());
        let gone = usize::from(provider.next) - provider.messages.len();
        prop_assert!(stored.deleted <= gone, "{} deleted, {} are gone", stored.deleted, gone);
    }
}
