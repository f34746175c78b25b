//! The engine: one door for everything that happens.
//!
//! Each input is first taken in, which changes the parts and notes what is owed; then what can be
//! sent is sent. Nothing is left undone. A part is a type with private fields. Where several parts
//! work together, the door lends them for one input ([`custody::Custody`], [`local::Local`],
//! [`carriers::Carriers`]). A function's signature therefore says which parts it may touch.

mod admission;
mod carriers;
mod check;
mod choice;
mod contract;
mod control;
mod copies;
mod custody;
mod dispatch;
mod due;
mod end;
#[cfg(any(test, feature = "testing"))]
mod explore;
mod flows;
pub(crate) mod follow;
mod ingest;
mod liveness;
mod local;
mod membership;
mod query;
mod rare;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "testing"))]
mod view;

#[cfg(any(test, feature = "testing"))]
pub use view::FlowView;

use self::admission::Admission;
use self::carriers::Carriers;
use self::choice::Choice;
use self::control::Control;
use self::copies::Copies;
use self::custody::Custody;
use self::flows::Flows;
use self::liveness::Liveness;
use self::local::Local;
use self::membership::Membership;
use crate::buggify::Turns;
use crate::config::Config;
use crate::error::{EndReason, StripeClose, Verdict};
use crate::id::{Role, SessionId, StripeId};
use crate::intents::Intent;
use crate::io::{Input, Output};
use crate::scheduler::Scheduler;
use crate::stripe::Stripe;
use crate::stripe::table::Stripes;
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use crate::wire::hello::Hello;
use alloc::vec::Vec;

/// Whether flows may still begin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Life {
    Running,
    Draining,
    Ended,
}

/// One end of a session.
#[derive(Clone, Debug)]
pub struct Session {
    config: Config,
    /// The latest time seen.
    now: Instant,
    life: Life,
    /// The session's id, and the other side's HELLOs about it.
    membership: Membership,
    flows: Flows,
    stripes: Stripes,
    control: Control,
    choice: Choice,
    copies: Copies,
    admission: Admission,
    timers: Timers,
    turns: Turns,
}

impl Session {
    /// A session without stripes or flows. `now` is the time of its birth. A first [`Input::Tick`]
    /// makes a client ask for stripes.
    pub fn new(role: Role, id: SessionId, config: Config, now: Instant) -> Self {
        let config = config.within_limits();
        let mut timers = Timers::default();
        timers.set(Timer::Resume, now + config.resume_limit);
        Session {
            now,
            life: Life::Running,
            membership: Membership::new(role, id),
            flows: Flows::new(role, &config, now),
            stripes: Stripes::default(),
            control: Control::default(),
            choice: Choice::new(Scheduler::new(config.scheduler)),
            copies: Copies::new(config.scheduler),
            admission: Admission::new(&config, now),
            timers,
            turns: Turns::new(&config),
            config,
        }
    }

    /// The only door: takes one input, appends what is to be done. Nothing is left to be done until
    /// the next input.
    ///
    /// `now` must not go back; if it does, it is taken for the latest one seen.
    ///
    /// # Panics
    /// On a caller's mistake: a flow id never issued, more data than [`Session::send_room`], more
    /// consumed than delivered, more written than transmitted. Also on a stripe number used twice,
    /// and on a share of more than half the memory limit. The session is of no use afterwards.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if self.take_in(now, input, out) {
            self.settle(out);
            self.conclude(out);
        }
    }

    /// Takes one input and what is due in. Whether the session goes on.
    fn take_in(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) -> bool {
        if self.life == Life::Ended {
            return false;
        }
        if let Some(mistake) = self.mistake(&input) {
            panic!("{mistake}");
        }
        self.now = self.now.max(now);
        let now = self.now;
        self.liveness().excuse_sleep(now);
        let ticked = matches!(input, Input::Tick);
        let result = self.take_input(input, out).and_then(|()| self.run_timers(out));
        if let Err(violation) = result {
            self.end(EndReason::Violation(violation), out);
        }
        let goes_on = self.life != Life::Ended;
        if cfg!(feature = "buggify") && goes_on && !ticked {
            self.turns.next();
            self.take_rare_turn(out);
        }
        goes_on
    }

    fn take_input(&mut self, input: Input, out: &mut Vec<Output>) -> Verdict {
        match input {
            Input::StripeUp { stripe, hello } => return self.stripe_up(stripe, &hello, out),
            Input::StripeBytes { stripe, data } => return self.ingest(stripe, data, out),
            Input::StripeWritten { stripe, total } => {
                if let Some(stripe) = self.stripes.get_mut(stripe) {
                    stripe.wrote(total);
                }
            }
            Input::StripeArrived { stripe, total } => {
                if let Some(stripe) = self.stripes.get_mut(stripe) {
                    stripe.arrived(total, self.now);
                }
            }
            Input::StripeControl { stripe, rate_based } => {
                if let Some(stripe) = self.stripes.get_mut(stripe) {
                    stripe.set_control(rate_based);
                }
            }
            Input::StripeDown { stripe } => self.custody().lose(stripe),
            Input::FlowOpen { request, opaque } => {
                let open = self.life == Life::Running;
                self.local().open(request, opaque, open, out);
            }
            Input::FlowAccept { flow } => self.local().accept(flow),
            Input::FlowRefuse { flow, reason } => self.local().refuse(flow, reason),
            Input::FlowData { flow, data } => self.local().data(flow, data),
            Input::FlowConsumed { flow, total } => {
                let at = (self.now, self.stripes.longest_rtt());
                self.local().consumed(flow, total, at);
            }
            Input::FlowFinish { flow } => self.local().finish(flow),
            Input::FlowReset { flow, reason } => self.local().reset(flow, reason),
            Input::MemoryLimit { receive, send } => self.flows.share(receive, send),
            Input::Shutdown => {
                self.drain(out);
                self.control.owe(Intent::Drain);
            }
            Input::Abort => self.end(EndReason::Aborted, out),
            Input::Tick => {}
        }
        Ok(())
    }

    fn stripe_up(&mut self, id: StripeId, hello: &Hello, out: &mut Vec<Output>) -> Verdict {
        let heard = self.membership.hear(hello).and_then(|()| {
            let mut custody = self.custody();
            let mut gone = hello.gone.iter();
            gone.try_for_each(|(id, received)| custody.given_up_by_peer(*id, *received, out))
        });
        if self.stripes.knows(id) {
            // Given up by the other side before it was up on this one.
            out.push(Output::CloseStripe { stripe: id, reason: StripeClose::PeerGone });
            return heard;
        }
        // Also after a violation: then this stripe is told so and closed with the others.
        self.stripes.add(Stripe::new(id, self.config.record_overhead as usize, self.now));
        let now = self.now;
        self.liveness().begin(id, now);
        self.control.owe(Intent::Grant);
        heard
    }

    /// A stripe is of no more use.
    fn give_up(&mut self, id: StripeId, out: &mut Vec<Output>) {
        out.push(Output::CloseStripe { stripe: id, reason: StripeClose::Stalled });
        self.custody().lose(id);
    }

    /// Sends what can be sent.
    fn settle(&mut self, out: &mut Vec<Output>) {
        if self.life == Life::Ended {
            return;
        }
        self.prepare(out);
        let (control, copies, mut carriers) = self.sending(out);
        dispatch::send_all(control, copies, &mut carriers);
        self.after_sending(out);
    }

    /// Brings what is owed up to date.
    fn prepare(&mut self, out: &mut Vec<Output>) {
        self.custody().resend_doubted();
        let Session { flows, stripes, control, timers, turns, config, now, .. } = self;
        flows.remove_ended(control.intents_mut(), timers, out);
        flows.notify_memory_waiters(out);
        let pool = flows.recv_pool();
        if let Some(early) = flows.ids_mut().grant(config, pool, *now) {
            debug_assert!(early <= config.memory_limit);
            control.owe(Intent::Grant);
        }
        if let Some(at) = flows.ids().held_back(config) {
            timers.arm(Timer::Grant, at);
        }
        control.collect_acknowledgements(stripes, timers, turns, *now);
    }

    /// Notes what the sending has shown, and sets the timers that end every wait.
    fn after_sending(&mut self, out: &mut Vec<Output>) {
        dispatch::after_sending(&mut self.sending(out).2);
        let missing = self.config.stripes.saturating_sub(self.stripes.len());
        out.extend(self.membership.want(missing));
    }

    fn sending<'a>(
        &'a mut self,
        out: &'a mut Vec<Output>,
    ) -> (&'a mut Control, &'a mut Copies, Carriers<'a>) {
        let Session { flows, stripes, control, choice, copies, timers, turns, now, .. } = self;
        let now = *now;
        (control, copies, Carriers { flows, stripes, choice, timers, turns, now, out })
    }

    fn custody(&mut self) -> Custody<'_> {
        let draining = self.life == Life::Draining;
        let Session { stripes, flows, control, timers, config, now, .. } = self;
        let (now, resume_limit) = (*now, config.resume_limit);
        Custody { stripes, flows, control, timers, resume_limit, draining, now }
    }

    fn liveness(&mut self) -> Liveness<'_> {
        let Session { stripes, timers, config, .. } = self;
        Liveness { stripes, timers, config }
    }

    fn local(&mut self) -> Local<'_> {
        let Session { flows, control, .. } = self;
        Local { flows, control }
    }
}
