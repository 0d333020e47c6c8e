//! Who may put how many bells into a queue of the broker that is first in, first out.
//!
//! What is in such a queue cannot be overtaken any more, so only as much is put in as the workers take out in
//! about a second ([`Window`]). When more waits than fits, the room is shared between the tenants by deficit
//! round robin ([`Rotation`]): every bell costs the same, so a tenant's deficit is its place in the rotation,
//! and a round that ends in the middle goes on there. Within a tenant the higher priority comes first, except
//! that one pick in [`AGED`] is by age, so that sweeps do not starve behind a stream of ordinary work.

mod window;

use std::collections::BTreeMap;

pub use window::{MAX_WINDOW, MIN_WINDOW, SLOW_WINDOW, Window};

/// From this priority on a person waits: such bells do not wait for room.
pub const INTERACTIVE: i16 = 8;
/// One pick of a tenant in this many is its oldest bell, whatever its priority.
pub const AGED: u64 = 8;

/// Bells of one tenant and priority that wait for the same queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane<T> {
    /// Whose.
    pub tenant: T,
    /// 0 sweeps, 5 ordinary, 9 a person waits.
    pub priority: i16,
    /// How many.
    pub waiting: usize,
    /// Grows with the time of arrival of the oldest.
    pub oldest: i64,
}

/// The order in which tenants are served, kept from one round to the next.
#[derive(Debug, Clone)]
pub struct Rotation<T> {
    /// Served last; the next round begins behind it.
    last: Option<T>,
    /// Picks so far of each tenant that has something waiting.
    picks: BTreeMap<T, u64>,
}

impl<T> Default for Rotation<T> {
    fn default() -> Self {
        Self { last: None, picks: BTreeMap::new() }
    }
}

impl<T: Copy + Ord> Rotation<T> {
    /// Shares `room` places between the lanes; how many each gets, in the order of `lanes`. Gives out as much
    /// as there is room and bells for, never more.
    pub fn share(&mut self, room: usize, lanes: &[Lane<T>]) -> Vec<usize> {
        let mut tenants: BTreeMap<T, Vec<usize>> = BTreeMap::new();
        for (index, lane) in lanes.iter().enumerate().filter(|(_, lane)| lane.waiting > 0) {
            tenants.entry(lane.tenant).or_default().push(index);
        }
        self.picks.retain(|tenant, _| tenants.contains_key(tenant));
        let mut taken = vec![0; lanes.len()];
        for (tenant, grant) in self.grants(room, &tenants, lanes) {
            let picked = self.picks.entry(tenant).or_default();
            spend(grant, *picked, &tenants[&tenant], lanes, &mut taken);
            *picked += grant as u64;
        }
        taken
    }

    /// How many places each tenant gets: equal parts, what one does not need goes to the others.
    fn grants(
        &mut self,
        room: usize,
        tenants: &BTreeMap<T, Vec<usize>>,
        lanes: &[Lane<T>],
    ) -> Vec<(T, usize)> {
        let start = self.last.map_or(0, |last| tenants.range(..=last).count());
        let mut turns: Vec<Turn<T>> = tenants
            .iter()
            .map(|(tenant, indexes)| Turn {
                tenant: *tenant,
                wants: indexes.iter().map(|index| lanes[*index].waiting).sum(),
                granted: 0,
            })
            .collect();
        turns.rotate_left(start);
        let mut left = room;
        loop {
            let hungry = turns.iter().filter(|turn| turn.wants > 0).count();
            if left == 0 || hungry == 0 {
                return turns.into_iter().map(|turn| (turn.tenant, turn.granted)).collect();
            }
            let part = (left / hungry).max(1);
            for turn in turns.iter_mut().filter(|turn| turn.wants > 0) {
                let grant = part.min(turn.wants).min(left);
                if grant == 0 {
                    break;
                }
                turn.granted += grant;
                turn.wants -= grant;
                left -= grant;
                self.last = Some(turn.tenant);
            }
        }
    }
}

/// One tenant's part of a round.
struct Turn<T> {
    tenant: T,
    wants: usize,
    granted: usize,
}

/// Spends one tenant's places on its lanes; `before` is how many it has had so far.
fn spend<T>(grant: usize, before: u64, own: &[usize], lanes: &[Lane<T>], taken: &mut [usize]) {
    let aged = usize::try_from((before + grant as u64) / AGED - before / AGED).unwrap_or(grant);
    let mut by_age = own.to_vec();
    by_age.sort_by_key(|index| lanes[*index].oldest);
    let mut by_priority = own.to_vec();
    by_priority.sort_by_key(|index| (std::cmp::Reverse(lanes[*index].priority), lanes[*index].oldest));
    fill(aged, &by_age, lanes, taken);
    fill(grant - aged, &by_priority, lanes, taken);
}

fn fill<T>(mut places: usize, order: &[usize], lanes: &[Lane<T>], taken: &mut [usize]) {
    for index in order {
        let more = places.min(lanes[*index].waiting - taken[*index]);
        taken[*index] += more;
        places -= more;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lanes() -> impl Strategy<Value = Vec<Lane<u8>>> {
        let lane = (0..6_u8, 0..10_i16, 0..40_usize, 0..1000_i64)
            .prop_map(|(tenant, priority, waiting, oldest)| Lane { tenant, priority, waiting, oldest });
        prop::collection::vec(lane, 0..20)
    }

    fn of_tenant(taken: &[usize], lanes: &[Lane<u8>], tenant: u8) -> usize {
        taken.iter().zip(lanes).filter(|(_, lane)| lane.tenant == tenant).map(|(taken, _)| taken).sum()
    }

    proptest! {
        #[test]
        fn all_of_the_room_and_never_more(room in 0..200_usize, lanes in lanes()) {
            let taken = Rotation::default().share(room, &lanes);
            let waiting: usize = lanes.iter().map(|lane| lane.waiting).sum();
            prop_assert_eq!(taken.iter().sum::<usize>(), room.min(waiting));
            prop_assert!(taken.iter().zip(&lanes).all(|(taken, lane)| *taken <= lane.waiting));
        }

        #[test]
        fn nobody_gets_more_than_one_above_who_still_wants(room in 0..200_usize, lanes in lanes()) {
            let taken = Rotation::default().share(room, &lanes);
            for hungry in &lanes {
                let wanted = lanes.iter().filter(|l| l.tenant == hungry.tenant).map(|l| l.waiting).sum();
                let got = of_tenant(&taken, &lanes, hungry.tenant);
                if got < wanted {
                    for other in &lanes {
                        prop_assert!(of_tenant(&taken, &lanes, other.tenant) <= got + 1);
                    }
                }
            }
        }

        #[test]
        fn whoever_waits_is_served_within_a_rotation(
            room in 1..8_usize,
            rounds in prop::collection::vec(lanes(), 8..9),
            steady in 0..6_u8,
        ) {
            // Others come and go as they like; one tenant always has something.
            let mut rotation = Rotation::default();
            let mut got = 0;
            for mut lanes in rounds {
                lanes.push(Lane { tenant: steady, priority: 0, waiting: 1, oldest: 0 });
                let taken = rotation.share(room, &lanes);
                got += of_tenant(&taken, &lanes, steady);
            }
            prop_assert!(got > 0, "eight rounds, six tenants");
        }

        #[test]
        fn low_priority_is_served_however_much_comes_above_it(grants in prop::collection::vec(1..6_usize, 60)) {
            let mut rotation = Rotation::default();
            let (mut low, mut others) = (5_usize, 0_u64);
            for (round, room) in grants.into_iter().enumerate() {
                let arrived = 100 + i64::try_from(round).expect("small");
                let lanes = [
                    Lane { tenant: 1_u8, priority: 7, waiting: 50, oldest: arrived },
                    Lane { tenant: 1, priority: 0, waiting: low, oldest: 1 },
                ];
                let taken = rotation.share(room, &lanes);
                prop_assert!(low == 0 || taken[0] >= taken[1] || room == 1, "higher first");
                low -= taken[1];
                others += taken[0] as u64;
                if low > 0 {
                    prop_assert!(others <= (6 - low as u64) * AGED, "{low} still wait after {others} others");
                }
            }
            prop_assert_eq!(low, 0);
        }
    }

    #[test]
    fn a_flood_leaves_the_others_their_part() {
        let lanes = [
            Lane { tenant: 'a', priority: 5, waiting: 100_000, oldest: 1 },
            Lane { tenant: 'b', priority: 5, waiting: 3, oldest: 99_000 },
            Lane { tenant: 'c', priority: 2, waiting: 500, oldest: 99_001 },
        ];
        assert_eq!(Rotation::default().share(203, &lanes), [100, 3, 100]);
    }

    #[test]
    fn higher_priorities_first_and_one_in_eight_by_age() {
        let lanes = [
            Lane { tenant: 1, priority: 2, waiting: 100, oldest: 1 },
            Lane { tenant: 1, priority: 6, waiting: 100, oldest: 50 },
        ];
        assert_eq!(Rotation::default().share(16, &lanes), [2, 14]);
    }
}
