//! A network of class test, as `hub init` and joining would make it, and the hub that serves it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ncp_api::Client;
use ncp_api::hub::HubAdmit;
use ncp_protocol::codes::Code;
use ncp_protocol::directory::{
    Entry, EntryKeys, Fingerprint, LogKey, Member, Membership, MembershipClass, SealingEntryKey, SignedEntry,
    SignedMembership, ValidKey,
};
use ncp_protocol::ids::{
    Digest, Epoch, KeyId, LogName, LogOrigin, NetworkId, ParticipantId, UnixMillis, certificate_uri,
};
use ncp_protocol::keys::{SigningKey, sha256};
use ncp_protocol::limits::{DAY_MS, OPEN_AFTER_SEAL_MS};
use ncp_protocol::root::{NetworkClass, Role, Roles, RootOfTrust, SignedRoot};
use ncp_protocol::wrap::SealingPublicKey;
use ncp_relay::config::Config;
use ncp_relay::start::{self, Running};
use ncp_store::keyfiles::{self, KeyUse};
use ncp_transport::tls::{SharedTls, TlsMaterial, TlsSettings};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType, date_time_ymd,
};
use tempfile::TempDir;

pub(crate) fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

/// Fails the test instead of hanging it.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes too long")
}

/// A key that follows from a name: the same in every test.
pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(&sha256(name.as_bytes()).0)
}

/// A valid public sealing key; nobody has its private half, and nobody needs it here.
pub(crate) fn sealing_key(name: &str) -> SealingPublicKey {
    let mut bytes = [7; 1216];
    bytes[1184..].copy_from_slice(&sha256(name.as_bytes()).0);
    SealingPublicKey::from_bytes(&bytes).unwrap()
}

pub(crate) struct Network {
    pub(crate) folder: TempDir,
    pub(crate) id: NetworkId,
    ca: CertifiedIssuer<'static, KeyPair>,
    members: Vec<Member>,
    membership_version: u32,
}

/// What a participant has to speak for itself.
#[derive(Clone)]
pub(crate) struct Participant {
    pub(crate) id: ParticipantId,
    pub(crate) tls: SharedTls,
    pub(crate) entry: Entry,
    pub(crate) digest: Digest,
}

impl Participant {
    pub(crate) fn signing(&self) -> SigningKey {
        key(&format!("{} signing", self.id))
    }

    pub(crate) fn log(&self) -> SigningKey {
        key(&format!("{} node log", self.id))
    }

    pub(crate) fn sealing_key_id(&self) -> KeyId {
        self.entry.keys.sealing[0].public.id()
    }
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Network {
    /// A network with a hub that knows nobody yet.
    pub(crate) fn new() -> Self {
        let created = UnixMillis(now().0 - DAY_MS);
        let role = |name: &str| Role::new(1, vec![key(name).verifying_key()]);
        let root = RootOfTrust {
            version: 1,
            class: NetworkClass::Test,
            created,
            expires: created.plus_millis(300 * DAY_MS),
            roles: Roles { root: role("root"), membership: role("membership"), timestamp: role("timestamp") },
        };
        let id = root.network_id().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut network = Self { folder, id, ca: authority(), members: Vec::new(), membership_version: 0 };
        let signed = SignedRoot::sign(root, &id, &[&key("root")]).unwrap();
        network.write_hub(&signed);
        network
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    pub(crate) fn api(&self) -> Client {
        Client::new(self.socket())
    }

    fn write_hub(&mut self, root: &SignedRoot) {
        let data = self.data();
        std::fs::create_dir(&data).unwrap();
        std::fs::set_permissions(&data, PermissionsExt::from_mode(0o700)).unwrap();
        for folder in [keyfiles::KEYS, keyfiles::NETWORK] {
            keyfiles::create_folder(&data.join(folder)).unwrap();
        }
        let put_key = |path: PathBuf, usage, name: &str| {
            keyfiles::create_key(&data.join(path), usage, &key(name).seed()).unwrap();
        };
        put_key(keyfiles::log_key_path(LogName::Traffic, Epoch(1)), KeyUse::Log, "traffic log");
        put_key(keyfiles::log_key_path(LogName::Public, Epoch(1)), KeyUse::Log, "public log");
        put_key(keyfiles::key_path(KeyUse::Timestamp), KeyUse::Timestamp, "timestamp");
        let (material, tls) = self.issue(ParticipantId::HUB);
        let put = |path: &str, bytes: &[u8]| keyfiles::create_public(&data.join(path), bytes).unwrap();
        put(keyfiles::TLS_CHAIN, &material.certificate_chain);
        put(keyfiles::TLS_AUTHORITY, &material.authorities);
        keyfiles::create_private(&data.join(keyfiles::TLS_KEY), &material.private_key).unwrap();
        let entry = self.hub_entry(tls);
        keyfiles::create_public(&data.join(keyfiles::root_path(1)), &root.encode()).unwrap();
        keyfiles::create_public(&data.join(keyfiles::entry_path(0)), &entry.encode()).unwrap();
        self.add_member(ParticipantId::HUB, entry.digest());
        put("network/membership-1", &self.membership(&[]));
    }

    fn hub_entry(&self, tls: KeyId) -> SignedEntry {
        let log = |log, name| LogKey { log, epoch: Epoch(1), key: key(name).verifying_key() };
        let keys = EntryKeys {
            identity: key("HUB identity").verifying_key(),
            recovery: key("HUB recovery").verifying_key(),
            signing: None,
            sealing: Vec::new(),
            logs: vec![log(LogName::Traffic, "traffic log"), log(LogName::Public, "public log")],
            witness: key("HUB witness").verifying_key(),
            timestamp: Some(key("timestamp").verifying_key()),
            tls: vec![tls],
        };
        self.sign_entry(ParticipantId::HUB, keys)
    }

    fn sign_entry(&self, participant: ParticipantId, keys: EntryKeys) -> SignedEntry {
        let created = now();
        let entry = Entry { network: self.id, participant, version: 0, previous: None, created, keys, suite_floor: 1 };
        SignedEntry::sign(entry, &key(&format!("{participant} identity"))).unwrap()
    }

    /// A certificate of the network's authority.
    pub(crate) fn issue(&self, participant: ParticipantId) -> (TlsMaterial, KeyId) {
        issue_by(&self.ca, self.ca.pem(), &self.id, participant)
    }

    pub(crate) fn settings(&self, material: &TlsMaterial) -> SharedTls {
        SharedTls::new(TlsSettings::new(material, self.id).unwrap())
    }

    pub(crate) fn authority_pem(&self) -> String {
        self.ca.pem()
    }

    /// A participant whom the hub does not know.
    pub(crate) fn stranger(&self, name: &str) -> (Participant, SignedEntry) {
        let (material, tls) = self.issue(id(name));
        let from = |part: &str| key(&format!("{name} {part}")).verifying_key();
        let (start, end) = (UnixMillis(now().0 - 40 * DAY_MS), now().plus_millis(80 * DAY_MS));
        let sealing = SealingEntryKey {
            public: sealing_key(name),
            seal_until: end,
            open_until: end.plus_millis(OPEN_AFTER_SEAL_MS),
        };
        let keys = EntryKeys {
            identity: from("identity"),
            recovery: from("recovery"),
            signing: Some(ValidKey { key: from("signing"), from: start, until: end }),
            sealing: vec![sealing],
            logs: vec![LogKey { log: LogName::Node, epoch: Epoch(1), key: from("node log") }],
            witness: from("witness"),
            timestamp: None,
            tls: vec![tls],
        };
        let signed = self.sign_entry(id(name), keys);
        let entry = signed.unverified().clone();
        (Participant { id: id(name), tls: self.settings(&material), entry, digest: signed.digest() }, signed)
    }

    pub(crate) fn add_member(&mut self, participant: ParticipantId, fingerprint: Digest) {
        let fingerprint = Fingerprint(fingerprint);
        let class = MembershipClass::ParticipatingState;
        self.members.push(Member { participant, class, fingerprint, suspended: None });
        self.members.sort_by_key(|member| member.participant);
    }

    /// The next membership statement, with these suspended.
    pub(crate) fn membership(&mut self, suspended: &[&str]) -> Vec<u8> {
        self.membership_version += 1;
        let reason: Code = "drill".parse().unwrap();
        let members = self.members.iter().map(|member| Member {
            suspended: suspended.contains(&member.participant.as_str()).then(|| reason.clone()),
            ..member.clone()
        });
        let statement = Membership {
            network: self.id,
            version: self.membership_version,
            issued: now(),
            expires: now().plus_millis(30 * DAY_MS),
            members: members.collect(),
        };
        SignedMembership::sign(statement, &self.id, &[&key("membership")]).unwrap().encode()
    }

    /// Has a new participant admitted through the API.
    pub(crate) async fn join(&mut self, name: &str) -> Participant {
        let (participant, signed) = self.stranger(name);
        self.add_member(participant.id, signed.digest());
        let request = HubAdmit { entries: vec![signed.encode()], membership: self.membership(&[]), roots: Vec::new() };
        let recorded = self.api().hub_admit(&request).await.unwrap();
        assert_eq!((recorded.participant, recorded.entry_version), (participant.id, 0));
        participant
    }

    /// The next version of a participant's entry, with this change.
    pub(crate) fn next(participant: &Participant, change: impl FnOnce(&mut Entry)) -> SignedEntry {
        let mut entry = participant.entry.clone();
        (entry.version, entry.previous, entry.created) = (entry.version + 1, Some(participant.digest), now());
        change(&mut entry);
        SignedEntry::sign(entry, &key(&format!("{} identity", participant.id))).unwrap()
    }

    /// Has it admitted.
    pub(crate) async fn roll(&mut self, participant: &Participant, change: impl FnOnce(&mut Entry)) -> Participant {
        let signed = Self::next(participant, change);
        let entry = signed.unverified().clone();
        let request = HubAdmit { entries: vec![signed.encode()], membership: self.membership(&[]), roots: Vec::new() };
        let recorded = self.api().hub_admit(&request).await.unwrap();
        assert_eq!((recorded.participant, recorded.entry_version), (participant.id, entry.version));
        Participant { entry, digest: signed.digest(), ..participant.clone() }
    }

    pub(crate) fn config(&self) -> Config {
        let text = format!(
            "listen = \"127.0.0.1:0\"\ndata-dir = \"{}\"\napi-socket = \"{}\"\nfree-min-mebibytes = 16\nballast-mebibytes = 1\n",
            self.data().display(),
            self.socket().display()
        );
        Config::parse(&[(PathBuf::from("relay.toml"), text)]).unwrap()
    }

    pub(crate) async fn start(&self) -> Running {
        soon(start::start(self.config())).await.unwrap_or_else(|fault| panic!("{fault}"))
    }

    pub(crate) fn traffic(&self) -> LogOrigin {
        self.origin(LogName::Traffic)
    }

    pub(crate) fn origin(&self, log: LogName) -> LogOrigin {
        LogOrigin { network: self.id, participant: ParticipantId::HUB, log, epoch: Epoch(1) }
    }
}

pub(crate) fn issue_by(
    ca: &CertifiedIssuer<'static, KeyPair>,
    authorities: String,
    network: &NetworkId,
    participant: ParticipantId,
) -> (TlsMaterial, KeyId) {
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(certificate_uri(network, participant).try_into().unwrap())];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params.use_authority_key_identifier_extension = true;
    let hub = participant == ParticipantId::HUB;
    params.extended_key_usages =
        vec![if hub { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth }];
    let material = TlsMaterial {
        certificate_chain: params.signed_by(&pair, ca).unwrap().pem().into_bytes(),
        private_key: pair.serialize_pem().into_bytes().into(),
        authorities: authorities.into_bytes(),
        revocation_lists: Vec::new(),
    };
    (material, KeyId(sha256(&pair.subject_public_key_info())))
}

/// All files below a folder, with their bytes.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}
