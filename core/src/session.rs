//! The engine: one door for everything that happens.
//!
//! Each input is first taken in (`ingest` for the peer's bytes, `local` for flows, `resume` for
//! stripes that come and go), which changes state and notes what is owed; then `settle` sends what
//! can be sent. Nothing is left undone.

mod check;
mod explore;
mod flood;
pub(crate) mod follow;
mod ingest;
mod local;
mod misuse;
mod resume;
mod settle;
mod sums;
#[cfg(test)]
mod tests;
mod view;

#[doc(hidden)]
pub use view::{FlowView, StripeView};

use self::flood::Credited;
use crate::bucket::Bucket;
use crate::buggify::Turns;
use crate::config::{Config, MIN_CONTROL_BURST};
use crate::error::{EndReason, Reason, StripeClose, Violation};
use crate::flow::queue::FlowQueue;
use crate::flow::recv::RecvState;
use crate::flow::{self};
use crate::id::{FlowId, Role, SessionId, StripeId};
use crate::intents::{Intent, Intents};
use crate::io::{Input, Output};
use crate::scheduler::{Candidate, Scheduler};
use crate::stats::Stats;
use crate::stripe;
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use crate::wire::frame::{Frame, MAX_ACKS};
use crate::wire::hello::{Hello, HelloKind, MAX_GONE, Refusal};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// Below this, not even the early credit that a peer may take before it hears from us would fit.
const MIN_MEMORY: u64 = 2 << 20;

/// The most that pipes add to a send, in bytes: more is no record but a mistake.
const MAX_OVERHEAD: u64 = 256;

/// Timers below this would do nothing but go off.
const MIN_TIME: Duration = Duration::from_millis(10);

/// An input that comes this long after the deadline shows that the process did not run meanwhile,
/// or that its clock jumped: what has come in may lie unread, and no stripe can be blamed for the
/// time between. Far beyond what a busy driver takes, and well below the stall limit.
const LATE: Duration = Duration::from_secs(1);

/// Whether flows may still begin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Life {
    Running,
    Draining,
    Ended,
}

/// Running totals for [`Stats`].
#[derive(Clone, Debug, Default)]
struct Totals {
    payload_sent: u64,
    payload_resent: u64,
    /// Put up for a second sending while the first copy may still arrive.
    payload_reinjected: u64,
    payload_delivered: u64,
    reordering: u64,
    reordering_peak: u64,
    stripes_lost: u64,
    payload_received: u64,
    /// The most of the control burst that was ever used up.
    control_peak: u64,
}

/// One end of a session.
#[derive(Clone, Debug)]
pub struct Session {
    role: Role,
    id: SessionId,
    config: Config,
    /// What may be used beyond the floors: for receiving, for sending.
    memory: (u64, u64),
    now: Instant,
    life: Life,
    flows: flow::table::Table,
    stripes: stripe::table::Table,
    scheduler: Scheduler,
    queue: FlowQueue,
    intents: Intents,
    timers: Timers,
    /// Client: the server has welcomed a stripe.
    confirmed: bool,
    /// The server's state that the first stripe met.
    instance: Option<u64>,
    /// Bytes of credit outstanding beyond the floors: the sum of what flows are charged.
    charged: u64,
    /// Local data held beyond the floors.
    held: u64,
    /// Likely to be sent as stripes take it: the sum over active flows.
    backlog: u64,
    /// Flows whose local side waits for memory, in the order in which they get it.
    memory_waiters: VecDeque<FlowId>,
    /// Flows to which nothing more can happen.
    over: Vec<FlowId>,
    /// Said on one stripe, to be repeated on another.
    repeat: BTreeSet<Intent>,
    /// Where it was said.
    repeat_beside: Option<StripeId>,
    /// The time for that has come.
    repeat_now: bool,
    /// Bytes of control that the peer may send now.
    control: Bucket,
    /// What of payload and flows has been allowed for in it.
    allowed_for: Credited,
    /// Disjoint pieces held out of order, over all flows.
    pieces: usize,
    /// Memory for flows, see [`Session::memory_kept`].
    kept: u64,
    /// DATA frames on stripes, over all ledgers.
    data_entries: usize,
    /// What the last `StripesWanted` said.
    wanted: usize,
    nonce: u64,
    totals: Totals,
    turns: Turns,
    /// Used anew for each choice of a stripe.
    candidates: Vec<Candidate>,
}

impl Session {
    /// A session without stripes or flows. `now` is the time of its birth. A first [`Input::Tick`]
    /// makes a client ask for stripes.
    pub fn new(role: Role, id: SessionId, config: Config, now: Instant) -> Self {
        let config = Config {
            memory_limit: config.memory_limit.max(MIN_MEMORY),
            opens_per_second: config.opens_per_second.max(1),
            control_burst: config.control_burst.max(MIN_CONTROL_BURST),
            payload_per_control: config.payload_per_control.max(1),
            record_overhead: config.record_overhead.min(MAX_OVERHEAD),
            heartbeat: config.heartbeat.max(MIN_TIME),
            stall_limit: config.stall_limit.max(MIN_TIME),
            ..config
        };
        let mut timers = Timers::default();
        timers.set(Timer::Resume, now + config.resume_limit);
        Session {
            role,
            id,
            config,
            memory: (config.memory_limit / 2, config.memory_limit / 2),
            now,
            life: Life::Running,
            flows: flow::table::Table::new(role, &config, now),
            stripes: stripe::table::Table::default(),
            scheduler: Scheduler::new(config.scheduler),
            queue: FlowQueue::default(),
            intents: Intents::default(),
            timers,
            confirmed: false,
            instance: None,
            charged: 0,
            held: 0,
            backlog: 0,
            memory_waiters: VecDeque::new(),
            over: Vec::new(),
            repeat: BTreeSet::new(),
            repeat_beside: None,
            repeat_now: false,
            control: Bucket::full(config.control_burst, config.control_per_second, now),
            allowed_for: Credited::default(),
            pieces: 0,
            kept: 0,
            data_entries: 0,
            wanted: 0,
            nonce: 0,
            totals: Totals::default(),
            turns: Turns::new(&config),
            candidates: Vec::new(),
        }
    }

    /// The only door: takes one input, appends what is to be done. Nothing is left to be done until
    /// the next input.
    ///
    /// `now` must not go back; if it does, it is taken for the latest one seen.
    ///
    /// # Panics
    /// On a caller's mistake: a flow id never issued, more data than [`Session::send_room`], more
    /// consumed than delivered, more written than transmitted, a stripe number used twice. The
    /// session is of no use afterwards.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if self.take_in(now, input, out) {
            self.settle(out);
            self.conclude(out);
        }
    }

    /// Takes one input and what is due in. Whether the session goes on.
    fn take_in(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) -> bool {
        if self.life == Life::Ended {
            return false;
        }
        self.now = self.now.max(now);
        self.excuse_sleep();
        let ticked = matches!(input, Input::Tick);
        let result = match input {
            Input::StripeUp { stripe, hello } => self.stripe_up(stripe, &hello, out),
            Input::StripeBytes { stripe, data } => self.ingest(stripe, data, out),
            Input::StripeWritten { stripe, total } => {
                self.stripe_written(stripe, total);
                Ok(())
            }
            Input::StripeDown { stripe } => {
                self.lose_stripe(stripe);
                Ok(())
            }
            Input::FlowOpen { request, opaque } => {
                self.flow_open(request, opaque, out);
                Ok(())
            }
            Input::FlowAccept { flow } => {
                self.flow_accept(flow);
                Ok(())
            }
            Input::FlowRefuse { flow, reason } => {
                self.flow_refuse(flow, reason);
                Ok(())
            }
            Input::FlowData { flow, data } => {
                self.flow_data(flow, data);
                Ok(())
            }
            Input::FlowConsumed { flow, total } => {
                self.flow_consumed(flow, total);
                Ok(())
            }
            Input::FlowFinish { flow } => {
                self.flow_finish(flow);
                Ok(())
            }
            Input::FlowReset { flow, reason } => {
                self.flow_reset(flow, reason);
                Ok(())
            }
            Input::MemoryLimit { receive, send } => {
                self.memory = (receive, send);
                Ok(())
            }
            Input::Shutdown => {
                self.drain(out);
                self.intents.add(Intent::Drain);
                Ok(())
            }
            Input::Abort => {
                self.end(EndReason::Aborted, out);
                return false;
            }
            Input::Tick => Ok(()),
        };
        let result = result.and_then(|()| self.run_timers(out));
        if let Err(violation) = result {
            self.end(EndReason::Violation(violation), out);
        }
        let goes_on = self.life != Life::Ended;
        if cfg!(feature = "buggify") && goes_on && !ticked {
            self.turns.next();
            self.take_rare_turn(out);
        }
        goes_on
    }

    /// A draining session ends with its last flow.
    fn conclude(&mut self, out: &mut Vec<Output>) {
        if self.life == Life::Draining && self.is_idle() {
            self.end(EndReason::Shutdown, out);
        }
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The settings, within their limits.
    pub fn config(&self) -> Config {
        self.config
    }

    /// The latest time seen: that of its birth before the first input.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When to send [`Input::Tick`], and why.
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// When the session will be given up for want of a stripe; none while it has one.
    pub fn gives_up_at(&self) -> Option<Instant> {
        self.timers.at(Timer::Resume)
    }

    /// What to say first on a new stripe: asked for by the client when it dials, by the server when
    /// it welcomes.
    pub fn hello(&self, stripe: StripeId) -> Hello {
        let kind = match self.role {
            Role::Client if self.confirmed => HelloKind::Join,
            Role::Client => HelloKind::Create,
            Role::Server { instance } => HelloKind::Accept { instance },
        };
        let unconfirmed = self.stripes.gone.iter().filter(|(_, gone)| !gone.confirmed);
        let gone = unconfirmed
            .map(|(id, gone)| (*id, gone.received + u64::from(planted!(HelloGoneOffByOne))))
            .take(MAX_GONE)
            .collect();
        Hello { kind, session: self.id, stripe, gone }
    }

    /// Server: whether a stripe of this number may join now.
    pub fn may_join(&self, stripe: StripeId) -> Result<(), Refusal> {
        if self.life == Life::Ended {
            Err(Refusal::UnknownSession)
        } else if self.stripes.knows(stripe) {
            Err(Refusal::StripeUsed)
        } else if self.stripes.live.len() >= crate::config::MAX_STRIPES {
            Err(Refusal::TooMany)
        } else {
            Ok(())
        }
    }

    /// How many bytes of data a flow takes now with `FlowData`. When zero, `FlowWritable` says when
    /// that changes.
    pub fn send_room(&self, flow: FlowId) -> u64 {
        let Some(entry) = self.flows.flows.get(&flow).filter(|entry| entry.has_local()) else {
            return 0;
        };
        entry.send.room(self.send_pool())
    }

    /// How much memory the session uses beyond its floors, in bytes: credit given and not used up
    /// by local consumption, and local data held.
    pub fn memory_used(&self) -> (u64, u64) {
        if self.life == Life::Ended { (0, 0) } else { (self.receive_used(), self.held) }
    }

    /// What there is to tell.
    pub fn stats(&self) -> Stats {
        Stats {
            stripes: self.stripes.live.values().map(stripe::Stripe::stats).collect(),
            flows: self.flows.flows.len(),
            payload_sent: self.totals.payload_sent,
            payload_resent: self.totals.payload_resent,
            payload_delivered: self.totals.payload_delivered,
            held: self.flows.flows.values().map(|flow| flow.send.buffer.held()).sum(),
            reordering: self.totals.reordering,
            reordering_peak: self.totals.reordering_peak,
            credit_outstanding: self.receive_used(),
            stripes_lost: self.totals.stripes_lost,
            control_peak: self.totals.control_peak,
        }
    }

    /// Opens no more flows.
    fn drain(&mut self, out: &mut Vec<Output>) {
        if self.life == Life::Running {
            self.life = Life::Draining;
        }
        if !self.flows.requests.is_empty() && planted!(DrainForgetsWaitingOpens) {
            return;
        }
        for (request, _) in self.flows.requests.drain(..) {
            out.push(Output::FlowOpenFailed { request });
        }
    }

    /// Whether nothing is left that a draining session must wait for.
    fn is_idle(&self) -> bool {
        let theirs = |flow: &FlowId| !flow.opened_by(self.role) && planted!(DrainCutsPeerFlows);
        self.flows.flows.keys().all(theirs) && self.flows.requests.is_empty()
    }

    /// The session is over: says so on every stripe, resets what flows there are, and forgets
    /// everything.
    fn end(&mut self, reason: EndReason, out: &mut Vec<Output>) {
        self.remove_ended(out);
        let code = match reason {
            EndReason::Shutdown | EndReason::PeerClosed | EndReason::PeerComplained => 0,
            EndReason::Aborted | EndReason::NoStripe => 1,
            EndReason::Violation(_) => 2,
        };
        // The peer must not take for lost what has arrived here, whichever stripe brings it the
        // news first.
        let counts: Vec<_> = self
            .stripes
            .live
            .iter()
            .map(|(id, stripe)| (*id, stripe.acker.count()))
            .filter(|(_, count)| *count > 0 && !planted!(CloseWithoutAcks))
            .collect();
        for stripe in self.stripes.live.keys() {
            for counts in counts.chunks(MAX_ACKS) {
                let header = Frame::Ack { counts: counts.to_vec() }.encode(0);
                out.push(Output::Transmit { stripe: *stripe, header, payload: Bytes::new() });
            }
            let header = Frame::Close { code }.encode(0);
            out.push(Output::Transmit { stripe: *stripe, header, payload: Bytes::new() });
            out.push(Output::CloseStripe { stripe: *stripe, reason: StripeClose::SessionEnded });
        }
        for (flow, entry) in &self.flows.flows {
            if entry.has_local() && entry.recv.state == RecvState::Finished && entry.send.is_done()
            {
                // Nothing is lost: all that is left is for the local consumer to take what it has
                // been given.
                out.push(Output::FlowEnded { flow: *flow });
            } else if entry.has_local() {
                out.push(Output::FlowReset { flow: *flow, reason: Reason::SessionLost });
            }
        }
        for (request, _) in self.flows.requests.drain(..) {
            out.push(Output::FlowOpenFailed { request });
        }
        if core::mem::take(&mut self.wanted) > 0 {
            out.push(Output::StripesWanted { count: 0 });
        }
        out.push(Output::Ended { reason });
        let totals = Totals { reordering: 0, ..core::mem::take(&mut self.totals) };
        *self = Session { totals, ..Session::new(self.role, self.id, self.config, self.now) };
        self.life = Life::Ended;
        self.timers.clear_all();
    }
}

/// The most DATA frames that we have on stripes at once.
const MAX_DATA_ENTRIES: usize = 32 << 10;

/// The most disjoint pieces that we hold out of order: twice what an honest peer can make of
/// [`MAX_DATA_ENTRIES`], and one more for each [`PIECE`] bytes of memory, since a frame may arrive
/// in many parts.
const MAX_PIECES: usize = 2 * MAX_DATA_ENTRIES;

/// Small parts of a frame are joined to at least half of this many bytes.
const PIECE: u64 = 4 << 10;

fn check_pieces(pieces: usize, memory_limit: u64) -> Result<(), Violation> {
    if pieces as u64 > MAX_PIECES as u64 + memory_limit / PIECE {
        Err(Violation::TooManyGaps)
    } else {
        Ok(())
    }
}
