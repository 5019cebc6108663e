//! One certificate that is wrong, one error that says so, on either side.

use ncp_protocol::ids::{ParticipantId, certificate_uri};
use ncp_transport::frame::FrameError;
use ncp_transport::handshake::{Alert, Blame, HandshakeError};
use ncp_transport::identity::NameError;
use rcgen::{ExtendedKeyUsagePurpose, SanType};

use crate::world::{Ca, Issued, Leaf, NETWORK, NodeSees, OTHER_NETWORK, id, meet, soon, uri};

const BAD_CERTIFICATE: Alert = Alert(42);
const REVOKED: Alert = Alert(44);
const EXPIRED: Alert = Alert(45);
const UNKNOWN: Alert = Alert(46);
const UNKNOWN_CA: Alert = Alert(48);

/// The hub refuses the node's certificate; the node is told by an alert at its first read.
async fn hub_refuses(hub: &Issued, node: &Issued, expected: HandshakeError, alert: Alert) {
    let (at_hub, at_node) = soon(meet(hub, node)).await;
    assert_eq!(at_hub, Err(expected));
    assert_eq!(at_node, Err(NodeSees::FirstRead(FrameError::RefusedByPeer(alert))));
}

/// The node refuses the hub's certificate; the hub is told by an alert in the handshake.
async fn node_refuses(hub: &Issued, node: &Issued, expected: HandshakeError, alert: Alert) {
    let (at_hub, at_node) = soon(meet(hub, node)).await;
    assert_eq!(at_node, Err(NodeSees::Handshake(expected)));
    assert_eq!(at_hub, Err(HandshakeError::RefusedByPeer(alert)));
}

#[tokio::test]
async fn honest_peers_meet() {
    let ca = Ca::new("a");
    assert_eq!(soon(meet(&ca.hub(), &ca.node("XA"))).await, (Ok(()), Ok(())));
}

#[tokio::test]
async fn certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    let stranger = theirs.node("XA").trusting(&ours);
    hub_refuses(&ours.hub(), &stranger, HandshakeError::WrongCa, UNKNOWN_CA).await;
    let impostor = theirs.hub().trusting(&ours);
    node_refuses(&impostor, &ours.node("XA"), HandshakeError::WrongCa, UNKNOWN_CA).await;
}

#[tokio::test]
async fn authority_of_the_same_name_with_another_key_is_another_authority() {
    let (ours, theirs) = (Ca::new("same"), Ca::new("same"));
    let stranger = theirs.node("XA").trusting(&ours);
    let (at_hub, _) = soon(meet(&ours.hub(), &stranger)).await;
    assert_eq!(at_hub, Err(HandshakeError::WrongCa));
    let impostor = theirs.hub().trusting(&ours);
    let (_, at_node) = soon(meet(&impostor, &ours.node("XA"))).await;
    assert_eq!(at_node, Err(NodeSees::Handshake(HandshakeError::WrongCa)));
}

#[tokio::test]
async fn certificate_outside_its_validity_is_refused() {
    let ca = Ca::new("a");
    let during = |participant, years| ca.issue(Leaf { years, ..Leaf::of(participant) });
    let (past, future) = ((2020, 2021), (2119, 2120));
    hub_refuses(&ca.hub(), &during(id("XA"), past), HandshakeError::Expired, EXPIRED).await;
    hub_refuses(&ca.hub(), &during(id("XA"), future), HandshakeError::NotYetValid, EXPIRED).await;
    node_refuses(&during(ParticipantId::HUB, past), &ca.node("XA"), HandshakeError::Expired, EXPIRED).await;
    node_refuses(&during(ParticipantId::HUB, future), &ca.node("XA"), HandshakeError::NotYetValid, EXPIRED).await;
}

#[tokio::test]
async fn certificate_for_another_purpose_is_refused() {
    let ca = Ca::new("a");
    let server = Leaf { purpose: ExtendedKeyUsagePurpose::ServerAuth, ..Leaf::of(id("XA")) };
    let (at_hub, _) = soon(meet(&ca.hub(), &ca.issue(server))).await;
    assert_eq!(at_hub, Err(HandshakeError::BadCertificate));
    let client = Leaf { purpose: ExtendedKeyUsagePurpose::ClientAuth, ..Leaf::of(ParticipantId::HUB) };
    let (_, at_node) = soon(meet(&ca.issue(client), &ca.node("XA"))).await;
    assert_eq!(at_node, Err(NodeSees::Handshake(HandshakeError::BadCertificate)));
}

/// Certificates whose names are wrong cannot be loaded as one's own, so the faulty side is a raw peer.
async fn names(names: Vec<SanType>, participant: ParticipantId, expected: NameError) {
    let ca = Ca::new("a");
    let faulty = ca.issue(Leaf { names, ..Leaf::of(participant) });
    let error = if participant == ParticipantId::HUB {
        crate::hostile::node_meets_raw_hub(&ca, &faulty).await
    } else {
        crate::hostile::hub_meets_raw_node(&ca, &faulty).await
    };
    assert_eq!(error, HandshakeError::Name(expected));
    assert_eq!(error.blame(), Blame::Peer);
}

#[tokio::test]
async fn certificate_names_exactly_one_participant_of_this_network() {
    let node = |text: &str| uri(&certificate_uri(&NETWORK, id(text)));
    let foreign = NameError::WrongNetwork { found: OTHER_NETWORK.label() };
    let dns = SanType::DnsName("xa.example.org".try_into().unwrap());
    names(vec![], id("XA"), NameError::Missing).await;
    names(vec![dns.clone(), uri("https://xa.example.org/")], id("XA"), NameError::Missing).await;
    names(vec![node("XA"), node("XB")], id("XA"), NameError::Several(2)).await;
    names(vec![node("XA"), node("XA"), uri("URN:NCP:x")], id("XA"), NameError::Several(3)).await;
    names(vec![uri(&certificate_uri(&OTHER_NETWORK, id("XA")))], id("XA"), foreign.clone()).await;
    names(vec![uri("urn:ncp:5a5a:XA")], id("XA"), NameError::Malformed).await;

    names(vec![], ParticipantId::HUB, NameError::Missing).await;
    names(vec![dns], ParticipantId::HUB, NameError::Missing).await;
    names(vec![node("HUB"), node("XB")], ParticipantId::HUB, NameError::Several(2)).await;
    names(vec![uri(&certificate_uri(&OTHER_NETWORK, id("HUB")))], ParticipantId::HUB, foreign).await;
}

#[tokio::test]
async fn nobody_stands_at_the_wrong_end() {
    let ca = Ca::new("a");
    let hub_as_node = Leaf { purpose: ExtendedKeyUsagePurpose::ClientAuth, ..Leaf::of(ParticipantId::HUB) };
    let wrong = |found| HandshakeError::Name(NameError::WrongPeer { found });
    hub_refuses(&ca.hub(), &ca.issue(hub_as_node), wrong(ParticipantId::HUB), UNKNOWN).await;
    let node_as_hub = Leaf { purpose: ExtendedKeyUsagePurpose::ServerAuth, ..Leaf::of(id("XB")) };
    node_refuses(&ca.issue(node_as_hub), &ca.node("XA"), wrong(id("XB")), UNKNOWN).await;
}

#[tokio::test]
async fn revoked_certificate_is_refused() {
    let ca = Ca::new("a");
    let list = |serials: &[u64]| ca.revocation_list(serials, 2120);
    let hub = |serials| ca.hub().with_list(list(serials));
    let node = |serials| ca.node("XA").with_list(list(serials));
    assert_eq!(soon(meet(&hub(&[1]), &node(&[1]))).await, (Ok(()), Ok(())));
    hub_refuses(&hub(&[77]), &ca.node("XA"), HandshakeError::Revoked, REVOKED).await;
    node_refuses(&ca.hub(), &node(&[77]), HandshakeError::Revoked, REVOKED).await;
}

#[tokio::test]
async fn expired_or_foreign_revocation_list_refuses_everyone() {
    let (ca, other) = (Ca::new("a"), Ca::new("b"));
    for list in [ca.revocation_list(&[], 2022), other.revocation_list(&[], 2120)] {
        let (at_hub, _) = soon(meet(&ca.hub().with_list(list.clone()), &ca.node("XA"))).await;
        assert_eq!(at_hub, Err(HandshakeError::RevocationUnknown));
        let (_, at_node) = soon(meet(&ca.hub(), &ca.node("XA").with_list(list))).await;
        assert_eq!(at_node, Err(NodeSees::Handshake(HandshakeError::RevocationUnknown)));
    }
    assert_eq!(HandshakeError::RevocationUnknown.blame(), Blame::Ours);
}

#[tokio::test]
async fn alert_of_the_hub_says_what_to_mend() {
    assert_eq!(FrameError::RefusedByPeer(EXPIRED).to_string(), "the peer refused us: our certificate has expired");
    assert_eq!(FrameError::RefusedByPeer(BAD_CERTIFICATE).blame(), Blame::Ours);
}
