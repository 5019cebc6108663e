//! The Merkle tree of a log: RFC 6962, section 2.1, over SHA-256. Leaves are only ever appended.
//!
//! Everything here is pure. Hashes of complete subtrees come through [`Nodes`], so that a proof costs a few dozen reads
//! however large the log is. Nothing recurses: all work is loops of at most one turn per level, and a tree of
//! [`TREE_SIZE_MAX`] leaves overflows nothing. A proof is accepted only if it has exactly the hashes its place needs.
//!
//! An inclusion proof does not bind the size of its tree, only the root; size and root belong together because one
//! signed [`checkpoint`](crate::checkpoint) states both.

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::ids::Digest;
use crate::limits::TREE_SIZE_MAX;

/// Hash of a leaf: SHA-256(0x00 ‖ event).
#[must_use]
pub fn leaf_hash(event: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix([0x00]).chain_update(event).finalize().into())
}

/// Hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest(Sha256::new_with_prefix([0x01]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Digest = Digest([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Read access to the hashes of complete subtrees.
pub trait Nodes {
    /// Why a hash cannot be read.
    type Error;

    /// The root of the leaves from `index << level` up to `(index + 1) << level`, end excluded. Level 0 is the leaves'
    /// own hashes. This module asks only for subtrees that lie wholly inside the size it was given.
    ///
    /// # Errors
    /// Whatever keeps the hash from being read.
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

/// Why there is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProveError<E> {
    /// The leaf or the old tree does not lie inside the tree, or the tree is larger than [`TREE_SIZE_MAX`].
    #[error("outside the tree")]
    OutOfRange,
    /// A hash could not be read.
    #[error("a hash of the tree cannot be read")]
    Nodes(#[source] E),
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf or the old tree does not lie inside the tree, or the tree is larger than [`TREE_SIZE_MAX`].
    #[error("outside the tree")]
    OutOfRange,
    /// More or fewer hashes than a proof for this place has.
    #[error("wrong number of hashes")]
    Length,
    /// The hashes do not lead to the root.
    #[error("does not lead to the root")]
    Root,
    /// The hashes do not lead to the root of the older tree.
    #[error("does not lead to the older root")]
    OldRoot,
}

/// The right edge of a growing tree: its size and the hashes of its maximal complete subtrees, largest first. This is
/// all that appending needs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    // As many as `size` has one bits: the bit of value 2^k stands for a subtree of 2^k leaves.
    subtrees: Vec<Digest>,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Rebuilds the frontier of a tree of `size` leaves from stored nodes.
    ///
    /// # Errors
    /// Whatever keeps a hash from being read.
    pub fn from_nodes<N: Nodes>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let levels = (0..LEVELS).rev().filter(|level| size >> level & 1 == 1);
        let subtrees = levels.map(|level| nodes.node(level, (size >> level) - 1)).collect::<Result<_, _>>()?;
        Ok(Self { size, subtrees })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        let smallest_first = self.subtrees.iter().rev().copied();
        smallest_first.reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
    }

    /// Appends a leaf; calls `complete(level, index, hash)` for each node this leaf completes, level 0 first.
    ///
    /// # Panics
    /// If the tree already has [`TREE_SIZE_MAX`] leaves, which no disk holds.
    pub fn push(&mut self, leaf: Digest, mut complete: impl FnMut(u8, u64, Digest)) {
        assert!(self.size < TREE_SIZE_MAX, "a log has at most 2^63 leaves");
        let mut hash = leaf;
        let mut level = 0;
        complete(level, self.size, hash);
        while self.size >> level & 1 == 1 {
            let Some(left) = self.subtrees.pop() else {
                unreachable!("each one bit of the size has its subtree");
            };
            hash = node_hash(&left, &hash);
            level += 1;
            complete(level, self.size >> level, hash);
        }
        self.subtrees.push(hash);
        self.size += 1;
    }
}

/// Root of the tree of the first `size` leaves.
///
/// # Errors
/// Whatever keeps a hash from being read.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Digest, N::Error> {
    Ok(edge_root(nodes, size, LEVELS)?.unwrap_or(EMPTY_ROOT))
}

/// The path from leaf `index` up in the tree of the first `size` leaves, its sibling first: PATH(index, D\[size\]) of
/// RFC 6962, section 2.1.1.
///
/// # Errors
/// [`ProveError`] if the leaf is not in the tree or a hash cannot be read.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Digest>, ProveError<N::Error>> {
    if index >= size || size > TREE_SIZE_MAX {
        return Err(ProveError::OutOfRange);
    }
    path(nodes, Climb::new(0, index, size), size).map_err(ProveError::Nodes)
}

/// Shows that the tree of the first `old` leaves is a prefix of that of the first `new`: PROOF(old, D\[new\]) of
/// RFC 6962, section 2.1.2. From the empty tree, and from a tree to itself, the proof is empty.
///
/// # Errors
/// [`ProveError`] if `old` exceeds `new` or a hash cannot be read.
pub fn consistency_proof<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Digest>, ProveError<N::Error>> {
    if old > new || new > TREE_SIZE_MAX {
        return Err(ProveError::OutOfRange);
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let climb = Climb::from_edge(old, new);
    let mut proof = Vec::new();
    if !old.is_power_of_two() {
        proof.push(nodes.node(climb.level, climb.index).map_err(ProveError::Nodes)?);
    }
    proof.extend(path(nodes, climb, new).map_err(ProveError::Nodes)?);
    Ok(proof)
}

/// Verifies that `leaf`, a leaf hash, is leaf `index` of the tree with this size and root.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size || size > TREE_SIZE_MAX {
        return Err(ProofError::OutOfRange);
    }
    let mut hashes = proof.iter();
    let mut reached = *leaf;
    for sibling in Climb::new(0, index, size) {
        let hash = hashes.next().ok_or(ProofError::Length)?;
        reached = match sibling.side {
            Side::Left => node_hash(hash, &reached),
            Side::Right => node_hash(&reached, hash),
        };
    }
    if hashes.next().is_some() {
        return Err(ProofError::Length);
    }
    if reached == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Verifies that the tree of `old_size` leaves under `old_root` is a prefix of the tree of `new_size` leaves under
/// `new_root`. Equal sizes need equal roots, the empty tree needs [`EMPTY_ROOT`], and both need an empty proof.
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old_size > new_size || new_size > TREE_SIZE_MAX {
        return Err(ProofError::OutOfRange);
    }
    if old_size == 0 && *old_root != EMPTY_ROOT {
        return Err(ProofError::OldRoot);
    }
    if old_size == new_size && old_root != new_root {
        return Err(ProofError::Root);
    }
    if old_size == 0 || old_size == new_size {
        return if proof.is_empty() { Ok(()) } else { Err(ProofError::Length) };
    }
    let mut hashes = proof.iter();
    let start = if old_size.is_power_of_two() { old_root } else { hashes.next().ok_or(ProofError::Length)? };
    let (mut old, mut new) = (*start, *start);
    for sibling in Climb::from_edge(old_size, new_size) {
        let hash = hashes.next().ok_or(ProofError::Length)?;
        match sibling.side {
            Side::Left => (old, new) = (node_hash(hash, &old), node_hash(hash, &new)),
            // What lies to the right of the old tree's edge came later.
            Side::Right => new = node_hash(&new, hash),
        }
    }
    if hashes.next().is_some() {
        return Err(ProofError::Length);
    }
    if old != *old_root {
        return Err(ProofError::OldRoot);
    }
    if new == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

/// The siblings on the way from one node to the root. A level where the node has no sibling, because the tree ends
/// there, yields nothing.
struct Climb {
    level: u8,
    index: u64,
    // Index of the level's last node, which may be incomplete.
    last: u64,
}

struct Sibling {
    level: u8,
    index: u64,
    side: Side,
}

enum Side {
    Left,
    Right,
}

impl Climb {
    /// From the node `index` of `level` in a tree of `size` leaves, `size` > 0.
    fn new(level: u8, index: u64, size: u64) -> Self {
        Self { level, index, last: (size - 1) >> level }
    }

    /// From the largest complete subtree that ends where the tree of `old` leaves ends, `old` > 0: it belongs to both
    /// trees.
    fn from_edge(old: u64, new: u64) -> Self {
        let mut level = 0;
        while old >> level & 1 == 0 {
            level += 1;
        }
        Self::new(level, (old >> level) - 1, new)
    }
}

impl Iterator for Climb {
    type Item = Sibling;

    fn next(&mut self) -> Option<Sibling> {
        while self.last > 0 {
            let Self { level, index, last } = *self;
            *self = Self { level: level + 1, index: index >> 1, last: last >> 1 };
            if index & 1 == 1 {
                return Some(Sibling { level, index: index - 1, side: Side::Left });
            }
            if index < last {
                return Some(Sibling { level, index: index + 1, side: Side::Right });
            }
        }
        None
    }
}

/// The siblings' hashes in the tree of the first `size` leaves.
fn path<N: Nodes>(nodes: &N, climb: Climb, size: u64) -> Result<Vec<Digest>, N::Error> {
    let mut hashes = Vec::new();
    for Sibling { level, index, .. } in climb {
        if index < size >> level {
            hashes.push(nodes.node(level, index)?);
        } else {
            // The last node of its level, cut short by the end of the tree; not empty, since the climb yielded it.
            hashes.extend(edge_root(nodes, size, level)?);
        }
    }
    Ok(hashes)
}

/// Root of the leaves behind the last complete subtree of `below` levels, `None` if there are none: the maximal
/// complete subtrees there, one for each one bit of `size` below bit `below`, joined from the smallest up.
fn edge_root<N: Nodes>(nodes: &N, size: u64, below: u8) -> Result<Option<Digest>, N::Error> {
    let mut reached = None;
    for level in (0..below).filter(|level| size >> level & 1 == 1) {
        let left = nodes.node(level, (size >> level) - 1)?;
        reached = Some(reached.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(reached)
}

/// Bits of a size.
const LEVELS: u8 = 64;

#[cfg(test)]
mod tests;
