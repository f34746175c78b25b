//! Processes as tests look at them.

use crate::state::{
    Connections, Flow, Leg, Limit, Limited, Memory, Phase, Role, Session, SessionState, State,
    Stripe, StripeState, Totals, Waits,
};

/// A client with load, at thirty looks.
pub(super) fn busy() -> Vec<State> {
    (0..30).map(client).collect()
}

/// How many bytes have been moved up to a look: at this rate, which comes and goes.
fn moved(look: u64, rate: u64, wave: u64) -> u64 {
    (0..look).map(|look| rate * (wave + look % wave) / wave).sum()
}

fn client(look: u64) -> State {
    let stripes = (1..=4).map(|place| stripe(look, place)).collect();
    let flows = vec![
        flow(look, 9, "rsync.example:873", 1_500_000, 40_000, Waits::Stripe, Waits::Peer),
        flow(look, 12, "web.example:443", 3_000, 2_100_000, Waits::Program, Waits::Peer),
        flow(look, 17, "[2001:db8::7]:22", 80, 120, Waits::Program, Waits::Program),
        flow(look, 23, "backup.example:9000", 0, 600_000, Waits::Peer, Waits::Order),
        flow(look, 31, "slow-reader.a-long-name.example:8080", 0, 0, Waits::Credit, Waits::Peer),
    ];
    let totals = Totals {
        flows: flows.len(),
        sent_bytes: moved(look, 1_503_080, 9),
        resent_bytes: 12_300 * look,
        received_bytes: moved(look, 2_740_120, 9),
        buffered_bytes: 3_100_000,
        reorder_bytes: 120_000,
        reorder_peak_bytes: 3_100_000,
        stripes_lost: 1,
        doubts: 2,
        ..Totals::default()
    };
    let session = Session {
        session: "7d21c0aa".to_owned(),
        peer: Some("203.0.113.5:7650".to_owned()),
        state: SessionState::Up,
        stripes,
        flows,
        totals,
        ..Session::default()
    };
    State {
        version: "0.1.0".to_owned(),
        role: Role::Client,
        pid: 4242,
        started: "2026-10-21T10:00:00Z".to_owned(),
        uptime_seconds: 7_980.5 + look as f64,
        listening: vec!["127.0.0.1:1080".to_owned()],
        servers: vec!["server.example:7650".to_owned()],
        connections: Connections { open: 5, begun: 31, cut: 0 },
        memory: Memory {
            send_bytes: 3_100_000,
            receive_bytes: 940_000,
            limit_bytes: Some(64_000_000),
        },
        sessions: vec![session],
        ..State::default()
    }
}

fn stripe(look: u64, place: usize) -> Stripe {
    let number = place as u64;
    let (limit, state, rtt) = match place {
        1 => (Limit::Route, StripeState::Up, 21_300),
        2 => (Limit::Window, StripeState::Up, 39_000),
        3 => (Limit::Route, StripeState::InDoubt, 210_000),
        _ => (Limit::Application, StripeState::Up, 20_900),
    };
    let mut limited = Limited { application_seconds: 3_000.0, ..Limited::default() };
    let held = look as f64;
    match limit {
        Limit::Route => limited.route_seconds = held,
        Limit::Window => limited.window_seconds = held,
        Limit::Application | Limit::Receiver => limited.application_seconds += held,
    }
    Stripe {
        stripe: number + 4,
        place,
        peer: Some("203.0.113.5:7650".to_owned()),
        state,
        rtt_us: Some(rtt),
        min_rtt_us: Some(20_400),
        delivery_rate_bytes_per_second: Some(1_300_000 / number),
        sent_bytes: moved(look, 800_000 / number, 3 + number),
        acknowledged_bytes: moved(look, 800_000 / number, 3 + number) / 2,
        received_bytes: moved(look, 1_200_000 / number, 6),
        in_flight_bytes: 64_000 / number,
        unsent_bytes: 9_000,
        window_bytes: (place < 4).then_some(128_000 / number),
        limit,
        limited,
        congestions: 1_204 * number,
        doubts: u64::from(place == 3) * 2,
        congestion_control: Some(if place == 3 { "bbr" } else { "cubic" }.to_owned()),
        retransmitted: Some(0.004 * number as f64),
        ..Stripe::default()
    }
}

fn flow(
    look: u64,
    number: u64,
    target: &str,
    up: u64,
    down: u64,
    waits_for: Waits,
    receiving_waits_for: Waits,
) -> Flow {
    let waits = |waits: Waits| [waits_for, receiving_waits_for].contains(&waits);
    Flow {
        flow: Some(number * 4),
        number: Some(number),
        target: Some(target.to_owned()),
        from: Some(format!("127.0.0.1:{}", 40_000 + number)),
        age_seconds: look as f64 + 7_000.0 / number as f64,
        sent_bytes: moved(look, up, 5),
        received_bytes: moved(look, down, 7),
        buffered_bytes: if up > 1_000 || waits(Waits::Credit) { 262_144 } else { 0 },
        waiting_bytes: 0,
        reorder_bytes: if waits(Waits::Order) { 120_000 } else { 0 },
        credit_bytes: if waits(Waits::Credit) { 0 } else { 1_048_576 },
        waits_for,
        receiving_waits_for,
    }
}

/// A server with two clients that it knows by their keys.
pub(super) fn server() -> Vec<State> {
    let look = |look| {
        let mut state = client(look);
        (state.role, state.servers) = (Role::Server, Vec::new());
        state.listening = vec!["0.0.0.0:7650".to_owned()];
        state.targets = vec!["localhost:22".to_owned()];
        let mut other = state.sessions[0].clone();
        other.session = "01ff42d3".to_owned();
        (state.sessions[0].key, other.key) = (Some("laptop".into()), Some("büro".into()));
        other.flows.truncate(2);
        other.flows[0].number = Some(40);
        other.flows[1].number = None;
        state.sessions.push(other);
        state.flows_left_out = 4_000;
        state
    };
    (0..3).map(look).collect()
}

/// The same address, another process.
pub(super) fn restarted() -> State {
    let mut state = client(0);
    (state.pid, state.uptime_seconds) = (5_000, 0.25);
    state.sessions[0].flows.truncate(1);
    state
}

/// A client that can't reach its server and stops.
pub(super) fn stranded() -> State {
    let mut state = client(1);
    (state.state, state.drain_seconds) = (Phase::Draining, Some(12.5));
    state.last_dial_error = Some("connection refused".to_owned());
    let session = &mut state.sessions[0];
    session.stripes.clear();
    (session.state, session.kept_for_seconds) = (SessionState::Stranded, Some(57.2));
    state
}

pub(super) fn relay() -> Vec<State> {
    let leg = |leg: &str, sent_bytes, received_bytes| Leg {
        leg: leg.to_owned(),
        sent_bytes,
        received_bytes,
        congestions: 1_204,
    };
    let look = |look| {
        let mut state = client(look);
        (state.role, state.servers) = (Role::Relay, Vec::new());
        state.targets = vec!["there.example:22".to_owned()];
        state.sessions.clear();
        let (up, down) = (moved(look, 40_000, 3), moved(look, 900_000, 5));
        state.legs = vec![leg("near", down, up), leg("far", up, down)];
        state
    };
    (0..9).map(look).collect()
}
