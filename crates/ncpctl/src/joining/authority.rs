//! The network's certificate authority: one key, held by the hub's operator and used by this program alone.
//!
//! A certificate names its participant in one URI (`urn:ncp:<network label>:<participant>`) and nowhere else, serves one
//! end of a link (`serverAuth` for the hub, `clientAuth` for the others) and lasts a year. From a request only the public
//! key is taken: names, purposes and times are the authority's own. The authority's certificate lasts ten years and allows
//! revocation lists. Keys are ECDSA on P-256.

use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::{KeyId, NetworkId, ParticipantId, UnixMillis, certificate_uri};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::root::NetworkClass;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
    SubjectPublicKeyInfo, date_time_ymd,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// How long the authority's own certificate lasts.
const AUTHORITY_DAYS: u64 = 3_653;
/// How long the certificate of a participant lasts.
const CERTIFICATE_DAYS: u64 = 366;
/// What marks certificates of a network that is not real.
const TEST_MARK: &str = "TEST - NOT FOR USE";

/// The authority with its key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes key and self-signed certificate. Returns the private key as PEM (PKCS #8) beside the authority.
    ///
    /// # Errors
    /// [`ErrorCode::InternalFault`].
    pub(crate) fn generate(
        network: NetworkId,
        class: NetworkClass,
        key: &str,
        now: UnixMillis,
    ) -> Result<String, Fault> {
        let key = KeyPair::from_pem(key).map_err(|error| failed(&error))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&format!("NCP authority {}", network.label()), class);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, AUTHORITY_DAYS);
        params.serial_number = Some(serial()?);
        Ok(params.self_signed(&key).map_err(|error| failed(&error))?.pem())
    }

    /// The authority of a certificate and a private key, both PEM.
    ///
    /// # Errors
    /// [`ErrorCode::FileUnusable`] with the reason if they are damaged or do not belong together.
    pub(crate) fn open(certificate: &str, key: &str) -> Result<Self, Fault> {
        let unusable = |reason: &dyn core::fmt::Display| {
            ErrorCode::FileUnusable.with("file", "the authority's certificate or key").with("reason", reason)
        };
        let key = KeyPair::from_pem(key).map_err(|error| unusable(&error))?;
        let parsed = parse_one(certificate).ok_or_else(|| unusable(&"no certificate"))?;
        if parsed.key != key_id(&key) {
            return Err(unusable(&"the key does not belong to the certificate"));
        }
        let issuer = Issuer::from_ca_cert_pem(certificate, key).map_err(|error| unusable(&error))?;
        Ok(Self { issuer, certificate: certificate.to_owned() })
    }

    /// The authority's certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues a certificate over a public key.
    ///
    /// # Errors
    /// [`ErrorCode::InternalFault`].
    pub(crate) fn issue(&self, subject: &Subject, key: &impl PublicKeyData, now: UnixMillis) -> Result<String, Fault> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&format!("NCP {}", subject.participant), subject.class);
        params.subject_alt_names = vec![uri(subject.network, subject.participant)?];
        set_validity(&mut params, now, CERTIFICATE_DAYS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose(subject.participant)];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        Ok(params.signed_by(key, &self.issuer).map_err(|error| failed(&error))?.pem())
    }
}

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    /// In which network.
    pub(crate) network: NetworkId,
    /// Of which class.
    pub(crate) class: NetworkClass,
    /// Who.
    pub(crate) participant: ParticipantId,
}

/// A fresh private key for certificates, PEM (PKCS #8).
///
/// # Errors
/// [`ErrorCode::InternalFault`].
pub(crate) fn fresh_key() -> Result<zeroize::Zeroizing<String>, Fault> {
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    Ok(zeroize::Zeroizing::new(key.serialize_pem()))
}

/// A private key for certificates, read from PEM.
///
/// # Errors
/// [`ErrorCode::KeyFileDamaged`] with the file.
pub(crate) fn read_key(pem: &[u8], file: &dyn core::fmt::Display) -> Result<KeyPair, Fault> {
    let text = core::str::from_utf8(pem).ok();
    text.and_then(|text| KeyPair::from_pem(text).ok())
        .ok_or_else(|| ErrorCode::KeyFileDamaged.with("what", "TLS key").with("file", file))
}

/// What the directory pins: SHA-256 of the public key (SubjectPublicKeyInfo, DER).
pub(crate) fn key_id(key: &impl PublicKeyData) -> KeyId {
    KeyId(sha256(&key.subject_public_key_info()))
}

/// A certificate request (PKCS #10, PEM) that shows that its maker holds the key.
///
/// # Errors
/// [`ErrorCode::InternalFault`].
pub(crate) fn make_request(network: NetworkId, participant: ParticipantId, key: &KeyPair) -> Result<String, Fault> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("NCP {participant}"));
    params.subject_alt_names = vec![uri(network, participant)?];
    params.serialize_request(key).and_then(|request| request.pem()).map_err(|error| failed(&error))
}

/// The public key of a request whose signature verifies, `None` for any other.
pub(crate) fn requested_key(pem: &str) -> Option<rcgen::PublicKey> {
    CertificateSigningRequestParams::from_pem(pem).ok().map(|request| request.public_key)
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// The public key.
    pub(crate) key: KeyId,
    /// When it expires.
    pub(crate) until: UnixMillis,
    /// Its URI names.
    uris: Vec<String>,
    is_authority: bool,
    serves: Vec<Purpose>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Server,
    Client,
}

/// Why a certificate cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateFault {
    /// Not one certificate in PEM.
    #[error("a certificate is damaged")]
    Malformed,
    /// The authority's is none of an authority.
    #[error("the authority's certificate is not one of an authority")]
    NoAuthority,
    /// Not signed by the authority.
    #[error("the certificate is not signed by the authority")]
    Signature,
    /// It names somebody else, or more than one.
    #[error("the certificate names another participant")]
    Name,
    /// It serves the other end of a link.
    #[error("the certificate is for the other end of a link")]
    Purpose,
    /// Not valid now.
    #[error("the certificate is not valid now")]
    Validity,
}

/// Checks that `authority` issued `certificate`, both PEM, for this participant, and that it is valid now.
///
/// # Errors
/// [`CertificateFault`].
pub(crate) fn check_certificate(
    certificate: &str,
    authority: &str,
    subject: &Subject,
    now: UnixMillis,
) -> Result<Parsed, CertificateFault> {
    let (authority, certificate) = (pem(authority)?, pem(certificate)?);
    let issuer = x509(&authority)?;
    let leaf = x509(&certificate)?;
    if !parse(&issuer)?.is_authority {
        return Err(CertificateFault::NoAuthority);
    }
    if leaf.verify_signature(Some(issuer.public_key())).is_err() || leaf.issuer() != issuer.subject() {
        return Err(CertificateFault::Signature);
    }
    let parsed = parse(&leaf)?;
    if parsed.uris != [certificate_uri(&subject.network, subject.participant)] || parsed.is_authority {
        return Err(CertificateFault::Name);
    }
    let expected = if subject.participant == ParticipantId::HUB { Purpose::Server } else { Purpose::Client };
    if parsed.serves != [expected] {
        return Err(CertificateFault::Purpose);
    }
    let seconds = i64::try_from(now.0 / 1_000).map_err(|_| CertificateFault::Validity)?;
    let is_valid = |certificate: &X509Certificate<'_>| {
        let validity = certificate.validity();
        (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&seconds)
    };
    if is_valid(&leaf) && is_valid(&issuer) { Ok(parsed) } else { Err(CertificateFault::Validity) }
}

/// What one certificate in PEM says, its signature unverified.
pub(crate) fn parse_one(text: &str) -> Option<Parsed> {
    let pem = pem(text).ok()?;
    parse(&x509(&pem).ok()?).ok()
}

/// What the first certificate of a chain in PEM says, its signature unverified.
pub(crate) fn parse_leaf(text: &str) -> Option<Parsed> {
    let leaf = Pem::iter_from_buffer(text.as_bytes()).next()?.ok()?;
    parse(&x509(&leaf).ok()?).ok()
}

/// The public key of the first certificate of a chain in PEM.
pub(crate) fn leaf_key(text: &str) -> Option<SubjectPublicKeyInfo> {
    let leaf = Pem::iter_from_buffer(text.as_bytes()).next()?.ok()?;
    SubjectPublicKeyInfo::from_der(x509(&leaf).ok()?.public_key().raw).ok()
}

/// The one certificate of a PEM text.
fn pem(text: &str) -> Result<Pem, CertificateFault> {
    let mut found = Pem::iter_from_buffer(text.as_bytes());
    match (found.next(), found.next()) {
        (Some(Ok(pem)), None) if pem.label == "CERTIFICATE" => Ok(pem),
        _ => Err(CertificateFault::Malformed),
    }
}

fn x509(pem: &Pem) -> Result<X509Certificate<'_>, CertificateFault> {
    pem.parse_x509().map_err(|_| CertificateFault::Malformed)
}

fn parse(certificate: &X509Certificate<'_>) -> Result<Parsed, CertificateFault> {
    let malformed = |_| CertificateFault::Malformed;
    let names = certificate.subject_alternative_name().map_err(malformed)?;
    let uris = names.into_iter().flat_map(|names| &names.value.general_names).filter_map(|name| {
        let GeneralName::URI(uri) = name else { return None };
        Some((*uri).to_owned())
    });
    let usage = certificate.extended_key_usage().map_err(malformed)?.map(|usage| usage.value);
    let serves = usage.map_or_else(Vec::new, |usage| {
        let purposes = [(usage.server_auth, Purpose::Server), (usage.client_auth, Purpose::Client)];
        purposes.into_iter().filter(|(named, _)| *named).map(|(_, purpose)| purpose).collect()
    });
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Parsed {
        key: KeyId(sha256(certificate.public_key().raw)),
        until: UnixMillis(seconds.saturating_mul(1_000)),
        uris: uris.collect(),
        is_authority: certificate.is_ca(),
        serves,
    })
}

fn name(common: &str, class: NetworkClass) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    match class {
        NetworkClass::Test => name.push(DnType::OrganizationName, TEST_MARK),
        NetworkClass::Live => {}
    }
    name
}

fn uri(network: NetworkId, participant: ParticipantId) -> Result<SanType, Fault> {
    certificate_uri(&network, participant).try_into().map(SanType::URI).map_err(|error| failed(&error))
}

fn purpose(participant: ParticipantId) -> ExtendedKeyUsagePurpose {
    if participant == ParticipantId::HUB {
        ExtendedKeyUsagePurpose::ServerAuth
    } else {
        ExtendedKeyUsagePurpose::ClientAuth
    }
}

/// 126 random bits (RFC 5280, section 4.1.2.2: positive, at most 20 octets).
fn serial() -> Result<SerialNumber, Fault> {
    let seed = super::files::fresh_seed()?;
    let mut bytes: Vec<u8> = seed.iter().take(16).copied().collect();
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(SerialNumber::from(bytes))
}

/// Valid from midnight of the day before, so that clocks may differ, to midnight after `days` days.
fn set_validity(params: &mut CertificateParams, now: UnixMillis, days: u64) {
    let date = |millis| {
        let (year, month, day) = Time(UnixMillis(millis)).date();
        let small = |value: u64| u8::try_from(value).unwrap_or(1);
        date_time_ymd(i32::try_from(year).unwrap_or(i32::MAX), small(month), small(day))
    };
    params.not_before = date(now.0.saturating_sub(DAY_MS));
    params.not_after = date(now.plus_millis(days * DAY_MS).0);
}

fn failed(error: &dyn core::fmt::Display) -> Fault {
    ErrorCode::InternalFault.with("reason", format!("certificates: {error}"))
}
