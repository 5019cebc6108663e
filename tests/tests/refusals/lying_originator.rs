//! Envelopes that the hub accepts, as their outside is in order, and that the recipient's node refuses with evidence.

use e2e::craft::{Crafted, Letter};
use e2e::material::Material;
use e2e::peer::{Peer, Verdict};
use ncp_protocol::body::ContentKey;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::evidence::{unverified_claim, verify};
use ncp_protocol::ids::Digest;
use ncp_protocol::reject::RejectCode;
use ncp_protocol::wrap::SealingKey;

use crate::world::with_xb;

/// Submits what `make` makes of an honest letter; expects R1, then the node's refusal with this code, under its log key.
async fn check(expected: RejectCode, make: impl FnOnce(&Letter, &Material) -> Crafted) {
    let (network, _turn) = with_xb().await;
    let (xa, xb) = (Material::of(&network, "XA"), Material::of(&network, "XB"));
    let inbox = network.node("XB").inbox().await;
    let mut peer = Peer::connect(&xa).await;
    let crafted = make(&Letter::new(&xa, xb.entry(), b"what is inside"), &xa);
    assert!(matches!(peer.submit(&crafted).await, Verdict::Accepted(_)));
    let key = crafted.key();
    let negative = peer
        .receipt(|proof| {
            unverified_claim(proof)
                .is_ok_and(|claim| claim.envelope == key && claim.kind != EvidenceKind::RelayAcceptance)
        })
        .await;
    let evidence = verify(&negative, &xb.origin(), &xb.log.verifying_key()).expect("XB's own log proves it");
    assert_eq!(evidence.claim().kind, EvidenceKind::ContentConsignmentFailure);
    assert_eq!(evidence.claim().outcome, Outcome::Rejected(expected));
    assert_eq!(evidence.claim().header, crafted.envelope.header_digest());
    assert_eq!(network.node("XB").inbox().await, inbox, "nothing of it reaches the inbox");
}

#[tokio::test]
async fn a_wrap_sealed_to_another_key_is_refused_by_the_recipient() {
    check(RejectCode::WrapUnopened, |letter, xa| {
        let stranger = SealingKey::from_seed(&[5; 32]).public();
        letter.seal().with_wrap(&xa.signing, &stranger, &letter.wrap_content())
    })
    .await;
}

#[tokio::test]
async fn a_wrap_with_another_content_key_is_refused_by_the_recipient() {
    check(RejectCode::BodyUnopened, |letter, xa| {
        let mut content = letter.wrap_content();
        content.cek = ContentKey::from_bytes(&[6; 32]);
        letter.seal().with_wrap(&xa.signing, &letter.recipient_key, &content)
    })
    .await;
}

#[tokio::test]
async fn another_commitment_than_the_content_opens_is_refused_by_the_recipient() {
    check(RejectCode::CommitmentMismatch, |letter, xa| {
        let lying = letter.seal().with_header(&xa.signing, |header| header.content_commitment = Digest([3; 32]));
        // The commitment stands in the header core, which the wrap is bound to.
        lying.with_wrap(&xa.signing, &letter.recipient_key, &letter.wrap_content())
    })
    .await;
}

#[tokio::test]
async fn a_message_that_does_not_name_its_recipient_is_refused_by_the_recipient() {
    // Surreptitious forwarding: sealed to XB, though the manifest says XC alone.
    check(RejectCode::ManifestMismatch, |letter, xa| {
        let mut forwarded = letter.clone();
        forwarded.manifest.recipients = vec![e2e::id("XC")];
        forwarded.recipient = e2e::id("XC");
        let sealed = forwarded.seal();
        let redirected = sealed.with_header(&xa.signing, |header| {
            header.recipient = letter.recipient;
            header.recipient_key = letter.recipient_key.id();
        });
        redirected.with_wrap(&xa.signing, &letter.recipient_key, &forwarded.wrap_content())
    })
    .await;
}
