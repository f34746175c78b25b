//! A session that is attacked, and all that must hold whatever the peer says.

use super::super::source::Source;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use striper_core::config::{FLOW_FLOOR, MAX_CHUNK, MAX_STRIPES};
use striper_core::wire::deframer::{Deframer, Item};
use striper_core::wire::frame::Frame;
use striper_core::{
    Config, EndReason, FlowId, Hello, HelloKind, Input, Instant, Output, Refusal, Role, Session,
    SessionId, StripeId, Violation,
};

/// The most that may be transmitted on a stripe and not written, in bytes: the largest allowance,
/// the reserve for control, and one OPEN or DATA that is larger than what is left of them.
const MAX_UNWRITTEN: u64 = (512 << 10) + (64 << 10) + MAX_CHUNK as u64;

/// What may be allocated for a session, this bookkeeping and the bytes of its input included: the
/// memory limit, a floor for each direction of 128 flows, and as much again for what holds it.
const MAX_ALLOCATED: usize = 2 * ((2 << 20) + 2 * 128 * FLOW_FLOOR as usize);

/// The peer's flows that may exist at once: the configuration's limit.
const MAX_PEER_FLOWS: usize = 64;

/// A stripe that is up.
struct Stripe {
    transmitted: u64,
    written: u64,
    /// Reads what the session says, as a peer would.
    reader: Deframer,
    pinged: Option<u64>,
}

/// A flow as the local side knows it.
#[derive(Default)]
struct Flow {
    /// The peer has opened it and it was not accepted yet.
    offered: bool,
    delivered: u64,
    consumed: u64,
    /// The local side has finished it.
    finished: bool,
    /// The peer has finished it.
    fin: bool,
}

pub(super) struct Attacked<A> {
    session: Session,
    role: Role,
    id: SessionId,
    config: Config,
    now: Instant,
    stripes: BTreeMap<StripeId, Stripe>,
    /// Numbers that were up or are.
    used: BTreeSet<StripeId>,
    flows: BTreeMap<FlowId, Flow>,
    opened: usize,
    inputs: usize,
    heard: usize,
    over: bool,
    allocated: A,
    baseline: usize,
}

impl<A: Fn() -> usize> Attacked<A> {
    pub fn new(role: Role, id: SessionId, config: Config, allocated: A) -> Self {
        let now = Instant::from_micros(1);
        let baseline = allocated();
        Attacked {
            session: Session::new(role, id, config, now),
            role,
            id,
            config,
            now,
            stripes: BTreeMap::new(),
            used: BTreeSet::new(),
            flows: BTreeMap::new(),
            opened: 0,
            inputs: 0,
            heard: 0,
            over: false,
            allocated,
            baseline,
        }
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    pub fn is_client(&self) -> bool {
        self.role == Role::Client
    }

    /// The flows that the local side knows.
    pub fn flows(&self) -> impl ExactSizeIterator<Item = FlowId> {
        self.flows.keys().copied()
    }

    /// One of the stripes that are up.
    pub fn stripe(&self, source: &mut Source) -> Option<StripeId> {
        source.one_of(self.stripes.keys().copied())
    }

    /// One of the flows that the local side knows.
    pub fn local_flow(&self, source: &mut Source) -> Option<FlowId> {
        source.one_of(self.flows())
    }

    /// One of the flows, with the offset at which its delivery goes on.
    pub fn expected(&self, source: &mut Source) -> Option<(FlowId, u64)> {
        source.one_of(self.flows.iter()).map(|(id, flow)| (*id, flow.delivered))
    }

    /// A stripe number that was never used.
    pub fn next_stripe(&self) -> StripeId {
        StripeId(self.used.iter().filter(|id| id.0 < 1_000).map(|id| id.0 + 1).max().unwrap_or(0))
    }

    /// What a good peer would say next.
    pub fn hello(&self) -> Hello {
        let kind = match self.role {
            Role::Client => HelloKind::Accept { instance: super::INSTANCE },
            Role::Server { .. } => HelloKind::Join,
        };
        Hello { kind, session: self.id, stripe: self.next_stripe(), gone: Vec::new() }
    }

    /// Frame bytes that were put on a stripe.
    pub fn transmitted(&self, stripe: StripeId) -> u64 {
        self.stripes.get(&stripe).map_or(0, |stripe| stripe.transmitted)
    }

    /// The latest PING on a stripe.
    pub fn pinged(&self, stripe: StripeId) -> Option<u64> {
        self.stripes.get(&stripe)?.pinged
    }

    /// A HELLO is complete; whether its stripe is up then. What a driver keeps from the session is
    /// kept from it here.
    pub fn greet(&mut self, hello: Hello) -> bool {
        let stripe = hello.stripe;
        let fits = match hello.kind {
            HelloKind::Create | HelloKind::Join => !self.is_client(),
            HelloKind::Accept { .. } => self.is_client() && stripe == self.next_stripe(),
            HelloKind::Refuse(_) => false,
        };
        if !fits || hello.session != self.id || self.used.contains(&stripe) {
            return false;
        }
        if !self.is_client() && self.session.may_join(stripe).is_err() {
            return false;
        }
        if self.stripes.len() >= MAX_STRIPES {
            return false;
        }
        self.session.hello(stripe).encode();
        self.used.insert(stripe);
        let reader = Deframer::new();
        self.stripes.insert(stripe, Stripe { transmitted: 0, written: 0, reader, pinged: None });
        self.give(Input::StripeUp { stripe, hello });
        self.stripes.contains_key(&stripe)
    }

    /// The server refuses a stripe because it doesn't know the session: drivers end it then.
    pub fn greet_refused(&mut self, refusal: Refusal) {
        if self.is_client() && refusal == Refusal::UnknownSession {
            self.give(Input::Abort);
        }
    }

    pub fn hear(&mut self, stripe: StripeId, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.give(Input::StripeBytes { stripe, data: Bytes::copy_from_slice(bytes) });
        }
    }

    pub fn write(&mut self, id: StripeId, total: u64) {
        if let Some(stripe) = self.stripes.get_mut(&id) {
            stripe.written = stripe.written.max(total);
            let total = stripe.written;
            self.give(Input::StripeWritten { stripe: id, total });
        }
    }

    pub fn lose(&mut self, stripe: StripeId) {
        self.stripes.remove(&stripe);
        self.give(Input::StripeDown { stripe });
    }

    pub fn produce(&mut self, id: FlowId, length: usize) {
        let room = self.session.send_room(id);
        if self.flows.get(&id).is_some_and(|flow| !flow.finished) && room > 0 {
            let length = length.min(room as usize);
            self.give(Input::FlowData { flow: id, data: Bytes::from(vec![0; length]) });
        }
    }

    /// Takes a share of what was delivered; 255 is all.
    pub fn consume(&mut self, id: FlowId, share: u8) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.consumed += (flow.delivered - flow.consumed) * u64::from(share) / 255;
            let total = flow.consumed;
            self.give(Input::FlowConsumed { flow: id, total });
        }
    }

    pub fn finish_flow(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.finished = true;
            self.give(Input::FlowFinish { flow: id });
        }
    }

    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Sleeps through a second as a driver would. However often it wakes, there is an end to it.
    pub fn sleep(&mut self) {
        let until = self.now + Duration::from_secs(1);
        let most = 256 * (1 + self.stripes.len() + self.flows.len());
        for _ in 0..most {
            match self.session.deadline() {
                Some((at, _)) if at <= until => {
                    self.now = self.now.max(at);
                    self.give(Input::Tick);
                }
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("{most} wake-ups in a second, the next for {:?}", self.session.deadline());
    }

    pub fn give(&mut self, input: Input) {
        if self.over {
            return;
        }
        let (bytes, local) = match &input {
            Input::StripeBytes { data, .. } => (data.len(), false),
            Input::StripeUp { hello, .. } => (hello.gone.len(), false),
            _ => (0, true),
        };
        self.inputs += 1;
        self.heard += bytes;
        // What the local side has ended is forgotten here; what comes for it later is for nobody.
        match &input {
            Input::FlowReset { flow, .. } => drop(self.flows.remove(flow)),
            Input::FlowRefuse { flow, .. }
                if self.flows.get(flow).is_some_and(|flow| flow.offered) =>
            {
                self.flows.remove(flow);
            }
            Input::FlowAccept { flow } => {
                if let Some(flow) = self.flows.get_mut(flow) {
                    flow.offered = false;
                }
            }
            _ => {}
        }
        let before = self.session.stats();
        let waiting = before.flows + before.stripes.len() + self.inputs;
        let mut out = Vec::new();
        self.session.handle(self.now, input, &mut out);
        self.session.check_invariants();
        let transmitted: usize = out.iter().map(transmitted).sum();
        let most = 256 + 8 * waiting + bytes + transmitted / 256;
        assert!(out.len() <= most, "{} outputs of one input, at most {most} expected", out.len());
        for output in out {
            assert!(!self.over, "{output:?} after the end");
            self.perform(output, local);
        }
        self.check_limits();
    }

    fn perform(&mut self, output: Output, local: bool) {
        match output {
            Output::Transmit { stripe, header, payload } => self.transmit(stripe, header, payload),
            Output::CloseStripe { stripe, .. } => {
                assert!(self.stripes.remove(&stripe).is_some(), "stripe {stripe} is closed twice");
            }
            Output::StripePace { stripe, unsent } => {
                assert!(self.stripes.contains_key(&stripe));
                assert!((8 << 10..=512 << 10).contains(&unsent), "{unsent} bytes of pace");
            }
            Output::StripesWanted { count } => {
                assert!(self.is_client() && count <= self.config.stripes);
            }
            Output::FlowOpened { flow, .. } => {
                self.opened += 1;
                self.issue(flow, true);
            }
            Output::FlowIncoming { flow, opaque } => {
                assert!(opaque.len() <= striper_core::config::MAX_OPAQUE);
                self.issue(flow, false);
            }
            Output::FlowData { flow, data } => {
                let entry = self.known(flow);
                assert!(!entry.fin && !data.is_empty(), "data after the end of flow {flow}");
                entry.delivered += data.len() as u64;
            }
            Output::FlowFinished { flow } => {
                let entry = self.known(flow);
                assert!(!entry.fin, "flow {flow} ends twice");
                entry.fin = true;
            }
            Output::FlowAccepted { flow } | Output::FlowWritable { flow } => {
                self.known(flow);
            }
            Output::FlowRefused { flow, .. }
            | Output::FlowReset { flow, .. }
            | Output::FlowEnded { flow } => {
                assert!(self.flows.remove(&flow).is_some(), "flow {flow} is over twice");
            }
            Output::FlowOpenFailed { .. } | Output::Draining => {}
            Output::Ended { reason } => {
                self.over = true;
                let blamed = match reason {
                    EndReason::Violation(violation) => violation != Violation::TooManyGoneStripes,
                    _ => false,
                };
                assert!(!(blamed && local), "{reason} although the peer said nothing");
                assert!(self.stripes.is_empty(), "a stripe is left open");
            }
        }
    }

    fn issue(&mut self, flow: FlowId, ours: bool) {
        assert_eq!(flow.0 % 2 == 1, ours == self.is_client(), "flow {flow} is the other side's");
        let entry = Flow { offered: !ours, ..Flow::default() };
        assert!(self.flows.insert(flow, entry).is_none(), "flow {flow} begins twice");
    }

    fn known(&mut self, flow: FlowId) -> &mut Flow {
        self.flows.get_mut(&flow).unwrap_or_else(|| panic!("flow {flow} is over"))
    }

    fn transmit(&mut self, id: StripeId, header: Bytes, payload: Bytes) {
        let stripe = self
            .stripes
            .get_mut(&id)
            .unwrap_or_else(|| panic!("a frame on stripe {id}, which is down"));
        stripe.transmitted += (header.len() + payload.len()) as u64;
        for mut bytes in [header, payload] {
            while let Some(piece) =
                stripe.reader.next(&mut bytes).expect("the session keeps to the protocol")
            {
                if let Item::Frame(Frame::Ping { nonce }) = piece {
                    stripe.pinged = Some(nonce);
                }
            }
        }
    }

    fn check_limits(&self) {
        let (receive, send) = self.session.memory_used();
        let half = self.config.memory_limit / 2;
        assert!(
            receive <= half && send <= half + FLOW_FLOOR,
            "{receive} and {send} bytes of memory"
        );
        let stats = self.session.stats();
        assert!(stats.flows <= MAX_PEER_FLOWS + self.opened, "{} flows", stats.flows);
        assert_eq!(
            stats.stripes.iter().map(|stripe| stripe.stripe).collect::<Vec<_>>(),
            self.stripes.keys().copied().collect::<Vec<_>>()
        );
        for stripe in &stats.stripes {
            let known = &self.stripes[&stripe.stripe];
            assert_eq!((stripe.sent, stripe.written), (known.transmitted, known.written));
            assert!(stripe.sent - stripe.written <= MAX_UNWRITTEN, "{stripe:?} is overfull");
        }
        let allocated = (self.allocated)().saturating_sub(self.baseline);
        let most = MAX_ALLOCATED + 1024 * self.inputs;
        assert!(allocated <= most, "{allocated} bytes allocated after {} were heard", self.heard);
    }

    /// Ends what has not ended, and sees that nothing is left.
    pub fn finish(mut self) {
        self.give(Input::Abort);
        assert!(self.over && self.flows.is_empty(), "flows are left: {:?}", self.flows.keys());
        let mut out = Vec::new();
        self.session.handle(self.now, Input::Tick, &mut out);
        assert_eq!(out, []);
        self.session.check_invariants();
        assert_eq!((self.session.memory_used(), self.session.deadline()), ((0, 0), None));
    }
}

fn transmitted(output: &Output) -> usize {
    match output {
        Output::Transmit { header, payload, .. } => header.len() + payload.len(),
        _ => 0,
    }
}
