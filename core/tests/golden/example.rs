//! The worked example of PROTOCOL.md is what two sessions say to each other, byte by byte.

use bytes::Bytes;
use std::time::Duration;
use striper_core::testing::{Endpoint, Habits, Keep, bytes};
use striper_core::wire::frame::Frame;
use striper_core::{
    Config, EndReason, FlowId, Handshake, Input, Instant, Output, Role, Session, SessionId,
    StripeId,
};

const STRIPE: StripeId = StripeId(0);
const FLOW: FlowId = FlowId(1);
/// Option 1 (host and port): port 443, example.org.
const TARGET: &[u8] = b"\x01\x0d\x01\xbbexample.org";

#[derive(Debug)]
pub struct Line {
    pub client: bool,
    pub bytes: Vec<u8>,
    name: String,
}

/// The `hex` block of PROTOCOL.md: lines of `C` or `S`, the bytes, `;` and their meaning.
pub fn example() -> Vec<Line> {
    let text = include_str!("../../../PROTOCOL.md");
    let (_, block) = text.split_once("```hex\n").expect("an example");
    let (block, _) = block.split_once("```").expect("its end");
    let mut lines: Vec<Line> = Vec::new();
    for line in block.lines() {
        let (bytes, name) = line.split_once(';').unwrap_or((line, ""));
        let mut words = bytes.split_whitespace().peekable();
        if let Some(who) = words.next_if(|word| matches!(*word, "C" | "S")) {
            let name = name.trim().to_owned();
            lines.push(Line { client: who == "C", bytes: Vec::new(), name });
        }
        let last = lines.last_mut().expect("a line begins with C or S");
        last.bytes.extend(words.map(|word| u8::from_str_radix(word, 16).expect("two hex digits")));
    }
    lines
}

struct Side {
    end: Endpoint,
    said: Vec<Vec<u8>>,
    told: Vec<Output>,
}

impl Side {
    fn new(role: Role) -> Self {
        let id = SessionId(core::array::from_fn(|at| at as u8));
        let session = Session::new(role, id, Config::default(), Instant::ZERO);
        let end = Endpoint::new(session, Keep::Flows);
        Side { end, said: Vec::new(), told: Vec::new() }
    }

    fn give(&mut self, millis: u64, input: Input) {
        let now = Instant::ZERO + Duration::from_millis(millis);
        let habits = Habits { consumes: false, ..Habits::default() };
        for output in self.end.run(now, input, habits) {
            match output {
                Output::Transmit { header, payload, .. } => {
                    self.said.push([header, payload].concat());
                }
                other => self.told.push(other),
            }
        }
    }

    fn greet(&mut self) -> Vec<u8> {
        let bytes = self.end.session.hello(STRIPE).encode().to_vec();
        self.said.push(bytes.clone());
        bytes
    }

    fn hear(&mut self, hello: &[u8]) {
        let heard = Handshake::new().feed(Bytes::copy_from_slice(hello));
        let (hello, rest) = heard.expect("a HELLO").expect("a whole HELLO");
        assert!(rest.is_empty());
        self.give(0, Input::StripeUp { stripe: STRIPE, hello });
    }

    /// Hears the bytes that the other side has said and this one has not heard yet.
    fn listen(&mut self, millis: u64, other: &Side, from: &mut usize) {
        let data = Bytes::from(other.said[*from..].concat());
        *from = other.said.len();
        self.give(millis, Input::StripeBytes { stripe: STRIPE, data });
    }
}

fn exchange() -> (Side, Side) {
    let (mut client, mut server) =
        (Side::new(Role::Client), Side::new(Role::Server { instance: 0x1112_1314_1516_1718 }));
    client.give(0, Input::FlowOpen { request: 0, opaque: Bytes::from_static(TARGET) });
    client.give(0, Input::FlowData { flow: FLOW, data: Bytes::from_static(b"hi") });
    client.give(0, Input::FlowFinish { flow: FLOW });
    let create = client.greet();
    let accept = server.greet();
    server.hear(&create);
    client.hear(&accept);
    let (mut heard_of_client, mut heard_of_server) = (1, 1);
    server.listen(0, &client, &mut heard_of_client);
    server.give(0, Input::FlowAccept { flow: FLOW });
    server.give(0, Input::FlowConsumed { flow: FLOW, total: 2 });
    server.give(0, Input::FlowData { flow: FLOW, data: Bytes::from_static(b"yo") });
    server.give(0, Input::FlowFinish { flow: FLOW });
    client.listen(1, &server, &mut heard_of_server);
    client.give(1, Input::FlowConsumed { flow: FLOW, total: 2 });
    server.listen(2, &client, &mut heard_of_client);
    server.give(5, Input::Tick);
    client.listen(6, &server, &mut heard_of_server);
    client.give(6, Input::Tick);
    server.listen(7, &client, &mut heard_of_client);
    client.give(8, Input::Shutdown);
    server.listen(9, &client, &mut heard_of_client);
    (client, server)
}

#[test]
fn two_sessions_say_the_worked_example() {
    let (client, server) = exchange();
    for (said, is_client) in [(client.said, true), (server.said, false)] {
        let lines: Vec<_> = example().into_iter().filter(|line| line.client == is_client).collect();
        for (said, line) in said.iter().zip(&lines) {
            assert_eq!(hex(said), hex(&line.bytes), "{}", line.name);
        }
        assert_eq!(said.len(), lines.len());
    }
}

#[test]
fn the_worked_example_is_heard_as_it_is_described() {
    let (client, server) = exchange();
    let data = |data: &'static [u8]| Output::FlowData { flow: FLOW, data: data.into() };
    let ended = |reason| [Output::FlowEnded { flow: FLOW }, Output::Ended { reason }];
    let is_other = |told: &Output| {
        use Output::{CloseStripe, StripePace, StripesWanted};
        !matches!(told, StripesWanted { .. } | CloseStripe { .. } | StripePace { .. })
    };
    let flow_events = |side: Side| -> Vec<Output> {
        side.told.into_iter().filter(|told| is_other(told)).collect()
    };
    let mut expected = vec![
        Output::FlowOpened { request: 0, flow: FLOW },
        Output::FlowAccepted { flow: FLOW },
        data(b"yo"),
        Output::FlowFinished { flow: FLOW },
    ];
    expected.extend(ended(EndReason::Shutdown));
    assert_eq!(flow_events(client), expected);
    let mut expected = vec![
        Output::FlowIncoming { flow: FLOW, opaque: Bytes::from_static(TARGET) },
        data(b"hi"),
        Output::FlowFinished { flow: FLOW },
    ];
    expected.extend(ended(EndReason::PeerClosed));
    expected.insert(4, Output::Draining);
    assert_eq!(flow_events(server), expected);
}

#[test]
fn the_frames_of_the_worked_example_are_those_that_it_names() {
    let lines = example();
    let named = |name: &str, expected: Bytes| {
        let line = lines.iter().find(|line| line.name.starts_with(name)).expect(name);
        assert_eq!(hex(&line.bytes), hex(&expected), "{name}");
    };
    let opaque = Bytes::from_static(TARGET);
    let open = Frame::Open { flow: FLOW, early: 245_760, credit: 262_144, opaque };
    named("OPEN", bytes(&open, b"hi"));
    named("DATA \"yo\"", bytes(&Frame::Data { flow: FLOW, offset: 0, fin: false }, b"yo"));
    named("DATA FIN", bytes(&Frame::Data { flow: FLOW, offset: 2, fin: true }, b""));
    named("ACCEPT", bytes(&Frame::Accept { flow: FLOW }, b""));
    named("PING", bytes(&Frame::Ping { nonce: 1 }, b""));
    named("PONG", bytes(&Frame::Pong { nonce: 1 }, b""));
    named("DRAIN", bytes(&Frame::Drain, b""));
    named("CLOSE", bytes(&Frame::Close { code: 0 }, b""));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}
