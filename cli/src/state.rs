//! The state of a running client, server or relay, as JSON has it. The control socket, the page of
//! metrics and `top` read it.
//!
//! The unit is the end of a name: `_bytes`, `_seconds`, `_us` (microseconds). Counts are since the
//! session, stripe or flow began. A field that is missing has its default, so that programs of two
//! versions understand each other.

mod taken;

pub(crate) use taken::{About, Running};

use crate::counts::Counts;
use serde::{Deserialize, Serialize};

/// A process.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    pub version: String,
    /// The commit that it was built from, if the build has said so.
    pub commit: Option<String>,
    pub features: Vec<String>,
    pub role: Role,
    pub pid: u32,
    /// When it began, in RFC 3339.
    pub started: String,
    pub uptime_seconds: f64,
    pub state: Phase,
    /// How long open connections may yet go on, if it is draining.
    pub drain_seconds: Option<f64>,
    pub listening: Vec<String>,
    /// Client: where its server is.
    pub servers: Vec<String>,
    /// Server and relay: where connections go to.
    pub targets: Vec<String>,
    /// The names of its keys.
    pub key: Option<String>,
    /// The file to which new sessions are recorded.
    pub trace: Option<String>,
    /// Client: why the last dial failed, if the server can't be reached.
    pub last_dial_error: Option<String>,
    pub connections: Connections,
    pub memory: Memory,
    pub sessions: Vec<Session>,
    /// The sums of sessions that have ended.
    pub ended: Ended,
    pub counts: Counts,
    /// Relay: its two sides.
    pub legs: Vec<Leg>,
    /// The flows that are not listed, because there are too many.
    pub flows_left_out: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    #[default]
    Client,
    Server,
    Relay,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    #[default]
    Ready,
    Draining,
}

/// The connections of local programs, since the process began.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Connections {
    pub open: usize,
    pub begun: u64,
    /// Connections that were reset because the time to drain was over.
    pub cut: usize,
}

/// The memory for data of flows, of all sessions.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// Data of local programs that the peer has not acknowledged.
    pub send_bytes: u64,
    /// Credit that the peer has and data that local programs have not taken.
    pub receive_bytes: u64,
    /// Both together may be so much, if that is bounded.
    pub limit_bytes: Option<u64>,
}

/// A relay's bytes on one side, of all connections that there were.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Leg {
    /// `near`: the programs that connected. `far`: the target.
    pub leg: String,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub congestions: u64,
}

/// The sums of sessions that have ended, as in [`Totals`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ended {
    pub sessions: u64,
    pub sent_bytes: u64,
    pub resent_bytes: u64,
    pub received_bytes: u64,
    pub stripes_lost: u64,
}

/// A session with a peer.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Session {
    /// Its name in logs, eight hexadecimal digits; the same on both sides.
    pub session: String,
    /// The address of the peer's end of the oldest stripe.
    pub peer: Option<String>,
    /// The name of the peer's key.
    pub key: Option<String>,
    pub state: SessionState,
    /// How long its flows are kept without a stripe.
    pub kept_for_seconds: Option<f64>,
    pub stripes: Vec<Stripe>,
    pub flows: Vec<Flow>,
    pub totals: Totals,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionState {
    /// A stripe is up.
    Up,
    /// No stripe is up, and no flow waits for one.
    #[default]
    Idle,
    /// Flows stand still, because no stripe is up.
    Stranded,
}

/// The sums of a session. They outlive its stripes and flows.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    /// Flows that exist now, the ones that listeners need included.
    pub flows: usize,
    /// Data of flows that was handed to a stripe for the first time.
    pub sent_bytes: u64,
    /// Data of flows that was handed to another stripe after a loss, a doubt or as a copy.
    pub resent_bytes: u64,
    /// Data of flows that was delivered to local programs.
    pub received_bytes: u64,
    /// Data of local programs that the peer has not acknowledged.
    pub buffered_bytes: u64,
    /// Data that waits for earlier data of its flow, and the most that ever did.
    pub reorder_bytes: u64,
    pub reorder_peak_bytes: u64,
    /// The part of `resent_bytes` whose first copy could still arrive.
    pub copied_bytes: u64,
    /// Data of flows that came again and was dropped.
    pub duplicate_bytes: u64,
    pub stripes_lost: u64,
    /// How often a stripe was in doubt.
    pub doubts: u64,
}

/// A stripe of a session.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stripe {
    /// Its number, never used again in its session.
    pub stripe: u64,
    /// Its place among the session's stripes, from 1. A replacement takes the old place.
    pub place: usize,
    /// The address of its other end.
    pub peer: Option<String>,
    pub state: StripeState,
    /// The smoothed round-trip time, and the least.
    pub rtt_us: Option<u64>,
    pub min_rtt_us: Option<u64>,
    pub delivery_rate_bytes_per_second: Option<u64>,
    /// Bytes of frames that were sent, acknowledged and received.
    pub sent_bytes: u64,
    pub acknowledged_bytes: u64,
    pub received_bytes: u64,
    /// Sent and not acknowledged.
    pub in_flight_bytes: u64,
    /// The part of them that the operating system has not taken.
    pub unsent_bytes: u64,
    pub window_bytes: Option<u64>,
    /// The limit of its sending now, and for how long each limit has held since it came up.
    pub limit: Limit,
    pub limited: Limited,
    pub congestions: u64,
    /// How often it was in doubt.
    pub doubts: u64,
    /// TCP packets with data that were sent, and packets that were sent again.
    pub packets: Option<u32>,
    pub retransmitted_packets: Option<u32>,
    /// The congestion control of its TCP connection, such as `bbr`.
    pub congestion_control: Option<String>,
    /// The share of TCP packets that were sent again for a loss, from 0 to 1.
    pub retransmitted: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StripeState {
    #[default]
    Up,
    /// Its acknowledgements are overdue.
    InDoubt,
}

/// The thing that keeps a stripe from sending more.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// Local programs give no more.
    #[default]
    Application,
    /// The peer's programs take no more.
    Receiver,
    /// As much is in flight as the window allows.
    Window,
    /// The operating system takes no more, or the stripe is in doubt or too slow.
    Route,
}

/// For how long each limit has held.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Limited {
    pub application_seconds: f64,
    pub receiver_seconds: f64,
    pub window_seconds: f64,
    pub route_seconds: f64,
}

/// A connection of a local program that a session carries.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Flow {
    /// Its number in the session; none while it waits for a session.
    pub flow: Option<u64>,
    /// The number of the connection in the log; none for what a listener (`-R`) needs.
    pub number: Option<u64>,
    pub target: Option<String>,
    /// The program that opened it.
    pub from: Option<String>,
    pub age_seconds: f64,
    /// Bytes that its local program has given.
    pub sent_bytes: u64,
    /// Bytes that its local program has taken.
    pub received_bytes: u64,
    /// Given by its program and not acknowledged by the peer.
    pub buffered_bytes: u64,
    /// Received and not yet taken by its program, in order.
    pub waiting_bytes: u64,
    /// Received out of order.
    pub reorder_bytes: u64,
    /// How much more may be sent before the peer gives credit.
    pub credit_bytes: u64,
    /// The things that the way to the peer and the way from the peer wait for.
    pub waits_for: Waits,
    pub receiving_waits_for: Waits,
}

/// The thing that a direction of a flow waits for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Waits {
    /// A session, because there is none.
    Session,
    /// The other side: it has not reached the target yet.
    Target,
    /// The local program: it gives no more, or takes no more.
    #[default]
    Program,
    /// Credit of the peer: the program over there takes no more.
    Credit,
    /// Memory for data, which other flows use.
    Memory,
    /// A stripe that takes its data.
    Stripe,
    /// Earlier data, which is on its way.
    Order,
    /// The peer: its acknowledgement, or its data.
    Peer,
    /// Nothing: this direction has ended.
    Finished,
}

impl Waits {
    /// As in the JSON state.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Waits::Session => "session",
            Waits::Target => "target",
            Waits::Program => "program",
            Waits::Credit => "credit",
            Waits::Memory => "memory",
            Waits::Stripe => "stripe",
            Waits::Order => "order",
            Waits::Peer => "peer",
            Waits::Finished => "finished",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_way_through_json() {
        let stripe = Stripe { state: StripeState::InDoubt, rtt_us: Some(7), ..Stripe::default() };
        let flow = Flow { number: Some(3), waits_for: Waits::Credit, ..Flow::default() };
        let session = Session { stripes: vec![stripe], flows: vec![flow], ..Session::default() };
        let state = State { role: Role::Relay, sessions: vec![session], ..State::default() };
        let text = serde_json::to_string(&state).unwrap();
        assert!(text.contains(r#""state":"in_doubt""#), "{text}");
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }

    #[test]
    fn another_version_may_know_less_or_more() {
        let state: State = serde_json::from_str(r#"{"pid":7,"new":{"a":[1]}}"#).unwrap();
        assert_eq!(state, State { pid: 7, ..State::default() });
    }
}
