//! When stripes look at their losses, so that their congestion control follows the route (`losses`): a few times a second while they send. A
//! stripe that is idle, and one with nothing to adapt, is not woken for it.

use super::{Pump, Slot};
use crate::pipe::Adapted;
use crate::report::Event;
use std::time::Duration;
use striper_core::Instant;

/// Several round trips of most routes, so that what is counted between two looks means something; at a rate of 500 packets a second and 1 %
/// of losses, four looks are enough to see them. Each costs a system call.
const LOOK: Duration = Duration::from_millis(250);

/// A stripe's looks.
#[derive(Debug)]
pub enum Looks {
    /// There is nothing to adapt.
    Never,
    /// Nothing has been sent since the last one.
    Rest,
    /// When to look next.
    At(Instant),
}

impl Pump {
    /// A stripe has sent something: a look is due some time later, if none is.
    pub(super) fn arrange_look(&mut self, key: usize) {
        let Slot::Stripe(stripe) = &mut self.slots[key] else { return };
        if matches!(stripe.looks, Looks::Rest) {
            let at = self.clock.now() + LOOK;
            stripe.looks = Looks::At(at);
            self.agenda.insert((at, key));
        }
    }

    /// Looks at a stripe's losses if that is due.
    pub(super) fn look_if_due(&mut self, key: usize) {
        let Slot::Stripe(stripe) = &mut self.slots[key] else { return };
        let Looks::At(at) = stripe.looks else { return };
        if self.clock.now() < at {
            return;
        }
        let adapted = stripe.pipe.adapt();
        let goes_on = matches!(adapted, Some(Adapted::Kept | Adapted::Changed { .. }));
        stripe.looks = if goes_on { Looks::Rest } else { Looks::Never };
        let Some(adapted @ (Adapted::Changed { .. } | Adapted::Denied { .. })) = adapted else { return };
        self.events.push(Event::StripeAdapted {
            session: self.id,
            stripe: stripe.id,
            peer: stripe.pipe.peer_addr(),
            adapted,
        });
    }
}
