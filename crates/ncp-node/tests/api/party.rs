//! Participants that exist through their keys: certificates, entries, a root of trust.

use ncp_protocol::directory::{Entry, EntryKeys, Fingerprint, LogKey, SealingEntryKey, SignedEntry, ValidKey};
use ncp_protocol::ids::{Epoch, KeyId, LogName, NetworkId, ParticipantId, UnixMillis, certificate_uri};
use ncp_protocol::keys::{SigningKey, sha256};
use ncp_protocol::limits::{DAY_MS, OPEN_AFTER_SEAL_MS};
use ncp_protocol::root::{NetworkClass, Role, Roles, RootOfTrust, SignedRoot};
use ncp_protocol::wrap::SealingKey;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};

pub(crate) fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

pub(crate) fn yesterday() -> UnixMillis {
    UnixMillis(ncp_node::clock::now().0 - DAY_MS)
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&ncp_node::clock::random())
}

/// When what was made yesterday ends, in days from then.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) root: u64,
    pub(crate) certificate: u64,
    pub(crate) sealing: u64,
    pub(crate) signing: u64,
}

impl Ends {
    /// Long enough that nothing warns.
    pub(crate) const FAR: Self = Self { root: 300, certificate: 300, sealing: 80, signing: 300 };
}

/// A network's root of trust, and its certificate authority.
pub(crate) struct Trust {
    pub(crate) ends: Ends,
    pub(crate) root: SignedRoot,
    pub(crate) network: NetworkId,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Trust {
    pub(crate) fn new(class: NetworkClass, ends: Ends) -> Self {
        let keys: Vec<SigningKey> = (0..5).map(|_| key()).collect();
        let role = |threshold, count| {
            let keys: Vec<SigningKey> = (0..count).map(|_| key()).collect();
            Role::new(threshold, keys.iter().map(SigningKey::verifying_key).collect())
        };
        let root = RootOfTrust {
            version: 1,
            class,
            created: yesterday(),
            expires: yesterday().plus_millis(ends.root * DAY_MS),
            roles: Roles {
                root: Role::new(3, keys.iter().map(SigningKey::verifying_key).collect()),
                membership: role(2, 3),
                timestamp: role(1, 1),
            },
        };
        let network = root.network_id().unwrap();
        let root = SignedRoot::sign(root, &network, &keys.iter().collect::<Vec<_>>()).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { ends, root, network, authority }
    }

    pub(crate) fn authority_pem(&self) -> String {
        self.authority.pem()
    }
}

/// All private keys of a participant, its certificate and its entry.
pub(crate) struct Party {
    pub(crate) id: ParticipantId,
    pub(crate) signing: SigningKey,
    pub(crate) sealing_seed: [u8; 32],
    pub(crate) log: SigningKey,
    pub(crate) witness: SigningKey,
    pub(crate) tls_key: String,
    pub(crate) tls_chain: String,
    pub(crate) entry: SignedEntry,
}

impl Party {
    pub(crate) fn new(name: &str, trust: &Trust) -> Self {
        let (identity, recovery, signing, log, public, witness, timestamp) =
            (key(), key(), key(), key(), key(), key(), key());
        let is_hub = id(name) == ParticipantId::HUB;
        let sealing_seed = ncp_node::clock::random();
        let (created, tls) = (yesterday(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::default();
        let name_uri = certificate_uri(&trust.network, id(name));
        params.subject_alt_names = vec![SanType::URI(name_uri.as_str().try_into().unwrap())];
        params.use_authority_key_identifier_extension = true;
        let until = created.plus_millis(trust.ends.certificate * DAY_MS);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_millis(until.0);
        let tls_chain = params.signed_by(&tls, &trust.authority).unwrap().pem();
        let log_key = |log, key: &SigningKey| LogKey { log, epoch: Epoch(1), key: key.verifying_key() };
        let logs = if is_hub {
            vec![log_key(LogName::Traffic, &log), log_key(LogName::Public, &public)]
        } else {
            vec![log_key(LogName::Node, &log)]
        };
        let seal_until = created.plus_millis(trust.ends.sealing * DAY_MS);
        let sealing = SealingEntryKey {
            public: SealingKey::from_seed(&sealing_seed).public(),
            seal_until,
            open_until: seal_until.plus_millis(OPEN_AFTER_SEAL_MS),
        };
        let valid = ValidKey {
            key: signing.verifying_key(),
            from: created,
            until: created.plus_millis(trust.ends.signing * DAY_MS),
        };
        let entry = Entry {
            network: trust.network,
            participant: id(name),
            version: 0,
            previous: None,
            created,
            keys: EntryKeys {
                identity: identity.verifying_key(),
                recovery: recovery.verifying_key(),
                signing: (!is_hub).then_some(valid),
                sealing: if is_hub { Vec::new() } else { vec![sealing] },
                logs,
                witness: witness.verifying_key(),
                timestamp: is_hub.then(|| timestamp.verifying_key()),
                tls: vec![KeyId(sha256(&tls.subject_public_key_info()))],
            },
            suite_floor: 1,
        };
        let entry = SignedEntry::sign(entry, &identity).unwrap();
        Self { id: id(name), signing, sealing_seed, log, witness, tls_key: tls.serialize_pem(), tls_chain, entry }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.entry.digest())
    }
}
