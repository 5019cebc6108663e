//! Failures of the link as operators read them.

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::frame::FrameDecodeError;
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::reject::RejectCode;
use ncp_transport::dial::{AttemptError, DialError};
use ncp_transport::frame::FrameError;
use ncp_transport::handshake::HandshakeError;
use ncp_transport::identity::{NameError, PinStatus};

/// The hub could not be reached: the last attempt says why.
pub(super) fn dial(error: &DialError) -> Fault {
    let Some(last) = error.attempts.last() else {
        return ErrorCode::HubUnreachable.with("address", "none").with("reason", "no address is configured");
    };
    match &last.error {
        AttemptError::Handshake(error) => handshake(error),
        AttemptError::Resolve
        | AttemptError::NotLoopback
        | AttemptError::Connect(_)
        | AttemptError::ConnectTimedOut
        | AttemptError::Proxy(_) => ErrorCode::HubUnreachable.with("address", &last.target).with("reason", &last.error),
    }
}

fn handshake(error: &HandshakeError) -> Fault {
    let hub = ParticipantId::HUB;
    let with_reason = |code: ErrorCode| code.with("peer", hub).with("reason", error);
    match error {
        HandshakeError::WrongCa
        | HandshakeError::NotYetValid
        | HandshakeError::Revoked
        | HandshakeError::RevocationUnknown
        | HandshakeError::NoCertificate
        | HandshakeError::BadCertificate => with_reason(ErrorCode::PeerCertificateUntrusted),
        HandshakeError::Expired => ErrorCode::CertificateExpired.with("peer", hub).with("until", "a time that is past"),
        HandshakeError::Name(NameError::WrongNetwork { found }) => {
            ErrorCode::NetworkDiffers.with("peer", hub).with("found", found).with("expected", "this network")
        }
        HandshakeError::Name(name) => ErrorCode::PeerOtherParticipant.with("expected", hub).with("found", name),
        HandshakeError::Alpn | HandshakeError::Version | HandshakeError::Algorithms => {
            with_reason(ErrorCode::TlsUnsuitable)
        }
        HandshakeError::RefusedByPeer(alert) => ErrorCode::PeerRefused.with("peer", hub).with("reject", alert),
        HandshakeError::Malformed
        | HandshakeError::Misbehaved
        | HandshakeError::TimedOut
        | HandshakeError::Crowded
        | HandshakeError::Closed
        | HandshakeError::Io(_)
        | HandshakeError::Library => ErrorCode::HubUnreachable.with("address", hub).with("reason", error),
    }
}

/// A frame could not be moved.
pub(super) fn frame(error: &FrameError) -> Fault {
    let hub = ParticipantId::HUB;
    match error {
        FrameError::TooLong { .. } | FrameError::Empty | FrameError::UnknownKind { .. } => violation(error),
        FrameError::RefusedByPeer(alert) => ErrorCode::PeerRefused.with("peer", hub).with("reject", alert),
        FrameError::Truncated { .. }
        | FrameError::Cut
        | FrameError::Idle
        | FrameError::TooSlow
        | FrameError::Stalled
        | FrameError::Tls
        | FrameError::Io(_) => ErrorCode::HubUnreachable.with("address", hub).with("reason", error),
        FrameError::OwnTooLong { .. } => ErrorCode::InternalFault.with("reason", error),
    }
}

/// A frame could not be read.
pub(super) fn decode(error: &FrameDecodeError) -> Fault {
    violation(error)
}

/// The hub broke the protocol.
pub(super) fn violation(reason: &dyn core::fmt::Display) -> Fault {
    ErrorCode::PeerViolation.with("peer", ParticipantId::HUB).with("reason", reason)
}

/// The hub closed the link.
pub(super) fn bye(code: RejectCode) -> Fault {
    let hub = ParticipantId::HUB;
    // This node has one link at a time: a newer one is somebody else's.
    if code == RejectCode::PeerSuperseded {
        return ErrorCode::KeysInUseElsewhere.with("peer", hub);
    }
    ErrorCode::PeerRefused.with("peer", hub).with("reject", code)
}

/// What a link that carries directory data alone is shown as: the hub's key is not pinned here, or this node's is not
/// pinned there.
pub(super) fn restricted(pin: PinStatus, by_hub: Option<RejectCode>) -> Option<Fault> {
    let hub = ParticipantId::HUB;
    match pin {
        PinStatus::Mismatch | PinStatus::Unknown => {
            Some(ErrorCode::PinMismatch.with("peer", hub).with("found", "another key"))
        }
        PinStatus::Pinned => by_hub.map(|code| ErrorCode::LinkRestricted.with("peer", hub).with("reject", code)),
    }
}
