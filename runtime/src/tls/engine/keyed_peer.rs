//! A peer that has the key and says in its records what no honest peer says.

use super::talk::{drain, keys, open_pair, open_pair_of};
use super::*;
use crate::tls::settings::forge;
use ring::aead;
use rustls::ConnectionTrafficSecrets;

/// Seals records as a client would, whatever they say.
struct Sealer {
    key: aead::LessSafeKey,
    iv: [u8; 12],
    next: u64,
}

impl Sealer {
    /// A server, and what seals in the name of its client.
    fn pair() -> (Sealer, Engine) {
        let client = forge::client(&keys('1'), |config| config.enable_secret_extraction = true);
        let [client, server] = open_pair_of(&client, &ServerTls::new(&keys('1')));
        (Sealer::of(client), server)
    }

    #[expect(deprecated, reason = "its replacement needs more of rustls than a test's record")]
    fn of(client: Engine) -> Sealer {
        let Connection::Client(connection) = client.connection else { panic!("not a client") };
        let (next, secrets) = connection.dangerous_extract_secrets().unwrap().tx;
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&aead::CHACHA20_POLY1305, key, iv)
            }
            _ => panic!("another cipher suite"),
        };
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, key.as_ref()).unwrap());
        Sealer { key, iv: iv.as_ref().try_into().unwrap(), next }
    }

    fn seal(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut inner = [payload, &[kind]].concat();
        let length = u16::try_from(inner.len() + 16).unwrap().to_be_bytes();
        let head = [23, 3, 3, length[0], length[1]];
        let mut nonce = self.iv;
        nonce.iter_mut().skip(4).zip(self.next.to_be_bytes()).for_each(|(iv, byte)| *iv ^= byte);
        self.next += 1;
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, aead::Aad::from(head), &mut inner).unwrap();
        [&head[..], &inner].concat()
    }
}

#[test]
fn warnings_and_handshake_messages_of_a_peer_with_a_key_are_bounded() {
    let new_session_ticket = [&[4, 0, 0, 15][..], &[0; 8], &[1, 7, 0, 2, 7, 7, 0, 0]].concat();
    let certificate_request = vec![13, 0, 0, 3, 0, 0, 0];
    for (kind, payload, most) in [
        (21, vec![1, 90], 16),
        (22, new_session_ticket, 1),
        (22, certificate_request, 1),
        (22, vec![1, 0, 0, 0], 1),
        (22, vec![24, 0, 0, 1, 2], 1),
        (22, vec![], 32),
        (99, vec![1], 1),
    ] {
        let (mut sealer, mut server) = Sealer::pair();
        let taken =
            (0..100).take_while(|_| server.receive(&sealer.seal(kind, &payload)).is_ok()).count();
        assert!(taken <= most, "{taken} of kind {kind} {payload:?}");
        assert!(server.out().rest().len() < 100);
    }
}

#[test]
fn a_message_after_the_handshake_that_never_ends_is_bounded() {
    // A handshake message of 16 MiB less one, 16 KiB at a time.
    let (mut sealer, mut server) = Sealer::pair();
    let mut first = vec![0; 16000];
    first[..4].copy_from_slice(&[24, 0xff, 0xff, 0xff]);
    let mut sent = 0;
    let mut payload = first;
    while sent < 4 << 20 && server.receive(&sealer.seal(22, &payload)).is_ok() {
        sent += payload.len();
        payload = vec![0; 16000];
    }
    assert!(sent <= 128 << 10, "{sent} bytes are held");
}

#[test]
fn empty_records_leave_nothing_behind_and_are_few() {
    let (mut sealer, mut server) = Sealer::pair();
    let taken = (0..100).take_while(|_| server.receive(&sealer.seal(23, b"")).is_ok()).count();
    assert!(taken <= 32, "{taken} in a row");

    // With data in between there may be any number.
    let (mut sealer, mut server) = Sealer::pair();
    for _ in 0..10_000 {
        server.receive(&sealer.seal(23, b"")).unwrap();
        server.receive(&sealer.seal(23, b"data")).unwrap();
        assert_eq!(server.take_plain(9).unwrap(), "data");
        assert_eq!((server.incoming.memory(), server.plain.len()), (0, 0));
        assert!(server.out().rest().is_empty());
    }
}

#[test]
fn bytes_behind_an_end_are_not_heard() {
    let (mut sealer, mut server) = Sealer::pair();
    let records = [(23, &b"all"[..]), (21, &[1, 0]), (23, b"more"), (21, &[1, 0])];
    let all = records.map(|(kind, payload)| sealer.seal(kind, payload));
    server.receive(&all.concat()).unwrap();
    assert!(server.has_ended());
    assert_eq!(server.take_plain(99).unwrap(), "all");
    assert_eq!(server.take_plain(99), None);
}

#[test]
fn either_side_changes_its_keys_in_the_middle() {
    let [mut client, mut server] = open_pair();
    for turn in 0..200u32 {
        if turn % 3 == 0 {
            client.refresh();
        }
        if turn % 5 == 0 {
            server.refresh();
        }
        for _ in 0..2 {
            client.encrypt(&turn.to_be_bytes()).unwrap();
            server.receive(&drain(&mut client)).unwrap();
            assert_eq!(server.take_plain(9).unwrap()[..], turn.to_be_bytes());
            std::mem::swap(&mut client, &mut server);
        }
    }
}

#[test]
fn requests_for_new_keys_do_not_pile_up_answers() {
    let [mut client, mut server] = open_pair();
    let mut taken = 0;
    for _ in 0..1000 {
        client.refresh();
        client.encrypt(b"x").unwrap();
        if server.receive(&drain(&mut client)).is_err() {
            break;
        }
        taken += 1;
        server.take_plain(1).unwrap();
        let waiting = server.out().rest().len();
        assert!(waiting < 100, "{waiting} bytes after {taken}");
    }
    assert!(taken > 0);
}

#[test]
fn payload_is_held_until_the_last_byte_of_its_record_has_gone() {
    for step in [1, 7, 21, 22, 23, 100] {
        let [mut client, _] = open_pair();
        for len in [10, 1, 300] {
            client.encrypt(&vec![0; len]).unwrap();
        }
        let (mut sent, total) = (0, client.out().rest().len());
        assert_eq!(total, 311 + 3 * 22);
        while sent < total {
            let held = match sent {
                0..32 => 311,
                32..55 => 301,
                _ => 300,
            };
            assert_eq!(client.held(), held, "{sent} bytes sent, {step} at a time");
            let count = step.min(total - sent);
            client.out().sent(count);
            sent += count;
            // To wait in little memory changes nothing.
            client.out().wait();
        }
        assert_eq!(client.held(), 0);
    }
}
