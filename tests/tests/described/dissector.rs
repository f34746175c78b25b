//! Wireshark's dissector of the stripe protocol, docs/striper.lua, run by tshark.

use bytes::Bytes;
use std::net::SocketAddr;
use striper_core::testing::bytes;
use striper_core::wire::deframer::Deframer;
use striper_core::wire::frame::Frame;
use striper_core::wire::varint;
use striper_core::{FlowId, Hello, HelloKind, Refusal, SessionId, StripeId};
use striper_runtime::{Addresses, HostPort, Opening, Target};
use striper_tests::capture::{End, Said, capture};
use striper_tests::listed::keygen;
use striper_tests::tshark::Tshark;
use striper_tests::{
    Origin, Pattern, Proxy, Route, TempDir, Vacant, connect, exchange, expect_reset, reset,
};

/// The filter for what breaks the protocol.
const BROKEN: &str = "striper.malformed || _ws.malformed";

/// The messages of a connection, as their texts in the list of packets.
fn messages(tshark: &Tshark, said: Said) -> Vec<String> {
    let text = tshark.read(&capture(&[said]), &["-Y", "striper"]);
    text.replace(", ", "\n").lines().map(|line| line.trim().to_owned()).collect()
}

/// The fields of each packet behind the HELLOs, as `name=value`.
fn fields(tshark: &Tshark, said: Said) -> Vec<String> {
    let mut options = vec!["-Y", "striper.type", "-T", "fields"];
    FIELDS.iter().for_each(|name| options.extend(["-e", name]));
    let text = tshark.read(&capture(&[said]), &options);
    let line = |line: &str| {
        let fields = FIELDS.iter().zip(line.split('\t')).filter(|(_, value)| !value.is_empty());
        let fields = fields.map(|(name, value)| format!("{}={value}", &name["striper.".len()..]));
        fields.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect()
}

/// Fields whose values the tests look at.
const FIELDS: [&str; 31] = [
    "striper.flow",
    "striper.offset",
    "striper.flags",
    "striper.reason",
    "striper.final_offset",
    "striper.early",
    "striper.credit",
    "striper.limit",
    "striper.flows",
    "striper.stripe",
    "striper.count",
    "striper.received",
    "striper.nonce",
    "striper.close",
    "striper.payload",
    "striper.unknown",
    "striper.open.option",
    "striper.option_value",
    "striper.target.host",
    "striper.target.port",
    "striper.target.path",
    "striper.program.source",
    "striper.program.source6",
    "striper.program.source_port",
    "striper.program.destination",
    "striper.program.destination6",
    "striper.program.destination_port",
    "striper.listener",
    "striper.listen.address",
    "striper.listen.address6",
    "striper.listen.port",
];

/// The lines of the worked example in PROTOCOL.md: who says the bytes, and what they mean.
fn example() -> (Said, Vec<String>) {
    let text = include_str!("../../../PROTOCOL.md");
    let (_, block) = text.split_once("```hex\n").expect("an example");
    let (block, _) = block.split_once("```").expect("its end");
    let (mut said, mut meanings) = (Said::new(), Vec::new());
    for line in block.lines() {
        let (digits, meaning) = line.split_once(';').expect("a meaning");
        let mut words = digits.split_whitespace().peekable();
        if let Some(end) = words.next_if(|word| ["C", "S"].contains(word)) {
            said.push((if end == "C" { End::Client } else { End::Server }, Vec::new()));
            meanings.push(meaning.trim().to_owned());
        }
        let (_, bytes) = said.last_mut().expect("an end");
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).expect("two hex digits")));
    }
    (said, meanings)
}

fn hello(kind: HelloKind) -> Vec<u8> {
    let (session, stripe) = (SessionId([5; 16]), StripeId(3));
    Hello { kind, session, stripe, gone: vec![(StripeId(1), 300)] }.encode().to_vec()
}

/// A stripe whose client says these frames, a packet each, behind the HELLOs.
fn stripe(frames: impl IntoIterator<Item = Vec<u8>>) -> Said {
    let accept = HelloKind::Accept { instance: 9 };
    let hellos = [(End::Client, hello(HelloKind::Create)), (End::Server, hello(accept))];
    hellos.into_iter().chain(frames.into_iter().map(|frame| (End::Client, frame))).collect()
}

#[test]
fn the_worked_example_is_dissected_as_it_is_described() {
    let Some(tshark) = Tshark::find() else { return };
    let (said, meanings) = example();
    let dissected = messages(&tshark, said);
    // "HELLO create, stripe 0" has a comma of its own.
    let messages: Vec<_> = dissected.iter().filter(|text| !text.starts_with("stripe")).collect();
    assert_eq!(messages.len(), meanings.len(), "{messages:?}");
    for (message, meaning) in messages.iter().zip(&meanings) {
        let name = |text: &str| text.split([' ', ':', ',']).next().unwrap_or_default().to_owned();
        assert_eq!(name(message), name(meaning), "{message} is {meaning}");
    }
}

#[test]
fn a_stripe_is_dissected_alike_however_packets_cut_it() {
    let Some(tshark) = Tshark::find() else { return };
    let (said, _) = example();
    let whole = messages(&tshark, said.clone());
    let mut merged = Said::new();
    for (end, bytes) in said.clone() {
        match merged.last_mut() {
            Some((last, earlier)) if *last == end => earlier.extend(bytes),
            _ => merged.push((end, bytes)),
        }
    }
    // Wireshark's heuristics look at the first packet of an end alone, which has the magic here.
    let cut = |(end, bytes): (End, Vec<u8>)| {
        let first = if bytes.starts_with(b"striper") { 8 } else { 1 };
        let (first, rest) = bytes.split_at(first);
        let parts = [first].into_iter().chain(rest.chunks(1));
        parts.map(|part| (end, part.to_vec())).collect::<Said>()
    };
    assert_eq!(messages(&tshark, merged), whole);
    assert_eq!(messages(&tshark, said.into_iter().flat_map(cut).collect()), whole);
}

#[test]
fn hellos_have_their_fields() {
    let Some(tshark) = Tshark::find() else { return };
    let names = ["hello", "session", "stripe", "instance", "refusal", "received"];
    let names = names.map(|field| format!("striper.{field}"));
    let mut options = vec!["-Y", "striper.magic", "-T", "fields", "-E", "separator=/s"];
    names.iter().for_each(|name| options.extend(["-e", name]));
    let session = "05".repeat(16);
    for (kind, expected) in [
        (HelloKind::Create, format!("0 {session} 3,1   300\n")),
        (HelloKind::Join, format!("1 {session} 3,1   300\n")),
        (HelloKind::Accept { instance: 9 }, format!("2 {session} 3,1 0x0000000000000009  300\n")),
        (HelloKind::Refuse(Refusal::Draining), format!("3 {session} 3,1  4 300\n")),
    ] {
        let said = vec![(End::Client, hello(kind))];
        assert_eq!(tshark.read(&capture(&[said]), &options), expected);
    }
}

/// One frame of each kind, and its fields.
fn frames() -> Vec<(Vec<u8>, &'static str)> {
    let (flow, most) = (FlowId(300), varint::MAX);
    let opaque = Opening::from(Target::Host(HostPort::new("example.org", 443))).encode();
    let counts = vec![(StripeId(1), 2), (StripeId(128), most)];
    let frames = [
        (
            Frame::Open { flow, early: 5, credit: 6, opaque },
            &b"\x01\x02"[..],
            "flow=300 early=5 credit=6 payload=0102 open.option=1 target.host=example.org \
             target.port=443",
        ),
        (Frame::Accept { flow }, b"", "flow=300"),
        (Frame::Refuse { flow, reason: 5 }, b"", "flow=300 reason=5"),
        (
            Frame::Data { flow, offset: most - 1, fin: true },
            b"\x03",
            "flow=300 offset=4611686018427387902 flags=1 payload=03",
        ),
        (
            Frame::Reset { flow, reason: 1, final_offset: 7 },
            b"",
            "flow=300 reason=1 final_offset=7",
        ),
        (Frame::Credit { flow, limit: 1 << 53 }, b"", "flow=300 limit=9007199254740992"),
        (Frame::Grant { flows: 8, early: 9 }, b"", "early=9 flows=8"),
        (Frame::Ack { counts }, b"", "stripe=1,128 count=2,4611686018427387903"),
        (Frame::StripeGone { stripe: StripeId(2), received: 10 }, b"", "stripe=2 received=10"),
        (Frame::Ping { nonce: 11 }, b"", "nonce=11"),
        (Frame::Pong { nonce: 12 }, b"", "nonce=12"),
        (Frame::Drain, b"", ""),
        (Frame::Close { code: 2 }, b"", "close=2"),
        (Frame::Blocked { flow, limit: 13 }, b"", "flow=300 limit=13"),
    ];
    let mut all: Vec<_> = frames
        .iter()
        .map(|(frame, payload, text)| (bytes(frame, payload).to_vec(), *text))
        .collect();
    all.push((b"\x03\x1cab".to_vec(), "unknown=6162"));
    all
}

#[test]
fn each_kind_of_frame_has_its_fields() {
    let Some(tshark) = Tshark::find() else { return };
    let (frames, expected): (Vec<_>, Vec<_>) = frames().into_iter().unzip();
    assert_eq!(fields(&tshark, stripe(frames)), expected);
}

#[test]
fn the_opaque_field_of_an_open_is_dissected() {
    let Some(tshark) = Tshark::find() else { return };
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let listen = |address| Opening::from(Target::Listen { number: 300, address: at(address) });
    let program = |from, to| Opening::default().of_program(Addresses::new(at(from), at(to)));
    let (opaque, expected): (Vec<Bytes>, Vec<&str>) = [
        (Opening::default().encode(), ""),
        (Opening::from(Target::Unix("/run/x".into())).encode(), "3 target.path=/run/x"),
        (listen("127.0.0.1:80").encode(), "5 listener=300 listen.address=127.0.0.1 listen.port=80"),
        (listen("[::1]:81").encode(), "5 listener=300 listen.address6=::1 listen.port=81"),
        (Opening::from(Target::Listener(7)).encode(), "7 listener=7"),
        (
            program("192.0.2.1:5", "192.0.2.2:6").encode(),
            "2 program.source=192.0.2.1 program.source_port=5 program.destination=192.0.2.2 \
             program.destination_port=6",
        ),
        (
            program("[2001:db8::1]:5", "[2001:db8::2]:6").encode(),
            "2 program.source6=2001:db8::1 program.source_port=5 \
             program.destination6=2001:db8::2 program.destination_port=6",
        ),
        (Bytes::from_static(b"\x08\x01z"), "8 option_value=7a"),
        // The acceptor refuses the flows of the last three.
        (Bytes::from_static(b"\x09\x00"), "9"),
        (Bytes::from_static(b"\x02\x01z"), "2"),
        (Bytes::from_static(b"\x01\x02\x00\x50"), "1 target.port=80"),
    ]
    .into_iter()
    .unzip();
    let open = |(number, opaque): (u64, &Bytes)| {
        let (flow, opaque) = (FlowId(2 * number + 1), opaque.clone());
        bytes(&Frame::Open { flow, early: 0, credit: 0, opaque }, b"").to_vec()
    };
    let said = stripe((0..).zip(&opaque).map(open));
    let dissected = fields(&tshark, said.clone());
    let options = ["-Y", "striper.open.malformed", "-T", "fields", "-e", "striper.flow"];
    let refused = tshark.read(&capture(&[said]), &options);
    let refused: Vec<u64> = refused.lines().map(|flow| flow.parse().unwrap()).collect();
    assert_eq!(dissected.len(), expected.len(), "{dissected:?}");
    let all = (0..).map(|number| 2 * number + 1).zip(dissected.iter().zip(&expected).zip(&opaque));
    for (flow, ((line, expected), field)) in all {
        let option = if expected.is_empty() { "" } else { " open.option=" };
        assert_eq!(*line, format!("flow={flow} early=0 credit=0{option}{expected}"));
        assert_eq!(refused.contains(&flow), Opening::decode(field).is_err(), "{line}");
    }
}

#[test]
fn what_breaks_the_protocol_has_expert_information() {
    let Some(tshark) = Tshark::find() else { return };
    let long = |kind: u8| [&[0x81, 0x08, kind, 1][..], &[0; 1023]].concat();
    let far = [&b"\x0d\x07\x01\xff\xff\xff\xff\xff\xff\xff\xff\x3f\x00"[..], b"x"].concat();
    let broken: [(&str, Vec<u8>); 14] = [
        ("a message without a body", b"\x00".to_vec()),
        ("longer than allowed", b"\x81\x80\x08".to_vec()),
        ("too long for a frame without payload", long(0x13)),
        ("not in its shortest form", b"\x82\x00\x13\x01".to_vec()),
        ("not in its shortest form", b"\x03\x13\x81\x00".to_vec()),
        ("beyond 2^62 - 1", b"\x0a\x13\xff\xff\xff\xff\xff\xff\xff\xff\x40".to_vec()),
        ("longer than its frame", b"\x01\x13".to_vec()),
        ("bytes behind its fields", b"\x03\x13\x01\x01".to_vec()),
        ("unknown critical frame", b"\x02\x1b\x01".to_vec()),
        ("unknown flags", b"\x05\x07\x01\x00\x02x".to_vec()),
        ("DATA without bytes and FIN", b"\x04\x07\x01\x00\x00".to_vec()),
        ("offset beyond", far),
        ("opaque field over 512", b"\x06\x01\x01\x00\x00\x81\x04".to_vec()),
        ("longer than its frame", b"\x01\x0f".to_vec()),
    ];
    for (text, frame) in broken {
        assert!(Deframer::new().next(&mut frame.clone().into()).is_err(), "{text}: {frame:x?}");
        let said = stripe([frame.clone()]);
        let all = tshark.read(&capture(&[said]), &["-Y", "striper.malformed", "-V"]);
        assert!(all.contains(text), "{text}: {frame:x?}\n{all}");
    }
    let bad_hellos = [
        ("unknown kind", [&b"striper\x01\x12\x04"[..], &[0; 17]].concat()),
        ("longer than allowed", b"striper\x01\x81\x80\x01".to_vec()),
        ("unknown critical option", [&b"striper\x01\x14\x00"[..], &[0; 17], b"\x03\x00"].concat()),
        ("longer than its frame", [&b"striper\x01\x11\x00"[..], &[0; 16]].concat()),
    ];
    for (text, hello) in bad_hellos {
        let said = vec![(End::Client, hello.clone())];
        let all = tshark.read(&capture(&[said]), &["-Y", "striper.malformed", "-V"]);
        assert!(all.contains(text), "{text}: {hello:x?}\n{all}");
    }
}

/// Whether an engine takes these bytes for frames.
fn is_sound(bytes: &[u8]) -> bool {
    let (mut deframer, mut bytes) = (Deframer::new(), Bytes::copy_from_slice(bytes));
    loop {
        match deframer.next(&mut bytes) {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

#[test]
fn hostile_bytes_cause_no_error_and_are_judged_as_the_engine_judges_them() {
    let Some(tshark) = Tshark::find() else { return };
    let frames: Vec<u8> = frames().into_iter().flat_map(|(frame, _)| frame).collect();
    // Each stripe has some of its bytes changed, and the changes follow from its number.
    let changed = |number: u64| {
        let (mut bytes, random) = (frames.clone(), Pattern(number).bytes(0..12));
        for change in random.chunks(3).take(1 + usize::from(random[0] % 4)) {
            let at = usize::from(change[0]) % bytes.len();
            bytes[at] = if change[1] % 2 == 0 { change[2] } else { bytes[at].wrapping_add(1) };
        }
        bytes
    };
    let stripes: Vec<Vec<u8>> = (0..400).map(changed).collect();
    let said: Vec<Said> = stripes.iter().map(|bytes| stripe([bytes.clone()])).collect();
    let options = ["-Y", BROKEN, "-T", "fields", "-e", "tcp.stream"];
    let broken = tshark.read(&capture(&said), &options);
    let broken: Vec<usize> = broken.lines().map(|line| line.parse().unwrap()).collect();
    for (number, bytes) in stripes.iter().enumerate() {
        // A frame whose end is missing is not dissected, so the engine may know more.
        assert!(!broken.contains(&number) || !is_sound(bytes), "stripe {number}: {bytes:x?}");
    }
    let unsound = stripes.iter().filter(|bytes| !is_sound(bytes)).count();
    assert!(broken.len() * 10 > unsound * 8, "{} of {unsound}", broken.len());
    assert!((50..350).contains(&unsound), "{unsound}");
    // All trees are built.
    tshark.read(&capture(&said), &["-V"]);
}

#[test]
fn bytes_of_another_protocol_are_left_alone() {
    let Some(tshark) = Tshark::find() else { return };
    let others = [&b"GET / HTTP/1.1\r\n\r\n"[..], b"strip", b"\x00\x01\x02", b"striped shirts"];
    let said: Vec<Said> = others.iter().map(|other| vec![(End::Client, other.to_vec())]).collect();
    assert_eq!(tshark.read(&capture(&said), &["-Y", "striper"]), "");
}

/// The names of all frames in a capture, each once.
fn kinds(tshark: &Tshark, capture: &[u8], options: &[&str]) -> Vec<String> {
    let text = tshark.read(capture, &[options, &["-Y", "striper.type"]].concat());
    let words = text.split(|c: char| c == ',' || c.is_whitespace());
    let names = words.filter(|word| word.len() > 2 && is_name(word));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// A real pair, over a route that records it: connections of all kinds, and a stripe that breaks.
fn recorded(options: [&[&str]; 2]) -> Vec<u8> {
    let (route, origin, vacant) = (Route::recording(), Origin::start(), Vacant::reserve());
    let (target, nobody) = (origin.addr().to_string(), vacant.addr().to_string());
    let allowed = ["server", "127.0.0.1:0", &target, "--allow", &nobody];
    let server = Proxy::start(&[&allowed, options[1]].concat());
    route.lead_to(server.addr());
    let forwards = ["-L", "127.0.0.1:0", "-L", &format!("127.0.0.1:0:{nobody}")];
    let address = route.addr().to_string();
    let mut client = Proxy::start(&[&["client", &address], &forwards[..], options[0]].concat());
    client.wait_for_all_stripes();
    let ready = client.wait_for("ready");
    let doors: Vec<SocketAddr> =
        ready.text("listen").split(", ").map(|door| door.parse().unwrap()).collect();
    let (local, mut far) = (connect(doors[0]), origin.accept());
    exchange(&local, &far, 0..2_000_000);
    route.reset_one();
    client.wait_for_some("stripe_up", 5);
    expect_reset(&mut connect(doors[1]));
    reset(local);
    expect_reset(&mut far);
    client.stop();
    capture(&route.recorded())
}

const ALL_BUT_BLOCKED: [&str; 13] = [
    "ACCEPT",
    "ACK",
    "CLOSE",
    "CREDIT",
    "DATA",
    "DRAIN",
    "GRANT",
    "OPEN",
    "PING",
    "PONG",
    "REFUSE",
    "RESET",
    "STRIPE_GONE",
];

#[test]
fn the_stripes_of_a_real_pair_are_dissected_from_their_beginning_to_their_end() {
    let Some(tshark) = Tshark::find() else { return };
    let capture = recorded([&[], &[]]);
    assert_eq!(tshark.read(&capture, &["-Y", BROKEN]), "");
    let mut kinds = kinds(&tshark, &capture, &[]);
    kinds.retain(|kind| !["FIN", "HELLO", "BLOCKED"].contains(&&**kind));
    assert_eq!(kinds, ALL_BUT_BLOCKED);
    let payload = tshark.read(&capture, &["-T", "fields", "-e", "striper.payload"]);
    let digits = payload.chars().filter(char::is_ascii_hexdigit).count();
    assert!(digits >= 2 * 2 * 2_000_000, "{digits} digits");
}

#[test]
fn the_stripes_of_a_keyed_pair_are_decrypted_by_the_secrets_of_either_side() {
    let Some(tshark) = Tshark::find() else { return };
    let folder = TempDir::create();
    let (key, [ours, theirs]) =
        (keygen(&folder, "site.key", &[]), ["ours", "theirs"].map(|name| folder.text(name)));
    let options = [&ours, &theirs].map(|file| ["-k", &key, "--tls-key-log", file]);
    let capture = recorded([&options[0], &options[1]]);
    assert_eq!(kinds(&tshark, &capture, &[]), [""; 0], "nothing can be read without the secrets");
    for secrets in [ours, theirs] {
        let secrets = format!("tls.keylog_file:{secrets}");
        let mut kinds = kinds(&tshark, &capture, &["-o", &secrets]);
        kinds.retain(|kind| !["FIN", "HELLO", "BLOCKED"].contains(&&**kind));
        assert_eq!(kinds, ALL_BUT_BLOCKED);
        assert_eq!(tshark.read(&capture, &["-o", &secrets, "-Y", BROKEN]), "");
    }
}
