//! Invariants of a pump between its turns.

use super::pump::Pump;

/// The number of things that a pump, or all pumps of a server, hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Footprint {
    /// Pipes and dials that have a slot.
    pub slots: usize,
    /// Stripes that carry data.
    pub stripes: usize,
    /// Dials under way.
    pub dials: usize,
    /// Flows that the session knows, is asked for, or is to be asked for.
    pub flows: usize,
    /// Bytes of local data held, and of data out of order.
    pub held: u64,
}

impl std::ops::Add for Footprint {
    type Output = Footprint;

    fn add(self, other: Footprint) -> Footprint {
        Footprint {
            slots: self.slots + other.slots,
            stripes: self.stripes + other.stripes,
            dials: self.dials + other.dials,
            flows: self.flows + other.flows,
            held: self.held + other.held,
        }
    }
}

/// Panics with a description if an invariant does not hold. Slow.
pub(crate) fn check_invariants(pump: &Pump) -> Footprint {
    let (agenda, session) = (&pump.base.agenda, pump.base.engine.session());
    session.check_invariants();
    let tokens = [
        pump.stripes().check_invariants(agenda),
        pump.flows().check_invariants(agenda),
        pump.client_side().map_or(0, |c| c.check_invariants(pump.stripes().len(), agenda)),
    ];
    assert_eq!(tokens.iter().sum::<usize>(), agenda.len(), "tokens that nothing has");
    let stats = session.stats();
    Footprint {
        slots: agenda.len(),
        stripes: pump.stripes().len(),
        dials: pump.client_side().map_or(0, |client| client.dialler.counts().0),
        flows: pump.flows().count() + stats.flows,
        held: stats.held + stats.reordering,
    }
}
