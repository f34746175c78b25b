//! `datagram`: plain connections at both ends, and datagrams in between, exactly as the format
//! says.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;
use striper_tests::{
    LIMIT, Origin, Pattern, Proxy, Vacant, connect, expect_fin, expect_reset, expect_reset_at,
    finish, flush, loopbacks, reset,
};

const UP: Pattern = Pattern(1);
const DOWN: Pattern = Pattern(2);

/// One side, in front of this target.
fn side(side: &str, target: SocketAddr, options: &[&str]) -> Proxy {
    let listen = SocketAddr::new(target.ip(), 0).to_string();
    Proxy::start(&[&["datagram", side, &listen, &target.to_string()], options].concat())
}

/// Both sides, in front of an origin.
struct Chain {
    origin: Origin,
    server: Proxy,
    client: Proxy,
}

impl Chain {
    fn on(address: IpAddr) -> Chain {
        let origin = Origin::on(address);
        let server = side("-s", origin.addr(), &[]);
        let client = side("-c", server.addr(), &[]);
        Chain { origin, server, client }
    }

    fn new() -> Chain {
        Chain::on(loopbacks()[0])
    }

    fn connect(&self) -> (TcpStream, TcpStream) {
        (connect(self.client.addr()), self.origin.accept())
    }
}

/// Moves data both ways at once between two ends.
fn both_ways(client: &TcpStream, server: &TcpStream, size: u64) {
    thread::scope(|scope| {
        for (mut stream, sends, expects) in [(client, UP, DOWN), (server, DOWN, UP)] {
            scope.spawn(move || sends.send(&mut stream, 0..size));
            scope.spawn(move || expects.expect(&mut stream, 0..size));
        }
    });
}

#[test]
fn data_passes_both_ways_and_each_half_ends_for_itself() {
    for address in loopbacks() {
        let chain = Chain::on(address);
        let (mut client, mut server) = chain.connect();
        both_ways(&client, &server, 20_000_000);
        finish(&client);
        expect_fin(&mut server);
        DOWN.send(&mut server, 0..100_000);
        finish(&server);
        DOWN.expect_all(&mut client, 0..100_000);
        let (mut client, mut server) = chain.connect();
        finish(&server);
        expect_fin(&mut client);
        UP.send(&mut client, 0..100_000);
        finish(&client);
        UP.expect_all(&mut server, 0..100_000);
        for proxy in [&chain.client, &chain.server] {
            let ends = proxy.wait_for_some("both ends", 2, |event| event.is("connection_ended"));
            assert!(ends.iter().all(|end| end.text("end") == "finished"), "{ends:?}");
            let passed =
                [&ends[0], &ends[1]].map(|end| (end.number("sent"), end.number("received")));
            assert_eq!(passed, [(20_000_000, 20_100_000), (100_000, 0)]);
        }
    }
}

#[test]
fn many_connections_at_once_keep_their_data_apart() {
    const COUNT: u64 = 200;
    let chain = Chain::new();
    let pairs: Vec<(TcpStream, TcpStream)> = (0..COUNT).map(|_| chain.connect()).collect();
    thread::scope(|scope| {
        for (seed, (client, server)) in (1..).zip(&pairs) {
            scope.spawn(move || Pattern(seed).send(&mut &*client, 0..100_000 + seed));
            scope.spawn(move || Pattern(seed).expect(&mut &*server, 0..100_000 + seed));
        }
    });
    for (client, mut server) in pairs {
        finish(&client);
        expect_fin(&mut server);
    }
    for proxy in [&chain.client, &chain.server] {
        proxy.wait_for_some("all ends", COUNT as usize, |event| event.is("connection_ended"));
    }
}

#[test]
fn connect_may_be_one_word_or_two() {
    let origin = Origin::start();
    let (ip, port) = (origin.addr().ip().to_string(), origin.addr().port().to_string());
    let server = Proxy::start(&["datagram", "-s", "127.0.0.1:0", &ip, &port]);
    let port = server.addr().port().to_string();
    let client = Proxy::start(&["datagram", "-c", "127.0.0.1:0", &ip, &port]);
    for proxy in [&side("-c", server.addr(), &[]), &client] {
        both_ways(&connect(proxy.addr()), &origin.accept(), 1000);
    }
}

/// Reads exactly these bytes.
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
fn what_the_client_side_sends_is_the_format_and_no_more() {
    let peer = Origin::start();
    let proxy = side("-c", peer.addr(), &[]);
    let (mut client, mut far) = (connect(proxy.addr()), peer.accept());
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
fn the_server_side_takes_the_format_byte_for_byte() {
    let origin = Origin::start();
    let proxy = side("-s", origin.addr(), &[]);
    let (mut near, mut server) = (connect(proxy.addr()), origin.accept());
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
    let proxy = side("-s", origin.addr(), &[]);
    let (mut near, mut server) = (connect(proxy.addr()), origin.accept());
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

#[test]
fn resets_pass_on_as_resets_after_the_data() {
    for address in loopbacks() {
        let chain = Chain::on(address);
        let (mut client, mut server) = chain.connect();
        UP.send(&mut client, 0..100_000);
        flush(&client);
        reset(client);
        let got = expect_reset(&mut server);
        assert_eq!(got.len(), 100_000);
        UP.check(0, &got);
        let (mut client, mut server) = chain.connect();
        DOWN.send(&mut server, 0..100_000);
        flush(&server);
        reset(server);
        let got = expect_reset(&mut client);
        assert_eq!(got.len(), 100_000);
        DOWN.check(0, &got);
    }
}

#[test]
fn a_refused_target_is_a_reset_at_the_other_end_and_nothing_more() {
    let target = Vacant::reserve();
    let server = side("-s", target.addr(), &[]);
    let client = side("-c", server.addr(), &[]);
    expect_reset_at(client.addr());
    assert_eq!(server.wait_for("connection_refused").text("error"), "connection refused");
    let vacant = Vacant::reserve();
    let alone = side("-c", vacant.addr(), &[]);
    expect_reset_at(alone.addr());
    let refused = alone.wait_for("connection_refused");
    assert_eq!((refused.text("error"), refused.text("level")), ("connection refused", "warn"));
    let origin = target.listen();
    both_ways(&connect(client.addr()), &origin.accept(), 1000);
}

/// The chain and one of its sides, which is to be stopped: first the one, then the other.
fn stopped(options: &[&str], mut stop: impl FnMut(&mut Proxy, TcpStream, TcpStream)) {
    for second in [false, true] {
        let origin = Origin::start();
        let mut server = side("-s", origin.addr(), options);
        let mut client = side("-c", server.addr(), options);
        let (near, far) = (connect(client.addr()), origin.accept());
        both_ways(&near, &far, 1000);
        stop(if second { &mut server } else { &mut client }, near, far);
    }
}

#[test]
fn a_stopped_side_lets_connections_finish() {
    stopped(&["--drain-timeout", "10m"], |proxy, mut near, mut far| {
        proxy.terminate();
        proxy.wait_for("stopping");
        both_ways(&near, &far, 1_000_000);
        finish(&near);
        expect_fin(&mut far);
        finish(&far);
        expect_fin(&mut near);
        assert_eq!(proxy.exit_code(), Some(0));
    });
}

#[test]
fn a_stopped_side_resets_connections_that_outlast_its_patience() {
    stopped(&["--drain-timeout", "200ms"], |proxy, mut near, mut far| {
        proxy.terminate();
        assert_eq!(proxy.exit_code(), Some(7));
        expect_reset(&mut near);
        expect_reset(&mut far);
    });
    stopped(&["--drain-timeout", "10m"], |proxy, mut near, mut far| {
        proxy.terminate();
        proxy.wait_for("stopping");
        proxy.terminate();
        assert_eq!(proxy.exit_code(), Some(143));
        expect_reset(&mut near);
        expect_reset(&mut far);
    });
}

/// Something that is no datagram.
struct Garbage {
    said: &'static [u8],
    /// The end of the stream comes after that.
    ends: bool,
    /// What of it is payload.
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

/// Says each of these on `bad`, and sees that `good` gets what is payload and then a reset, that
/// the log tells why, and that another connection does not notice.
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
        let told = proxy.wait_for_any(error, |event| event.text("error").contains(error));
        assert_eq!(
            (told.name(), told.text("level"), told.text("end")),
            ("connection_ended", "warn", "reset"),
            "{told}"
        );
        assert!(
            told.text("message").contains(error) && told.text("message").contains(advice),
            "{told}"
        );
        // In datagrams of one hundred bytes, whichever side takes them.
        let (bad, good) = &mut others;
        bad.write_all(&[100]).unwrap();
        UP.send(bad, said.clone());
        UP.expect(good, said.clone());
        said = said.end..said.end + 100;
    }
    assert_eq!(proxy.count("connection_ended"), GARBAGE.len());
}

#[test]
fn a_plain_client_at_the_server_side_is_told_apart_and_reset() {
    let origin = Origin::start();
    let proxy = side("-s", origin.addr(), &[]);
    let advice =
        "does the program that connected speak datagrams, as striper-cli datagram -c does?";
    garbage(&proxy, advice, || (connect(proxy.addr()), origin.accept()));
}

#[test]
fn a_plain_server_at_the_client_side_is_told_apart_and_reset() {
    let origin = Origin::start();
    let proxy = side("-c", origin.addr(), &[]);
    let advice =
        format!("does {} speak datagrams, as striper-cli datagram -s does?", origin.addr());
    garbage(&proxy, &advice, || {
        let client = connect(proxy.addr());
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

/// Of everything between the two ends, only the system's buffers may fill.
#[test]
fn a_reader_that_stops_costs_little_memory_however_much_is_sent() {
    const SIZE: u64 = 100_000_000;
    const MOST: u64 = 16 << 20;
    let chain = Chain::new();
    for upward in [true, false] {
        let (client, server) = chain.connect();
        let (mut from, mut to) = if upward { (client, server) } else { (server, client) };
        let sent = send_until_stuck(UP, &from, SIZE);
        assert!(sent < SIZE, "{sent} bytes that nobody reads were taken");
        for proxy in [&chain.client, &chain.server] {
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
        for proxy in [&chain.client, &chain.server] {
            assert!(proxy.memory().1 <= MOST, "{} KiB", proxy.memory().1 >> 10);
        }
    }
}
