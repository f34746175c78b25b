//! `/metrics`, in Prometheus' text format. docs/METRICS.md explains each metric; a test compares.
//!
//! Labels are few: a session, a place of a stripe, a word of a short list. Flows have none.

mod text;

use crate::state::{Leg, Phase, Role, Session, SessionState, State, Stripe, StripeState};
use std::time::UNIX_EPOCH;
use text::Kind::{self, Counter, Gauge};
use text::Text;

/// The most sessions and stripes that have metrics of their own. A hostile client may have
/// thousands of stripes. Their metrics would take the time of the only thread.
const MOST: usize = 1024;

/// The name, the kind and the help of a metric, and its value. One without a value has no sample.
type Of<T> = (&'static str, Kind, &'static str, fn(&T) -> Option<f64>);
/// The same of a metric with labels of its own.
type Labelled = (&'static str, Kind, &'static str, fn(&State, &mut Text));

const PROCESS: &[Of<State>] = &[
    ("striper_start_time_seconds", Gauge, "When the process began, in Unix time.", |state| {
        let started = humantime::parse_rfc3339(&state.started).ok()?;
        Some(started.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
    }),
    ("striper_ready", Gauge, "1 if new connections are taken, 0 while it drains.", |state| {
        Some(f64::from(state.state == Phase::Ready))
    }),
    ("striper_connections", Gauge, "Open connections of local programs.", |state| {
        Some(state.connections.open as f64)
    }),
    ("striper_connections_begun_total", Counter, "Connections that began.", |state| {
        Some(state.connections.begun as f64)
    }),
    ("striper_sessions_begun_total", Counter, "Sessions that began.", |state| {
        Some(state.counts.sessions_begun as f64)
    }),
    ("striper_flows", Gauge, "Open flows of all sessions.", |state| {
        sum(state, 0, |session| session.totals.flows as u64)
    }),
    ("striper_stripes", Gauge, "Live stripes of all sessions.", |state| {
        sum(state, 0, |session| session.stripes.len() as u64)
    }),
    ("striper_stripes_begun_total", Counter, "Stripes that came up.", |state| {
        Some(state.counts.stripes_begun as f64)
    }),
    ("striper_stripes_lost_total", Counter, "Stripes that were lost.", |state| {
        sum(state, state.ended.stripes_lost, |session| session.totals.stripes_lost)
    }),
    ("striper_dials_failed_total", Counter, "Dials of the server that failed.", |state| {
        Some(state.counts.dials_failed as f64)
    }),
    ("striper_callers_refused_total", Counter, "Callers that were turned away.", |state| {
        Some(state.counts.callers_refused as f64)
    }),
    ("striper_payload_sent_bytes_total", Counter, "Data given to stripes first.", |state| {
        sum(state, state.ended.sent_bytes, |session| session.totals.sent_bytes)
    }),
    ("striper_payload_resent_bytes_total", Counter, "Data given to stripes again.", |state| {
        sum(state, state.ended.resent_bytes, |session| session.totals.resent_bytes)
    }),
    ("striper_payload_received_bytes_total", Counter, "Data given to local programs.", |state| {
        sum(state, state.ended.received_bytes, |session| session.totals.received_bytes)
    }),
    ("striper_memory_limit_bytes", Gauge, "The bound of each direction's memory.", |state| {
        state.memory.limit_bytes.map(|bytes| bytes as f64)
    }),
    ("striper_metrics_left_out", Gauge, "Sessions and stripes without metrics.", |state| {
        let [sessions, stripes] = [state.sessions.len(), stripes(state).count()];
        Some((sessions.saturating_sub(MOST) + stripes.saturating_sub(MOST)) as f64)
    }),
];

const LABELLED: &[Labelled] = &[
    (
        "striper_build_info",
        Gauge,
        "Is 1; its labels are facts about the program.",
        |state, text| {
            let commit = state.commit.as_deref().unwrap_or_default();
            let labels =
                [("version", &*state.version), ("commit", commit), ("role", role(state.role))];
            text.sample(&labels, 1.0);
        },
    ),
    ("striper_connections_ended_total", Counter, "Connections by their end.", |state, text| {
        let counts = &state.counts;
        for (end, count) in [
            ("finished", counts.connections_finished),
            ("reset", counts.connections_reset),
            ("failed", counts.connections_failed),
            ("given_up", counts.connections_given_up),
        ] {
            text.sample(&[("end", end)], count as f64);
        }
    }),
    ("striper_sessions", Gauge, "Sessions by their state.", |state, text| {
        use SessionState::{Idle, Stranded, Up};
        for (name, kind) in [("up", Up), ("idle", Idle), ("stranded", Stranded)] {
            let count = state.sessions.iter().filter(|session| session.state == kind).count();
            text.sample(&[("state", name)], count as f64);
        }
    }),
    ("striper_memory_bytes", Gauge, "Data of flows that waits here.", |state, text| {
        text.sample(&[("direction", "send")], state.memory.send_bytes as f64);
        text.sample(&[("direction", "receive")], state.memory.receive_bytes as f64);
    }),
    ("striper_leg_sent_bytes_total", Counter, "Relay: bytes sent to a side.", |state, text| {
        legs(state, text, |leg| leg.sent_bytes);
    }),
    ("striper_leg_received_bytes_total", Counter, "Relay: bytes from a side.", |state, text| {
        legs(state, text, |leg| leg.received_bytes);
    }),
    ("striper_leg_congestions_total", Counter, "Relay: congestions of a side.", |state, text| {
        legs(state, text, |leg| leg.congestions);
    }),
    ("striper_session_info", Gauge, "Is 1; its labels are facts.", |state, text| {
        for session in state.sessions.iter().take(MOST) {
            let key = session.key.as_deref().unwrap_or_default();
            let peer = session.peer.as_deref().unwrap_or_default();
            text.sample(&[("session", &session.session), ("key", key), ("peer", peer)], 1.0);
        }
    }),
    ("striper_stripe_limited_seconds_total", Counter, "The time of each limit.", |state, text| {
        for (session, stripe) in stripes(state).take(MOST) {
            let (limited, place) = (&stripe.limited, stripe.place.to_string());
            for (limit, seconds) in [
                ("application", limited.application_seconds),
                ("receiver", limited.receiver_seconds),
                ("window", limited.window_seconds),
                ("route", limited.route_seconds),
            ] {
                let session = ("session", &*session.session);
                text.sample(&[session, ("place", &place), ("limit", limit)], seconds);
            }
        }
    }),
];

const SESSION: &[Of<Session>] = &[
    ("striper_session_flows", Gauge, "Open flows of the session.", |session| {
        Some(session.totals.flows as f64)
    }),
    (
        "striper_session_buffered_bytes",
        Gauge,
        "Data that the peer has not acknowledged.",
        |session| Some(session.totals.buffered_bytes as f64),
    ),
    (
        "striper_session_reorder_bytes",
        Gauge,
        "Data that waits for earlier data of its flow.",
        |session| Some(session.totals.reorder_bytes as f64),
    ),
    ("striper_session_copied_bytes_total", Counter, "Data that went as a copy.", |session| {
        Some(session.totals.copied_bytes as f64)
    }),
    ("striper_session_duplicate_bytes_total", Counter, "Data that came again.", |session| {
        Some(session.totals.duplicate_bytes as f64)
    }),
    (
        "striper_session_kept_seconds",
        Gauge,
        "How long flows without a stripe are yet kept.",
        |session| session.kept_for_seconds,
    ),
];

const STRIPE: &[Of<Stripe>] = &[
    ("striper_stripe_sent_bytes_total", Counter, "Frames that were sent.", |stripe| {
        Some(stripe.sent_bytes as f64)
    }),
    ("striper_stripe_received_bytes_total", Counter, "Frames that came.", |stripe| {
        Some(stripe.received_bytes as f64)
    }),
    ("striper_stripe_in_flight_bytes", Gauge, "Frames that are not acknowledged.", |stripe| {
        Some(stripe.in_flight_bytes as f64)
    }),
    ("striper_stripe_unsent_bytes", Gauge, "Frames that the system has not taken.", |stripe| {
        Some(stripe.unsent_bytes as f64)
    }),
    ("striper_stripe_window_bytes", Gauge, "The bound on bytes in flight.", |stripe| {
        stripe.window_bytes.map(|bytes| bytes as f64)
    }),
    ("striper_stripe_rtt_seconds", Gauge, "The smoothed round-trip time.", |stripe| {
        stripe.rtt_us.map(|micros| micros as f64 / 1e6)
    }),
    ("striper_stripe_min_rtt_seconds", Gauge, "The least round-trip time.", |stripe| {
        stripe.min_rtt_us.map(|micros| micros as f64 / 1e6)
    }),
    (
        "striper_stripe_delivery_rate_bytes_per_second",
        Gauge,
        "The rate at which bytes are acknowledged.",
        |stripe| stripe.delivery_rate_bytes_per_second.map(|rate| rate as f64),
    ),
    ("striper_stripe_in_doubt", Gauge, "1 while acknowledgements are overdue.", |stripe| {
        Some(f64::from(stripe.state == StripeState::InDoubt))
    }),
    ("striper_stripe_doubts_total", Counter, "How often it came into doubt.", |stripe| {
        Some(stripe.doubts as f64)
    }),
    ("striper_stripe_congestions_total", Counter, "How often it became congested.", |stripe| {
        Some(stripe.congestions as f64)
    }),
    (
        "striper_stripe_retransmitted_ratio",
        Gauge,
        "The share of TCP packets that were sent again.",
        |stripe| stripe.retransmitted,
    ),
];

/// The metrics now.
pub(super) fn text(state: &State) -> String {
    let mut text = Text::default();
    for (name, kind, help, value) in PROCESS {
        text.begin(name, *kind, help);
        value(state).into_iter().for_each(|value| text.sample(&[], value));
    }
    for (name, kind, help, fill) in LABELLED {
        text.begin(name, *kind, help);
        fill(state, &mut text);
    }
    for (name, kind, help, value) in SESSION {
        text.begin(name, *kind, help);
        for session in state.sessions.iter().take(MOST) {
            let labels = [("session", &*session.session)];
            value(session).into_iter().for_each(|value| text.sample(&labels, value));
        }
    }
    for (name, kind, help, value) in STRIPE {
        text.begin(name, *kind, help);
        for (session, stripe) in stripes(state).take(MOST) {
            let place = stripe.place.to_string();
            let labels = [("session", &*session.session), ("place", &*place)];
            value(stripe).into_iter().for_each(|value| text.sample(&labels, value));
        }
    }
    text.end()
}

fn stripes(state: &State) -> impl Iterator<Item = (&Session, &Stripe)> {
    let of = |session| move |stripe| (session, stripe);
    state.sessions.iter().flat_map(move |session| session.stripes.iter().map(of(session)))
}

/// The sum of the present sessions and of `earlier` ones.
fn sum(state: &State, earlier: u64, count: fn(&Session) -> u64) -> Option<f64> {
    Some((earlier + state.sessions.iter().map(count).sum::<u64>()) as f64)
}

fn legs(state: &State, text: &mut Text, count: fn(&Leg) -> u64) {
    for leg in &state.legs {
        text.sample(&[("leg", &leg.leg)], count(leg) as f64);
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
        Role::Relay => "relay",
    }
}

#[cfg(test)]
mod tests;
