//! For worlds that are enumerated: there time stands still, a timer going off is a choice, and so
//! is each choice of a stripe.
//!
//! Not part of the interface that a proxy uses. [`Session::fingerprint`] covers all that decides
//! what a session does next under these conditions. It leaves out clocks, rates, round trips and
//! statistics, which decide nothing then: nothing is measured while no time passes, and choices are
//! scripted. So two sessions of equal fingerprint answer equal inputs with equal outputs and equal
//! fingerprints.

use super::choice::Choice;
use super::{Life, Session};
use crate::io::Output;
use crate::scheduler::Scheduler;
use crate::scheduler::script::Script;
use crate::timers::Timer;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// With the feature `testing`: for simulators and tests, without a promise of stability.
impl Session {
    /// Feeds everything that decides what the session does next to `hasher`.
    ///
    /// # Panics
    /// If a stripe's rate is known, or if the peer has sent so much control that its allowance
    /// comes to matter. Enumerated worlds are not for that.
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        self.life.hash(hasher);
        if self.life == Life::Ended {
            return;
        }
        let used = self.admission.used();
        assert!(used <= self.config.control_burst / 2, "the peer has sent {used} bytes of control");
        self.membership.hash(hasher);
        self.flows.hash(hasher);
        self.stripes.hash(hasher);
        self.control.hash(hasher);
        self.timers.set_ones().for_each(|timer| timer.hash(hasher));
        self.copies.copied().hash(hasher);
    }

    /// The timers that are set, in order.
    pub fn timers(&self) -> impl Iterator<Item = Timer> + '_ {
        self.timers.set_ones()
    }

    /// Has a timer go off, if it is set, as if its time had come. Time does not move.
    pub fn fire(&mut self, timer: Timer, out: &mut Vec<Output>) {
        let Some(at) = self.timers.at(timer) else { return };
        self.timers.clear(timer);
        self.run_timer(timer, at, Duration::ZERO, out);
        if self.life != Life::Ended {
            self.settle(out);
            self.conclude(out);
        }
    }

    /// From now on, stripes are chosen as `choices` say (by their place among the writable ones),
    /// those beyond the end of the list as if by
    /// 0. `control` says whether to choose for control as well; otherwise it goes on the first
    ///    writable stripe.
    pub fn script(&mut self, choices: Vec<u8>, control: bool) {
        self.choice = Choice::new(Scheduler::Script(Script::new(choices, control)));
    }

    /// The choices that were made since [`Session::script`], each with the number of options that
    /// there were.
    pub fn scripted(&self) -> &[(u8, u8)] {
        match self.choice.scheduler() {
            Scheduler::Script(script) => script.made(),
            _ => &[],
        }
    }
}
