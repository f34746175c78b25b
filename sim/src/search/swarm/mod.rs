//! Many small random worlds: each seed draws a random subset of the kinds of trouble, at random
//! rates, and everything is checked after every step.
//!
//! A [`Scenario`] is plain data: [drawn](draw()) from a seed, written and read as text
//! ([`script`]), [run](run()), and made smaller as long as it still fails ([`shrink()`]). Then it
//! is [kept](keep) with traces of its sessions. The same scenario gives the same [`Outcome`], to
//! the bit.

pub mod draw;
pub mod honest;
pub mod hostile;
pub mod keep;
pub mod pairs;
pub mod script;
pub mod shrink;
pub mod sweep;
pub mod terse;

pub use draw::{Size, draw, draw_sized};

use crate::base::{Failure, Kinds, Side, catch};
use crate::net::{Fault, FlowPlan, LinkSpec, ProcessFault};
use crate::run::{NamedTrace, Observer, Recordings};
pub use shrink::shrink;
use striper_core::Config;

#[derive(Clone, PartialEq, Debug)]
pub enum Scenario {
    Honest(Honest),
    Hostile(Hostile),
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Honest {
    /// The source of losses, cuts, waits and ids.
    pub seed: u64,
    /// When all trouble ends, in microseconds; from then on everything must complete in time.
    pub heal: u64,
    pub config: [Config; 2],
    pub routes: Vec<[LinkSpec; 2]>,
    pub flows: Vec<FlowPlan>,
    /// Times in microseconds, numbers of routes, and faults.
    pub faults: Vec<(u64, usize, Fault)>,
    pub process_faults: Vec<(u64, Side, ProcessFault)>,
}

impl Honest {
    /// When the last flow or fault begins, in microseconds.
    fn last_begin(&self) -> u64 {
        let flows = self.flows.iter().map(|flow| flow.at);
        let faults = self.faults.iter().map(|fault| fault.0);
        let process_faults = self.process_faults.iter().map(|process_fault| process_fault.0);
        flows.chain(faults).chain(process_faults).max().unwrap_or(0)
    }

    fn bytes(&self) -> u64 {
        self.flows.iter().flat_map(|flow| &flow.sends).map(|half| half.bytes).sum()
    }
}

/// One honest side and a peer that says valid things with bad intent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hostile {
    pub seed: u64,
    pub honest: Side,
    pub config: Config,
    pub moves: Vec<hostile::Move>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Inputs to sessions, each checked.
    pub events: u64,
    /// Faults that really hit, and kinds of trouble of links and programs that really showed.
    pub faults: u64,
    pub felt: Kinds,
    pub flows: u64,
    pub complete: u64,
    /// Flows that a program broke off or refused.
    pub broken: u64,
    /// Flows whose session ended first, on either side.
    pub lost: u64,
    pub delivered: u64,
    /// The most that an honest peer has used up of `control_burst` bytes, in parts of 10,000.
    pub control: u64,
    pub digest: u64,
}

impl Outcome {
    pub fn add(&mut self, other: &Outcome) {
        self.events += other.events;
        self.faults += other.faults;
        self.felt.join(other.felt);
        self.flows += other.flows;
        self.complete += other.complete;
        self.broken += other.broken;
        self.lost += other.lost;
        self.delivered += other.delivered;
        self.control = self.control.max(other.control);
        self.digest = self.digest.rotate_left(1) ^ other.digest;
    }
}

pub fn run(scenario: &Scenario) -> Result<Outcome, Failure> {
    run_before(scenario, None)
}

/// Runs a scenario and records every session in it, each to its end or to the failure.
/// `scenario_of` is the command that makes the trace of the session of a name anew.
pub fn record(
    scenario: &Scenario,
    scenario_of: impl Fn(&str) -> String + 'static,
) -> (Result<Outcome, Failure>, Vec<NamedTrace>) {
    let recordings = Recordings::new(scenario_of);
    let result = run_before(scenario, Some(recordings.observer()));
    let traces = recordings.finish(result.as_ref().err().map(|failure| failure.message.as_str()));
    (result, traces)
}

fn run_before(scenario: &Scenario, observer: Option<Observer>) -> Result<Outcome, Failure> {
    catch(|| match scenario {
        Scenario::Honest(honest) => honest::run(honest, observer),
        Scenario::Hostile(hostile) => hostile::run(hostile, observer),
    })
}

#[cfg(test)]
mod tests;
