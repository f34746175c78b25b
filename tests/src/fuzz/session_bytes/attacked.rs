//! A session that is attacked, and all that must hold whatever the peer says.

use super::super::source::Source;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::limits::{FLOW_FLOOR, MAX_CHUNK, MAX_STRIPES};
use striper_core::testing::{Endpoint, Keep};
use striper_core::wire::deframer::{Deframer, Item};
use striper_core::wire::frame::Frame;
use striper_core::{
    Config, EndReason, FlowId, Hello, HelloKind, Input, Instant, Output, Role, Session, SessionId,
    StripeId, Violation,
};

/// The most bytes that may wait to be written on a stripe: the largest allowance, the reserve for
/// control, and one large frame.
const MAX_UNWRITTEN: u64 = (512 << 10) + (64 << 10) + MAX_CHUNK as u64;

/// The most bytes that may be allocated for a session, this bookkeeping and its input included.
/// That is the memory limit, a floor for each direction of 128 flows, and as much again for
/// overhead.
const MAX_ALLOCATED: usize = 2 * ((2 << 20) + 2 * 128 * FLOW_FLOOR as usize);

/// The peer's flows that may exist at once: the configuration's limit.
const MAX_PEER_FLOWS: usize = 64;

/// A stripe that has come up, as the peer knows it.
struct Stripe {
    reader: Deframer,
    pinged: Option<u64>,
}

pub(super) struct Attacked<A> {
    end: Endpoint,
    id: SessionId,
    config: Config,
    now: Instant,
    stripes: BTreeMap<StripeId, Stripe>,
    inputs: usize,
    heard: usize,
    allocated: A,
    baseline: usize,
}

impl<A: Fn() -> usize> Attacked<A> {
    pub fn new(role: Role, id: SessionId, config: Config, allocated: A) -> Self {
        let now = Instant::from_micros(1);
        let baseline = allocated();
        Attacked {
            end: Endpoint::new(Session::new(role, id, config, now), Keep::Flows),
            id,
            config,
            now,
            stripes: BTreeMap::new(),
            inputs: 0,
            heard: 0,
            allocated,
            baseline,
        }
    }

    pub fn is_over(&self) -> bool {
        self.end.ended().is_some()
    }

    pub fn is_client(&self) -> bool {
        self.end.session.role() == Role::Client
    }

    pub fn stripe(&self, source: &mut Source) -> Option<StripeId> {
        source.one_of(self.end.stripes().keys().copied())
    }

    /// The flows that the local side knows and that are not over.
    pub fn flows(&self) -> Vec<FlowId> {
        self.end.log.live().collect()
    }

    pub fn local_flow(&self, source: &mut Source) -> Option<FlowId> {
        source.one_of(self.flows().into_iter())
    }

    /// A live flow, and the offset at which its delivery goes on.
    pub fn expected(&self, source: &mut Source) -> Option<(FlowId, u64)> {
        self.local_flow(source).map(|flow| (flow, self.end.log.flows()[&flow].delivered))
    }

    pub fn next_stripe(&self) -> StripeId {
        let used = self.stripes.keys().filter(|id| id.0 < 1_000);
        StripeId(used.map(|id| id.0 + 1).max().unwrap_or(0))
    }

    pub fn hello(&self) -> Hello {
        let kind = match self.end.session.role() {
            Role::Client => HelloKind::Accept { instance: super::INSTANCE },
            Role::Server { .. } => HelloKind::Join,
        };
        Hello { kind, session: self.id, stripe: self.next_stripe(), gone: Vec::new() }
    }

    /// Frame bytes that were put on a stripe.
    pub fn transmitted(&self, stripe: StripeId) -> u64 {
        self.end.sent(stripe)
    }

    pub fn pinged(&self, stripe: StripeId) -> Option<u64> {
        self.stripes.get(&stripe)?.pinged
    }

    /// A HELLO is complete; whether its stripe is up then. A driver keeps some HELLOs from the
    /// session, and so does this.
    pub fn greet(&mut self, hello: Hello) -> bool {
        let stripe = hello.stripe;
        let fits = match hello.kind {
            HelloKind::Create | HelloKind::Join => !self.is_client(),
            HelloKind::Accept { .. } => self.is_client() && stripe == self.next_stripe(),
            HelloKind::Refuse(_) => false,
        };
        if !fits || hello.session != self.id || self.stripes.contains_key(&stripe) {
            return false;
        }
        if !self.is_client() && self.end.session.may_join(stripe).is_err() {
            return false;
        }
        if self.end.stripes().len() >= MAX_STRIPES {
            return false;
        }
        self.end.session.hello(stripe).encode();
        self.stripes.insert(stripe, Stripe { reader: Deframer::new(), pinged: None });
        self.give(Input::StripeUp { stripe, hello });
        self.end.stripes().contains_key(&stripe)
    }

    pub fn hear(&mut self, stripe: StripeId, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.give(Input::StripeBytes { stripe, data: Bytes::copy_from_slice(bytes) });
        }
    }

    pub fn write(&mut self, stripe: StripeId, total: u64) {
        if let Some(totals) = self.end.stripes().get(&stripe) {
            let total = total.max(totals.written);
            self.give(Input::StripeWritten { stripe, total });
        }
    }

    pub fn produce(&mut self, flow: FlowId, length: usize) {
        let room = self.end.session.send_room(flow) as usize;
        if !self.end.log.flows()[&flow].finished && room > 0 {
            let data = Bytes::from(vec![0; length.min(room)]);
            self.give(Input::FlowData { flow, data });
        }
    }

    /// Takes a share of what was delivered; 255 is all.
    pub fn consume(&mut self, flow: FlowId, share: u8) {
        let log = &self.end.log.flows()[&flow];
        let total = log.consumed + (log.delivered - log.consumed) * u64::from(share) / 255;
        self.give(Input::FlowConsumed { flow, total });
    }

    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.give(Input::Tick);
    }

    /// Sleeps through a second as a driver would. However often it wakes, there is an end to it.
    pub fn sleep(&mut self) {
        let until = self.now + Duration::from_secs(1);
        let most = 256 * (1 + self.end.stripes().len() + self.flows().len());
        for _ in 0..most {
            match self.end.session.deadline() {
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
        panic!("{most} wake-ups in a second, the next for {:?}", self.end.session.deadline());
    }

    pub fn give(&mut self, input: Input) {
        if self.is_over() {
            return;
        }
        let (bytes, local) = match &input {
            Input::StripeBytes { data, .. } => (data.len(), false),
            Input::StripeUp { hello, .. } => (hello.gone.len(), false),
            _ => (0, true),
        };
        self.inputs += 1;
        self.heard += bytes;
        let before = self.end.session.stats();
        let waiting = before.flows + before.stripes.len() + self.inputs;
        let mut out = Vec::new();
        self.end.give(self.now, input, &mut out);
        self.end.session.check_invariants();
        let transmitted: usize = out.iter().map(transmitted).sum();
        let most = 256 + 8 * waiting + bytes + transmitted / 256;
        assert!(out.len() <= most, "{} outputs of one input, at most {most} expected", out.len());
        out.into_iter().for_each(|output| self.perform(output, local));
        self.check_limits();
    }

    fn perform(&mut self, output: Output, local: bool) {
        match output {
            Output::Transmit { stripe, header, payload } => self.transmit(stripe, header, payload),
            Output::StripePace { unsent, .. } => {
                assert!((8 << 10..=512 << 10).contains(&unsent), "{unsent} bytes of pace");
            }
            Output::StripesWanted { count } => assert!(count <= self.config.stripes),
            Output::FlowOpened { flow, .. } => {
                assert_eq!(flow.0 % 2 == 1, self.is_client(), "flow {flow} is the peer's");
            }
            Output::FlowIncoming { flow, opaque } => {
                assert_eq!(flow.0 % 2 == 1, !self.is_client(), "flow {flow} is ours");
                assert!(opaque.len() <= striper_core::limits::MAX_OPAQUE);
            }
            Output::Ended { reason } => {
                let blamed = match reason {
                    EndReason::Violation(violation) => violation != Violation::TooManyGoneStripes,
                    _ => false,
                };
                assert!(!(blamed && local), "{reason} although the peer said nothing");
            }
            _ => {}
        }
    }

    fn transmit(&mut self, id: StripeId, header: Bytes, payload: Bytes) {
        let stripe = self.stripes.get_mut(&id).expect("a stripe that has come up");
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
        let (receive, send) = self.end.session.memory_used();
        let half = self.config.memory_limit / 2;
        let is_within = receive <= half && send <= half + FLOW_FLOOR;
        assert!(is_within, "{receive} and {send} bytes of memory");
        let stats = self.end.session.stats();
        let opened = self.end.log.flows().values().filter(|log| log.ours).count();
        assert!(stats.flows <= MAX_PEER_FLOWS + opened, "{} flows", stats.flows);
        let told = stats.stripes.iter().map(|told| (told.stripe, (told.sent, told.written)));
        let known = self.end.stripes().iter();
        assert!(told.eq(known.map(|(stripe, totals)| (*stripe, (totals.sent, totals.written)))));
        for stripe in &stats.stripes {
            assert!(stripe.sent - stripe.written <= MAX_UNWRITTEN, "{stripe:?} is overfull");
        }
        let allocated = (self.allocated)().saturating_sub(self.baseline);
        let most = MAX_ALLOCATED + 1024 * self.inputs;
        assert!(allocated <= most, "{allocated} bytes allocated after {} were heard", self.heard);
    }

    /// Ends what has not ended, and sees that nothing is left.
    pub fn finish(mut self) {
        self.give(Input::Abort);
        assert!(self.is_over(), "it goes on");
        let mut out = Vec::new();
        self.end.session.handle(self.now, Input::Tick, &mut out);
        assert_eq!(out, []);
        self.end.session.check_invariants();
        assert_eq!((self.end.session.memory_used(), self.end.session.deadline()), ((0, 0), None));
    }
}

fn transmitted(output: &Output) -> usize {
    match output {
        Output::Transmit { header, payload, .. } => header.len() + payload.len(),
        _ => 0,
    }
}
