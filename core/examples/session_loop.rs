//! A client and a server in one program. A flow is opened, used and finished, and the session ends.

use bytes::Bytes;
use striper_core::{
    Config, EndReason, FlowId, Handshake, Input, Instant, Output, Role, Session, SessionId,
    StripeId,
};

/// A session and its driver. A real one has sockets in place of `wire` and `received`.
struct Side {
    session: Session,
    /// Frame bytes that were written to the stripe.
    written: u64,
    /// Bytes on their way to the other side.
    wire: Vec<Bytes>,
    received: Vec<u8>,
    ended: Option<EndReason>,
}

impl Side {
    fn new(role: Role, now: Instant) -> Self {
        let session = Session::new(role, SessionId([7; 16]), Config::default(), now);
        Side { session, written: 0, wire: Vec::new(), received: Vec::new(), ended: None }
    }

    /// Gives the session an input and performs the outputs in order. Then it reports what became of
    /// them, which may bring more outputs.
    fn give(&mut self, now: Instant, input: Input) {
        let mut out = Vec::new();
        self.session.handle(now, input, &mut out);
        let mut reports = Vec::new();
        for output in out {
            match output {
                Output::Transmit { stripe, header, payload } => {
                    self.written += (header.len() + payload.len()) as u64;
                    self.wire.extend([header, payload]);
                    reports.push(Input::StripeWritten { stripe, total: self.written });
                }
                // The server connects to the target that `opaque` names, and says so.
                Output::FlowIncoming { flow, .. } => reports.push(Input::FlowAccept { flow }),
                Output::FlowData { flow, data } => {
                    self.received.extend_from_slice(&data);
                    let total = self.received.len() as u64;
                    reports.push(Input::FlowConsumed { flow, total });
                }
                Output::FlowFinished { flow } if self.session.role() != Role::Client => {
                    let data = Bytes::from("to the client");
                    reports.extend([Input::FlowData { flow, data }, Input::FlowFinish { flow }]);
                }
                Output::Ended { reason } => self.ended = Some(reason),
                // A real driver dials (`StripesWanted`), closes stripes and resets flows too.
                _ => {}
            }
        }
        reports.into_iter().for_each(|report| self.give(now, report));
    }
}

/// Runs both sides until the session has ended.
pub fn main() {
    let mut now = Instant::from_micros(0);
    let mut sides = [Role::Client, Role::Server { instance: 1 }].map(|role| Side::new(role, now));

    // A stripe comes up: each side reads the other's HELLO.
    let stripe = StripeId(0);
    let hellos = [0, 1].map(|side: usize| sides[side].session.hello(stripe).encode());
    for (side, bytes) in hellos.into_iter().rev().enumerate() {
        let (hello, _rest) = Handshake::new().feed(bytes).unwrap().expect("a whole HELLO");
        sides[side].give(now, Input::StripeUp { stripe, hello });
    }

    // The client's local program opens a flow. The answer, `FlowOpened`, has this id.
    let (client, flow) = (&mut sides[0], FlowId(1));
    client.give(now, Input::FlowOpen { request: 1, opaque: "target".into() });
    client.give(now, Input::FlowData { flow, data: "to the server".into() });
    client.give(now, Input::FlowFinish { flow });
    client.give(now, Input::Shutdown);

    while sides.iter().any(|side| side.ended.is_none()) {
        // Bytes that have come are read first.
        let wires = [0, 1].map(|side: usize| std::mem::take(&mut sides[side].wire));
        if wires.iter().any(|wire| !wire.is_empty()) {
            for (side, wire) in wires.into_iter().rev().enumerate() {
                for data in wire {
                    sides[side].give(now, Input::StripeBytes { stripe, data });
                }
            }
            continue;
        }
        // Then the driver sleeps until the first deadline, here by setting the clock.
        let deadlines = sides.iter().filter_map(|side| side.session.deadline());
        now = deadlines.map(|(at, _why)| at).min().expect("a session that waits has a deadline");
        sides.iter_mut().for_each(|side| side.give(now, Input::Tick));
    }
    let [client, server] = sides;
    assert_eq!(server.received, b"to the server");
    assert_eq!(client.received, b"to the client");
    assert_eq!(client.ended, Some(EndReason::Shutdown));
}
