//! Two sessions, one stripe and one flow: what each side is given, and what it gives back.

use striper_core::{Config, Handshake, Input, Instant, Output, Role, Session, SessionId, StripeId};

/// Runs it, and checks that the server hears of the flow.
pub fn main() {
    let now = Instant::from_micros(1);
    let id = SessionId([7; 16]);
    let mut client = Session::new(Role::Client, id, Config::default(), now);
    let mut server = Session::new(Role::Server { instance: 1 }, id, Config::default(), now);

    // One stripe: each side reads what the other says first.
    let stripe = StripeId(0);
    let (from_client, from_server) = (client.hello(stripe).encode(), server.hello(stripe).encode());
    let (hello, _) = Handshake::new().feed(from_client).unwrap().unwrap();
    server.handle(now, Input::StripeUp { stripe, hello }, &mut Vec::new());
    let (hello, _) = Handshake::new().feed(from_server).unwrap().unwrap();
    let mut out = Vec::new();
    client.handle(now, Input::StripeUp { stripe, hello }, &mut out);

    // A flow: its OPEN goes out at once.
    client.handle(now, Input::FlowOpen { request: 1, opaque: "target".into() }, &mut out);
    let mut incoming = Vec::new();
    for output in out {
        if let Output::Transmit { stripe, header, payload } = output {
            for data in [header, payload] {
                server.handle(now, Input::StripeBytes { stripe, data }, &mut incoming);
            }
        }
    }
    assert!(
        incoming.iter().any(
            |output| matches!(output, Output::FlowIncoming { opaque, .. } if opaque == "target")
        )
    );
}
