//! Takes the state of this process from its parts.

use super::{
    Connections, Ended, Leg, Limit, Limited, Memory, Phase, Role, Session, SessionState, State,
    Stripe, StripeState, Totals,
};
use crate::clock;
use crate::counts::Counts;
use crate::service;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use striper_core::{LimitTimes, StripeLimit, StripeStats};
use striper_runtime::{EndedSessions, SessionStatus, Status, TcpStatus};

/// The facts about a process that stay the same.
#[derive(Clone, Default, Debug)]
pub(crate) struct About {
    pub role: Role,
    pub listening: Vec<String>,
    pub servers: Vec<String>,
    pub targets: Vec<String>,
    pub key: Option<String>,
}

/// A process whose state can be asked for. Clones are the same. Nothing is done until somebody asks.
#[derive(Clone)]
pub(crate) struct Running(Rc<Inner>);

struct Inner {
    about: About,
    began: Instant,
    started: SystemTime,
    connections: service::Connections,
    look: Box<dyn Fn() -> Status>,
    /// The counts of events, and the sides of a relay.
    count: Box<dyn Fn() -> (Counts, Vec<Leg>)>,
}

impl Running {
    /// It begins now.
    pub(crate) fn new(
        about: About,
        connections: service::Connections,
        look: impl Fn() -> Status + 'static,
        count: impl Fn() -> (Counts, Vec<Leg>) + 'static,
    ) -> Self {
        let (began, started) = (clock::now(), clock::time_of_day());
        Running(Rc::new(Inner {
            about,
            began,
            started,
            connections,
            look: Box::new(look),
            count: Box::new(count),
        }))
    }

    /// The state now.
    pub(crate) fn state(&self) -> State {
        let Inner { about, began, started, connections, look, count } = &*self.0;
        let Status { sessions, last_dial_error, ended: earlier, .. } = look();
        let About { role, listening, servers, targets, key } = about.clone();
        let (counts, legs) = count();
        let within = connections.may_finish_within();
        State {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("STRIPER_COMMIT").map(str::to_owned),
            features: Vec::new(),
            role,
            pid: std::process::id(),
            started: humantime::format_rfc3339_seconds(*started).to_string(),
            uptime_seconds: began.elapsed().as_secs_f64(),
            state: if within.is_some() { Phase::Draining } else { Phase::Ready },
            drain_seconds: within.map(|within| within.as_secs_f64()),
            listening,
            servers,
            targets,
            key,
            trace: None,
            last_dial_error: last_dial_error.map(|error| error.to_string()),
            connections: Connections {
                open: connections.live(),
                begun: connections.begun(),
                cut: connections.cut(),
            },
            memory: Memory::default(),
            sessions: sessions.iter().map(session).collect(),
            ended: ended(&earlier),
            counts,
            legs,
            flows_left_out: 0,
        }
    }
}

fn ended(earlier: &EndedSessions) -> Ended {
    Ended {
        sessions: earlier.sessions,
        sent_bytes: earlier.payload_sent,
        resent_bytes: earlier.payload_resent,
        received_bytes: earlier.payload_delivered,
        stripes_lost: earlier.stripes_lost,
    }
}

fn session(status: &SessionStatus) -> Session {
    let SessionStatus { session, peer, stats, live, places, kept_for, tcp, .. } = status;
    let state = match (*live, kept_for) {
        (0, Some(_)) => SessionState::Stranded,
        (0, None) => SessionState::Idle,
        _ => SessionState::Up,
    };
    let stripe = |stripe: &StripeStats| {
        let place = places.get(&stripe.stripe).copied().unwrap_or_default();
        of_stripe(stripe, place, tcp.get(&stripe.stripe))
    };
    Session {
        session: session.to_string(),
        peer: None,
        key: peer.as_deref().map(str::to_owned),
        state,
        kept_for_seconds: kept_for.map(|time| time.as_secs_f64()),
        stripes: stats.stripes.iter().map(stripe).collect(),
        flows: Vec::new(),
        totals: Totals {
            flows: stats.flows,
            sent_bytes: stats.payload_sent,
            resent_bytes: stats.payload_resent,
            received_bytes: stats.payload_delivered,
            buffered_bytes: stats.held,
            reorder_bytes: stats.reordering,
            reorder_peak_bytes: stats.reordering_peak,
            stripes_lost: stats.stripes_lost,
        },
    }
}

fn of_stripe(stats: &StripeStats, place: usize, tcp: Option<&TcpStatus>) -> Stripe {
    Stripe {
        stripe: stats.stripe.0,
        place,
        peer: None,
        state: if stats.doubted { StripeState::InDoubt } else { StripeState::Up },
        rtt_us: stats.srtt.map(micros),
        min_rtt_us: stats.min_rtt.map(micros),
        delivery_rate_bytes_per_second: stats.rate.map(|rate| rate.as_bytes()),
        sent_bytes: stats.sent,
        acknowledged_bytes: stats.acknowledged,
        received_bytes: stats.received,
        in_flight_bytes: stats.sent.saturating_sub(stats.acknowledged),
        unsent_bytes: stats.sent.saturating_sub(stats.written),
        window_bytes: stats.window,
        limit: limit(stats.limit),
        limited: limited(&stats.limited),
        congestions: stats.congestions,
        congestion_control: tcp.and_then(|tcp| Some(tcp.congestion.as_ref()?.to_string())),
        retransmitted: tcp.and_then(|tcp| tcp.resent),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn limit(limit: StripeLimit) -> Limit {
    match limit {
        StripeLimit::Application => Limit::Application,
        StripeLimit::Receiver => Limit::Receiver,
        StripeLimit::Window => Limit::Window,
        StripeLimit::Route => Limit::Route,
    }
}

fn limited(times: &LimitTimes) -> Limited {
    let by = |limit| times.by(limit).as_secs_f64();
    Limited {
        application_seconds: by(StripeLimit::Application),
        receiver_seconds: by(StripeLimit::Receiver),
        window_seconds: by(StripeLimit::Window),
        route_seconds: by(StripeLimit::Route),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use striper_core::{Stats, StripeId};
    use striper_runtime::SessionTag;

    fn status() -> Status {
        let mut stripe = StripeStats::default();
        (stripe.stripe, stripe.sent, stripe.written, stripe.acknowledged) =
            (StripeId(3), 100, 90, 60);
        let mut stats = Stats::default();
        stats.stripes.push(stripe);
        let session = SessionStatus {
            session: SessionTag([0xab; 4]),
            peer: Some("laptop".into()),
            stats,
            live: 1,
            places: BTreeMap::from([(StripeId(3), 2)]),
            peers: BTreeMap::new(),
            memory: (0, 0),
            kept_for: None,
            tcp: BTreeMap::new(),
        };
        Status { sessions: vec![session], ..Status::default() }
    }

    #[test]
    fn a_state_has_the_sessions_and_stripes_of_its_process() {
        let connections = service::Connections::default();
        let _open = connections.begin();
        let about = About { role: Role::Server, ..About::default() };
        let running = Running::new(about, connections.clone(), status, Default::default);
        let state = running.state();
        assert_eq!(
            (state.role, state.state, state.connections.open),
            (Role::Server, Phase::Ready, 1)
        );
        let session = &state.sessions[0];
        assert_eq!(
            (session.session.as_str(), session.key.as_deref()),
            ("abababab", Some("laptop"))
        );
        let stripe = &session.stripes[0];
        let bytes = (stripe.in_flight_bytes, stripe.unsent_bytes);
        assert_eq!((stripe.stripe, stripe.place, bytes), (3, 2, (40, 10)));
        connections.stop_within(Duration::from_secs(9));
        assert_eq!(running.state().state, Phase::Draining);
    }
}
