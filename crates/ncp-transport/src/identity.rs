//! Who the peer is: the name in its certificate, and whether the directory pins its key.
//!
//! A certificate names its participant in exactly one URI of its subject alternative names (RFC 5280, section 4.2.1.6),
//! `urn:ncp:<network label>:<participant>`. Common names, DNS names and addresses say nothing here. The name alone is
//! the private CA's word; the pin is the participant's own, through its signed directory entry.

use core::fmt;
use std::sync::Arc;

use ncp_protocol::ids::{KeyId, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::sha256;
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

const PREFIX: &str = "urn:ncp:";
const LABEL_LEN: usize = 16;

/// An authenticated peer, as its certificate describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The participant that the certificate names.
    pub participant: ParticipantId,
    /// SHA-256 of the certificate's `SubjectPublicKeyInfo`, DER: what the directory pins.
    pub certificate_key: KeyId,
    /// When the certificate expires (`notAfter`).
    pub expires: UnixMillis,
}

/// What is wrong with a certificate's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// The certificate does not parse, or its extensions do not.
    #[error("the certificate is malformed")]
    Certificate,
    /// No `urn:ncp:` URI.
    #[error("the certificate names no participant (no URI `{PREFIX}...`)")]
    Missing,
    /// More than one.
    #[error("the certificate names {0} participants instead of one")]
    Several(usize),
    /// A `urn:ncp:` URI that is not `urn:ncp:<16 hexadecimal digits>:<participant>`.
    #[error("the certificate's `{PREFIX}` URI is malformed")]
    Malformed,
    /// A participant of another network, say of a drill.
    #[error("the certificate belongs to network {found}")]
    WrongNetwork {
        /// The label in the certificate.
        found: String,
    },
    /// A participant of this network, but not one that may stand at this end of a link.
    #[error("the certificate names {found}, which does not belong at this end of a link")]
    WrongPeer {
        /// Whom it names.
        found: ParticipantId,
    },
}

impl PeerIdentity {
    /// Reads the identity from an end-entity certificate. The chain must have been verified before, or be verified
    /// after: this function trusts what the certificate says.
    ///
    /// # Errors
    /// [`NameError`], but never [`NameError::WrongPeer`].
    pub(crate) fn of(certificate: &CertificateDer<'_>, network: &NetworkId) -> Result<Self, NameError> {
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| NameError::Certificate)?;
        if !rest.is_empty() {
            return Err(NameError::Certificate);
        }
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        Ok(Self {
            participant: participant(&parsed, network)?,
            certificate_key: KeyId(sha256(parsed.public_key().raw)),
            expires: UnixMillis(seconds.saturating_mul(1000)),
        })
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (key {})", self.participant, self.certificate_key.0.short())
    }
}

fn participant(certificate: &X509Certificate<'_>, network: &NetworkId) -> Result<ParticipantId, NameError> {
    let extension = certificate.subject_alternative_name().map_err(|_| NameError::Certificate)?;
    let extension = extension.ok_or(NameError::Missing)?;
    let mut uris = extension.value.general_names.iter().filter_map(ncp_uri);
    let uri = uris.next().ok_or(NameError::Missing)?;
    match uris.count() {
        0 => participant_in(uri, network),
        others => Err(NameError::Several(others + 1)),
    }
}

/// The name, if it is one of ours. A URN's scheme and namespace ignore case (RFC 8141, section 3.1), so an oddly
/// written second name counts as one; [`participant_in`] then accepts lower case alone.
fn ncp_uri<'a>(name: &'a GeneralName<'_>) -> Option<&'a str> {
    if let GeneralName::URI(uri) = name {
        uri.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX)).map(|_| *uri)
    } else {
        None
    }
}

fn participant_in(uri: &str, network: &NetworkId) -> Result<ParticipantId, NameError> {
    let (label, id) = uri.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':')).ok_or(NameError::Malformed)?;
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if label.len() != LABEL_LEN || !label.bytes().all(hexadecimal) {
        return Err(NameError::Malformed);
    }
    let participant = id.parse().map_err(|_| NameError::Malformed)?;
    if label != network.label() {
        return Err(NameError::WrongNetwork { found: label.to_owned() });
    }
    Ok(participant)
}

/// Who may stand at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The hub alone: at a dialler.
    Hub,
    /// Any participant but the hub: at the hub's listener.
    Participant,
}

impl Expected {
    /// Reads the identity and checks that it may stand there.
    pub(crate) fn check(
        self,
        certificate: &CertificateDer<'_>,
        network: &NetworkId,
    ) -> Result<PeerIdentity, NameError> {
        let identity = PeerIdentity::of(certificate, network)?;
        let is_hub = identity.participant == ParticipantId::HUB;
        let welcome = match self {
            Self::Hub => is_hub,
            Self::Participant => !is_hub,
        };
        if welcome { Ok(identity) } else { Err(NameError::WrongPeer { found: identity.participant }) }
    }
}

/// What the directory says about a peer's certificate key. The daemon must act on it before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PinStatus {
    /// The participant's entry pins this key: full service.
    Pinned,
    /// The entry pins other keys. Restricted: a node may fetch signed directory data and nothing else; the hub may
    /// give signed directory data and nothing else.
    Mismatch,
    /// The directory has no pin for this participant.
    Unknown,
}

impl PinStatus {
    /// Compares a certificate's key with those that the directory pins for its participant: one, or two while a TLS
    /// key rolls over. Empty if there is no entry.
    #[must_use]
    pub fn of(certificate_key: &KeyId, pins: &[KeyId]) -> Self {
        if pins.is_empty() {
            Self::Unknown
        } else if pins.contains(certificate_key) {
            Self::Pinned
        } else {
            Self::Mismatch
        }
    }
}

/// Looks up which certificate keys the directory pins for a participant at this moment: empty if it has no entry.
///
/// Called once for each connection, on the runtime's threads: it must not block. It is asked only about peers whose
/// chain and name are verified.
pub type PinLookup = Arc<dyn Fn(ParticipantId) -> Vec<KeyId> + Send + Sync>;

#[cfg(test)]
mod tests {
    use ncp_protocol::ids::Digest;

    use ncp_protocol::ids::certificate_uri;

    use super::*;

    const NETWORK: NetworkId = NetworkId(Digest([0xab; 32]));

    fn check(uri: &str, expected: Result<&str, NameError>) {
        let found = participant_in(uri, &NETWORK).map(|id| id.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{uri}");
    }

    #[test]
    fn uri_names_one_participant_of_one_network() {
        check("urn:ncp:abababababababab:XA", Ok("XA"));
        check(&certificate_uri(&NETWORK, ParticipantId::HUB), Ok("HUB"));
        check("urn:ncp:cdcdcdcdcdcdcdcd:XA", Err(NameError::WrongNetwork { found: "cdcdcdcdcdcdcdcd".to_owned() }));
    }

    #[test]
    fn other_forms_are_malformed() {
        for uri in [
            "urn:ncp:",
            "urn:ncp:abababababababab",
            "urn:ncp:abababababababab:",
            "urn:ncp:abababababababab:xa",
            "urn:ncp:abababababababab:XA:1",
            "urn:ncp:ABABABABABABABAB:XA",
            "urn:ncp:abab:XA",
            "URN:ncp:abababababababab:XA",
        ] {
            check(uri, Err(NameError::Malformed));
        }
    }

    #[test]
    fn pin_is_one_of_those_in_the_entry() {
        let [one, two, three] = [1, 2, 3].map(|byte| KeyId(Digest([byte; 32])));
        assert_eq!(PinStatus::of(&one, &[]), PinStatus::Unknown);
        assert_eq!(PinStatus::of(&one, &[two, one]), PinStatus::Pinned);
        assert_eq!(PinStatus::of(&three, &[two, one]), PinStatus::Mismatch);
    }
}
