//! Takes the state of this process from its parts.

use super::{
    Connections, Ended, Flow, Leg, Limit, Limited, Memory, Phase, Role, Session, SessionState,
    State, Stripe, StripeState, Totals, Waits,
};
use crate::clock;
use crate::counts::Counts;
use crate::service::{self, Ends};
use crate::trace::Tracing;
use crate::version;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use striper_core::{FlowStats, FlowWait, LimitTimes, StripeLimit, StripeStats};
use striper_runtime::{EndedSessions, FlowStatus, SessionStatus, Status};

/// The facts about a process that stay the same, or change by a reload.
#[derive(Clone, Default, Debug)]
pub(crate) struct About {
    pub role: Role,
    pub listening: Vec<String>,
    pub servers: Vec<String>,
    pub targets: Vec<String>,
    pub key: Option<String>,
    /// The bytes of memory for data of flows.
    pub memory_limit: Option<u64>,
}

/// A process whose state can be asked for. Clones are the same. Nothing is done until then.
#[derive(Clone)]
pub(crate) struct Running(Rc<Inner>);

struct Inner {
    about: RefCell<About>,
    began: Instant,
    started: SystemTime,
    connections: service::Connections,
    look: Box<dyn Fn() -> Status>,
    /// The counts of events, and the sides of a relay.
    count: Box<dyn Fn() -> (Counts, Vec<Leg>)>,
    list: OnceCell<Box<dyn Fn(usize) -> Vec<FlowStatus>>>,
    tracing: OnceCell<Tracing>,
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
            about: RefCell::new(about),
            began,
            started,
            connections,
            look: Box::new(look),
            count: Box::new(count),
            list: OnceCell::new(),
            tracing: OnceCell::new(),
        }))
    }

    /// It listens elsewhere from now on, or connects to other targets.
    pub(crate) fn set_places(&self, listening: Vec<String>, targets: Vec<String>) {
        let mut about = self.0.about.borrow_mut();
        (about.listening, about.targets) = (listening, targets);
    }

    /// A proxy with sessions: `list` gives at most so many flows.
    pub(crate) fn with_sessions(
        self,
        tracing: Tracing,
        list: impl Fn(usize) -> Vec<FlowStatus> + 'static,
    ) -> Self {
        let _ = (self.0.list.set(Box::new(list)), self.0.tracing.set(tracing));
        self
    }

    /// The state now, with at most so many flows.
    pub(crate) fn state_with_flows(&self, most: usize) -> State {
        let mut state = self.state();
        let flows = self.0.list.get().map(|list| list(most)).unwrap_or_default();
        let known: usize = state.sessions.iter().map(|session| session.totals.flows).sum();
        // The session also counts what is no connection of a program.
        state.flows_left_out = if flows.len() < most { 0 } else { known - known.min(most) };
        let places: HashMap<String, usize> =
            state.sessions.iter().enumerate().map(|(at, it)| (it.session.clone(), at)).collect();
        for flow in flows {
            if let Some(place) = places.get(&flow.session.to_string()) {
                let ends = flow.label.map(|number| self.0.connections.ends(number));
                state.sessions[*place].flows.push(of_flow(&flow, ends.unwrap_or_default()));
            }
        }
        state
    }

    /// The state now, without flows: the work does not grow with their number.
    pub(crate) fn state(&self) -> State {
        let Inner { about, began, started, connections, look, count, tracing, .. } = &*self.0;
        let Status { sessions, last_dial_error, ended: earlier, .. } = look();
        let About { role, listening, servers, targets, key, memory_limit } = about.borrow().clone();
        let (counts, legs) = count();
        let (received, sent): (Vec<u64>, Vec<u64>) = sessions.iter().map(|it| it.memory).unzip();
        let trace = tracing.get().and_then(Tracing::path);
        let within = connections.may_finish_within();
        State {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: version::COMMIT.map(str::to_owned),
            features: version::FEATURES.iter().map(|name| (*name).to_owned()).collect(),
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
            trace: trace.map(|path| path.display().to_string()),
            last_dial_error: last_dial_error.map(|error| error.to_string()),
            connections: Connections {
                open: connections.live(),
                begun: connections.begun(),
                cut: connections.cut(),
            },
            memory: Memory {
                send_bytes: sent.iter().sum(),
                receive_bytes: received.iter().sum(),
                limit_bytes: memory_limit,
            },
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
    let SessionStatus { session, peer, stats, live, kept_for, peers, .. } = status;
    let state = match (*live, kept_for) {
        (0, Some(_)) => SessionState::Stranded,
        (0, None) => SessionState::Idle,
        _ => SessionState::Up,
    };
    Session {
        session: session.to_string(),
        peer: peers.values().next().map(ToString::to_string),
        key: peer.as_deref().map(str::to_owned),
        state,
        kept_for_seconds: kept_for.map(|time| time.as_secs_f64()),
        stripes: stats.stripes.iter().map(|stripe| of_stripe(stripe, status)).collect(),
        flows: Vec::new(),
        totals: Totals {
            flows: stats.flows,
            sent_bytes: stats.payload_sent,
            resent_bytes: stats.payload_resent,
            received_bytes: stats.payload_delivered,
            buffered_bytes: stats.held,
            reorder_bytes: stats.reordering,
            reorder_peak_bytes: stats.reordering_peak,
            copied_bytes: stats.payload_copied,
            duplicate_bytes: stats.payload_duplicate,
            stripes_lost: stats.stripes_lost,
            doubts: stats.doubts,
        },
    }
}

fn of_stripe(stats: &StripeStats, session: &SessionStatus) -> Stripe {
    let SessionStatus { places, peers, tcp, .. } = session;
    let tcp = tcp.get(&stats.stripe);
    Stripe {
        stripe: stats.stripe.0,
        place: places.get(&stats.stripe).copied().unwrap_or_default(),
        peer: peers.get(&stats.stripe).map(ToString::to_string),
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
        doubts: stats.doubts,
        packets: tcp.and_then(|tcp| tcp.packets),
        retransmitted_packets: tcp.and_then(|tcp| tcp.retransmitted),
        congestion_control: tcp.and_then(|tcp| Some(tcp.congestion.as_ref()?.to_string())),
        retransmitted: tcp.and_then(|tcp| tcp.resent),
    }
}

fn of_flow(status: &FlowStatus, ends: Ends) -> Flow {
    let stats = status.stats;
    let count = |get: fn(&FlowStats) -> u64| stats.as_ref().map(get).unwrap_or_default();
    Flow {
        flow: status.flow.map(|flow| flow.0),
        number: status.label,
        target: ends.target,
        from: ends.from,
        age_seconds: status.age.as_secs_f64(),
        sent_bytes: status.sent,
        received_bytes: status.received,
        buffered_bytes: count(|stats| stats.held),
        waiting_bytes: status.waiting,
        reorder_bytes: count(|stats| stats.reordering),
        credit_bytes: count(|stats| stats.credit),
        waits_for: status.sending.map_or(Waits::Session, waits),
        receiving_waits_for: status.receiving.map_or(Waits::Session, waits),
    }
}

fn waits(wait: FlowWait) -> Waits {
    match wait {
        FlowWait::Target => Waits::Target,
        FlowWait::Program => Waits::Program,
        FlowWait::Credit => Waits::Credit,
        FlowWait::Memory => Waits::Memory,
        FlowWait::Stripe => Waits::Stripe,
        FlowWait::Order => Waits::Order,
        FlowWait::Peer => Waits::Peer,
        FlowWait::Finished => Waits::Finished,
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
            peers: BTreeMap::from([(StripeId(3), "192.0.2.1:7650".parse().unwrap())]),
            memory: (7, 5),
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
        assert_eq!((&session.peer, &stripe.peer), (&Some("192.0.2.1:7650".into()), &session.peer));
        assert_eq!((state.memory.receive_bytes, state.memory.send_bytes), (7, 5));
        assert_eq!((stripe.stripe, stripe.place, bytes), (3, 2, (40, 10)));
        connections.stop_within(Duration::from_secs(9));
        assert_eq!(running.state().state, Phase::Draining);
    }
}
