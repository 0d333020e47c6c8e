//! A feed names the same thing more than once; its last word counts.

use std::collections::HashMap;

/// The last report of each thing, in the order of the first ones: Graph may repeat an item within a round, and the
/// last occurrence wins (delta-query-overview, Graph v1.0).
pub fn fold<T>(reports: impl IntoIterator<Item = T>, id: impl Fn(&T) -> String) -> Vec<T> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut folded: Vec<T> = Vec::new();
    for report in reports {
        match places.entry(id(&report)) {
            std::collections::hash_map::Entry::Occupied(place) => {
                if let Some(earlier) = folded.get_mut(*place.get()) {
                    *earlier = report;
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(folded.len());
                folded.push(report);
            }
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_once_with_its_last_word(reports in proptest::collection::vec((0u8..8, any::<u16>()), 0..60)) {
            let folded = fold(reports.clone(), |(id, _)| id.to_string());
            let expected: BTreeMap<u8, u16> = reports.into_iter().collect();
            prop_assert_eq!(folded.len(), expected.len());
            prop_assert_eq!(folded.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
}
