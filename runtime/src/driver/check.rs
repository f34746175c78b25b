//! What must hold for a pump between its turns, and how much it holds, written down as code for
//! simulations.

use super::flow::Stage;
use super::{Pump, Slot};

/// How many things a pump, or all pumps of a server, hold.
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

impl Pump {
    /// Panics with a description if something does not hold. Slow.
    pub fn check_invariants(&self) {
        self.session.check_invariants();
        for (id, key) in &self.stripes {
            let Some(Slot::Stripe(stripe)) = self.slots.get(*key) else {
                panic!("stripe {id} is not in slot {key}")
            };
            assert!(
                stripe.id == *id && !stripe.is_closing(),
                "stripe {id} is another one or closing"
            );
        }
        for (id, key) in &self.flows {
            let Some(Slot::Flow(flow)) = self.slots.get(*key) else {
                panic!("flow {id} is not in slot {key}")
            };
            assert_eq!(flow.id(), Some(*id), "flow {id} is another one or not open");
        }
        let (mut stripes, mut flows, mut dials) = (0, 0, 0);
        for (key, slot) in &self.slots {
            match slot {
                Slot::Stripe(stripe) => stripes += usize::from(!stripe.is_closing()),
                Slot::Dial(_) => dials += 1,
                Slot::Empty => panic!("slot {key} has been left empty"),
                Slot::Flow(flow) => match flow.stage {
                    Stage::Open(_) => flows += 1,
                    Stage::Waiting(_) => {
                        let known = self
                            .client
                            .as_ref()
                            .is_some_and(|client| client.waiting.contains(&key));
                        assert!(known, "nobody will wake the waiting flow in slot {key}");
                    }
                    Stage::Opening(request) => {
                        assert_eq!(
                            self.opening.get(&request),
                            Some(&key),
                            "a request has been forgotten"
                        );
                    }
                    Stage::Closing => {
                        assert!(!flow.is_local_over(), "slot {key} has ended and not been freed")
                    }
                    Stage::Parting(..) => {}
                },
            }
        }
        assert_eq!(
            (stripes, flows),
            (self.stripes.len(), self.flows.len()),
            "slots that no table knows"
        );
        if let Some(client) = &self.client {
            assert_eq!(client.dialler.counts(), (dials, stripes), "dials and stripes by address");
        }
    }

    /// How much it holds now.
    pub fn footprint(&self) -> Footprint {
        let stats = self.session.stats();
        let waiting = self.client.as_ref().map_or(0, |client| client.waiting.len());
        Footprint {
            slots: self.slots.len(),
            stripes: self.stripes.len(),
            dials: self.client.as_ref().map_or(0, |client| client.dialler.counts().0),
            flows: self.flows.len() + self.opening.len() + waiting + stats.flows,
            held: stats.held + stats.reordering,
        }
    }
}
