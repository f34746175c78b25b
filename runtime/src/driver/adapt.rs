//! When stripes look at their losses, so that their congestion control follows the route
//! (`losses`): twenty times a second while they send. So a stripe that is idle is not woken for it.

use super::{Pump, Slot};
use crate::pipe::Adapted;
use crate::report::{Event, SessionTag};
use std::time::Duration;

/// Often enough to see 1 % of losses within a second, and 14 µs of work in one. How far apart two
/// looks must be to say something is for `losses` to know.
const LOOK: Duration = Duration::from_millis(50);

impl Pump {
    /// A stripe has sent something: looks at its losses if that is due.
    pub(super) fn look_if_due(&mut self, key: usize) {
        let Slot::Stripe(stripe) = &mut self.slots[key] else { return };
        let Some(at) = stripe.next_look else { return };
        let now = self.clock.now();
        if now < at {
            return;
        }
        let adapted = stripe.pipe.adapt();
        let goes_on = matches!(adapted, Some(Adapted::Kept | Adapted::Changed { .. }));
        stripe.next_look = goes_on.then_some(now + LOOK);
        if let Some(adapted @ (Adapted::Changed { .. } | Adapted::Denied { .. })) = adapted {
            self.events.push(Event::StripeAdapted {
                session: SessionTag::of(self.id),
                stripe: stripe.id,
                place: stripe.place,
                peer: stripe.peer,
                adapted,
            });
        }
    }
}
