//! The directory as this node knows it.

use ncp_protocol::codes::Code;
use ncp_protocol::directory::{Fingerprint, MembershipClass};
use ncp_protocol::ids::{KeyId, NetworkId, ParticipantId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::text::names;

names! {
    /// Class of a network: which rules its root of trust sets.
    NetworkClass {
        /// For drills, demonstrations and tests: loopback only.
        Test = "test",
        /// The real network.
        Live = "live",
    }
}

impl From<ncp_protocol::root::NetworkClass> for NetworkClass {
    fn from(class: ncp_protocol::root::NetworkClass) -> Self {
        match class {
            ncp_protocol::root::NetworkClass::Test => Self::Test,
            ncp_protocol::root::NetworkClass::Live => Self::Live,
        }
    }
}

names! {
    /// What a participant is.
    MemberClass {
        /// A participating State.
        ParticipatingState = "participating-state",
        /// A Mediterranean Partner for Co-operation.
        MediterraneanPartner = "mediterranean-partner",
        /// Another Partner for Co-operation.
        PartnerForCooperation = "partner-for-cooperation",
        /// The Secretariat, and the hub that it runs.
        Secretariat = "secretariat",
        /// An international organisation.
        Organisation = "organisation",
    }
}

impl From<MembershipClass> for MemberClass {
    fn from(class: MembershipClass) -> Self {
        match class {
            MembershipClass::ParticipatingState => Self::ParticipatingState,
            MembershipClass::MediterraneanPartner => Self::MediterraneanPartner,
            MembershipClass::PartnerForCooperation => Self::PartnerForCooperation,
            MembershipClass::Secretariat => Self::Secretariat,
            MembershipClass::Organisation => Self::Organisation,
        }
    }
}

impl From<MemberClass> for MembershipClass {
    fn from(class: MemberClass) -> Self {
        match class {
            MemberClass::ParticipatingState => Self::ParticipatingState,
            MemberClass::MediterraneanPartner => Self::MediterraneanPartner,
            MemberClass::PartnerForCooperation => Self::PartnerForCooperation,
            MemberClass::Secretariat => Self::Secretariat,
            MemberClass::Organisation => Self::Organisation,
        }
    }
}

/// One participant's newest entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// Who.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// What it is; absent if the membership statement does not name it.
    #[serde(default)]
    pub class: Option<MemberClass>,
    /// Version of the entry.
    pub version: u32,
    /// SHA-256 of the signed entry of version 0: what people compare.
    #[serde(with = "crate::text")]
    pub fingerprint: Fingerprint,
    /// Whether officers here compared it.
    pub pinned: bool,
    /// Why it is suspended, if it is.
    #[serde(with = "crate::text::option", default)]
    pub suspended: Option<Code>,
    /// When the newest version was made.
    #[serde(with = "crate::time")]
    pub created: UnixMillis,
    /// Until when others may seal to it; absent without sealing key.
    #[serde(with = "crate::time::option", default)]
    pub seal_until: Option<UnixMillis>,
    /// Until when its signing key is valid.
    #[serde(with = "crate::time::option", default)]
    pub sign_until: Option<UnixMillis>,
    /// Log keys: name, epoch, key id.
    pub logs: Vec<DirectoryLog>,
    /// Whether messages can be exchanged with it now.
    pub usable: bool,
}

/// One log of a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryLog {
    /// `node`, `traffic` or `public`.
    pub log: String,
    /// Epoch.
    pub epoch: u32,
    /// Key id.
    #[serde(with = "key_id")]
    pub key: KeyId,
}

mod key_id {
    use ncp_protocol::ids::{Digest, KeyId};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
        crate::text::serialize(&key.0, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyId, D::Error> {
        crate::text::deserialize::<Digest, D>(deserializer).map(KeyId)
    }
}

/// `GET /v1/directory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The network.
    #[serde(with = "crate::text")]
    pub network: NetworkId,
    /// Its class.
    pub class: NetworkClass,
    /// Version of the membership statement.
    pub membership_version: u32,
    /// Until when the newest timestamp vouches for all this; absent if there is none yet.
    #[serde(with = "crate::time::option", default)]
    pub valid_until: Option<UnixMillis>,
    /// All entries, by participant.
    pub entries: Vec<DirectoryEntry>,
}

/// `POST /v1/directory/{id}:pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The fingerprint as people read it to each other.
    #[serde(with = "crate::text")]
    pub fingerprint: Fingerprint,
}
