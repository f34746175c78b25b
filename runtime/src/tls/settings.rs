//! The keys of a side, made into rustls' settings.
//!
//! Each stripe is TLS 1.3 with raw public keys (RFC 7250) on both sides. There are no certificates,
//! names or authorities. A side shows one Ed25519 key, and the other looks it up among the keys
//! that it accepts. No session is resumed and no data goes early, so nothing that was recorded can
//! be played again.

use super::KeyLog;
use super::keys::{Key, Keys, Peer, PeerName, PublicKey, Role, public_of};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption, UnbufferedClientConnection};
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group, sign::any_eddsa_type};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage, UnbufferedServerConnection,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of a stripe in ALPN (RFC 7301). Both sides insist on it.
pub(super) const ALPN: &[u8] = b"striper/1";

/// The DER of an Ed25519 public key (RFC 8410) before the key itself.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The DER of an Ed25519 private key (PKCS#8, RFC 8410) before the seed itself.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The settings of a server for the stripes that come in.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    accepted: Accepted,
}

impl ServerTls {
    /// With these keys.
    pub fn new(keys: &Keys) -> Self {
        Self::with_aes(keys, has_aes())
    }

    pub(crate) fn with_aes(keys: &Keys, aes: bool) -> Self {
        let accepted = Accepted::new(keys, Role::Client);
        let shown = AlwaysResolvesServerRawPublicKeys::new(shown(keys.first(), Role::Server));
        let mut config = ServerConfig::builder_with_provider(provider(aes))
            .with_protocol_versions(&[&TLS13])
            .expect("ring has TLS 1.3")
            .with_client_cert_verifier(Arc::new(accepted.clone()))
            .with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A client begins with AES if it has instructions for it: AES if both have, else ChaCha20.
        config.ignore_client_order = !aes;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        ServerTls { config: Arc::new(config), accepted }
    }

    /// The same with other keys.
    pub(crate) fn with_keys(&self, keys: &Keys) -> Self {
        let mut tls = Self::new(keys);
        Arc::make_mut(&mut tls.config).key_log = self.config.key_log.clone();
        tls
    }

    /// The same, and the secrets of each connection are written to this log.
    pub fn logging(mut self, log: Arc<KeyLog>) -> Self {
        Arc::make_mut(&mut self.config).key_log = log;
        self
    }

    pub(crate) fn connection(&self) -> Result<UnbufferedServerConnection, Error> {
        UnbufferedServerConnection::new(self.config.clone())
    }

    pub(crate) fn accepted(&self) -> Accepted {
        self.accepted.clone()
    }

    pub(crate) fn accepts(&self, key: &PublicKey) -> bool {
        self.accepted.has(key)
    }

    pub(crate) fn peer(&self, key: &PublicKey) -> Option<Peer> {
        self.accepted.peer(key)
    }

    pub(crate) fn keys(&self) -> usize {
        self.accepted.0.len()
    }
}

/// The settings of a client for the stripes that it dials.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// The public half of what it shows.
    shown: PublicKey,
    accepted: Accepted,
}

impl ClientTls {
    /// With these keys.
    pub fn new(keys: &Keys) -> Self {
        Self::with_aes(keys, has_aes())
    }

    pub(crate) fn with_aes(keys: &Keys, aes: bool) -> Self {
        let accepted = Accepted::new(keys, Role::Server);
        let shown = AlwaysResolvesClientRawPublicKeys::new(shown(keys.first(), Role::Client));
        let mut config = ClientConfig::builder_with_provider(provider(aes))
            .with_protocol_versions(&[&TLS13])
            .expect("ring has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(accepted.clone()))
            .with_client_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        // The server is known by its key and has no name.
        config.enable_sni = false;
        let shown = public_of(&keys.first().seed(Role::Client));
        ClientTls { config: Arc::new(config), shown, accepted }
    }

    /// The same with other keys.
    pub(crate) fn with_keys(&self, keys: &Keys) -> Self {
        let mut tls = Self::new(keys);
        Arc::make_mut(&mut tls.config).key_log = self.config.key_log.clone();
        tls
    }

    /// The same, and the secrets of each connection are written to this log.
    pub fn logging(mut self, log: Arc<KeyLog>) -> Self {
        Arc::make_mut(&mut self.config).key_log = log;
        self
    }

    /// The public half of the key that a server is shown.
    pub fn shown(&self) -> PublicKey {
        self.shown
    }

    pub(crate) fn connection(&self) -> Result<UnbufferedClientConnection, Error> {
        let name = ServerName::try_from("striper").expect("a name");
        UnbufferedClientConnection::new(self.config.clone(), name)
    }

    pub(crate) fn accepted(&self) -> Accepted {
        self.accepted.clone()
    }
}

fn key_shown(shown: &CertificateDer<'_>) -> Option<PublicKey> {
    shown.strip_prefix(&SPKI)?.try_into().ok().map(PublicKey)
}

/// Key exchange by X25519 alone, so that a client never guesses wrong and a handshake is one round
/// trip; cipher suites in order of preference.
fn provider(aes: bool) -> Arc<CryptoProvider> {
    let mut cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    if !aes {
        cipher_suites.reverse();
    }
    let kx_groups = vec![kx_group::X25519];
    Arc::new(CryptoProvider { cipher_suites, kx_groups, ..default_provider() })
}

/// Whether this processor has AES-GCM. Without, ChaCha20 is faster, and AES leaks through time.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[allow(unreachable_code, reason = "reached on other processors alone")]
    false
}

fn shown(key: &Key, role: Role) -> Arc<CertifiedKey> {
    let seed = key.seed(role);
    let spki = [&SPKI[..], &public_of(&seed).0].concat();
    let secret = PrivatePkcs8KeyDer::from([&PKCS8[..], &seed].concat());
    let signing = any_eddsa_type(&secret).expect("any seed makes a key");
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signing))
}

fn stranger() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

/// The keys that are accepted at the other end, with their names.
#[derive(Clone, Debug)]
pub(crate) struct Accepted(Arc<BTreeMap<PublicKey, PeerName>>);

impl Accepted {
    fn new(keys: &Keys, theirs: Role) -> Accepted {
        // Of two names for one key the first counts.
        let mut accepted = BTreeMap::new();
        for (key, name) in keys.accepted(theirs) {
            accepted.entry(key).or_insert(name);
        }
        Accepted(Arc::new(accepted))
    }

    pub(crate) fn find(&self, shown: &CertificateDer<'_>) -> Option<Peer> {
        self.peer(&key_shown(shown)?)
    }

    fn peer(&self, key: &PublicKey) -> Option<Peer> {
        self.0.get(key).map(|name| Peer { name: name.clone(), key: *key })
    }

    pub(crate) fn has(&self, key: &PublicKey) -> bool {
        self.0.contains_key(key)
    }
}

impl ClientCertVerifier for Accepted {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Whether it is accepted is asked when its signature has been checked: who only knows a
        // public key must not learn that from the answer.
        key_shown(shown).map(|_| ClientCertVerified::assertion()).ok_or_else(stranger)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(stranger())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        let algorithms = default_provider().signature_verification_algorithms;
        let valid = verify_tls13_signature_with_raw_key(message, &key, signature, &algorithms);
        // One answer for a key that is not accepted and for a peer that does not have it.
        match (valid, self.find(shown)) {
            (Ok(valid), Some(_)) => Ok(valid),
            _ => Err(stranger()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ServerCertVerifier for Accepted {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        key_shown(shown).map(|_| ServerCertVerified::assertion()).ok_or_else(stranger)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(stranger())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ClientCertVerifier::verify_tls13_signature(self, message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(crate) mod forge;
