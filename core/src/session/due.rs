//! Runs the timers.

use super::local::Local;
use super::{Life, Session};
use crate::error::{EndReason, Verdict};
use crate::io::Output;
use crate::time::Instant;
use crate::timers::Timer;
use alloc::vec::Vec;
use core::time::Duration;

impl Session {
    pub(super) fn run_timers(&mut self, out: &mut Vec<Output>) -> Verdict {
        while self.life != Life::Ended
            && let Some((at, timer)) = self.timers.pop_due(self.now)
        {
            self.run_timer(timer, self.now, self.now.since(at), out);
        }
        if self.life != Life::Ended && self.stripes.overfull() {
            // Not the peer's fault: stripe after stripe died before a word could be said about
            // those before it.
            self.end(EndReason::NoStripe, out);
        }
        Ok(())
    }

    /// Does what a timer is for; `now` is its time or a later one, and it goes off so `late`.
    pub(super) fn run_timer(
        &mut self,
        timer: Timer,
        now: Instant,
        late: Duration,
        out: &mut Vec<Output>,
    ) {
        match timer {
            Timer::Acknowledge => {
                let Session { control, stripes, timers, turns, .. } = self;
                control.collect_acknowledgements(stripes, timers, turns, now);
            }
            Timer::Repeat => self.control.repeat_now(),
            // Sending looks for what is late, and for what may be granted.
            Timer::Overtake | Timer::Grant => {}
            Timer::Doubt(id) => self.liveness().doubt_if_overdue(id, now),
            Timer::Stall(id) => {
                if self.liveness().has_stalled(id, now) {
                    self.give_up(id, out);
                }
            }
            Timer::Heartbeat(id) => {
                let latest = self.now;
                self.liveness().heartbeat(id, now, latest);
            }
            Timer::Linger(flow) => {
                let Session { flows, control, timers, now, .. } = self;
                Local { flows, control }.linger(flow, late, timers, *now, out);
            }
            Timer::Resume => self.end(EndReason::NoStripe, out),
        }
    }
}
