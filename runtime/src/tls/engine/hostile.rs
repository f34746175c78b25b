//! Two engines and a hostile wire. rustls draws random numbers: properties hold for any draw.

use super::talk::{CLIENT, SERVER, Side, drain, keys, open_pair, talk_honestly};
use super::*;

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
