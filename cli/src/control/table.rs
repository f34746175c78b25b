//! The state of a proxy as text for a person.

use crate::printable::printable;
use crate::state::{
    Flow, Leg, Limit, Phase, Role, Session, SessionState, State, Stripe, StripeState,
};
use crate::units;
use std::fmt::Write;
use std::time::Duration;

/// One line: what it is, and where it listens.
pub(super) fn summary(state: &State) -> String {
    let State { role, pid, listening, servers, targets, .. } = state;
    let mut text = format!("{} {pid}", role_name(*role));
    if !listening.is_empty() {
        let _ = write!(text, ", listening on {}", listening.join(", "));
    }
    let there: Vec<&str> = servers.iter().chain(targets).map(String::as_str).collect();
    if !there.is_empty() {
        let _ = write!(text, ", connecting to {}", there.join(", "));
    }
    printable(&text)
}

pub(super) fn text(state: &State) -> String {
    let mut text = head(state);
    for session in &state.sessions {
        text.push('\n');
        of_session(session, &mut text);
    }
    if state.flows_left_out > 0 {
        let more = units::grouped(state.flows_left_out as u64);
        let _ = writeln!(text, "\n{more} more connections are not listed");
    }
    text
}

fn head(state: &State) -> String {
    let phase = match (state.state, state.drain_seconds) {
        (Phase::Ready, _) => "ready".to_owned(),
        (Phase::Draining, None) => "draining".to_owned(),
        (Phase::Draining, Some(left)) => format!("draining for {} at most", seconds(left)),
    };
    let mut text = format!(
        "{}\n  {phase}, up for {}, striper-cli {}\n",
        summary(state),
        seconds(state.uptime_seconds),
        printable(&state.version)
    );
    let connections = &state.connections;
    let _ = write!(
        text,
        "  {} open, {} so far",
        units::count(connections.open, "connection"),
        units::grouped(connections.begun)
    );
    if let Some(limit) = state.memory.limit_bytes {
        let used = state.memory.send_bytes + state.memory.receive_bytes;
        let _ = write!(text, "; memory {} of {}", units::bytes(used), units::bytes(limit));
    }
    text.push('\n');
    for (what, value) in [
        ("key", &state.key),
        ("new sessions are recorded to", &state.trace),
        ("the last dial failed:", &state.last_dial_error),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "  {what} {}", printable(value));
        }
    }
    for Leg { leg, sent_bytes, received_bytes, .. } in &state.legs {
        let [sent, received] = [*sent_bytes, *received_bytes].map(units::bytes);
        let _ = writeln!(text, "  {}: {sent} sent, {received} received", printable(leg));
    }
    text
}

fn of_session(session: &Session, text: &mut String) {
    let Session { peer, key, totals, stripes, flows, .. } = session;
    let _ = write!(text, "session {}", printable(&session.session));
    for (word, value) in [("with", peer), ("key", key)] {
        if let Some(value) = value {
            let _ = write!(text, " {word} {}", printable(value));
        }
    }
    let state = match (session.state, session.kept_for_seconds) {
        (SessionState::Up, _) => units::count(stripes.len(), "stripe"),
        (SessionState::Idle, _) => "no stripe".to_owned(),
        (SessionState::Stranded, Some(left)) => {
            format!("no stripe; its connections are kept for {}", seconds(left))
        }
        (SessionState::Stranded, None) => "no stripe for its connections".to_owned(),
    };
    let _ = writeln!(
        text,
        ": {state}\n  {} sent ({} again), {} received; {} lost, {} in doubt so far",
        units::bytes(totals.sent_bytes),
        units::bytes(totals.resent_bytes),
        units::bytes(totals.received_bytes),
        units::count(usize::try_from(totals.stripes_lost).unwrap_or(usize::MAX), "stripe"),
        totals.doubts,
    );
    if !stripes.is_empty() {
        let head =
            ["stripe", "peer", "state", "rtt", "rate", "in flight", "window", "limit", "tcp"];
        let mut stripes: Vec<&Stripe> = stripes.iter().collect();
        stripes.sort_by_key(|stripe| stripe.place);
        columns(head, stripes.into_iter().map(of_stripe), text);
    }
    if !flows.is_empty() {
        let head =
            ["connection", "from", "target", "age", "sent", "received", "sending", "receiving"];
        columns(head, flows.iter().map(of_flow), text);
    }
}

fn of_stripe(stripe: &Stripe) -> [String; 9] {
    let bytes = |value: Option<u64>| value.map_or("-".to_owned(), units::bytes);
    let state = match stripe.state {
        StripeState::Up => "up",
        StripeState::InDoubt => "in doubt",
    };
    let limit = match stripe.limit {
        Limit::Application => "application",
        Limit::Receiver => "receiver",
        Limit::Window => "window",
        Limit::Route => "route",
    };
    let resent = stripe.retransmitted.map(|share| format!("{} again", units::percent(share)));
    let tcp: Vec<String> = stripe.congestion_control.iter().cloned().chain(resent).collect();
    let rate = stripe.delivery_rate_bytes_per_second;
    [
        stripe.place.to_string(),
        stripe.peer.clone().unwrap_or("-".to_owned()),
        state.to_owned(),
        stripe.rtt_us.map_or("-".to_owned(), |rtt| units::duration(Duration::from_micros(rtt))),
        rate.map_or("-".to_owned(), |rate| units::rate(rate as f64)),
        units::bytes(stripe.in_flight_bytes),
        bytes(stripe.window_bytes),
        limit.to_owned(),
        if tcp.is_empty() { "-".to_owned() } else { tcp.join(", ") },
    ]
}

fn of_flow(flow: &Flow) -> [String; 8] {
    [
        flow.number.map_or("-".to_owned(), |number| number.to_string()),
        flow.from.clone().unwrap_or("-".to_owned()),
        flow.target.clone().unwrap_or("-".to_owned()),
        seconds(flow.age_seconds),
        units::bytes(flow.sent_bytes),
        units::bytes(flow.received_bytes),
        flow.waits_for.word().to_owned(),
        flow.receiving_waits_for.word().to_owned(),
    ]
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
        Role::Relay => "relay",
    }
}

fn seconds(seconds: f64) -> String {
    units::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Rows below their head, each column as wide as it must be. A person can read the last bytes of a
/// name that comes from a peer, but it can't change the terminal.
fn columns<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    text: &mut String,
) {
    let rows: Vec<[String; N]> = rows.map(|row| row.map(|cell| printable(&cell))).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let head = head.map(str::to_owned);
    for row in [&head].into_iter().chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "  {cell:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Waits;
    use crate::state::{Connections, Totals};

    fn state() -> State {
        let stripe = Stripe {
            place: 1,
            peer: Some("192.0.2.1:7650".into()),
            rtt_us: Some(20_000),
            delivery_rate_bytes_per_second: Some(1_250_000),
            in_flight_bytes: 40_000,
            limit: Limit::Route,
            congestion_control: Some("bbr".into()),
            retransmitted: Some(0.012),
            ..Stripe::default()
        };
        let flow = Flow {
            number: Some(7),
            from: Some("127.0.0.1:5000".into()),
            target: Some("db\u{1b}[2J:80".into()),
            age_seconds: 12.0,
            sent_bytes: 1_500_000,
            waits_for: Waits::Credit,
            receiving_waits_for: Waits::Peer,
            ..Flow::default()
        };
        let session = Session {
            session: "abababab".into(),
            state: SessionState::Up,
            stripes: vec![stripe],
            flows: vec![flow],
            totals: Totals { sent_bytes: 1_500_000, stripes_lost: 1, ..Totals::default() },
            ..Session::default()
        };
        State {
            version: "1".into(),
            pid: 42,
            uptime_seconds: 90.0,
            listening: vec!["127.0.0.1:2222".into()],
            servers: vec!["there.example:7650".into()],
            connections: Connections { open: 1, begun: 1_234, cut: 0 },
            sessions: vec![session],
            flows_left_out: 2_000,
            ..State::default()
        }
    }

    #[test]
    fn a_person_sees_stripes_and_connections_in_columns() {
        let expected = "\
client 42, listening on 127.0.0.1:2222, connecting to there.example:7650
  ready, up for 1 min 30 s, striper-cli 1
  1 connection open, 1,234 so far

session abababab: 1 stripe
  1.50 MB sent (0 bytes again), 0 bytes received; 1 stripe lost, 0 in doubt so far
  stripe  peer            state  rtt      rate         in flight  window  limit  tcp
  1       192.0.2.1:7650  up     20.0 ms  10.0 Mbit/s  40.0 kB    -       route  bbr, 1.2% again
  connection  from            target          age     sent     received  sending  receiving
  7           127.0.0.1:5000  db\\u{1b}[2J:80  12.0 s  1.50 MB  0 bytes   credit   peer

2,000 more connections are not listed
";
        assert_eq!(text(&state()), expected);
    }

    #[test]
    fn a_proxy_that_drains_or_has_lost_its_peer_says_for_how_long() {
        let mut state = state();
        (state.state, state.drain_seconds) = (Phase::Draining, Some(9.0));
        let session = &mut state.sessions[0];
        session.stripes.clear();
        (session.state, session.kept_for_seconds) = (SessionState::Stranded, Some(50.0));
        let text = text(&state);
        assert!(text.contains("  draining for 9.00 s at most, up"), "{text}");
        assert!(
            text.contains("abababab: no stripe; its connections are kept for 50.0 s"),
            "{text}"
        );
    }
}
