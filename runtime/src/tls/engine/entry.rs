//! Two engines and an honest wire: a handshake lets a peer in that has the key, and nobody else.

use super::talk::{CLIENT, SERVER, Side, drain, keys, straight, talk, talk_honestly};
use super::*;
use crate::tls::keys::{Keys, Listed, Role, public_of};
use crate::tls::settings::forge;
use rustls::CipherSuite;

fn assert_nobody_in(client: &ClientTls, server: &ServerTls) -> [Side; 2] {
    let sides = talk(client, server, straight);
    assert!(!sides[SERVER].was_open, "the server let it in");
    for side in &sides {
        assert_eq!(side.heard, b"");
        assert!(side.error.is_some());
    }
    sides
}

#[test]
fn a_handshake_is_one_round_trip_and_the_last_flight_carries_data() {
    let sides = talk_honestly(straight);
    assert!(sides[0].has_all_of(&sides[1]) && sides[1].has_all_of(&sides[0]));
    // Hello; the rest with all data and the end. The server: its handshake; data and the end.
    assert_eq!((sides[CLIENT].flights, sides[SERVER].flights), (2, 2));
}

#[test]
fn aes_is_used_only_if_both_have_instructions_for_it() {
    for (client, server, suite) in [
        (true, true, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (true, false, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        (false, true, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        (false, false, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ] {
        let keys = keys('1');
        let (client, server) =
            (ClientTls::with_aes(&keys, client), ServerTls::with_aes(&keys, server));
        let sides = talk(&client, &server, straight);
        let Connection::Server(connection) = &sides[SERVER].engine.connection else { panic!() };
        assert_eq!(connection.negotiated_cipher_suite().unwrap().suite(), suite);
    }
}

#[test]
fn a_wrong_or_missing_key_gets_nobody_in() {
    let shared = keys('1');
    let server = ServerTls::new(&shared);
    for client in [
        forge::client_without_the_secret(&shared),
        forge::client_with_a_servers_key(&shared),
        forge::client_without_key(&shared),
        forge::client_with_certificate(&shared),
    ] {
        assert_nobody_in(&client, &server);
    }
    for server in [
        ServerTls::new(&keys('2')),
        forge::server_without_the_secret(&shared),
        forge::server_with_a_clients_key(&shared),
    ] {
        let sides = assert_nobody_in(&ClientTls::new(&shared), &server);
        assert!(!sides[CLIENT].was_open);
        assert_eq!(sides[CLIENT].error, Some(TlsError::UnknownKey));
    }
}

#[test]
fn an_observer_reads_neither_content_nor_keys() {
    let mut seen = Vec::new();
    let sides = talk_honestly(|_, bytes| {
        seen.extend_from_slice(&bytes);
        vec![bytes]
    });
    assert!(sides[SERVER].has_all_of(&sides[CLIENT]));
    let shared = keys('1');
    let public =
        [Role::Client, Role::Server].map(|role| public_of(&shared.first().seed(role)).0.to_vec());
    let said = sides.into_iter().flat_map(|side| side.says);
    for secret in said.chain(public) {
        assert!(!seen.windows(secret.len()).any(|bytes| bytes == secret), "{secret:?}");
    }
}

/// A private key of this seed, and the peers that it accepts.
fn private(seed: u8, peer: u8) -> Keys {
    let own = format!("striper-private-key:{}", format!("{seed:02x}").repeat(32)).parse().unwrap();
    Keys::new(vec![("own".into(), own)], vec![Listed::new("peer".into(), public_of(&[peer; 32]))])
        .unwrap()
}

#[test]
fn a_caller_can_not_learn_whether_a_public_key_is_accepted() {
    let [listed, not_listed] = [2, 4].map(|shown| {
        let client = forge::client_without_the_secret(&private(shown, 1));
        let mut answered = 0;
        let sides = talk(&client, &ServerTls::new(&private(1, 2)), |from, bytes| {
            answered += if from == SERVER { bytes.len() } else { 0 };
            vec![bytes]
        });
        (sides.map(|side| side.error), answered)
    });
    assert_eq!(listed, not_listed);
    assert_eq!(listed.0, [Some(TlsError::KeyRefused), Some(TlsError::UnknownKey)]);
}

#[test]
fn neither_side_does_without_our_protocols_name() {
    let shared = keys('1');
    for names in
        [vec![], vec![b"h2".to_vec()], vec![b"striper/2".to_vec()], vec![b"striper/".to_vec()]]
    {
        let client = forge::client(&shared, |config| config.alpn_protocols = names.clone());
        assert_nobody_in(&client, &ServerTls::new(&shared));
        let server = forge::server(&shared, |config| config.alpn_protocols = names.clone());
        let sides = talk(&ClientTls::new(&shared), &server, straight);
        assert!(!sides[CLIENT].was_open, "with {names:?}");
        assert!(sides[CLIENT].error.is_some() && sides[CLIENT].heard.is_empty(), "with {names:?}");
    }
}

#[test]
fn a_hello_of_tls_1_2_is_answered_with_an_alert() {
    // TLS 1.2, as without supported_versions: ECDHE_RSA_AES128_GCM and one extension, X25519.
    let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0]].concat();
    body.extend([0, 8, 0, 10, 0, 4, 0, 2, 0, 29]);
    let hello = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[22, 3, 1, 0, hello.len() as u8][..], &hello].concat();
    let mut server = Engine::server(&ServerTls::new(&keys('1'))).unwrap();
    assert_eq!(server.receive(&record), Err(TlsError::NoCommonProtocol));
    assert_eq!(drain(&mut server)[..2], [21, 3]);
}
