//! What a connection tells those who have no key.

use super::*;
use crate::tls::keys::{Key, KeyKind, Keys, Role, public_of};

fn key() -> Key {
    Key::generate(KeyKind::Shared).unwrap()
}

fn keys(key: &Key) -> Keys {
    Keys::shared("site", key.clone()).unwrap()
}

/// A private key of this seed, and the peers that it accepts.
fn private(seed: [u8; 32], peers: &[[u8; 32]]) -> Keys {
    let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let own = format!("striper-private-key:{digits}").parse().unwrap();
    let peers = peers.iter().map(|seed| ("peer".into(), public_of(seed))).collect();
    Keys::new(vec![("own".into(), own)], peers).unwrap()
}

/// Two ends and what is between them.
struct Wire {
    client: Engine,
    server: Engine,
    /// All that each has sent.
    sent: [Vec<u8>; 2],
    /// What has gone wrong at each.
    failed: [Option<TlsError>; 2],
}

impl Wire {
    fn new(client: &ClientTls, server: &ServerTls) -> Wire {
        let (client, server) = (Engine::client(client).unwrap(), Engine::server(server).unwrap());
        Wire { client, server, sent: Default::default(), failed: Default::default() }
    }

    /// Passes on what there is until there is nothing more.
    fn shake(&mut self) {
        loop {
            let mut moved = false;
            for way in 0..2 {
                let from = if way == 0 { &mut self.client } else { &mut self.server };
                if self.failed[way].is_none()
                    && let Err(error) = from.advance()
                {
                    self.failed[way] = Some(error);
                }
                let flight = from.out().rest().to_vec();
                from.out().sent(flight.len());
                if flight.is_empty() {
                    continue;
                }
                moved = true;
                self.sent[way].extend_from_slice(&flight);
                let to = if way == 0 { &mut self.server } else { &mut self.client };
                if self.failed[1 - way].is_none() {
                    self.failed[1 - way] = to.receive(&flight).err();
                }
            }
            if !moved {
                return;
            }
        }
    }
}

fn plain(engine: &mut Engine) -> Vec<u8> {
    std::iter::from_fn(|| engine.take_plain(usize::MAX)).flatten().collect()
}

#[test]
fn who_listens_reads_neither_what_is_said_nor_whose_keys_they_are() {
    let shared = key();
    let keys = keys(&shared);
    let mut wire = Wire::new(&ClientTls::new(&keys), &ServerTls::new(&keys));
    wire.shake();
    let id = *b"0123456789abcdef";
    wire.client.encrypt(&id).unwrap();
    wire.server.encrypt(&id).unwrap();
    wire.shake();
    assert_eq!(plain(&mut wire.server), id);
    for role in [Role::Client, Role::Server] {
        let public = public_of(&shared.seed(role)).0;
        for secret in [&id[..], &public] {
            let seen = |sent: &Vec<u8>| sent.windows(secret.len()).any(|bytes| bytes == secret);
            assert!(!wire.sent.iter().any(seen));
        }
    }
}

#[test]
fn who_knows_a_public_key_can_not_learn_whether_it_is_accepted() {
    let (exit, laptop, thief) = ([1; 32], [2; 32], [3; 32]);
    let answers = [laptop, [4; 32]].map(|shown| {
        let client = ClientTls::pretending(&private(thief, &[exit]), public_of(&shown));
        let mut wire = Wire::new(&client, &ServerTls::new(&private(exit, &[laptop])));
        wire.shake();
        (wire.failed, wire.sent[1].len())
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, [Some(TlsError::KeyRefused), Some(TlsError::UnknownKey)]);
}
