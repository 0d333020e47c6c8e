//! Proofs out of a stream of leaves, in memory of O(log n): the nodes of a proof are roots over ranges of leaves, and
//! each grows as its leaves come by.

use super::chain::Hash;
use super::merkle::Frontier;

/// Leaves from the first (counted from 0) to before the second.
pub type Range = (u64, u64);

/// The ranges whose roots are the audit path of leaf `index` in the tree of `size` leaves (RFC 6962 section 2.1.1).
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range> {
    let (mut path, mut range) = (Vec::new(), (0, size));
    while range.1 - range.0 > 1 {
        let at = split(range);
        if index < at {
            path.push((at, range.1));
            range.1 = at;
        } else {
            path.push((range.0, at));
            range.0 = at;
        }
    }
    path.reverse();
    path
}

/// The ranges whose roots prove that the tree of `old` leaves is a beginning of that of `size` (section 2.1.2).
pub fn consistency_ranges(old: u64, size: u64) -> Vec<Range> {
    let (mut proof, mut range, mut whole) = (Vec::new(), (0, size), true);
    if old == 0 || old >= size {
        return proof;
    }
    while old != range.1 {
        let at = split(range);
        if old <= at {
            proof.push((at, range.1));
            range.1 = at;
        } else {
            proof.push((range.0, at));
            range.0 = at;
            whole = false;
        }
    }
    if !whole {
        proof.push(range);
    }
    proof.reverse();
    proof
}

/// Where the tree over a range of two leaves or more is split.
fn split((from, to): Range) -> u64 {
    from + (to - from).next_power_of_two() / 2
}

/// Computes the roots of ranges from leaves in their order.
#[derive(Debug)]
pub struct Prover {
    ranges: Vec<(Range, Frontier)>,
    at: u64,
}

impl Prover {
    /// A prover of these ranges, whose leaves begin after `start`; `None` when leaves before it are needed one by one.
    pub fn new(ranges: Vec<Range>, start: &Frontier) -> Option<Self> {
        let ranges: Option<Vec<_>> =
            ranges.into_iter().map(|range| Some((range, beginning(range, start)?))).collect();
        Some(Self { ranges: ranges?, at: start.size() })
    }

    /// The next leaf.
    pub fn push(&mut self, leaf: Hash) {
        for ((from, to), frontier) in &mut self.ranges {
            if (*from..*to).contains(&self.at) {
                frontier.push(leaf);
            }
        }
        self.at += 1;
    }

    /// The proof; `None` when leaves are missing.
    pub fn finish(self) -> Option<Vec<Hash>> {
        let root = |((from, to), frontier): &(Range, Frontier)| {
            (frontier.size() == to - from).then(|| frontier.root())
        };
        self.ranges.iter().map(root).collect()
    }
}

/// The part of a range that lies before `start`, out of the subtrees there.
fn beginning((from, to): Range, start: &Frontier) -> Option<Frontier> {
    if from >= start.size() {
        return Some(Frontier::new());
    }
    let until = to.min(start.size());
    let (mut at, mut rest, mut taken) = (0, start.size(), Vec::new());
    for subtree in start.subtrees() {
        let size = 1 << (u64::BITS - 1 - rest.leading_zeros());
        if at >= from && at + size <= until {
            taken.push((size, *subtree));
        }
        (at, rest) = (at + size, rest - size);
    }
    let size: u64 = taken.iter().map(|(size, _)| size).sum();
    (size == until - from)
        .then(|| Frontier::from_parts(size, taken.into_iter().map(|(_, hash)| hash).collect()))
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::merkle::{
        consistency_proof, inclusion_proof, leaf_hash, root, verify_consistency, verify_inclusion,
    };

    fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn streamed(ranges: Vec<Range>, all: &[Hash], start: u64) -> Option<Vec<Hash>> {
        let mut frontier = Frontier::new();
        let start = usize::try_from(start).expect("small");
        all[..start].iter().for_each(|leaf| frontier.push(*leaf));
        let mut prover = Prover::new(ranges, &frontier)?;
        all[start..].iter().for_each(|leaf| prover.push(*leaf));
        prover.finish()
    }

    proptest! {
        #[test]
        fn a_streamed_proof_is_the_recursive_one(size in 1_u64..130, index in 0_u64..130, start in 0_u64..130) {
            prop_assume!(index < size && start <= size);
            let all = leaves(size);
            let whole = root(&all);
            let place = usize::try_from(index).expect("small");
            let path = inclusion_proof(&all, place).expect("a leaf");
            prop_assert_eq!(streamed(inclusion_ranges(index, size), &all, 0), Some(path));
            if start <= index {
                // Also without the leaves before it.
                let path = streamed(inclusion_ranges(index, size), &all, start).expect("a proof");
                prop_assert!(verify_inclusion(all[place], index, size, &path, whole));
            }
            let grown = consistency_proof(&all, place).expect("a beginning");
            prop_assert_eq!(streamed(consistency_ranges(index, size), &all, 0), Some(grown));
            if start <= index {
                let proof = streamed(consistency_ranges(index, size), &all, start).expect("a proof");
                prop_assert!(verify_consistency(index, root(&all[..place]), size, whole, &proof));
            }
        }
    }

    #[test]
    fn what_needs_earlier_leaves_or_later_ones_is_refused() {
        let all = leaves(11);
        assert_eq!(streamed(inclusion_ranges(2, 11), &all, 7), None);
        assert_eq!(streamed(inclusion_ranges(2, 11), &all[..10], 0), None);
    }
}
