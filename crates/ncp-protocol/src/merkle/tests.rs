//! Known answers, and every proof against the recursive definitions of RFC 6962, section 2.1.

use core::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// A whole tree in memory, filled through [`Frontier::push`] alone: `levels[l][i]` is node i of level l.
struct Tree {
    levels: Vec<Vec<Digest>>,
    frontier: Frontier,
}

impl Tree {
    fn new(leaves: impl IntoIterator<Item = Digest>) -> Self {
        let mut tree = Self { levels: vec![Vec::new(); 65], frontier: Frontier::new() };
        for leaf in leaves {
            let levels = &mut tree.levels;
            tree.frontier.push(leaf, |level, index, hash| {
                let level = &mut levels[usize::from(level)];
                assert_eq!(level.len() as u64, index, "nodes complete in order");
                level.push(hash);
            });
        }
        tree
    }

    fn numbered(size: u64) -> Self {
        Self::new((0..size).map(|i| leaf_hash(&i.to_be_bytes())))
    }
}

impl Nodes for Tree {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
        Ok(self.levels[usize::from(level)][usize::try_from(index).unwrap()])
    }
}

/// MTH of the RFC: the hash of a list of leaves.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(naive_split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH of the RFC.
fn naive_path(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if index < k { (naive_path(index, left), right) } else { (naive_path(index - k, right), left) };
    path.push(naive_root(sibling));
    path
}

/// SUBPROOF of the RFC; `known` says that the verifier already has this subtree's root.
fn naive_subproof(m: usize, leaves: &[Digest], known: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) =
        if m <= k { (naive_subproof(m, left, known), right) } else { (naive_subproof(m - k, right, false), left) };
    proof.push(naive_root(sibling));
    proof
}

/// The largest power of two below `n`, n > 1.
fn naive_split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

fn hex_digests<const N: usize>(texts: [&str; N]) -> Vec<Digest> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The eight leaves that the Certificate Transparency implementations share as test data.
fn shared_leaves() -> Vec<Digest> {
    let events: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    events.iter().map(|event| leaf_hash(event)).collect()
}

#[test]
fn roots_of_sizes_0_to_8_are_the_published_ones() {
    let published = hex_digests([
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]);
    let leaves = shared_leaves();
    let whole = Tree::new(leaves.clone());
    for (size, published) in published.iter().enumerate() {
        assert_eq!(Tree::new(leaves[..size].to_vec()).frontier.root(), *published, "size {size}");
        assert_eq!(root(&whole, size as u64), Ok(*published), "size {size}");
    }
    assert_eq!(EMPTY_ROOT, crate::keys::sha256(b""));
}

#[test]
fn proofs_in_the_shared_tree_are_the_published_ones() {
    let tree = Tree::new(shared_leaves());
    let inclusion = hex_digests([
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]);
    assert_eq!(inclusion_proof(&tree, 0, 8), Ok(inclusion));
    let consistency = hex_digests([
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
    assert_eq!(consistency_proof(&tree, 6, 8), Ok(consistency));
}

#[test]
fn every_small_proof_is_the_one_of_the_definition() {
    let tree = Tree::numbered(40);
    let leaves = &tree.levels[0];
    for new in 0..=40usize {
        let prefix = &leaves[..new];
        let size = new as u64;
        let new_root = naive_root(prefix);
        assert_eq!(root(&tree, size), Ok(new_root));
        for (index, leaf) in prefix.iter().enumerate() {
            let proof = inclusion_proof(&tree, index as u64, size).unwrap();
            assert_eq!(proof, naive_path(index, prefix), "leaf {index} of {new}");
            assert_eq!(verify_inclusion(leaf, index as u64, size, &proof, &new_root), Ok(()));
        }
        for old in 1..=new {
            let proof = consistency_proof(&tree, old as u64, size).unwrap();
            assert_eq!(proof, naive_subproof(old, prefix, true), "{old} to {new}");
            let old_root = naive_root(&leaves[..old]);
            assert_eq!(verify_consistency(old as u64, &old_root, size, &new_root, &proof), Ok(()));
        }
        assert_eq!(consistency_proof(&tree, 0, size), Ok(Vec::new()));
        assert_eq!(verify_consistency(0, &EMPTY_ROOT, size, &new_root, &[]), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn proofs_of_any_size_are_those_of_the_definition(size in 1u64..=1024, a: u64, b: u64) {
        let tree = Tree::numbered(size);
        let leaves = &tree.levels[0];
        let (index, old) = (a % size, 1 + b % size);
        let new_root = naive_root(leaves);
        prop_assert_eq!(tree.frontier.root(), new_root);

        let place = usize::try_from(index).unwrap();
        let inclusion = inclusion_proof(&tree, index, size).unwrap();
        prop_assert_eq!(&inclusion, &naive_path(place, leaves));
        prop_assert_eq!(verify_inclusion(&leaves[place], index, size, &inclusion, &new_root), Ok(()));

        let prefix = usize::try_from(old).unwrap();
        let consistency = consistency_proof(&tree, old, size).unwrap();
        prop_assert_eq!(&consistency, &naive_subproof(prefix, leaves, true));
        let old_root = naive_root(&leaves[..prefix]);
        prop_assert_eq!(verify_consistency(old, &old_root, size, &new_root, &consistency), Ok(()));
    }

    #[test]
    fn frontier_rebuilt_from_nodes_goes_on_as_if_never_stopped(size in 0u64..=600, more in 0u64..=40) {
        let whole = Tree::numbered(size + more);
        let mut rebuilt = Frontier::from_nodes(&whole, size).unwrap();
        prop_assert_eq!(&rebuilt, &Tree::numbered(size).frontier);
        prop_assert_eq!(Ok(rebuilt.root()), root(&whole, size));
        for leaf in whole.levels[0].iter().skip(usize::try_from(size).unwrap()) {
            rebuilt.push(*leaf, |level, index, hash| assert_eq!(whole.node(level, index), Ok(hash)));
        }
        prop_assert_eq!(rebuilt, whole.frontier);
    }

    #[test]
    fn verification_of_arbitrary_input_never_panics(
        a: u64, b: u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70)
    ) {
        let hashes: Vec<Digest> = hashes.into_iter().map(Digest).collect();
        let zero = Digest([0; 32]);
        prop_assert!(verify_inclusion(&zero, a, b, &hashes, &zero).is_err());
        prop_assert!(a == b || verify_consistency(a, &zero, b, &zero, &hashes).is_err());
    }
}

/// Every proof with one bit flipped, one hash left out, doubled, or changed places with its neighbour, and the proof
/// with one hash more.
fn mutations(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = Vec::new();
    let mut mutate = |change: &dyn Fn(&mut Vec<Digest>)| {
        let mut mutated = proof.to_vec();
        change(&mut mutated);
        all.push(mutated);
    };
    for i in 0..proof.len() {
        for bit in 0..256 {
            mutate(&|proof| proof[i].0[bit / 8] ^= 1 << (bit % 8));
        }
        mutate(&|proof| _ = proof.remove(i));
        mutate(&|proof| proof.insert(i, proof[i]));
        if i > 0 {
            mutate(&|proof| proof.swap(i - 1, i));
        }
    }
    mutate(&|proof| proof.push(EMPTY_ROOT));
    all
}

#[test]
fn every_mutation_of_a_proof_is_rejected() {
    let tree = Tree::numbered(21);
    let leaves = &tree.levels[0];
    for size in [1u64, 2, 3, 7, 8, 13, 21] {
        let new_root = root(&tree, size).unwrap();
        for index in 0..size {
            let leaf = leaves[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(&tree, index, size).unwrap();
            for mutated in mutations(&proof) {
                assert!(verify_inclusion(&leaf, index, size, &mutated, &new_root).is_err(), "{index} of {size}");
            }
            for other in (0..=size).filter(|&other| other != index) {
                assert!(verify_inclusion(&leaf, other, size, &proof, &new_root).is_err(), "{other} for {index}");
            }
            assert!(verify_inclusion(&EMPTY_ROOT, index, size, &proof, &new_root).is_err());
            assert_eq!(verify_inclusion(&leaf, index, size, &proof, &EMPTY_ROOT), Err(ProofError::Root));
        }
        for old in 0..=size {
            let old_root = root(&tree, old).unwrap();
            let proof = consistency_proof(&tree, old, size).unwrap();
            for mutated in mutations(&proof) {
                assert!(verify_consistency(old, &old_root, size, &new_root, &mutated).is_err(), "{old} to {size}");
            }
            let other = Digest([7; 32]);
            assert!(verify_consistency(old, &other, size, &new_root, &proof).is_err());
            // Any tree follows from the empty one.
            assert_eq!(verify_consistency(old, &old_root, size, &other, &proof).is_err(), old > 0);
        }
    }
}

#[test]
fn what_lies_outside_the_tree_has_no_proof() {
    let tree = Tree::numbered(4);
    let whole = root(&tree, 4).unwrap();
    assert_eq!(inclusion_proof(&tree, 4, 4), Err(ProveError::OutOfRange));
    assert_eq!(inclusion_proof(&tree, 0, TREE_SIZE_MAX + 1), Err(ProveError::OutOfRange));
    assert_eq!(consistency_proof(&tree, 4, 3), Err(ProveError::OutOfRange));
    assert_eq!(consistency_proof(&tree, 1, TREE_SIZE_MAX + 1), Err(ProveError::OutOfRange));
    assert_eq!(verify_inclusion(&whole, 0, 0, &[], &whole), Err(ProofError::OutOfRange));
    assert_eq!(verify_inclusion(&whole, 0, u64::MAX, &[], &whole), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(4, &whole, 3, &whole, &[]), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(1, &whole, u64::MAX, &whole, &[]), Err(ProofError::OutOfRange));
    assert_eq!(verify_consistency(0, &whole, 4, &whole, &[]), Err(ProofError::OldRoot));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 4, &whole, &[whole]), Err(ProofError::Length));
    assert_eq!(verify_consistency(4, &EMPTY_ROOT, 4, &whole, &[]), Err(ProofError::Root));
}

/// A tree of any size whose leaves are all equal, so that each level has one hash.
struct Uniform(Vec<Digest>);

impl Uniform {
    fn new() -> Self {
        let next = |hash: &Digest| Some(node_hash(hash, hash));
        Self(core::iter::successors(Some(leaf_hash(b"leaf")), next).take(64).collect())
    }
}

impl Nodes for Uniform {
    type Error = Infallible;

    fn node(&self, level: u8, _index: u64) -> Result<Digest, Infallible> {
        Ok(self.0[usize::from(level)])
    }
}

#[test]
fn proofs_reach_the_largest_tree() {
    let nodes = Uniform::new();
    let sizes = [TREE_SIZE_MAX, TREE_SIZE_MAX - 1, (1 << 62) + 1, 1 << 62, (1 << 62) - 1, 0x5555_5555_5555_5555];
    for new in sizes {
        let new_root = root(&nodes, new).unwrap();
        assert_eq!(Frontier::from_nodes(&nodes, new).unwrap().root(), new_root);
        for index in [0, 1, new / 3, new / 2, new - 2, new - 1] {
            let proof = inclusion_proof(&nodes, index, new).unwrap();
            assert!(proof.len() <= crate::limits::PROOF_HASHES_MAX);
            assert_eq!(verify_inclusion(&nodes.0[0], index, new, &proof, &new_root), Ok(()));
            assert!(verify_inclusion(&new_root, index, new, &proof, &new_root).is_err());
        }
        for old in sizes.into_iter().chain([1, 3, new / 3, new / 2, new - 1]).filter(|&old| old <= new) {
            let old_root = root(&nodes, old).unwrap();
            let proof = consistency_proof(&nodes, old, new).unwrap();
            assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
        }
    }
    assert_eq!(inclusion_proof(&nodes, 0, TREE_SIZE_MAX).map(|proof| proof.len()), Ok(63));
}
