//! Greedy TCP connections without sessions: what the modelled TCP itself makes of a route.
//!
//! Invariant: the same routes and the same seed give the same figures.

use crate::base::{Agenda, Rate, seed};
use crate::net::{Greedy, Later, LinkEvent, LinkSpec, Shared};

pub struct Bare {
    flows: Vec<Greedy>,
    /// The first so many of them count; the others are foreign.
    own: usize,
    agenda: Agenda<(usize, LinkEvent)>,
    now: u64,
}

impl Bare {
    /// A connection on each route, as given from the sender and back. Those of `foreign` are beside
    /// them, and all pass through `shared` if there is one.
    pub fn new(
        routes: &[[LinkSpec; 2]],
        shared: Option<&LinkSpec>,
        foreign: &[[LinkSpec; 2]],
        seed: u64,
    ) -> Self {
        let shared = shared.map(|spec| Shared::new(spec.clone()));
        let flow = |(nth, route): (usize, &[LinkSpec; 2])| {
            Greedy::new(route, shared.clone(), seed::stream(seed, "bare", nth as u64))
        };
        let flows = routes.iter().chain(foreign).enumerate().map(flow).collect();
        let mut bare = Bare { flows, own: routes.len(), agenda: Agenda::new(), now: 0 };
        for nth in 0..bare.flows.len() {
            let mut later = Later::new();
            bare.flows[nth].fill(0, &mut later);
            bare.plan(nth, later);
        }
        bare
    }

    /// Bytes that have arrived, of the connections that count, and of the foreign ones.
    pub fn delivered(&self) -> [u64; 2] {
        let (own, foreign) = self.flows.split_at(self.own);
        [own, foreign].map(|flows| flows.iter().map(Greedy::delivered).sum())
    }

    /// Runs up to a time, or until those that count have delivered so many bytes. Returns the time.
    pub fn run(&mut self, until: u64, bytes: u64) -> u64 {
        while self.delivered()[0] < bytes && self.agenda.next_time().is_some_and(|at| at <= until) {
            let (at, (nth, event)) = self.agenda.pop().expect("an event whose time was just read");
            self.now = at;
            let mut later = Later::new();
            self.flows[nth].happen(at, event, &mut later);
            self.plan(nth, later);
        }
        self.now
    }

    /// The goodput between two times, also of the foreign connections.
    pub fn goodput(&mut self, from: u64, to: u64) -> [Rate; 2] {
        self.run(from, u64::MAX);
        let before = self.delivered();
        self.run(to, u64::MAX);
        let after = self.delivered();
        [0, 1].map(|nth| Rate::bits((after[nth] - before[nth]) * 8_000_000 / (to - from)))
    }

    fn plan(&mut self, nth: usize, later: Later) {
        later.into_iter().for_each(|(at, event)| self.agenda.add(at, (nth, event)));
    }
}
