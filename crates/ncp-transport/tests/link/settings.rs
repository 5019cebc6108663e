//! Settings from PEM files, and what is wrong with those that cannot be used.

use ncp_protocol::ids::{ParticipantId, UnixMillis};
use ncp_transport::handshake::HandshakeError;
use ncp_transport::identity::NameError;
use ncp_transport::tls::{SettingsError, TlsFiles, TlsMaterial, TlsSettings};

use crate::world::{Ca, Leaf, NETWORK, OTHER_NETWORK, id};

fn refused(change: impl FnOnce(&mut TlsMaterial)) -> SettingsError {
    let mut material = Ca::new("a").node("XA").material;
    change(&mut material);
    TlsSettings::new(&material, NETWORK).unwrap_err()
}

#[test]
fn settings_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new("a");
    let node = ca.node("XA");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let files = TlsFiles {
        certificate_chain: write("chain.pem", &node.material.certificate_chain),
        private_key: write("key.pem", &node.material.private_key),
        authorities: write("ca.pem", &ca.pem()),
        revocation_lists: vec![write("crl.pem", &ca.revocation_list(&[1], 2120))],
    };
    let settings = TlsSettings::read(&files, NETWORK).unwrap();
    assert_eq!((settings.own().participant, settings.own().certificate_key), (id("XA"), node.key_id));
    assert_eq!(settings.network(), &NETWORK);

    let missing = TlsFiles { private_key: folder.path().join("none.pem"), ..files.clone() };
    assert_eq!(
        TlsSettings::read(&missing, NETWORK).unwrap_err(),
        SettingsError::Read { path: missing.private_key, kind: std::io::ErrorKind::NotFound }
    );
    let large = TlsFiles { authorities: write("large.pem", &vec![b' '; (4 << 20) + 1]), ..files };
    assert_eq!(TlsSettings::read(&large, NETWORK).unwrap_err(), SettingsError::TooLarge { path: large.authorities });
}

#[test]
fn each_fault_has_its_name() {
    let other = Ca::new("a").node("XA").material;
    assert_eq!(refused(|m| m.certificate_chain.clear()), SettingsError::CertificateChain);
    assert_eq!(refused(|m| m.certificate_chain.truncate(300)), SettingsError::CertificateChain);
    assert_eq!(refused(|m| m.private_key.clear()), SettingsError::PrivateKey);
    assert_eq!(refused(|m| m.private_key.clone_from(&other.private_key)), SettingsError::KeyMismatch);
    assert_eq!(refused(|m| m.authorities.clear()), SettingsError::Authorities);
    assert_eq!(refused(|m| m.revocation_lists.push(vec![])), SettingsError::RevocationList);
    let no_list = b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n".to_vec();
    assert_eq!(refused(|m| m.revocation_lists.push(no_list)), SettingsError::RevocationList);
}

#[test]
fn own_certificate_must_name_a_participant_of_the_network() {
    let ca = Ca::new("a");
    let nameless = ca.issue(Leaf { names: vec![], ..Leaf::of(id("XA")) });
    assert_eq!(TlsSettings::new(&nameless.material, NETWORK).unwrap_err(), SettingsError::OwnName(NameError::Missing));
    assert_eq!(
        TlsSettings::new(&ca.node("XA").material, OTHER_NETWORK).unwrap_err(),
        SettingsError::OwnName(NameError::WrongNetwork { found: NETWORK.label() })
    );
}

#[test]
fn own_certificate_is_judged_as_a_peer_would() {
    let (ca, other) = (Ca::new("a"), Ca::new("b"));
    // 2025-01-01
    let now = UnixMillis(1_735_689_600_000);
    for participant in [ParticipantId::HUB, id("XA")] {
        let issued = |years| ca.issue(Leaf { years, ..Leaf::of(participant) });
        assert_eq!(issued((2020, 2120)).settings().check_own(now), Ok(()));
        assert_eq!(issued((2020, 2021)).settings().check_own(now), Err(HandshakeError::Expired));
        let foreign = issued((2020, 2120)).trusting(&other);
        assert_eq!(foreign.settings().check_own(now), Err(HandshakeError::WrongCa));
    }
}

#[test]
fn private_key_is_not_shown() {
    let settings = Ca::new("a").node("XA").settings();
    let shown = format!("{settings:?}");
    assert!(shown.starts_with("TlsSettings") && shown.contains("XA") && shown.len() < 600, "{shown}");
}
