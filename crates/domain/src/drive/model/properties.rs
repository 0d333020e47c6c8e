//! The model against a simulated provider: whatever the feed does, the documents are those of the
//! tree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::simulated::{Expected, Simulated};
use super::*;

fn seen(model: &DriveModel, taxonomy: &Taxonomy) -> BTreeMap<ItemId, Expected> {
    model
        .documents(taxonomy)
        .into_iter()
        .map(|(id, row)| {
            let DocumentRow { reference, category, path, e_tag, quick_xor_hash, .. } = row;
            (id, Expected { reference, category, path, e_tag, quick_xor_hash })
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_feed_gives_the_documents_of_the_tree(
        seed: u64,
        rounds in proptest::collection::vec((0usize..40, any::<bool>()), 1..6),
    ) {
        let taxonomy = Taxonomy::default();
        let mut drive = Simulated::new(StdRng::seed_from_u64(seed));
        let mut model = DriveModel::new();
        model.apply_full(drive.enumeration());
        prop_assert_eq!(seen(&model, &taxonomy), drive.documents(&taxonomy));
        for (acts, full) in rounds {
            (0..acts).for_each(|_| drive.act());
            if full {
                model.apply_full(drive.enumeration());
            } else {
                model.apply_delta(drive.delta());
            }
            prop_assert_eq!(seen(&model, &taxonomy), drive.documents(&taxonomy));
        }
        // A walk over everything finds nothing that the rounds before had missed.
        let before = seen(&model, &taxonomy);
        model.apply_full(drive.enumeration());
        prop_assert_eq!(seen(&model, &taxonomy), before);
        let broken = |anomaly: &Anomaly| matches!(anomaly, Anomaly::MissingParent { .. } | Anomaly::Cycle { .. });
        let broken = model.anomalies(&taxonomy).iter().filter(|anomaly| broken(anomaly)).count();
        prop_assert_eq!(broken, 0);
    }

    #[test]
    fn page_borders_and_repeated_pages_do_not_matter(seed: u64, acts in 1usize..60, size in 1usize..20) {
        let taxonomy = Taxonomy::default();
        let mut drive = Simulated::new(StdRng::seed_from_u64(seed));
        let mut paged = DriveModel::new();
        paged.apply_full(drive.enumeration());
        let mut whole = paged.clone();
        (0..acts).for_each(|_| drive.act());
        let feed: Vec<ItemChange> = drive.delta().into_iter().flatten().collect();
        whole.apply_delta([feed.clone()]);
        // A page that is read again after a crash brings what it brought before.
        paged.apply_delta(feed.chunks(size).flat_map(|page| [page.to_vec(), page.to_vec()]));
        prop_assert_eq!(whole.view(&taxonomy), paged.view(&taxonomy));
    }
}
