//! Exactly what the hub sees of a message: its headers, as they are sealed or as they would be sealed now.

use ncp_api::ErrorCode;
use ncp_api::message::{HubHeader, HubView};
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::header::{Header, SUITE};
use ncp_protocol::ids::{Digest, KeyId, ParticipantId, SealNumber};
use ncp_protocol::limits::PROTOCOL_VERSION;

use crate::clock;
use crate::core::command::envelope_record;
use crate::core::tables::{ENVELOPE, IN, MessageKey, OUT, OutRow};
use crate::faults::Failed;
use crate::node::Node;

/// The hub's view of a message, sent or received.
///
/// # Errors
/// [`ErrorCode::MessageUnknown`], or the store's failure.
pub fn of(node: &Node, key: MessageKey) -> Result<HubView, Failed> {
    let unknown = || ErrorCode::MessageUnknown.with("message", key.1);
    if key.0 != node.participant() {
        let row = IN.row(&node.reader().view(), &key)?.ok_or_else(unknown)?;
        let header = sealed_header(node, row.received.header)?;
        let headers = header.into_iter().map(|(digest, header)| shown(&header, Some(digest))).collect();
        return Ok(HubView { message: key.1, sealed: true, headers });
    }
    let row = OUT.row(&node.reader().view(), &key.1)?.ok_or_else(unknown)?;
    let (mut headers, mut sealed) = (Vec::new(), true);
    for recipient in &row.draft.recipients {
        let envelope = ENVELOPE.row(&node.reader().view(), &(key.1, *recipient))?;
        let found = match envelope.and_then(|envelope| envelope.header) {
            Some(header) => sealed_header(node, header)?,
            None => None,
        };
        sealed &= found.is_some();
        headers.push(match found {
            Some((digest, header)) => shown(&header, Some(digest)),
            None => shown(&future_header(node, &row, *recipient), None),
        });
    }
    Ok(HubView { message: key.1, sealed, headers })
}

fn sealed_header(node: &Node, header: Digest) -> Result<Option<(Digest, Header)>, Failed> {
    let bytes = node.reader().record(&envelope_record(header))?;
    let envelope = bytes.and_then(|bytes| SealedEnvelope::decode(&bytes).ok());
    Ok(envelope.and_then(|envelope| envelope.unverified_header().ok()).map(|decoded| (header, decoded)))
}

/// The header as it would be sealed now; the wrap's digest is not known before.
fn future_header(node: &Node, row: &OutRow, recipient: ParticipantId) -> Header {
    let draft = &row.draft;
    let directory = node.directory.load();
    let signing = node.own_entry().keys.signing.map(|key| key.key.id());
    let key = directory
        .entry(recipient)
        .and_then(|known| known.newest().sealing_key(clock::now()).map(|key| key.public.id()));
    Header {
        version: PROTOCOL_VERSION,
        suite: SUITE,
        network: node.network.id(),
        message: draft.message,
        seal: SealNumber(1),
        originator: node.participant(),
        originator_key: signing.unwrap_or(KeyId(Digest([0; 32]))),
        recipient,
        recipient_key: key.unwrap_or(KeyId(Digest([0; 32]))),
        precedence: draft.precedence,
        created: row.released.unwrap_or_else(clock::now),
        not_after: draft.not_after,
        body_length: draft.body_length,
        ciphertext_root: draft.root,
        content_commitment: draft.commitment,
        wrap_digest: Digest([0; 32]),
    }
}

fn shown(header: &Header, digest: Option<Digest>) -> HubHeader {
    let Header {
        version,
        suite,
        network,
        message,
        seal,
        originator,
        originator_key,
        recipient,
        recipient_key,
        precedence,
        created,
        not_after,
        body_length,
        ciphertext_root,
        content_commitment,
        wrap_digest,
    } = header;
    let time = |time| ncp_api::time::Time(time).to_string();
    let wrap = digest.map_or_else(|| "known once it is sealed".to_owned(), |_| wrap_digest.to_string());
    let fields = [
        ("version", version.to_string()),
        ("suite", suite.to_string()),
        ("network", network.to_string()),
        ("message", message.to_string()),
        ("seal", seal.0.to_string()),
        ("originator", originator.to_string()),
        ("originator-key", originator_key.to_string()),
        ("recipient", recipient.to_string()),
        ("recipient-key", recipient_key.to_string()),
        ("precedence", precedence.to_string()),
        ("created", time(*created)),
        ("not-after", time(*not_after)),
        ("body-length", body_length.to_string()),
        ("ciphertext-root", ciphertext_root.to_string()),
        ("content-commitment", content_commitment.to_string()),
        ("wrap-digest", wrap),
    ];
    HubHeader {
        recipient: *recipient,
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body_length: *body_length,
        digest,
    }
}
