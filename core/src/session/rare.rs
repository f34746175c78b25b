//! Rare turns that need no occasion, taken on purpose in simulation (see [`crate::buggify`]).

use super::Session;
use crate::buggify::Site;
use crate::intents::Intent;
use crate::io::Output;
use crate::stripe::Stripe;
use alloc::vec::Vec;

impl Session {
    /// Takes at most one: each causes inputs at which there could be another.
    pub(super) fn take_rare_turn(&mut self, out: &mut Vec<Output>) {
        let nth = self.turns.pick(self.stripes.len());
        let Some(id) = self.stripes.iter().nth(nth).map(Stripe::id) else { return };
        let Some(stripe) = self.stripes.get_mut(id) else { return };
        let take = |site| self.turns.take(site, 0);
        if take(Site::GiveUp) {
            self.give_up(id, out);
        } else if take(Site::Doubt) && stripe.ledger().awaits() && !stripe.is_doubted() {
            self.liveness().doubt(id);
        } else if take(Site::Ping) {
            stripe.probes_mut().ask();
        } else if take(Site::Pace) {
            stripe.forget_pace();
        } else if take(Site::Grant) {
            self.control.owe(Intent::Grant);
        } else if take(Site::RepeatNow) {
            self.control.repeat_now();
        }
    }
}
