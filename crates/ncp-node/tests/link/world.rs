//! A network of XA, whose node is under test, XB, which exists through its keys alone, and a hub.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use ncp_api::client::{Client, Fresh, OfficerIdentity};
use ncp_node::config::Config;
use ncp_node::core::command::{Ask, Done, Refusal};
use ncp_node::core::tables::{ENVELOPE, EnvelopeRow};
use ncp_node::entries::KnownEntry;
use ncp_node::node::{Node, Submission};
use ncp_node::start::{self, Running};
use ncp_protocol::directory::{
    Entry, EntryKeys, Fingerprint, LogKey, Member, Membership, MembershipClass, SealingEntryKey, SignedEntry,
    SignedMembership, ValidKey,
};
use ncp_protocol::event::Actor;
use ncp_protocol::ids::{
    Epoch, KeyId, LogName, LogOrigin, MessageId, NetworkId, OfficerNumber, ParticipantId, UnixMillis, certificate_uri,
};
use ncp_protocol::keys::{SigningKey, sha256};
use ncp_protocol::limits::{DAY_MS, OPEN_AFTER_SEAL_MS};
use ncp_protocol::root::{NetworkClass, Role, Roles, RootOfTrust, SignedRoot};
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::{self, KeyUse};
use ncp_transport::tls::TlsMaterial;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType, date_time_ymd,
};
use tempfile::TempDir;

use crate::hub::Hub;

pub(crate) const SUPERVISOR: u16 = 1;

pub(crate) fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

pub(crate) fn now() -> UnixMillis {
    ncp_node::clock::now()
}

/// Fails the test instead of hanging it.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes too long")
}

fn key() -> SigningKey {
    SigningKey::from_seed(&ncp_node::clock::random())
}

/// All private keys of a participant, and its entry.
pub(crate) struct Party {
    pub(crate) id: ParticipantId,
    pub(crate) identity: SigningKey,
    pub(crate) signing: SigningKey,
    pub(crate) sealing_seed: [u8; 32],
    pub(crate) log: SigningKey,
    pub(crate) public_log: SigningKey,
    pub(crate) witness: SigningKey,
    pub(crate) timestamp: SigningKey,
    pub(crate) tls: Tls,
    pub(crate) entry: SignedEntry,
}

/// A certificate with its key.
pub(crate) struct Tls {
    pub(crate) material: TlsMaterial,
    pub(crate) key_id: KeyId,
}

impl Party {
    fn new(participant: &str, network: NetworkId, timestamp: SigningKey, ca: &Ca) -> Self {
        let id = id(participant);
        let (identity, recovery, signing, log, public_log, witness) = (key(), key(), key(), key(), key(), key());
        let sealing_seed = ncp_node::clock::random();
        let tls = ca.issue(id, &network);
        let is_hub = id == ParticipantId::HUB;
        let created = UnixMillis(now().0 - DAY_MS);
        let seal_until = created.plus_millis(80 * DAY_MS);
        let sealing = SealingEntryKey {
            public: SealingKey::from_seed(&sealing_seed).public(),
            seal_until,
            open_until: seal_until.plus_millis(OPEN_AFTER_SEAL_MS + DAY_MS),
        };
        let log_key = |log, key: &SigningKey| LogKey { log, epoch: Epoch(1), key: key.verifying_key() };
        let logs = if is_hub {
            vec![log_key(LogName::Traffic, &log), log_key(LogName::Public, &public_log)]
        } else {
            vec![log_key(LogName::Node, &log)]
        };
        let valid = ValidKey { key: signing.verifying_key(), from: created, until: created.plus_millis(365 * DAY_MS) };
        let entry = Entry {
            network,
            participant: id,
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
                tls: vec![tls.key_id],
            },
            suite_floor: 1,
        };
        let entry = SignedEntry::sign(entry, &identity).unwrap();
        Self { id, identity, signing, sealing_seed, log, public_log, witness, timestamp, tls, entry }
    }

    pub(crate) fn sealing(&self) -> SealingKey {
        SealingKey::from_seed(&self.sealing_seed)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.entry.digest())
    }

    pub(crate) fn origin(&self, log: LogName) -> LogOrigin {
        LogOrigin { network: self.entry.unverified().network, participant: self.id, log, epoch: Epoch(1) }
    }

    /// The next version of the entry.
    pub(crate) fn next_entry(&self, change: impl FnOnce(&mut Entry)) -> SignedEntry {
        let mut entry = self.entry.unverified().clone();
        entry.version += 1;
        entry.previous = Some(self.entry.digest());
        entry.created = now();
        change(&mut entry);
        SignedEntry::sign(entry, &self.identity).unwrap()
    }

    /// The next version of the entry with another signing key.
    pub(crate) fn with_new_signing_key(&self) -> (SignedEntry, SigningKey) {
        let (from, fresh) = (self.entry.unverified().created, key());
        let entry = self.next_entry(|entry| {
            let until = entry.created.plus_millis(365 * DAY_MS);
            entry.keys.signing = Some(ValidKey { key: fresh.verifying_key(), from, until });
        });
        (entry, fresh)
    }

    /// The next version of the hub's entry, which names the key of a later epoch of `traffic`.
    pub(crate) fn with_log_epoch(&self, epoch: u32, key: &SigningKey) -> SignedEntry {
        self.next_entry(|entry| {
            entry.keys.logs.push(LogKey { log: LogName::Traffic, epoch: Epoch(epoch), key: key.verifying_key() });
            entry.keys.logs.sort_by_key(|named| (named.log, named.epoch));
        })
    }
}

/// A private CA.
struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, participant: ParticipantId, network: &NetworkId) -> Tls {
        let key = KeyPair::generate().unwrap();
        let is_hub = participant == ParticipantId::HUB;
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            vec![SanType::URI(certificate_uri(network, participant).as_str().try_into().unwrap())];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        params.extended_key_usages =
            vec![if is_hub { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth }];
        params.use_authority_key_identifier_extension = true;
        let material = TlsMaterial {
            certificate_chain: params.signed_by(&key, &self.0).unwrap().pem().into_bytes(),
            private_key: key.serialize_pem().into_bytes().into(),
            authorities: self.0.pem().into_bytes(),
            revocation_lists: vec![],
        };
        Tls { material, key_id: KeyId(sha256(&key.subject_public_key_info())) }
    }
}

/// The network, with the hub that the node dials.
pub(crate) struct World {
    pub(crate) network: NetworkId,
    pub(crate) root: SignedRoot,
    membership_key: SigningKey,
    pub(crate) xa: Party,
    pub(crate) xb: Party,
    pub(crate) hub: Hub,
    /// Of the one officer, who drafts and supervises.
    officer: SigningKey,
    folder: TempDir,
    running: Option<Running>,
    ca: Ca,
}

impl World {
    /// Hub and node, which is pinned to XB and linked: the first look at the directory is over.
    pub(crate) async fn linked() -> (Self, crate::hub::HubLink) {
        let mut world = Self::new();
        world.start().await;
        let mut link = world.link().await;
        world.know_xb(&mut link).await;
        world.pin_xb().await;
        (world, link)
    }

    /// A hub, and a node that is installed and not started.
    pub(crate) fn new() -> Self {
        let created = UnixMillis(now().0 - DAY_MS);
        let (root_key, membership_key, timestamp) = (key(), key(), key());
        let role = |key: &SigningKey| Role::new(1, vec![key.verifying_key()]);
        let root = RootOfTrust {
            version: 1,
            class: NetworkClass::Test,
            created,
            expires: created.plus_millis(300 * DAY_MS),
            roles: Roles { root: role(&root_key), membership: role(&membership_key), timestamp: role(&timestamp) },
        };
        let network = root.network_id().unwrap();
        let root = SignedRoot::sign(root, &network, &[&root_key]).unwrap();
        let ca = Ca::new();
        let party = |name: &str| Party::new(name, network, timestamp.clone(), &ca);
        let (hub, xa, xb) = (party("HUB"), party("XA"), party("XB"));
        let membership = membership(network, &membership_key, 1, &[&hub, &xa, &xb]);
        let mut hub = Hub::new(hub, membership);
        for entry in [hub.party.entry.clone(), xa.entry.clone(), xb.entry.clone()] {
            hub.admit(entry);
        }
        let folder = TempDir::new().unwrap();
        let world = Self { network, root, membership_key, xa, xb, hub, officer: key(), folder, running: None, ca };
        world.install();
        world
    }

    /// A new membership statement, in which XB is suspended for this reason if there is one.
    pub(crate) fn suspend_xb(&mut self, version: u32, reason: Option<&str>) {
        let mut statement =
            membership(self.network, &self.membership_key, version, &[&self.hub.party, &self.xa, &self.xb])
                .unverified()
                .clone();
        statement.members[2].suspended = reason.map(|reason| reason.parse().unwrap());
        self.hub.membership = SignedMembership::sign(statement, &self.network, &[&self.membership_key]).unwrap();
    }

    /// The hub's certificate is replaced by one whose key no entry pins.
    pub(crate) fn replace_hub_certificate(&mut self) {
        self.hub.party.tls = self.ca.issue(ParticipantId::HUB, &self.network);
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn install(&self) {
        let (data, xa) = (self.data(), &self.xa);
        keyfiles::create_folder(&data).unwrap();
        for part in [keyfiles::KEYS, keyfiles::NETWORK] {
            keyfiles::create_folder(&data.join(part)).unwrap();
        }
        let secret = |place: &Path, key, seed: &[u8; 32]| keyfiles::create_key(&data.join(place), key, seed).unwrap();
        secret(&keyfiles::key_path(KeyUse::Signing), KeyUse::Signing, &xa.signing.seed());
        secret(&keyfiles::key_path(KeyUse::Witness), KeyUse::Witness, &xa.witness.seed());
        secret(&keyfiles::key_path(KeyUse::Storage), KeyUse::Storage, &ncp_node::clock::random());
        secret(&keyfiles::log_key_path(LogName::Node, Epoch(1)), KeyUse::Log, &xa.log.seed());
        secret(&keyfiles::sealing_key_path(1), KeyUse::Sealing, &xa.sealing_seed);
        keyfiles::create_private(&data.join(keyfiles::TLS_KEY), &xa.tls.material.private_key).unwrap();
        let public = |place: &Path, bytes: &[u8]| keyfiles::create_public(&data.join(place), bytes).unwrap();
        public(Path::new(keyfiles::TLS_CHAIN), &xa.tls.material.certificate_chain);
        public(Path::new(keyfiles::TLS_AUTHORITY), &xa.tls.material.authorities);
        public(&keyfiles::root_path(1), &self.root.encode());
        public(&keyfiles::entry_path(0), &xa.entry.encode());
        public(Path::new(keyfiles::HUB_ENTRY), &self.hub.party.entry.encode());
    }

    fn config(&self) -> Config {
        let text = format!(
            r#"
            participant = "XA"
            data-dir = "{data}"
            api-socket = "{socket}"
            hub-addresses = ["{hub}"]
            free-min-mebibytes = 16
            ballast-mebibytes = 1
            [[officers]]
            number = {SUPERVISOR}
            uid = 4001
            public-key = "{key}"
            roles = ["drafter", "supervisor"]
            [[allow]]
            name = "everything-that-is-sent"
            to = ["XB"]
            kinds = ["request", "response", "notice", "withdrawal", "test"]
            handling = ["H0", "H1", "H2", "H3"]
            approvals = 0
            "#,
            data = self.data().display(),
            socket = self.folder.path().join("api.sock").display(),
            hub = self.hub.address,
            key = Base64::encode_string(&self.officer.verifying_key().to_bytes()),
        );
        let text = text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
        Config::parse(&[("node.toml".into(), text)]).unwrap()
    }

    /// The officer's client.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.folder.path().join("api.sock")).with_officer(OfficerIdentity {
            network: self.network,
            participant: id("XA"),
            officer: OfficerNumber(SUPERVISOR),
            key: self.officer.clone(),
            fresh: || Fresh { time: now(), idempotency_key: ncp_protocol::ids::hex(&ncp_node::clock::random::<16>()) },
        })
    }

    /// Starts the node.
    pub(crate) async fn start(&mut self) {
        self.start_with(|_| {}).await;
    }

    /// Starts the node under another configuration.
    pub(crate) async fn start_with(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = self.config();
        change(&mut config);
        self.running = Some(soon(start::start(config)).await.unwrap());
    }

    /// Why the node does not start.
    pub(crate) async fn refused_start(&self) -> ncp_api::ErrorCode {
        soon(start::start(self.config())).await.unwrap_err().code
    }

    /// Why the node does not start when this file of its data folder is away.
    pub(crate) async fn refused_start_without(&self, file: &Path) -> ncp_api::ErrorCode {
        let (path, aside) = (self.data().join(file), self.folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        let code = self.refused_start().await;
        std::fs::rename(&aside, &path).unwrap();
        code
    }

    /// Stops the node.
    pub(crate) async fn stop(&mut self) {
        soon(self.running.take().unwrap().stop()).await.unwrap();
    }

    /// Waits until the node stops by itself; returns the code of its failure.
    pub(crate) async fn failure(&mut self) -> ncp_api::ErrorCode {
        let running = self.running.take().unwrap();
        soon(running.node.stopping.cancelled()).await;
        soon(running.stop()).await.unwrap_err().code
    }

    pub(crate) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.running.as_ref().unwrap().node)
    }

    /// The node's next link, after both have said hello as if the hub had nothing yet.
    pub(crate) async fn link(&mut self) -> crate::hub::HubLink {
        soon(self.hub.link()).await
    }

    /// Serves the directory until the node knows XB.
    pub(crate) async fn know_xb(&mut self, link: &mut crate::hub::HubLink) {
        let node = self.node();
        let mut changed = node.hints.directory.subscribe();
        let known = async {
            loop {
                if node.directory.load().entry(id("XB")).is_some() {
                    return;
                }
                changed.changed().await.unwrap();
            }
        };
        soon(link.serve_while(&self.hub, known)).await;
    }

    /// Pins XB and waits until all tasks can know.
    pub(crate) async fn pin_xb(&self) {
        let node = self.node();
        let mut changed = node.hints.directory.subscribe();
        self.ask(Ask::PinEntry { participant: id("XB"), fingerprint: self.xb.fingerprint().0 }).await.unwrap();
        let usable = || node.directory.load().entry(id("XB")).is_some_and(KnownEntry::is_usable);
        while !usable() {
            soon(changed.changed()).await.unwrap();
        }
    }

    /// Asks in the daemon's name.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Done, Refusal> {
        self.ask_as(Actor::Daemon, ask).await
    }

    pub(crate) async fn ask_as(&self, actor: Actor, ask: Ask) -> Result<Done, Refusal> {
        soon(self.node().submit(Submission::LOCAL, actor, ask)).await.unwrap().reply
    }

    pub(crate) fn envelope(&self, message: MessageId) -> EnvelopeRow {
        ENVELOPE.row(&self.node().reader().view(), &(message, id("XB"))).unwrap().unwrap()
    }
}

fn membership(network: NetworkId, key: &SigningKey, version: u32, parties: &[&Party]) -> SignedMembership {
    let member = |party: &&Party| Member {
        participant: party.id,
        class: if party.id == ParticipantId::HUB {
            MembershipClass::Secretariat
        } else {
            MembershipClass::ParticipatingState
        },
        fingerprint: party.fingerprint(),
        suspended: None,
    };
    let issued = UnixMillis(now().0 - 1_000);
    let members = parties.iter().map(member).collect();
    let statement = Membership { network, version, issued, expires: issued.plus_millis(60 * DAY_MS), members };
    SignedMembership::sign(statement, &network, &[key]).unwrap()
}
