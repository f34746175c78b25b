//! Attacks on a TLS connection by whoever has no key, has another one, or stands in between.

use super::*;
use crate::keys::{Key, KeyKind, Keys, Role, public_of};
use rustls::CipherSuite;

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

    fn honest() -> Wire {
        let keys = keys(&key());
        Wire::new(&ClientTls::new(&keys), &ServerTls::new(&keys))
    }

    /// Passes on what there is until there is nothing more; `tamper` sees each flight with its direction (0 to the server) and its place.
    fn run(&mut self, mut tamper: impl FnMut(usize, usize, &mut Vec<u8>)) {
        loop {
            let mut moved = false;
            for way in 0..2 {
                let from = if way == 0 { &mut self.client } else { &mut self.server };
                if self.failed[way].is_none()
                    && let Err(error) = from.advance()
                {
                    self.failed[way] = Some(error);
                }
                let mut flight = from.out().rest().to_vec();
                from.out().sent(flight.len());
                if flight.is_empty() {
                    continue;
                }
                moved = true;
                tamper(way, self.sent[way].len(), &mut flight);
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

    fn shake(&mut self) {
        self.run(|_, _, _| {});
    }

    fn is_open(&self) -> (bool, bool) {
        (self.client.is_open(), self.server.is_open())
    }
}

fn plain(engine: &mut Engine) -> Vec<u8> {
    std::iter::from_fn(|| engine.take_plain(usize::MAX)).flatten().collect()
}

#[test]
fn the_handshake_is_one_round_trip_and_the_first_data_goes_with_its_last_flight() {
    let mut wire = Wire::honest();
    wire.client.advance().unwrap();
    let flight = |engine: &mut Engine| {
        let bytes = engine.out().rest().to_vec();
        engine.out().sent(bytes.len());
        bytes
    };
    let first = flight(&mut wire.client);
    wire.server.receive(&first).unwrap();
    let answer = flight(&mut wire.server);
    wire.client.receive(&answer).unwrap();
    assert!(wire.client.is_open(), "the client may speak after one round trip");
    wire.client.encrypt(b"HELLO").unwrap();
    let last = flight(&mut wire.client);
    wire.server.receive(&last).unwrap();
    assert_eq!((wire.server.is_open(), plain(&mut wire.server)), (true, b"HELLO".to_vec()));
    assert!(first.len() + answer.len() + last.len() < 2_000, "it is small");
}

#[test]
fn a_side_with_another_key_gets_nowhere_whichever_side_it_is() {
    let (ours, theirs) = (keys(&key()), keys(&key()));
    let mut wire = Wire::new(&ClientTls::new(&ours), &ServerTls::new(&theirs));
    wire.shake();
    assert_eq!(wire.is_open(), (false, false));
    assert_eq!(wire.failed, [Some(TlsError::UnknownKey), Some(TlsError::KeyRefused)]);
    // A server that doesn't know the client, which knows the server.
    let (exit, laptop, other) = ([1; 32], [2; 32], [3; 32]);
    let mut wire =
        Wire::new(&ClientTls::new(&private(other, &[exit])), &ServerTls::new(&private(exit, &[laptop])));
    wire.shake();
    assert!(!wire.server.is_open());
    assert_eq!(wire.failed, [Some(TlsError::KeyRefused), Some(TlsError::UnknownKey)]);
}

#[test]
fn a_client_can_not_pass_for_a_server_with_the_key_of_its_own_role() {
    let shared = key();
    let (client, server) = (shared.seed(Role::Client), shared.seed(Role::Server));
    let mut wire =
        Wire::new(&ClientTls::new(&keys(&shared)), &ServerTls::new(&private(client, &[client, server])));
    wire.shake();
    assert_eq!((wire.is_open(), wire.failed[0].clone()), ((false, false), Some(TlsError::UnknownKey)));
    let mut wire =
        Wire::new(&ClientTls::new(&private(server, &[client, server])), &ServerTls::new(&keys(&shared)));
    wire.shake();
    assert_eq!((wire.server.is_open(), wire.failed[1].clone()), (false, Some(TlsError::UnknownKey)));
}

#[test]
fn who_gets_its_own_bytes_back_takes_them_for_nobody() {
    let keys = keys(&key());
    let mut client = Engine::client(&ClientTls::new(&keys)).unwrap();
    client.advance().unwrap();
    let own = client.out().rest().to_vec();
    assert!(client.receive(&own).is_err() && !client.is_open());
}

#[test]
fn a_public_key_alone_is_worth_nothing() {
    let (exit, laptop, thief) = ([1; 32], [2; 32], [3; 32]);
    let server = ServerTls::new(&private(exit, &[laptop]));
    let client = ClientTls::pretending(&private(thief, &[exit]), public_of(&laptop));
    let mut wire = Wire::new(&client, &server);
    wire.shake();
    assert!(!wire.server.is_open() && wire.failed[1].is_some());
    let mut wire = Wire::new(&ClientTls::nameless(&private(thief, &[exit])), &server);
    wire.shake();
    assert!(!wire.server.is_open() && wire.failed[1].is_some());
}

#[test]
fn both_sides_insist_on_the_name_of_the_protocol() {
    let keys = keys(&key());
    for alpn in [&[][..], &[&b"h2"[..]], &[&b"striper/2"[..], b"striper/10"]] {
        let mut wire = Wire::new(&ClientTls::new(&keys).with_alpn(alpn), &ServerTls::new(&keys));
        wire.shake();
        assert!(!wire.server.is_open(), "{alpn:?}");
        assert_eq!(wire.failed[1], Some(TlsError::NoCommonProtocol));
        let mut wire = Wire::new(&ClientTls::new(&keys), &ServerTls::new(&keys).with_alpn(alpn));
        wire.shake();
        assert!(!wire.client.is_open(), "{alpn:?}");
        assert_eq!(wire.failed[0], Some(TlsError::NoCommonProtocol), "{alpn:?} {:?}", wire.failed[1]);
    }
    let both: &[&[u8]] = &[b"striper/2", ALPN];
    let mut wire = Wire::new(&ClientTls::new(&keys).with_alpn(both), &ServerTls::new(&keys));
    wire.shake();
    assert_eq!(wire.is_open(), (true, true), "a newer client knows this name too");
}

#[test]
fn a_client_of_tls_1_2_is_turned_away() {
    let random = [7; 32];
    let body = [&[3, 3][..], &random, &[0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 0]].concat();
    let hello = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[0x16, 3, 1, 0, hello.len() as u8][..], &hello].concat();
    let mut wire = Wire::honest();
    assert_eq!(wire.server.receive(&record), Err(TlsError::NoCommonProtocol));
}

#[test]
fn aes_is_used_if_both_have_it_and_else_chacha20() {
    let keys = keys(&key());
    for (client, server) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut wire = Wire::new(&ClientTls::with_aes(&keys, client), &ServerTls::with_aes(&keys, server));
        wire.shake();
        let Connection::Server(connection) = &wire.server.connection else { panic!() };
        let suite = connection.negotiated_cipher_suite().unwrap().suite();
        let expected = if client && server {
            CipherSuite::TLS13_AES_128_GCM_SHA256
        } else {
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        };
        assert_eq!(suite, expected, "{client} {server}");
    }
}

#[test]
fn what_was_recorded_can_not_be_played_again() {
    let keys = keys(&key());
    let (client, server) = (ClientTls::new(&keys), ServerTls::new(&keys));
    let mut wire = Wire::new(&client, &server);
    wire.shake();
    wire.client.encrypt(b"pay 100").unwrap();
    wire.server.encrypt(b"done").unwrap();
    wire.shake();
    assert_eq!(plain(&mut wire.server), b"pay 100");
    let mut again = Engine::server(&server).unwrap();
    assert!(again.receive(&wire.sent[0]).is_err());
    assert!(!again.is_open() && plain(&mut again).is_empty());
    let mut again = Engine::client(&client).unwrap();
    again.advance().unwrap();
    assert!(again.receive(&wire.sent[1]).is_err());
    assert!(!again.is_open() && plain(&mut again).is_empty());
}

#[test]
fn records_that_are_doubled_dropped_swapped_or_from_elsewhere_break_the_connection() {
    let record = |engine: &mut Engine, text: &[u8]| {
        engine.encrypt(text).unwrap();
        let bytes = engine.out().rest().to_vec();
        engine.out().sent(bytes.len());
        bytes
    };
    for case in 0..5 {
        let (mut wire, mut other) = (Wire::honest(), Wire::honest());
        wire.shake();
        other.shake();
        let (one, two) = (record(&mut wire.client, b"one"), record(&mut wire.client, b"two"));
        let back = record(&mut wire.server, b"back");
        let (stream, whole) = match case {
            0 => ([&one[..], &one].concat(), &b"one"[..]),
            1 => (two.clone(), &b""[..]),
            2 => ([&two[..], &one].concat(), &b""[..]),
            3 => ([&one[..], &record(&mut other.client, b"two")].concat(), &b"one"[..]),
            _ => ([&one[..], &back].concat(), &b"one"[..]),
        };
        assert!(wire.server.receive(&stream).is_err(), "case {case}");
        assert_eq!(plain(&mut wire.server), whole, "case {case}");
        assert!(!wire.server.has_ended());
    }
}

/// A conversation that is tampered with on the way to the server: what arrived there, whether it ended there, and how long it was.
fn conversation(way: usize, mut tamper: impl FnMut(usize, &mut Vec<u8>)) -> (Vec<u8>, bool, usize) {
    const SAID: &[u8] = b"what is said";
    let mut wire = Wire::honest();
    let mut pass = |wire: &mut Wire| {
        wire.run(|direction, at, flight| {
            if direction == way {
                tamper(at, flight);
            }
        });
    };
    pass(&mut wire);
    let from = if way == 0 { &mut wire.client } else { &mut wire.server };
    if from.is_open() {
        from.encrypt(SAID).unwrap();
        from.finish().unwrap();
        pass(&mut wire);
    }
    let to = if way == 0 { &mut wire.server } else { &mut wire.client };
    let (got, ended) = (plain(to), to.has_ended() && to.is_open());
    assert!(SAID.starts_with(&got), "{got:?}");
    assert!(!ended || got == SAID, "an end before all that was said");
    (got, ended, wire.sent[way].len())
}

#[test]
fn a_bit_that_is_changed_anywhere_changes_nothing_that_arrives() {
    for way in 0..2 {
        let (_, ended, len) = conversation(way, |_, _| {});
        assert!(ended);
        let harmless = (0..len).filter(|place| {
            let (_, ended, _) = conversation(way, |at, flight| {
                if let Some(byte) = place.checked_sub(at).and_then(|offset| flight.get_mut(offset)) {
                    *byte ^= 1 << (place % 8);
                }
            });
            ended
        });
        // Versions in the heads of records that are not encrypted yet, which nobody looks at (RFC 8446, section 5.1).
        assert!(harmless.count() <= 8, "way {way}");
    }
}

#[test]
fn a_conversation_that_is_cut_anywhere_has_no_end() {
    for way in 0..2 {
        let (_, _, len) = conversation(way, |_, _| {});
        for place in 0..len {
            let (_, ended, _) = conversation(way, |at, flight| flight.truncate(place.saturating_sub(at)));
            assert!(!ended, "way {way}, cut at {place} of {len}");
        }
    }
}

#[test]
fn it_does_not_matter_how_bytes_are_cut() {
    let mut wire = Wire::honest();
    wire.client.advance().unwrap();
    for _ in 0..3 {
        for way in 0..2 {
            let (from, to) = if way == 0 {
                (&mut wire.client, &mut wire.server)
            } else {
                (&mut wire.server, &mut wire.client)
            };
            let flight = from.out().rest().to_vec();
            from.out().sent(flight.len());
            flight.iter().for_each(|byte| to.receive(&[*byte]).unwrap());
        }
    }
    assert_eq!(wire.is_open(), (true, true));
}

#[test]
fn an_end_right_after_the_first_flight_is_no_end_of_a_conversation() {
    const CLOSE_NOTIFY: [u8; 7] = [0x15, 3, 3, 0, 2, 1, 0];
    let mut wire = Wire::honest();
    wire.client.advance().unwrap();
    let hello = wire.client.out().rest().to_vec();
    let _ = wire.server.receive(&[&hello[..], &CLOSE_NOTIFY].concat());
    assert!(!wire.server.is_open() && plain(&mut wire.server).is_empty());
    let _ = wire.client.receive(&CLOSE_NOTIFY);
    assert!(!wire.client.is_open() && plain(&mut wire.client).is_empty());
}

#[test]
fn a_handshake_without_end_is_given_up_at_its_limit() {
    // A ClientHello that announces 60,000 bytes, in records of 1,000.
    let mut server = Wire::honest().server;
    let record =
        |content: &[u8]| [&[0x16, 3, 1][..], &(content.len() as u16).to_be_bytes(), content].concat();
    let mut given = 0;
    let mut next = record(&[&[1, 0, 0xea, 0x60][..], &[0; 996]].concat());
    let error = loop {
        match server.receive(&next) {
            Ok(()) => given += next.len(),
            Err(error) => break error,
        }
        assert!(given <= HANDSHAKE_LIMIT + next.len(), "it takes {given} bytes");
        next = record(&[0; 1000]);
    };
    assert_eq!(error, TlsError::TooLong);
    assert!(server.incoming.len() <= HANDSHAKE_LIMIT + next.len());
}

#[test]
fn new_keys_under_way_change_nothing_and_asking_for_them_without_end_costs_nothing() {
    let mut wire = Wire::honest();
    wire.shake();
    for round in 0..1000 {
        let Connection::Client(connection) = &mut wire.client.connection else { panic!() };
        let state = connection.process_tls_records(&mut []).state.unwrap();
        let ConnectionState::WriteTraffic(traffic) = state else { panic!() };
        traffic.refresh_traffic_keys().unwrap();
        wire.client.encrypt(b"x").unwrap();
        let flight = wire.client.out().rest().to_vec();
        wire.client.out().sent(flight.len());
        wire.server.receive(&flight).unwrap();
        assert_eq!(plain(&mut wire.server), b"x", "round {round}");
    }
    assert!(wire.server.out().rest().len() < 200, "each is answered, but only when something is said");
    wire.server.encrypt(b"back").unwrap();
    wire.shake();
    assert_eq!(plain(&mut wire.client), b"back");
}

#[test]
fn a_record_counts_as_held_until_its_last_byte_has_gone() {
    let mut wire = Wire::honest();
    wire.shake();
    for len in [100, 1, 1000] {
        wire.client.encrypt(&vec![7; len]).unwrap();
    }
    let all = wire.client.out().rest().len();
    assert_eq!((wire.client.held(), all), (1101, 1101 + 3 * OVERHEAD));
    wire.client.out().sent(100 + OVERHEAD - 1);
    assert_eq!(wire.client.held(), 1101);
    wire.client.out().wait();
    wire.client.out().sent(1);
    assert_eq!(wire.client.held(), 1001);
    wire.client.out().sent(1 + OVERHEAD + 1000);
    assert_eq!(wire.client.held(), 1000);
    wire.client.out().sent(OVERHEAD);
    assert_eq!((wire.client.held(), wire.client.out().rest().len()), (0, 0));
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
