//! Two engines and a hostile wire. rustls draws random numbers: properties hold for any draw.

use super::*;
use crate::tls::keys::{Key, Keys, Role, public_of};
use crate::tls::settings::forge;
use rustls::CipherSuite;

const CLIENT: usize = 0;
const SERVER: usize = 1;

pub(super) fn keys(digit: char) -> Keys {
    let line = format!("striper-shared-key:{}", digit.to_string().repeat(64));
    Keys::shared("k", line.parse::<Key>().unwrap()).unwrap()
}

/// One end, the records that it says after the handshake before it finishes, and its fate.
struct Side {
    engine: Engine,
    says: Vec<Vec<u8>>,
    spoke: bool,
    heard: Vec<u8>,
    error: Option<TlsError>,
    was_open: bool,
    flights: usize,
}

impl Side {
    fn new(engine: Engine, mark: u8) -> Side {
        let says = (0..4).map(|at| vec![mark + at; 5 + usize::from(at)]).collect();
        let (spoke, heard, error, was_open, flights) = (false, Vec::new(), None, false, 0);
        Side { engine, says, spoke, heard, error, was_open, flights }
    }

    fn hear(&mut self, chunk: &[u8]) {
        if self.error.is_some() || self.engine.has_ended() {
            return;
        }
        let received = self.engine.receive(chunk);
        self.after(received);
    }

    fn after(&mut self, result: Result<(), TlsError>) {
        match result {
            Err(error) => self.error = Some(error),
            Ok(()) => {
                self.was_open |= self.engine.is_open();
                while let Some(plain) = self.engine.take_plain(3) {
                    self.heard.extend_from_slice(&plain);
                }
            }
        }
    }

    fn speak(&mut self) -> Vec<u8> {
        if !self.spoke && self.error.is_none() && self.engine.is_open() {
            self.spoke = true;
            for record in &self.says {
                self.engine.encrypt(record).unwrap();
            }
            self.engine.finish().unwrap();
        }
        let out = drain(&mut self.engine);
        self.flights += usize::from(!out.is_empty());
        out
    }

    fn has_all_of(&self, other: &Side) -> bool {
        self.error.is_none() && self.engine.has_ended() && self.heard == other.says.concat()
    }
}

pub(super) fn drain(engine: &mut Engine) -> Vec<u8> {
    let out = engine.out().rest().to_vec();
    engine.out().sent(out.len());
    out
}

/// Lets two talk over a wire. The wire is given each side's bytes and returns those that arrive.
fn talk(
    client: &ClientTls,
    server: &ServerTls,
    mut wire: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>>,
) -> [Side; 2] {
    let client = Engine::client(client).unwrap();
    let server = Engine::server(server).unwrap();
    let mut sides = [Side::new(client, b'a'), Side::new(server, b'A')];
    let first = sides[CLIENT].engine.advance();
    sides[CLIENT].after(first);
    for _ in 0..16 {
        let mut quiet = true;
        for from in [CLIENT, SERVER] {
            let bytes = sides[from].speak();
            if !bytes.is_empty() {
                quiet = false;
                for chunk in wire(from, bytes) {
                    sides[1 - from].hear(&chunk);
                }
            }
        }
        if quiet {
            return sides;
        }
    }
    panic!("they talk for ever");
}

/// With the same key on both sides.
fn talk_honestly(wire: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>>) -> [Side; 2] {
    talk(&ClientTls::new(&keys('1')), &ServerTls::new(&keys('1')), wire)
}

fn straight(_from: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
    vec![bytes]
}

/// This holds whatever the wire does: only sent bytes arrive, and the end comes after all of them.
fn assert_never_fooled(sides: &[Side; 2], what: &str) {
    for at in [CLIENT, SERVER] {
        let (side, other) = (&sides[at], sides[1 - at].says.concat());
        assert!(other.starts_with(&side.heard), "{what}: side {at} heard {:?}", side.heard);
        if side.engine.has_ended() && side.error.is_none() {
            assert_eq!(side.heard, other, "{what}: side {at} was told an end too early");
        }
    }
}

fn assert_nobody_in(client: &ClientTls, server: &ServerTls) -> [Side; 2] {
    let sides = talk(client, server, straight);
    assert!(!sides[SERVER].was_open, "the server let it in");
    for side in &sides {
        assert_eq!(side.heard, b"");
        assert!(side.error.is_some());
    }
    sides
}

fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let len = 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        records.push(bytes[..len].to_vec());
        bytes = &bytes[len..];
    }
    records
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
    Keys::new(vec![("own".into(), own)], vec![("peer".into(), public_of(&[peer; 32]))]).unwrap()
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

#[test]
fn an_echo_of_our_own_bytes_is_refused() {
    let mut client = Engine::client(&ClientTls::new(&keys('1'))).unwrap();
    client.advance().unwrap();
    let hello = drain(&mut client);
    assert!(client.receive(&hello).is_err());

    let mut pair = open_pair();
    pair[0].encrypt(b"to you").unwrap();
    let said = drain(&mut pair[0]);
    assert!(pair[0].receive(&said).is_err());
    assert_eq!(pair[0].take_plain(9), None);
}

/// Two engines after the handshake, with nothing on the way.
pub(super) fn open_pair() -> [Engine; 2] {
    open_pair_of(&ClientTls::new(&keys('1')), &ServerTls::new(&keys('1')))
}

pub(super) fn open_pair_of(client: &ClientTls, server: &ServerTls) -> [Engine; 2] {
    let mut client = Engine::client(client).unwrap();
    let mut server = Engine::server(server).unwrap();
    client.advance().unwrap();
    server.receive(&drain(&mut client)).unwrap();
    client.receive(&drain(&mut server)).unwrap();
    server.receive(&drain(&mut client)).unwrap();
    assert!(client.is_open() && server.is_open());
    [client, server]
}

impl Engine {
    pub(super) fn refresh(&mut self) {
        fn refresh<D>(state: ConnectionState<'_, '_, D>) {
            let ConnectionState::WriteTraffic(traffic) = state else { panic!("not open") };
            traffic.refresh_traffic_keys().unwrap();
        }
        match &mut self.connection {
            Connection::Client(client) => {
                refresh(client.process_tls_records(&mut []).state.unwrap())
            }
            Connection::Server(server) => {
                refresh(server.process_tls_records(&mut []).state.unwrap())
            }
        }
    }
}

#[test]
fn a_recording_played_again_gives_nothing() {
    let mut recorded = Vec::new();
    let sides = talk_honestly(|from, bytes| {
        if from == CLIENT {
            recorded.extend_from_slice(&bytes);
        }
        vec![bytes]
    });
    assert!(sides[SERVER].has_all_of(&sides[CLIENT]));
    let records = records(&recorded);
    // Whole, and with any number of records left out behind the hello.
    for skipped in 0..records.len() {
        let mut server = Engine::server(&ServerTls::new(&keys('1'))).unwrap();
        assert_eq!(server.receive(&records[0]), Ok(()));
        let result = records[1 + skipped..].iter().try_for_each(|record| server.receive(record));
        assert!(!server.is_open() && server.take_plain(1).is_none() && !server.has_ended());
        assert!(result.is_err() || skipped + 1 == records.len(), "{skipped} records left out");
    }
}

#[test]
fn records_lost_doubled_or_swapped_end_the_connection() {
    let mut count = 0;
    talk_honestly(|from, bytes| {
        count += if from == CLIENT { records(&bytes).len() } else { 0 };
        vec![bytes]
    });
    assert!(count >= 8, "{count} records");
    for at in 0..count {
        for what in ["lost", "doubled", "swapped"] {
            let (mut seen, mut encrypted) = (0, false);
            let sides = talk_honestly(|from, bytes| {
                if from == SERVER {
                    return vec![bytes];
                }
                let mut records = records(&bytes);
                let first = seen;
                seen += records.len();
                if (first..seen).contains(&at) {
                    let at = at - first;
                    encrypted = records[at][0] == 23;
                    match what {
                        "lost" => drop(records.remove(at)),
                        "doubled" => records.insert(at, records[at].clone()),
                        _ if at + 1 < records.len() => records.swap(at, at + 1),
                        _ => encrypted = false,
                    }
                }
                records
            });
            let told = format!("record {at} {what}");
            assert_never_fooled(&sides, &told);
            // Bytes that are doubled behind the end are not looked at.
            if encrypted && !(what == "doubled" && at + 1 == count) {
                assert!(!sides[SERVER].has_all_of(&sides[CLIENT]), "{told}: nobody noticed");
            }
        }
    }
}

#[test]
fn records_of_another_connection_are_refused() {
    let [mut client, _] = open_pair();
    let [_, mut server] = open_pair();
    client.encrypt(b"not for you").unwrap();
    assert!(server.receive(&drain(&mut client)).is_err());
    assert_eq!(server.take_plain(99), None);
    assert_eq!(records(&drain(&mut server)).len(), 1, "it says why, once");
}

#[test]
fn a_bit_changed_anywhere_fools_nobody() {
    for liar in [CLIENT, SERVER] {
        let (mut at, mut unharmed) = (0, 0);
        loop {
            let (mut passed, mut head) = (0, false);
            let sides = talk_honestly(|from, mut bytes| {
                if from == liar {
                    if (passed..passed + bytes.len()).contains(&at) {
                        head = in_head(&bytes, at - passed);
                        bytes[at - passed] ^= 1 << (at % 8);
                    }
                    passed += bytes.len();
                }
                vec![bytes]
            });
            if at >= passed {
                break;
            }
            let told = format!("byte {at} from side {liar}");
            assert_never_fooled(&sides, &told);
            if sides[1 - liar].has_all_of(&sides[liar]) {
                // RFC 8446, section 5.2: kind and version in a sealed record's head mean nothing.
                assert!(head || at < 6, "{told} was changed and nobody noticed");
                unharmed += 1;
            }
            at += 1;
        }
        assert!(at > 400 && unharmed < at / 8, "{unharmed} of {at}");
    }
}

/// Whether this is the kind or version in a record's head, or in a record for middleboxes only.
fn in_head(bytes: &[u8], mut at: usize) -> bool {
    for record in records(bytes) {
        if at < record.len() {
            return at < 3 || record[0] == 20;
        }
        at -= record.len();
    }
    false
}

#[test]
fn bytes_that_stop_anywhere_are_no_end() {
    for liar in [CLIENT, SERVER] {
        let mut limit = 0;
        loop {
            let mut passed = 0;
            let sides = talk_honestly(|from, mut bytes| {
                if from == liar {
                    let left = bytes.len().min(limit - passed.min(limit));
                    passed += bytes.len();
                    bytes.truncate(left);
                }
                vec![bytes]
            });
            if limit >= passed {
                assert!(sides[1 - liar].has_all_of(&sides[liar]));
                break;
            }
            let told = format!("{limit} bytes from side {liar}");
            assert_never_fooled(&sides, &told);
            assert!(!sides[1 - liar].engine.has_ended(), "{told}");
            limit += 1;
        }
        assert!(limit > 400);
    }
}

/// Damage of every kind at places that a seed chooses.
fn damage(seed: &mut u64, mut bytes: Vec<u8>) -> Vec<u8> {
    let mut draw = |below: usize| {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize % below.max(1)
    };
    let (at, len) = (draw(bytes.len()), 1 + draw(40));
    let end = bytes.len().min(at + len);
    match draw(6) {
        0 => drop(bytes.drain(at..end)),
        1 => drop(bytes.splice(at..at, vec![draw(256) as u8; len])),
        2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        3 => bytes[at..end].iter_mut().for_each(|byte| *byte = draw(256) as u8),
        4 => bytes[at..end].reverse(),
        _ => {}
    }
    bytes
}

#[test]
fn damage_of_any_kind_fools_nobody() {
    let mut whole = 0;
    for seed in 0..4000 {
        let mut state = seed;
        let sides = talk_honestly(|_, bytes| vec![damage(&mut state, bytes)]);
        assert_never_fooled(&sides, &format!("seed {seed}"));
        whole += u32::from(sides[SERVER].has_all_of(&sides[CLIENT]));
    }
    assert!(whole > 0, "nothing gets through");
}

#[test]
fn where_the_bytes_are_cut_makes_no_difference() {
    let cut = |at: usize| {
        let mut passed = [0; 2];
        let sides = talk_honestly(move |from, bytes| {
            let here = at.saturating_sub(passed[from]).min(bytes.len());
            passed[from] += bytes.len();
            vec![bytes[..here].to_vec(), bytes[here..].to_vec()]
        });
        assert!(sides[0].has_all_of(&sides[1]) && sides[1].has_all_of(&sides[0]), "cut at {at}");
    };
    (0..800).for_each(cut);
    let sides = talk_honestly(|_, bytes| bytes.iter().map(|byte| vec![*byte]).collect());
    assert!(sides[0].has_all_of(&sides[1]) && sides[1].has_all_of(&sides[0]));
}

#[test]
fn close_notify_in_place_of_the_handshake_is_no_end() {
    let close = vec![21, 3, 3, 0, 2, 1, 0];
    for from_side in [CLIENT, SERVER] {
        let sides = talk_honestly(|from, bytes| {
            if from != from_side {
                return vec![bytes];
            }
            // The client's hello is said first; the server says nothing else.
            if from == CLIENT {
                vec![records(&bytes)[0].clone(), close.clone()]
            } else {
                vec![close.clone()]
            }
        });
        let fooled = &sides[1 - from_side];
        assert!(!fooled.was_open && fooled.heard.is_empty());
        assert!(!fooled.engine.has_ended() || fooled.error.is_some());
    }
}

#[test]
fn a_hello_that_never_ends_is_given_up_at_the_limit() {
    // A handshake message that claims 64 KiB, in records of one byte.
    let mut server = Engine::server(&ServerTls::new(&keys('1'))).unwrap();
    let message = [&[1, 0, 0xff, 0xff][..], &vec![0; 0xffff]].concat();
    let bytes = message.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]);
    let is_taken = |byte: &u8| {
        let taken = server.receive(&[*byte]).is_ok();
        assert!(!taken || server.incoming.memory() <= (16 << 10) + 1);
        taken
    };
    let taken = bytes.take_while(is_taken).count();
    assert!(taken <= (16 << 10) + 1, "{taken} bytes");
    assert!(!server.is_open());
}

#[test]
fn a_record_over_the_limit_is_not_waited_for() {
    let [_, mut server] = open_pair();
    let bytes = [23, 3, 3, 0xff, 0xff].into_iter().chain(std::iter::repeat_n(0, 1 << 20));
    let taken = bytes.take_while(|byte| server.receive(&[*byte]).is_ok()).count();
    assert!(taken <= 5 + (16 << 10) + 256, "{taken} bytes are held");
}

#[test]
fn warnings_after_the_handshake_end_the_connection() {
    let [_, mut server] = open_pair();
    // In the clear they are forged.
    assert!(server.receive(&[21, 3, 3, 0, 2, 1, 90]).is_err());
}
