//! A session with the duties of its driver.

use super::log::{Keep, Log};
use crate::error::EndReason;
use crate::id::{FlowId, Role, StripeId};
use crate::io::{Input, Output};
use crate::session::Session;
use crate::time::Instant;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Frame bytes of a stripe that is up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Totals {
    /// Transmitted by the session.
    pub sent: u64,
    /// Reported to the session as written.
    pub written: u64,
}

/// The parts of a driver's duty that [`Endpoint::run`] does at once.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Stripes take all that is transmitted.
    pub writes: bool,
    /// Local programs consume all that is delivered.
    pub consumes: bool,
    /// Invariants are checked after each input.
    pub checks: bool,
}

/// All of them.
impl Default for Habits {
    fn default() -> Self {
        Habits { writes: true, consumes: true, checks: true }
    }
}

/// A session, the stripes that are up, and a log of what its local side was told.
///
/// It panics at outputs that a session must never give: a frame on a stripe that is not up, a
/// second FIN, any after the end.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Ask it and change it at will, but give it inputs through [`Endpoint::give`].
    pub session: Session,
    /// The flows.
    pub log: Log,
    stripes: BTreeMap<StripeId, Totals>,
    wanted: usize,
    ended: Option<EndReason>,
}

impl Endpoint {
    /// For a session that has had no input yet.
    pub fn new(session: Session, keep: Keep) -> Self {
        let (stripes, log) = (BTreeMap::new(), Log::new(keep));
        Endpoint { session, log, stripes, wanted: 0, ended: None }
    }

    /// Gives an input, appends the outputs, and notes both.
    pub fn give(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if self.ended.is_none() {
            self.note_input(&input);
        }
        let first = out.len();
        self.session.handle(now, input, out);
        self.note(&out[first..]);
    }

    /// Gives an input, and then those that habits make of its outputs. All outputs, in order.
    pub fn run(&mut self, now: Instant, input: Input, habits: Habits) -> Vec<Output> {
        let mut out = Vec::new();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let first = out.len();
            self.give(now, input, &mut out);
            if habits.checks {
                self.session.check_invariants();
            }
            for output in &out[first..] {
                let next = match output {
                    Output::Transmit { stripe, .. } if habits.writes => self.all_written(*stripe),
                    Output::FlowData { flow, .. } if habits.consumes => self.all_consumed(*flow),
                    _ => None,
                };
                if next.is_some() && next.as_ref() != inputs.back() {
                    inputs.extend(next);
                }
            }
        }
        out
    }

    /// The report that a stripe has taken all; none if that is known.
    pub fn all_written(&self, stripe: StripeId) -> Option<Input> {
        let Totals { sent, written } = *self.stripes.get(&stripe)?;
        (written < sent).then_some(Input::StripeWritten { stripe, total: sent })
    }

    /// The report that a local program has taken all; none if that is known.
    pub fn all_consumed(&self, flow: FlowId) -> Option<Input> {
        let log = self.log.get(flow)?;
        let total = log.delivered;
        (log.consumed < total).then_some(Input::FlowConsumed { flow, total })
    }

    /// The stripes that are up.
    pub fn stripes(&self) -> &BTreeMap<StripeId, Totals> {
        &self.stripes
    }

    /// Frame bytes that were transmitted on a stripe; zero if it is not up.
    pub fn sent(&self, stripe: StripeId) -> u64 {
        self.stripes.get(&stripe).map_or(0, |totals| totals.sent)
    }

    /// How many stripes the client misses.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Why the session has ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    fn note_input(&mut self, input: &Input) {
        match input {
            Input::StripeUp { stripe, .. } => {
                self.stripes.entry(*stripe).or_default();
            }
            Input::StripeDown { stripe } => drop(self.stripes.remove(stripe)),
            Input::StripeWritten { stripe, total } => {
                if let Some(totals) = self.stripes.get_mut(stripe) {
                    totals.written = totals.written.max(*total);
                }
            }
            other => self.log.note_input(other),
        }
    }

    /// Notes outputs that [`Endpoint::give`] has not brought, such as those of a timer that was
    /// fired.
    pub fn note(&mut self, outputs: &[Output]) {
        for output in outputs {
            assert!(self.ended.is_none(), "{output:?} after the end");
            self.note_output(output);
        }
    }

    fn note_output(&mut self, output: &Output) {
        match output {
            Output::Transmit { stripe, header, payload } => {
                let Some(totals) = self.stripes.get_mut(stripe) else {
                    panic!("a frame on stripe {stripe}, which is not up")
                };
                totals.sent += (header.len() + payload.len()) as u64;
            }
            Output::StripePace { stripe, .. } => {
                assert!(self.stripes.contains_key(stripe), "the pace of stripe {stripe}");
            }
            Output::CloseStripe { stripe, .. } => {
                let closed = self.stripes.remove(stripe);
                assert!(closed.is_some(), "stripe {stripe} is closed and was not up");
            }
            Output::StripesWanted { count } => {
                assert_eq!(self.session.role(), Role::Client, "only a client dials");
                self.wanted = *count;
            }
            Output::Ended { reason } => {
                assert!(self.stripes.is_empty(), "{:?} are left open", self.stripes);
                let left: Vec<FlowId> = self.log.live().collect();
                assert!(left.is_empty(), "flows outlive the session: {left:?}");
                self.ended = Some(*reason);
            }
            Output::Draining => {}
            other => self.log.note_output(other),
        }
    }
}
