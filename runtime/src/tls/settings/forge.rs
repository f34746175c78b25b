//! Settings that no honest side has, for tests of what the other side makes of them.

use super::*;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_eddsa_type;

/// Another seed than that of any key in the tests.
const OTHER: [u8; 32] = [0xee; 32];

/// A certificate with `key`'s public half, signed with another key.
fn without_the_secret(key: &Key, role: Role) -> Arc<CertifiedKey> {
    let honest = shown(key, role);
    let secret = PrivatePkcs8KeyDer::from([&PKCS8[..], &OTHER].concat());
    Arc::new(CertifiedKey::new(honest.cert.clone(), any_eddsa_type(&secret).unwrap()))
}

fn client_showing(keys: &Keys, key: Arc<CertifiedKey>) -> ClientTls {
    let resolver = AlwaysResolvesClientRawPublicKeys::new(key);
    client(keys, |config| config.client_auth_cert_resolver = Arc::new(resolver))
}

fn server_showing(keys: &Keys, key: Arc<CertifiedKey>) -> ServerTls {
    let resolver = AlwaysResolvesServerRawPublicKeys::new(key);
    server(keys, |config| config.cert_resolver = Arc::new(resolver))
}

/// A client that knows only the public half of `keys`.
pub(crate) fn client_without_the_secret(keys: &Keys) -> ClientTls {
    client_showing(keys, without_the_secret(keys.first(), Role::Client))
}

pub(crate) fn server_without_the_secret(keys: &Keys) -> ServerTls {
    server_showing(keys, without_the_secret(keys.first(), Role::Server))
}

pub(crate) fn client_with_a_servers_key(keys: &Keys) -> ClientTls {
    client_showing(keys, shown(keys.first(), Role::Server))
}

pub(crate) fn server_with_a_clients_key(keys: &Keys) -> ServerTls {
    server_showing(keys, shown(keys.first(), Role::Client))
}

/// A client that shows this, as a raw public key or as an X.509 certificate, or nothing.
#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>, bool);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn only_raw_public_keys(&self) -> bool {
        self.1
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A client that speaks raw public keys and shows none.
pub(crate) fn client_without_key(keys: &Keys) -> ClientTls {
    client(keys, |config| config.client_auth_cert_resolver = Arc::new(Shows(None, true)))
}

/// A client that calls its key a certificate.
pub(crate) fn client_with_certificate(keys: &Keys) -> ClientTls {
    let shows = Shows(Some(shown(keys.first(), Role::Client)), false);
    client(keys, |config| config.client_auth_cert_resolver = Arc::new(shows))
}

pub(crate) fn client(keys: &Keys, change: impl FnOnce(&mut ClientConfig)) -> ClientTls {
    let ClientTls { mut config, shown, accepted } = ClientTls::new(keys);
    change(Arc::make_mut(&mut config));
    ClientTls { config, shown, accepted }
}

pub(crate) fn server(keys: &Keys, change: impl FnOnce(&mut ServerConfig)) -> ServerTls {
    let ServerTls { mut config, accepted } = ServerTls::new(keys);
    change(Arc::make_mut(&mut config));
    ServerTls { config, accepted }
}
