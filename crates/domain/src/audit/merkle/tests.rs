use proptest::prelude::*;

use super::*;

/// The leaves of the reference trees of Certificate Transparency.
fn ct() -> Vec<Hash> {
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        .iter()
        .map(|text| leaf_hash(&hex::decode(text).expect("hex")))
        .collect()
}

#[test]
fn the_reference_trees_have_their_roots() {
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let (leaves, mut frontier) = (ct(), Frontier::new());
    assert_eq!(
        frontier.root().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (index, expected) in roots.iter().enumerate() {
        frontier.push(leaves[index]);
        assert_eq!(frontier.root().to_string(), *expected);
        assert_eq!(root(&leaves[..=index]).to_string(), *expected);
    }
}

#[test]
fn every_proof_of_the_reference_trees_holds_and_no_other() {
    let leaves = ct();
    for size in 1..=leaves.len() {
        let (tree, top) = (&leaves[..size], root(&leaves[..size]));
        for index in 0..size {
            let proof = inclusion_proof(tree, index).expect("a leaf");
            for claimed in 0..=size {
                let holds = verify_inclusion(tree[index], claimed as u64, size as u64, &proof, top);
                assert_eq!(holds, claimed == index, "leaf {index} as {claimed} of {size}");
            }
        }
        for old in 0..=size {
            let proof = consistency_proof(tree, old).expect("a beginning");
            assert!(
                verify_consistency(old as u64, root(&tree[..old]), size as u64, top, &proof),
                "{old} to {size}"
            );
        }
    }
}

fn leaves() -> impl Strategy<Value = Vec<Hash>> {
    proptest::collection::vec(any::<[u8; 8]>().prop_map(|data| leaf_hash(&data)), 1..200)
}

proptest! {
    #[test]
    fn the_frontier_is_the_tree(leaves in leaves()) {
        let mut frontier = Frontier::new();
        for leaf in &leaves {
            frontier.push(*leaf);
        }
        prop_assert_eq!(frontier.root(), root(&leaves));
        let again = Frontier::from_parts(frontier.size(), frontier.subtrees().to_vec());
        prop_assert_eq!(again, Some(frontier));
    }

    #[test]
    fn inclusion_holds_and_any_change_to_the_proof_is_seen(
        leaves in leaves(), at in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let index = at.index(leaves.len());
        let (size, top) = (leaves.len() as u64, root(&leaves));
        let proof = inclusion_proof(&leaves, index).expect("a leaf");
        prop_assert!(verify_inclusion(leaves[index], index as u64, size, &proof, top));
        let mut longer = proof.clone();
        longer.push(top);
        prop_assert!(!verify_inclusion(leaves[index], index as u64, size, &longer, top));
        if !proof.is_empty() {
            let mut forged = proof.clone();
            let element = flip.index(forged.len());
            forged[element].0[usize::from(bit)] ^= 1 << bit;
            prop_assert!(!verify_inclusion(leaves[index], index as u64, size, &forged, top));
            prop_assert!(!verify_inclusion(leaves[index], index as u64, size, &proof[1..], top));
        }
    }

    #[test]
    fn consistency_holds_and_any_change_to_the_proof_is_seen(
        leaves in leaves(), at in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(),
    ) {
        let old = at.index(leaves.len()) + 1;
        let (before, after) = (root(&leaves[..old]), root(&leaves));
        let (from, to) = (old as u64, leaves.len() as u64);
        let proof = consistency_proof(&leaves, old).expect("a beginning");
        prop_assert!(verify_consistency(from, before, to, after, &proof));
        let mut longer = proof.clone();
        longer.push(after);
        prop_assert!(!verify_consistency(from, before, to, after, &longer));
        if !proof.is_empty() {
            let mut forged = proof.clone();
            let element = flip.index(forged.len());
            forged[element].0[0] ^= 1;
            prop_assert!(!verify_consistency(from, before, to, after, &forged));
            prop_assert!(!verify_consistency(from, before, to, after, &proof[1..]));
        }
        if old > 1 {
            let mut other = leaves[..old].to_vec();
            other[0].0[0] ^= 1;
            prop_assert!(!verify_consistency(from, root(&other), to, after, &proof));
        }
    }
}
