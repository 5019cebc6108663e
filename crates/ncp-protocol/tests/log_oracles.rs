//! The log's formats against programs of others: `signed_note`, `tlog_tiles` and `ct-merkle` (ASSURANCE A01, A03).

use core::convert::Infallible;

use base64ct::{Base64, Encoding as _};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use ncp_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use ncp_protocol::cosignature::cosign;
use ncp_protocol::ids::{Digest, Epoch, LogName, LogOrigin, NetworkId, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::merkle::{self, Frontier, Nodes, leaf_hash};
use ncp_protocol::note::{self, NoteSignature, SignatureType, SignedNote, VerifierKey};
use ncp_protocol::proof::LogProof;
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Note, Signature, StandardSigner, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::{Hash, HashReader};

/// All nodes of a tree: `levels[l][i]` is node i of level l.
struct Tree(Vec<Vec<Digest>>);

impl Tree {
    fn new(size: u64) -> Self {
        let mut levels = vec![Vec::new(); 64];
        let mut frontier = Frontier::new();
        for i in 0..size {
            frontier.push(leaf_hash(&event(i)), |level, _, hash| levels[usize::from(level)].push(hash));
        }
        Self(levels)
    }

    fn root(&self, size: u64) -> Digest {
        let Ok(root) = merkle::root(self, size);
        root
    }

    #[expect(clippy::unwrap_used, reason = "test code, though not inside a test function")]
    fn consistency(&self, old: u64, new: u64) -> Vec<Digest> {
        merkle::consistency_proof(self, old, new).unwrap()
    }
}

impl Nodes for Tree {
    type Error = Infallible;

    #[expect(clippy::unwrap_used, reason = "test code, though not inside a test function")]
    fn node(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
        Ok(self.0[usize::from(level)][usize::try_from(index).unwrap()])
    }
}

/// Our nodes under the numbering of `tlog_tiles`.
struct Stored<'a>(&'a Tree);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let node = |&stored| {
            let (level, index) = tlog_tiles::split_stored_hash_index(stored);
            let Ok(hash) = self.0.node(level, index);
            Hash(hash.0)
        };
        Ok(indexes.iter().map(node).collect())
    }
}

fn event(i: u64) -> [u8; 8] {
    i.to_be_bytes()
}

fn theirs(hashes: &[Digest]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

fn concatenated(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn origin() -> LogOrigin {
    LogOrigin {
        network: NetworkId(Digest([7; 32])),
        participant: ParticipantId::HUB,
        log: LogName::Traffic,
        epoch: Epoch(1),
    }
}

fn log_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn signed_checkpoint(size: u64, root: Digest) -> SignedCheckpoint {
    Checkpoint { origin: origin().to_string(), size, root }.sign(&log_key())
}

/// The verifier of `signed_note` for our log key.
#[expect(clippy::unwrap_used, reason = "test code, though not inside a test function")]
fn their_verifier() -> StandardVerifier {
    let ours = VerifierKey::new(&origin().to_string(), SignatureType::Ed25519, log_key().verifying_key()).unwrap();
    StandardVerifier::new(&ours.to_string()).unwrap()
}

/// Sizes up to 2^17: small ones, powers of two and their neighbours, and some without pattern.
fn checkpoint_sizes() -> Vec<u64> {
    let near_powers = (2..=17).flat_map(|k| [(1u64 << k) - 1, 1 << k, (1 << k) + 1]);
    let scattered = core::iter::successors(Some(12_345u64), |n| Some((n * 75 + 74) % 65_537)).map(|n| 2 * n + 1);
    let mut sizes: Vec<u64> = (0..=40).chain(near_powers).chain(scattered.take(100)).collect();
    sizes.retain(|&size| size <= 1 << 17);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[test]
fn a03_consistency_between_any_two_signed_checkpoints() {
    let tree = Tree::new(1 << 17);
    let open = |&size: &u64| {
        let signed = signed_checkpoint(size, tree.root(size));
        let opened = SignedCheckpoint::open(signed.note(), &origin(), &log_key().verifying_key()).unwrap();
        opened.checkpoint().clone()
    };
    let checkpoints: Vec<Checkpoint> = checkpoint_sizes().iter().map(open).collect();
    assert_eq!((checkpoints[0].size, checkpoints[checkpoints.len() - 1].size), (0, 1 << 17));

    let mut pairs = 0;
    for (i, new) in checkpoints.iter().enumerate() {
        for old in &checkpoints[..=i] {
            let proof = tree.consistency(old.size, new.size);
            let verify = |root| merkle::verify_consistency(old.size, &old.root, new.size, root, &proof);
            assert_eq!(verify(&new.root), Ok(()), "{} to {}", old.size, new.size);
            if old.size > 0 {
                let their_proof = theirs(&proof);
                let check = |root: Digest| {
                    tlog_tiles::check_tree(&their_proof, new.size, Hash(root.0), old.size, Hash(old.root.0))
                };
                assert!(check(new.root).is_ok(), "{} to {}", old.size, new.size);
                let forked = merkle::node_hash(&new.root, &new.root);
                assert!(verify(&forked).is_err() && check(forked).is_err());
            }
            pairs += 1;
        }
    }
    assert!(pairs >= 10_000, "{pairs} pairs");
}

#[test]
fn ct_merkle_agrees_on_roots_and_proofs() {
    let mut reference = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    let tree = Tree::new(130);
    for size in 1..=130 {
        reference.push(event(size - 1));
        let reference_root = reference.root();
        let root = tree.root(size);
        assert_eq!(reference_root.as_bytes().as_slice(), root.0);
        for index in 0..size {
            let proof = merkle::inclusion_proof(&tree, index, size).unwrap();
            let theirs = reference.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(theirs.as_bytes(), concatenated(&proof), "leaf {index} of {size}");
        }
        for old in 1..=size {
            let theirs = reference.prove_consistency(usize::try_from(size - old).unwrap());
            assert_eq!(theirs.as_bytes(), concatenated(&tree.consistency(old, size)), "{old} to {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn oracles_accept_our_proofs_and_make_the_same(size in 1u64..=1024, a: u64, b: u64) {
        let tree = Tree::new(size);
        let (index, old) = (a % size, 1 + b % size);
        let (new_root, old_root) = (tree.root(size), tree.root(old));
        let reference = RootHash::<Sha256>::new(new_root.0.into(), size);

        let inclusion = merkle::inclusion_proof(&tree, index, size).unwrap();
        let their_proof = InclusionProof::from_bytes(concatenated(&inclusion));
        prop_assert!(reference.verify_inclusion(&event(index), index, &their_proof).is_ok());
        prop_assert_eq!(tlog_tiles::prove_record(size, index, &Stored(&tree)).unwrap(), theirs(&inclusion));

        let consistency = tree.consistency(old, size);
        let their_proof = ConsistencyProof::try_from_bytes(concatenated(&consistency)).unwrap();
        let old_reference = RootHash::new(old_root.0.into(), old);
        prop_assert!(reference.verify_consistency(&old_reference, &their_proof).is_ok());
        prop_assert_eq!(tlog_tiles::prove_tree(size, old, &Stored(&tree)).unwrap(), theirs(&consistency));
    }
}

#[test]
fn signed_note_verifies_our_notes() {
    let text = "If you think cryptography is the answer,\n\nask again.\n";
    let name = origin().to_string();
    let witness = SigningKey::from_seed(&[2; 32]);
    let signatures = vec![note::sign(text, &name, &log_key()), note::sign(text, "witness.example", &witness)];
    let ours = SignedNote::new(text, signatures).unwrap();
    let known = VerifierList::new(vec![Box::new(their_verifier())]);
    let (verified, unverified) = Note::from_bytes(ours.to_string().as_bytes()).unwrap().verify(&known).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 1));
    assert_eq!(verified[0].name(), name);

    let changed = ours.to_string().replace("answer", "remedy");
    assert!(Note::from_bytes(changed.as_bytes()).unwrap().verify(&known).is_err());
}

#[test]
fn our_notes_read_what_signed_note_writes() {
    let seed = [3; 32];
    let name = "example.com/log";
    let ours = VerifierKey::new(name, SignatureType::Ed25519, SigningKey::from_seed(&seed).verifying_key()).unwrap();
    let typed_seed = Base64::encode_string(&[[0x01].as_slice(), &seed].concat());
    let signer = StandardSigner::new(&format!("PRIVATE+KEY+{name}+{}+{typed_seed}", ours.id())).unwrap();

    let mut theirs = Note::new(b"two\n\nlines\n", &[]).unwrap();
    theirs.add_sigs(&[&signer]).unwrap();
    let bytes = String::from_utf8(theirs.to_bytes()).unwrap();
    let read = SignedNote::parse(&bytes).unwrap();
    assert_eq!(read.to_string(), bytes);
    assert_eq!(read.verify(core::slice::from_ref(&ours)).map(|all| all.len()), Ok(1));
    // Ed25519 is deterministic: both write the same line.
    let line = Signature::new(name.to_owned(), u32::from_be_bytes(ours.id().0), read.signatures()[0].bytes().to_vec());
    let same = note::sign("two\n\nlines\n", name, &SigningKey::from_seed(&seed));
    assert_eq!(line.unwrap().to_bytes(), format!("{same}\n").into_bytes());
}

#[test]
fn tlog_tiles_reads_our_checkpoints() {
    let root = Tree::new(5).root(5);
    let signed = signed_checkpoint(5, root);
    let cosigned = signed
        .with_signature(cosign(signed.checkpoint(), "witness.example", &SigningKey::from_seed(&[2; 32]), 1_679_315_147))
        .unwrap();
    let text = cosigned.checkpoint().to_string();
    let theirs = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(theirs.origin(), origin().to_string());
    assert_eq!((theirs.size(), theirs.hash(), theirs.extension()), (5, &Hash(root.0), ""));
    assert_eq!(theirs.to_bytes(), text.as_bytes());

    let known = VerifierList::new(vec![Box::new(their_verifier())]);
    let (verified, others) = Note::from_bytes(cosigned.note().as_bytes()).unwrap().verify(&known).unwrap();
    assert_eq!((verified.len(), others.len()), (1, 1));
}

/// Verifies a proof with nothing of ours: the text is taken apart line by line. `None` if it does not verify.
fn verify_with_their_code(proof: &str) -> Option<()> {
    let (head, checkpoint) = proof.split_once("\n\n")?;
    let mut lines = head.lines().skip(1);
    let event = Base64::decode_vec(lines.next()?.strip_prefix("extra ")?).ok()?;
    let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
    let path: Vec<Hash> = lines.map(Hash::parse_hash).collect::<Result<_, _>>().ok()?;

    let note = Note::from_bytes(checkpoint.as_bytes()).ok()?;
    note.verify(&VerifierList::new(vec![Box::new(their_verifier())])).ok()?;
    let tree = tlog_tiles::Checkpoint::from_bytes(note.text()).ok()?;
    tlog_tiles::check_record(&path, tree.size(), *tree.hash(), index, tlog_tiles::record_hash(&event)).ok()
}

#[test]
fn our_proofs_verify_with_their_code() {
    let tree = Tree::new(77);
    let checkpoint_note = signed_checkpoint(77, tree.root(77)).note().to_owned();
    for index in 0..77 {
        let hashes = merkle::inclusion_proof(&tree, index, 77).unwrap();
        let checkpoint_note = checkpoint_note.clone();
        let proof = LogProof { event: event(index).to_vec(), index, hashes, checkpoint_note };
        assert!(proof.verify(&origin(), &log_key().verifying_key()).is_ok());
        assert_eq!(verify_with_their_code(&proof.to_string()), Some(()));
        let other = LogProof { event: event(index + 1).to_vec(), ..proof };
        assert!(other.verify(&origin(), &log_key().verifying_key()).is_err());
        assert_eq!(verify_with_their_code(&other.to_string()), None);
    }
}

#[test]
fn key_ids_agree() {
    let ours = VerifierKey::new(&origin().to_string(), SignatureType::Ed25519, log_key().verifying_key()).unwrap();
    assert_eq!(their_verifier().key_id(), u32::from_be_bytes(ours.id().0));
    let line = NoteSignature::new(ours.name(), ours.id(), &[1; 64]).to_string();
    assert_eq!(Signature::from_bytes(line.as_bytes()).unwrap().id(), their_verifier().key_id());
}
