//! `datagram`: plain connections at both ends, and between them datagrams of the exact format.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use striper_tests::{
    DOWN, LIMIT, Origin, Pattern, Proxy, UP, Way, expect_fin, expect_reset, finish, flush,
};

fn expect_bytes(from: &mut TcpStream, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    from.read_exact(&mut got).unwrap_or_else(|error| panic!("{error} instead of {expected:x?}"));
    assert_eq!(got, expected);
}

/// Reads a datagram as the format defines it, none at the end.
fn read_datagram(from: &mut impl Read) -> Option<Vec<u8>> {
    let (mut len, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        match from.read(&mut byte).expect("a length") {
            0 if shift == 0 => return None,
            count => assert_eq!(count, 1, "the end inside a length"),
        }
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            assert!(shift == 7 || byte[0] > 0, "a length that is longer than need be");
            break;
        }
        assert!(shift < 28, "a length of more than four bytes");
    }
    let mut payload = vec![0; len];
    from.read_exact(&mut payload).expect("a payload");
    Some(payload)
}

#[test]
fn the_client_side_sends_exactly_the_format() {
    let peer = Origin::start();
    let proxy = Proxy::datagram("-c", peer.addr(), &[]);
    let (mut client, mut far) = (proxy.connect(), peer.accept());
    // One at a time, because a stream may join what is written.
    for (len, head) in [
        (3, &[3][..]),
        (123, &[123]),
        (4, &[4]),
        (127, &[127]),
        (128, &[0x80, 1]),
        (300, &[0xac, 2]),
    ] {
        let payload = UP.bytes(0..len);
        client.write_all(&payload).unwrap();
        expect_bytes(&mut far, &[head, &payload].concat());
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            UP.send(&mut &client, 0..20_000_000);
            finish(&client);
        });
        let (mut at, mut from) = (0, std::io::BufReader::new(&far));
        while let Some(payload) = read_datagram(&mut from) {
            assert!((1..=512 << 10).contains(&payload.len()), "{} bytes", payload.len());
            UP.check(at, &payload);
            at += payload.len() as u64;
        }
        assert_eq!(at, 20_000_000);
    });
    // Joined, cut and with lengths that are longer than need be: only payload comes out.
    let parts: [&[u8]; 5] =
        [&[3, b'a', b'b', b'c', 0, 2, b'd'], b"e", &[0x82, 0x80], &[0x80, 0], b"fg"];
    for part in parts {
        far.write_all(part).unwrap();
        flush(&far);
    }
    finish(&far);
    expect_bytes(&mut client, b"abcdefg");
    expect_fin(&mut client);
}

#[test]
fn the_server_side_takes_the_format_in_any_pieces() {
    let origin = Origin::start();
    let proxy = Proxy::datagram("-s", origin.addr(), &[]);
    let (mut near, mut server) = (proxy.connect(), origin.accept());
    let large = 512 << 10;
    for (len, head) in
        [(3, &[3][..]), (123, &[123]), (4, &[4]), (300, &[0xac, 2]), (large, &[0x80, 0x80, 0x20])]
    {
        near.write_all(head).unwrap();
        UP.send(&mut near, 0..len);
        UP.expect(&mut server, 0..len);
    }
    for (len, head) in [(3, &[3][..]), (123, &[123]), (4, &[4]), (300, &[0xac, 2])] {
        let payload = DOWN.bytes(0..len);
        server.write_all(&payload).unwrap();
        expect_bytes(&mut near, &[head, &payload].concat());
    }
    for byte in [2, b'a', b'b', 0, 0x81, 0x00, b'c'] {
        near.write_all(&[byte]).unwrap();
        flush(&near);
    }
    finish(&near);
    expect_bytes(&mut server, b"abc");
    expect_fin(&mut server);
    finish(&server);
    expect_fin(&mut near);
}

/// A datagram is passed on when it is whole, and not before.
#[test]
fn half_a_datagram_waits_for_its_other_half() {
    let origin = Origin::start();
    let proxy = Proxy::datagram("-s", origin.addr(), &[]);
    let (mut near, mut server) = (proxy.connect(), origin.accept());
    near.write_all(&[1, b'a', 4, b'b', b'c']).unwrap();
    expect_bytes(&mut server, b"a");
    // The other way has been and come back since, so the half has been read.
    server.write_all(b"x").unwrap();
    expect_bytes(&mut near, &[1, b'x']);
    server.set_nonblocking(true).unwrap();
    assert!(server.read(&mut [0]).is_err());
    server.set_nonblocking(false).unwrap();
    near.write_all(b"de").unwrap();
    expect_bytes(&mut server, b"bcde");
}

struct Garbage {
    said: &'static [u8],
    /// The stream ends after that.
    ends: bool,
    /// The payload in it.
    passes: &'static [u8],
    error: &'static str,
}

const GARBAGE: [Garbage; 7] = [
    Garbage {
        said: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ends: true,
        passes: b"",
        error: "the stream ended inside a datagram, after 26 of 71 bytes; it began with \"GET / \
            HTTP/1.1\\r\\n\"",
    },
    Garbage {
        said: b"SSH-2.0-OpenSSH_9.9\r\n",
        ends: true,
        passes: b"",
        error: "the stream ended inside a datagram, after 20 of 83 bytes; it began with \
            \"SSH-2.0-OpenSSH_\"",
    },
    Garbage {
        said: &[0x81, 0x80, 0x20],
        ends: false,
        passes: b"",
        error: "a datagram of 524289 bytes is announced, but at most 524288 are taken",
    },
    Garbage {
        said: &[1, b'x', 0x80, 0x80, 0x80, 0x80, 0x01],
        ends: false,
        passes: b"x",
        error: "the length of a datagram has more than 4 bytes",
    },
    Garbage { said: &[0xff; 100], ends: false, passes: b"", error: "it began with \"\\xff\\xff" },
    Garbage {
        said: &[2, b'a', b'b', 0x85],
        ends: true,
        passes: b"ab",
        error: "the stream ended inside the length of a datagram; it began with \"\\x02ab\\x85\"",
    },
    Garbage {
        said: &[3, b'a', b'b', b'c', 5, b'd', b'e'],
        ends: true,
        passes: b"abc",
        error: "the stream ended inside a datagram, after 2 of 5 bytes; it began with \
            \"\\x03abc\\x05de\"",
    },
];

/// Sends each of these on `bad`. Then `good` gets the payload and a reset, and the log has the
/// cause. Another connection goes on.
fn garbage(proxy: &Proxy, advice: &str, mut open: impl FnMut() -> (TcpStream, TcpStream)) {
    let (mut others, mut said) = (open(), 0..100);
    for Garbage { said: bytes, ends, passes, error } in GARBAGE {
        let (mut bad, mut good) = open();
        bad.write_all(bytes).unwrap();
        if ends {
            finish(&bad);
        }
        assert_eq!(expect_reset(&mut good), passes, "{bytes:x?}");
        assert!(expect_reset(&mut bad).is_empty());
        let told = proxy.wait_for_any(error, |event| event.text("reason").contains(error));
        let fields = (told.name(), told.text("level"), told.text("end"));
        assert_eq!(fields, ("connection_ended", "warn", "reset"), "{told}");
        assert!([error, advice].iter().all(|part| told.text("message").contains(part)), "{told}");
        // One side takes this as datagrams of one hundred bytes.
        let (bad, good) = &mut others;
        bad.write_all(&[100]).unwrap();
        UP.send(bad, said.clone());
        UP.expect(good, said.clone());
        said = said.end..said.end + 100;
    }
    assert_eq!(proxy.count("connection_ended"), GARBAGE.len());
}

#[test]
fn bytes_that_are_no_datagrams_are_a_reset_with_a_cause() {
    let origin = Origin::start();
    let proxy = Proxy::datagram("-s", origin.addr(), &[]);
    let advice =
        "does the program that connected speak datagrams, as striper-cli datagram -c does?";
    garbage(&proxy, advice, || (proxy.connect(), origin.accept()));
    let proxy = Proxy::datagram("-c", origin.addr(), &[]);
    let advice =
        format!("does {} speak datagrams, as striper-cli datagram -s does?", origin.addr());
    garbage(&proxy, &advice, || {
        let client = proxy.connect();
        (origin.accept(), client)
    });
}

/// Sends until nothing more is taken for a while, and returns how much was.
fn send_until_stuck(pattern: Pattern, to: &TcpStream, most: u64) -> u64 {
    to.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
    let mut sent = 0;
    while sent < most {
        match (&mut &*to).write(&pattern.bytes(sent..most.min(sent + (64 << 10)))) {
            Ok(count) => sent += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error} after {sent}"),
        }
    }
    to.set_write_timeout(Some(LIMIT)).expect("a socket");
    sent
}

/// Between the two ends, only the system's buffers may fill.
#[test]
fn a_reader_that_stops_costs_little_memory() {
    const SIZE: u64 = 100_000_000;
    const MOST: u64 = 16 << 20;
    let origin = Origin::start();
    let proxies = Way::Datagrams.start(origin.addr(), &[]);
    for upward in [true, false] {
        let (client, server) = (proxies[1].connect(), origin.accept());
        let (mut from, mut to) = if upward { (client, server) } else { (server, client) };
        let sent = send_until_stuck(UP, &from, SIZE);
        assert!(sent < SIZE, "{sent} bytes that nobody reads were taken");
        for proxy in &proxies {
            let (_, peak) = proxy.memory();
            assert!(peak <= MOST, "{} KiB", peak >> 10);
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                UP.send(&mut &from, sent..SIZE);
                finish(&from);
            });
            UP.expect_all(&mut to, 0..SIZE);
        });
        finish(&to);
        expect_fin(&mut from);
        for proxy in &proxies {
            assert!(proxy.memory().1 <= MOST, "{} KiB", proxy.memory().1 >> 10);
        }
    }
}
