//! What the hub refuses of a participant that may connect.

use e2e::craft::{Crafted, Letter};
use e2e::id;
use e2e::material::Material;
use e2e::peer::{End, Peer, Verdict};
use ncp_protocol::frame::{BodyChunk, BodyWanted, Frame, Submit};
use ncp_protocol::ids::{Digest, MessageId, NetworkId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::{CHUNK_PLAIN, DAY_MS, LIFETIME_MAX_MS};
use ncp_protocol::reject::RejectCode;

use crate::world::{held, hub_alone};

/// Submits what `make` makes of an honest letter, in XA's name to XD; expects this code, and that nothing stays.
async fn check(expected: RejectCode, make: impl FnOnce(&Letter, &Material) -> Crafted) {
    check_with(b"an honest part", expected, make).await;
}

async fn check_with(part: &[u8], expected: RejectCode, make: impl FnOnce(&Letter, &Material) -> Crafted) {
    let (network, _turn) = hub_alone().await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let mut peer = Peer::connect(&xa).await;
    let before = held(&network).await;
    let crafted = make(&Letter::new(&xa, xd.entry(), part), &xa);
    let verdict = peer.submit(&crafted).await;
    assert_eq!(verdict, Verdict::Refused(expected));
    assert_eq!(held(&network).await, before, "nothing of it is stored");
    // The link stands, and an honest envelope passes.
    let honest = Letter::new(&xa, xd.entry(), b"honest").seal();
    assert!(matches!(peer.submit(&honest).await, Verdict::Accepted(_)));
}

#[tokio::test]
async fn an_altered_header_is_refused() {
    check(RejectCode::SignatureInvalid, |letter, _| {
        letter.seal().with_altered_header(|header| header.not_after = header.not_after.plus_millis(1))
    })
    .await;
}

#[tokio::test]
async fn an_altered_recipient_is_refused() {
    check(RejectCode::SignatureInvalid, |letter, _| {
        letter.seal().with_altered_header(|header| header.recipient = id("XC"))
    })
    .await;
}

#[tokio::test]
async fn a_recipient_that_does_not_have_the_key_is_refused() {
    check(RejectCode::RecipientKeyUnknown, |letter, xa| {
        letter.seal().with_header(&xa.signing, |header| header.recipient = id("XC"))
    })
    .await;
}

#[tokio::test]
async fn a_recipient_that_nobody_knows_is_refused() {
    check(RejectCode::RecipientUnknown, |letter, xa| {
        letter.seal().with_header(&xa.signing, |header| header.recipient = id("XZ"))
    })
    .await;
}

#[tokio::test]
async fn an_altered_wrap_is_refused() {
    check(RejectCode::WrapMismatch, |letter, _| letter.seal().with_altered_wrap()).await;
}

#[tokio::test]
async fn an_altered_chunk_is_refused() {
    check(RejectCode::BodyRootMismatch, |letter, _| letter.seal().with_altered_chunk(0)).await;
}

#[tokio::test]
async fn an_altered_chunk_of_a_long_body_is_refused() {
    let part = vec![7; 3 * CHUNK_PLAIN];
    check_with(&part, RejectCode::BodyRootMismatch, |letter, _| letter.seal().with_altered_chunk(2)).await;
}

#[tokio::test]
async fn a_body_of_another_length_is_refused() {
    check(RejectCode::BodyLengthMismatch, |letter, _| {
        let mut crafted = letter.seal();
        crafted.chunks[0].pop();
        crafted
    })
    .await;
}

#[tokio::test]
async fn a_signature_by_an_unknown_key_is_refused() {
    check(RejectCode::OriginatorKeyUnknown, |letter, _| {
        let mut letter = letter.clone();
        letter.signing = SigningKey::from_seed(&[77; 32]);
        letter.seal()
    })
    .await;
}

#[tokio::test]
async fn a_signature_under_the_name_of_another_key_is_refused() {
    check(RejectCode::SignatureInvalid, |letter, _| {
        letter.seal().with_header(&SigningKey::from_seed(&[77; 32]), |_| ())
    })
    .await;
}

#[tokio::test]
async fn an_envelope_of_another_network_is_refused() {
    check(RejectCode::NetworkMismatch, |letter, xa| {
        letter.seal().with_header(&xa.signing, |header| header.network = NetworkId(Digest([9; 32])))
    })
    .await;
}

#[tokio::test]
async fn an_envelope_in_the_name_of_another_state_is_refused() {
    // XC's own envelope, honestly signed, over XA's link.
    let (network, _turn) = hub_alone().await;
    let [xa, xd, xc] = ["XA", "XD", "XC"].map(|name| Material::of(&network, name));
    let mut peer = Peer::connect(&xa).await;
    let before = held(&network).await;
    let foreign = Letter::new(&xc, xd.entry(), b"XC's").seal();
    assert_eq!(peer.submit(&foreign).await, Verdict::Refused(RejectCode::OriginatorMismatch));
    assert_eq!(held(&network).await, before);
}

#[tokio::test]
async fn an_envelope_older_than_its_key_is_refused() {
    check(RejectCode::OriginatorKeyUnknown, |letter, xa| {
        letter.seal().with_header(&xa.signing, |header| header.created.0 -= DAY_MS / 2)
    })
    .await;
}

#[tokio::test]
async fn times_out_of_range_are_refused() {
    check(RejectCode::Expired, |letter, xa| {
        letter.seal().with_header(&xa.signing, |header| {
            header.created.0 -= 30 * 60 * 1_000;
            header.not_after.0 = header.created.0 + 10 * 60 * 1_000;
        })
    })
    .await;
    check(RejectCode::CreatedInFuture, |letter, xa| {
        letter.seal().with_header(&xa.signing, |header| {
            header.created.0 += DAY_MS;
            header.not_after.0 += DAY_MS;
        })
    })
    .await;
    check(RejectCode::LifetimeOutOfRange, |letter, xa| {
        letter.seal().with_header(&xa.signing, |header| header.not_after.0 = header.created.0 + LIFETIME_MAX_MS + 1)
    })
    .await;
}

#[tokio::test]
async fn chunks_out_of_order_end_the_link_and_leave_nothing_accepted() {
    let (network, _turn) = hub_alone().await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    let mut peer = Peer::connect(&xa).await;
    let before = network.relay().sizes().await;
    let crafted = Letter::new(&xa, xd.entry(), &vec![1; 2 * CHUNK_PLAIN]).seal();
    let wanted = wanted(&mut peer, &crafted).await;
    let BodyWanted { originator, message, .. } = wanted;
    peer.send(BodyChunk { originator, message, index: 1, bytes: crafted.chunks[1].clone() }).await;
    assert_eq!(peer.end().await, End::Bye(Some(RejectCode::ChunkOutOfOrder)));
    assert_eq!(network.relay().sizes().await, before);
}

#[tokio::test]
async fn a_chunk_in_the_name_of_another_state_ends_the_link() {
    let (network, _turn) = hub_alone().await;
    let xa = Material::of(&network, "XA");
    let mut peer = Peer::connect(&xa).await;
    let message = MessageId::from_random([3; 16]);
    peer.send(BodyChunk { originator: id("XC"), message, index: 0, bytes: vec![1] }).await;
    assert_eq!(peer.end().await, End::Bye(Some(RejectCode::OriginatorMismatch)));
}

async fn wanted(peer: &mut Peer, crafted: &Crafted) -> BodyWanted {
    peer.send(Submit { envelope: crafted.envelope.clone() }).await;
    loop {
        if let Frame::BodyWanted(wanted) = peer.next().await.expect("the link stands") {
            return wanted;
        }
    }
}
