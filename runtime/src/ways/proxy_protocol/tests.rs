use super::*;
use quickcheck::quickcheck;

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses::new(source.parse().unwrap(), destination.parse().unwrap())
}

fn v4() -> Addresses {
    addresses("192.0.2.1:56324", "198.51.100.7:443")
}

fn v6() -> Addresses {
    addresses("[2001:db8::1]:1", "[2001:db8::ffff]:65535")
}

/// Version 2 with this command and family, and the block behind its length.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

/// Good headers, and the addresses that they name.
fn examples() -> Vec<(Vec<u8>, Option<Addresses>)> {
    let with_fields = [&v4().to_block()[..], &[4, 0, 3, 1, 2, 3, 0x20, 0, 0]].concat();
    let ours = [None, Some(v4()), Some(v6())].into_iter().flat_map(|addresses| {
        [Version::V1, Version::V2].map(|version| (write(version, addresses), addresses))
    });
    let others = [
        (&b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"[..], None),
        (b"PROXY UNKNOWN \xff\0\r \r\n", None),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 56324 443\r\n", Some(v4())),
        (b"PROXY TCP6 2001:DB8:0:0:0:0:0:1 2001:db8::FFFF 1 65535\r\n", Some(v6())),
        (&binary(0x21, 0x11, &with_fields), Some(v4())),
        (&binary(0x20, 0x00, &[]), None),
        (&binary(0x20, 0x11, &v4().to_block()), None),
        (&binary(0x20, 0xff, &[1; 50]), None),
        (&binary(0x21, 0x00, &[9; 7]), None),
        (&binary(0x21, 0x12, &v4().to_block()), None),
        (&binary(0x21, 0x31, &[b'/'; 216]), None),
        (&binary(0x21, 0x21, &[&v6().to_block()[..], &[0; MAX_BLOCK - 36]].concat()), Some(v6())),
    ];
    ours.chain(others.map(|(header, addresses)| (header.to_vec(), addresses))).collect()
}

/// Reads as a receiver does: never more than the header surely has.
fn receive(mut from: &[u8]) -> Result<(Vec<u8>, Found), HeaderError> {
    let mut input = Vec::new();
    loop {
        let found = read(&input)?;
        let Found::Part { missing } = found else { return Ok((input, found)) };
        assert!(missing > 0 && input.len() + missing <= HEAD + MAX_BLOCK, "{missing}");
        let Some((next, rest)) = from.split_at_checked(missing) else { return Ok((input, found)) };
        input.extend_from_slice(next);
        from = rest;
    }
}

/// The same end whether the bytes come one by one, as a receiver asks for them, or at once.
fn check(bytes: &[u8]) -> Result<Found, HeaderError> {
    let at_once = read(bytes);
    let one_by_one = (0..=bytes.len()).map(|len| read(&bytes[..len]));
    let mut ends = one_by_one.skip_while(|found| matches!(found, Ok(Found::Part { .. })));
    let whole = |found: &Result<Found, _>| match found {
        Ok(Found::Whole { .. }) => *found,
        Ok(Found::Part { .. }) => Ok(Found::Part { missing: 1 }),
        Err(_) => Err(HeaderError::Missing),
    };
    let first = ends.next().unwrap_or(Ok(Found::Part { missing: 1 }));
    assert_eq!(whole(&first), whole(&at_once), "{bytes:?}");
    assert!(ends.all(|later| whole(&later) == whole(&first)), "{bytes:?}");
    let received = receive(bytes);
    match (&received, &at_once) {
        (Ok((taken, found @ Found::Whole { used, .. })), Ok(whole)) => {
            assert_eq!((taken.len(), found), (*used, whole), "{bytes:?}");
        }
        (Ok((_, Found::Part { .. })), Ok(Found::Part { .. })) | (Err(_), Err(_)) => {}
        // The rest has not been asked for yet.
        (Ok((taken, Found::Part { .. })), Err(_)) => assert!(taken.len() < bytes.len()),
        _ => panic!("{bytes:?}: {received:?} and {at_once:?}"),
    }
    at_once
}

#[test]
fn headers_have_the_bytes_of_the_specification() {
    assert_eq!(write(Version::V1, None), b"PROXY UNKNOWN\r\n");
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
    assert_eq!(write(Version::V1, Some(v4())), line);
    let line = b"PROXY TCP6 2001:db8::1 2001:db8::ffff 1 65535\r\n";
    assert_eq!(write(Version::V1, Some(v6())), line);
    let unknown = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x00\x00\x00";
    assert_eq!(write(Version::V2, None), unknown);
    let bytes = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c\
                  \xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb";
    assert_eq!(write(Version::V2, Some(v4())), bytes);
}

#[test]
fn good_headers_cut_anywhere_end_behind_their_last_byte() {
    for (header, addresses) in examples() {
        let whole = Found::Whole { used: header.len(), addresses };
        for data in [&b""[..], b"data", b"\r\n", b"\n"] {
            let bytes = [&header[..], data].concat();
            assert_eq!(check(&bytes), Ok(whole), "{bytes:?}");
        }
        for cut in 0..header.len() {
            let Ok(Found::Part { missing }) = check(&header[..cut]) else { panic!("cut at {cut}") };
            assert!(cut + missing <= header.len(), "{missing} more at {cut} of {header:?}");
        }
    }
}

#[test]
fn headers_with_wrong_missing_and_more_bytes_end_alike_however_they_come() {
    const BAD: [u8; 12] = *b"\0\r\n\x01\x0c\x21 0:.P\xff";
    for (header, _) in examples().iter().filter(|(header, _)| header.len() < 300) {
        for (at, byte) in header.iter().enumerate() {
            let with = |middle: &[u8]| {
                let _ = check(&[&header[..at], middle, &header[at + 1..], b"data"].concat());
            };
            with(&[]);
            with(&[*byte, *byte]);
            BAD.iter().for_each(|bad| with(&[*bad]));
            with(&[byte ^ 1]);
        }
    }
}

#[test]
fn each_wrong_byte_of_the_fixed_part_is_refused() {
    let header = write(Version::V2, Some(v4()));
    // The length counts too: 256 bytes more are not there yet, and less is too short.
    for at in 0..HEAD {
        for wrong in (0..=u8::MAX).filter(|wrong| *wrong != header[at]) {
            let mut bytes = header.clone();
            bytes[at] = wrong;
            let is_taken = match (at, check(&bytes)) {
                (12, Ok(Found::Whole { addresses: None, .. })) => wrong == 0x20,
                (13, Ok(Found::Whole { addresses: None, .. })) => wrong & 0x0f <= 2,
                (13, Err(HeaderError::Malformed(_))) => {
                    wrong == 0x21 || wrong >> 4 > 3 || wrong & 0x0f > 2
                }
                (14, Ok(Found::Part { .. })) => usize::from(wrong) << 8 <= MAX_BLOCK,
                (15, Ok(Found::Part { .. })) => wrong > 12,
                (_, found) => found.is_err(),
            };
            assert!(is_taken, "{at}: {wrong:#04x}: {:?}", check(&bytes));
        }
    }
    for at in 0..b"PROXY TCP4 ".len() {
        let mut bytes = write(Version::V1, Some(v4()));
        bytes[at] ^= 1;
        assert!(check(&bytes).is_err(), "{at}");
    }
}

#[test]
fn malformed_lines_are_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_LINE - 16));
    assert!(matches!(check(long.as_bytes()), Ok(Found::Whole { used: MAX_LINE, .. })));
    let longer = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_LINE - 15));
    assert_eq!(check(longer.as_bytes()), Err(HeaderError::TooLong));
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 ::1 ::2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 01 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 \r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY TCP6 2001:db8::1::2 ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n        ",
        "proxy UNKNOWN\r\n",
        "GET / HTTP/1.1\r\n",
    ] {
        assert!(check(line.as_bytes()).is_err(), "{line:?}");
    }
}

#[test]
fn long_and_short_blocks_are_refused_before_they_come() {
    for (command, family, length, error) in [
        (0x21, 0x11, 11, HeaderError::Malformed("its length is too short for its addresses")),
        (0x21, 0x21, 35, HeaderError::Malformed("its length is too short for its addresses")),
        (0x21, 0x11, MAX_BLOCK + 1, HeaderError::TooLong),
        (0x20, 0x00, usize::from(u16::MAX), HeaderError::TooLong),
        (0x22, 0x11, 12, HeaderError::Malformed("its command is neither LOCAL nor PROXY")),
        (0x11, 0x11, 12, HeaderError::Malformed("its version is neither 1 nor 2")),
        (0x21, 0x41, 12, HeaderError::Malformed("its address family or transport has no meaning")),
        (0x21, 0x13, 12, HeaderError::Malformed("its address family or transport has no meaning")),
    ] {
        let header = binary(command, family, &vec![0; length]);
        assert_eq!(read(&header[..HEAD]), Err(error));
        assert!(error.to_string().starts_with("its PROXY header is"), "{error}");
    }
}

quickcheck! {
    fn headers_survive_both_versions(source: SocketAddr, destination: SocketAddr, tail: Vec<u8>)
    -> bool {
        let addresses = Some(Addresses::new(source, destination));
        [Version::V1, Version::V2].into_iter().all(|version| {
            let header = write(version, addresses);
            let bytes = [&header[..], &tail].concat();
            check(&bytes) == Ok(Found::Whole { used: header.len(), addresses })
        })
    }

    fn any_bytes_behind_any_beginning_end_alike_however_they_come(
        which: usize,
        at: usize,
        tail: Vec<u8>
    ) -> bool {
        let examples = examples();
        let (header, _) = &examples[which % examples.len()];
        let _ = check(&[&header[..at % (header.len() + 1)], &tail].concat());
        true
    }
}
