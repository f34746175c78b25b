//! One session whose peer is the test: it hears hand-made frames, and what it says is kept frame by
//! frame.

use super::*;
use crate::stripe::Token;
use crate::wire::deframer::{Deframer, Item};

#[derive(Clone)]
pub(super) struct Alone {
    pub session: Session,
    pub now: Instant,
    /// What it has said and the test has not looked at yet. Without PINGs.
    pub said: Vec<(StripeId, Item)>,
    /// What it has told its local side or asked of its driver.
    pub told: Vec<Output>,
    totals: BTreeMap<StripeId, u64>,
    /// Stripes take whatever they are given.
    pub writes: bool,
    /// A PING is answered at once.
    pub answers: bool,
    /// Checking everything after each step would take too long.
    pub unchecked: bool,
}

impl Alone {
    pub fn client(stripes: u64) -> Self {
        Self::new(Role::Client, stripes, Config { stripes: 0, ..Config::default() })
    }

    pub fn server(stripes: u64) -> Self {
        Self::new(Role::Server { instance: 9 }, stripes, Config::default())
    }

    pub fn new(role: Role, stripes: u64, config: Config) -> Self {
        let now = Instant::from_micros(1);
        let mut alone = Alone {
            session: Session::new(role, SessionId([7; 16]), config, now),
            now,
            said: Vec::new(),
            told: Vec::new(),
            totals: BTreeMap::new(),
            writes: true,
            answers: true,
            unchecked: false,
        };
        (0..stripes).for_each(|stripe| alone.up(StripeId(stripe)));
        // So that nothing is awaited.
        (0..stripes).for_each(|stripe| alone.acknowledge(stripe));
        alone.said.clear();
        alone.told.clear();
        alone
    }

    /// A stripe comes up.
    pub fn up(&mut self, stripe: StripeId) {
        let kind = match self.session.role() {
            Role::Client => HelloKind::Accept { instance: 9 },
            Role::Server { .. } => HelloKind::Join,
        };
        let hello = Hello { kind, session: SessionId([7; 16]), stripe, gone: Vec::new() };
        self.give(Input::StripeUp { stripe, hello });
    }

    pub fn give(&mut self, input: Input) {
        let mut queue = vec![input];
        while let Some(input) = (!queue.is_empty()).then(|| queue.remove(0)) {
            let mut out = Vec::new();
            self.session.handle(self.now, input, &mut out);
            if !self.unchecked {
                self.session.check_invariants();
            }
            for output in out {
                let Output::Transmit { stripe, header, payload } = output else {
                    self.told.push(output);
                    continue;
                };
                let total = self.totals.entry(stripe).or_default();
                *total += (header.len() + payload.len()) as u64;
                if self.writes {
                    queue.push(Input::StripeWritten { stripe, total: *total });
                }
                let mut bytes = Bytes::from([header, payload].concat());
                let mut deframer = Deframer::new();
                while let Some(piece) =
                    deframer.next(&mut bytes).expect("no session says a violation")
                {
                    match piece {
                        Item::Frame(Frame::Ping { nonce }) if self.answers => {
                            let data = Frame::Pong { nonce }.encode(0);
                            queue.push(Input::StripeBytes { stripe, data });
                        }
                        Item::Frame(Frame::Ping { .. }) => {}
                        piece => self.said.push((stripe, piece)),
                    }
                }
            }
        }
    }

    pub fn hear(&mut self, stripe: u64, frame: Frame) {
        self.give(Input::StripeBytes { stripe: StripeId(stripe), data: frame.encode(0) });
    }

    pub fn hear_data(&mut self, stripe: u64, offset: u64, data: &[u8], fin: bool) {
        let header = Frame::Data { flow: FLOW, offset, fin }.encode(data.len());
        let data = Bytes::from([&header, data].concat());
        self.give(Input::StripeBytes { stripe: StripeId(stripe), data });
    }

    /// The peer acknowledges all that a stripe has been given.
    pub fn acknowledge(&mut self, stripe: u64) {
        let count = self.session.stripes.get(StripeId(stripe)).unwrap().sent();
        self.hear(stripe, Frame::Ack { counts: vec![(StripeId(stripe), count)] });
    }

    /// Time goes on, with a tick whenever one is due.
    pub fn wait(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some((at, _)) = self.session.deadline().filter(|(at, _)| *at <= until) {
            self.now = at;
            self.give(Input::Tick);
        }
        self.now = until;
    }

    /// Opens a flow, and hands over its first bytes.
    pub fn open(&mut self, data: &'static [u8]) -> FlowId {
        let flow = FlowId::nth(self.session.role(), self.session.flows.len() as u64);
        self.give(Input::FlowOpen { request: 0, opaque: Bytes::from_static(b"target") });
        if !data.is_empty() {
            self.give(Input::FlowData { flow, data: Bytes::from_static(data) });
        }
        flow
    }

    /// The frames that it has said since the last call, but DATA.
    pub fn frames(&mut self) -> Vec<(u64, Frame)> {
        let frame = |(stripe, piece): (StripeId, Item)| match piece {
            Item::Frame(frame) => Some((stripe.0, frame)),
            Item::Data { .. } => None,
        };
        core::mem::take(&mut self.said).into_iter().filter_map(frame).collect()
    }

    /// The end of the last thing on a live stripe that stands for this.
    pub fn end_of(&self, stripe: u64, token: Token) -> u64 {
        let ledger = &self.session.stripes.get(StripeId(stripe)).unwrap().ledger();
        ledger
            .iter()
            .filter(|entry| entry.token == token)
            .map(|entry| entry.end)
            .last()
            .expect("it is there")
    }

    /// What it has told since the last call.
    pub fn told(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.told)
    }
}

/// The client's first flow.
pub(super) const FLOW: FlowId = FlowId(1);

/// The peer's OPEN of it.
pub(super) fn open() -> Frame {
    Frame::Open { flow: FLOW, early: 0, credit: 1 << 20, opaque: Bytes::from_static(b"target") }
}
