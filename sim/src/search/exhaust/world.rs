//! What can happen next in a world of two ends and the stripes between them.
//!
//! A stripe breaks at any time, which costs one of the world's deaths, and each side is told at
//! some time of its own, losing what has not arrived by then. Timers go off whenever they are set;
//! those that stand for something wrong cost a part of the [`Budget`].
//!
//! Invariant: successors are a function of the state alone, in the same order each time, whichever
//! way ends are kept.

use super::answers::{Ends, Given, Sent};
use super::end::{End, Message, Plan};
use super::program::Act;
use super::state::{Budget, State, Stripe, StripeState};
use crate::base::Side;
use std::collections::VecDeque;
use striper_core::{StripeId, Timer};

/// Which worlds are meant.
#[derive(Clone, Debug)]
pub struct World {
    /// To choose it by.
    pub name: &'static str,
    /// What is in it.
    pub about: &'static str,
    /// It takes seconds.
    pub is_quick: bool,
    /// What both ends know.
    pub plan: Plan,
    /// What may go wrong.
    pub budget: Budget,
}

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Event {
    /// The client makes a connection.
    Dial,
    /// The first message in flight arrives.
    Deliver {
        /// The number of the stripe.
        stripe: u8,
        /// Who gets it.
        to: Side,
    },
    /// A side learns that a stripe is broken, and loses what was in flight to it; `cut`: but for
    /// the first half of a frame.
    Tell {
        /// The number of the stripe.
        stripe: u8,
        /// The side to which it happens.
        side: Side,
        /// The first half of a frame has arrived before.
        cut: bool,
    },
    /// The operating system has taken what a side transmitted.
    Written {
        /// The number of the stripe.
        stripe: u8,
        /// The side to which it happens.
        side: Side,
    },
    /// A program does something.
    Act {
        /// The side to which it happens.
        side: Side,
        /// Of which flow.
        flow: u8,
        /// What it does.
        act: Act,
    },
    /// A timer goes off.
    Fire {
        /// The side to which it happens.
        side: Side,
        /// The timer of its session.
        timer: Timer,
    },
    /// A stripe breaks.
    Break {
        /// The number of the stripe.
        stripe: u8,
    },
}

impl Event {
    /// Whether it is part of what happens when nothing goes wrong any more: then each state must
    /// lead to a complete one.
    pub fn is_fair(&self) -> bool {
        match self {
            Event::Break { .. } | Event::Tell { cut: true, .. } => false,
            Event::Fire { timer, .. } => {
                matches!(
                    timer,
                    Timer::Acknowledge | Timer::Repeat | Timer::Linger(_) | Timer::Resume
                )
            }
            _ => true,
        }
    }
}

/// An event with the choices of stripes made at it, and the state after it.
#[derive(Clone, Debug)]
pub struct Successor<I> {
    /// What happened.
    pub event: Event,
    /// What was chosen: places among the writable stripes.
    pub choices: Vec<u8>,
    /// What came of it.
    pub state: State<I>,
}

impl World {
    /// The state in which the search begins: all stripes are up and at rest, and flows have just
    /// been opened.
    pub fn initial<E: Ends>(&self, ends: &mut E) -> Vec<State<E::Id>> {
        let both = Side::BOTH.map(|side| ends.keep(End::new(side, &self.plan)));
        let dials = self.plan.config.stripes as u8;
        let quiet = Budget { dials, ..Budget::default() };
        let mut state = State { ends: both, stripes: Vec::new(), budget: quiet };
        while let Some(next) = self.fair(ends, &state) {
            state = next;
        }
        state.budget = self.budget;
        let mut states = vec![state];
        for side in Side::BOTH {
            let mut opened = Vec::new();
            for state in states {
                self.give(ends, &state, side, Given::Open, Event::Dial, &mut opened);
            }
            states = opened.into_iter().map(|successor| successor.state).collect();
        }
        states
    }

    /// The next state if nothing goes wrong any more; `None` if nothing is left to happen.
    fn fair<E: Ends>(&self, ends: &mut E, state: &State<E::Id>) -> Option<State<E::Id>> {
        let mut next = Vec::new();
        self.successors(ends, state, &mut next);
        let fair = next.into_iter().filter(|next| next.event.is_fair() && next.state != *state);
        fair.min_by_key(|next| (next.event, next.choices.clone())).map(|next| next.state)
    }

    /// Everything that can happen next.
    pub fn successors<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
        next: &mut Vec<Successor<E::Id>>,
    ) {
        self.dial(ends, state, next);
        for (index, stripe) in state.stripes.iter().enumerate() {
            for side in Side::BOTH {
                self.stripe_events(ends, state, index, side, next);
            }
            let is_over = stripe.states == [StripeState::Down; 2];
            if state.budget.deaths > 0 && !stripe.broken && !is_over {
                let mut after = state.clone();
                after.budget.deaths -= 1;
                after.stripes[index].broken = true;
                let event = Event::Break { stripe: index as u8 };
                next.push(Successor { event, choices: Vec::new(), state: after });
            }
        }
        for side in Side::BOTH {
            let end = ends.end(&state.ends[side.index()]);
            if end.ended().is_some() {
                continue;
            }
            let acts: Vec<_> = end.acts(&self.plan).collect();
            let unwritten: Vec<_> = end.unwritten().collect();
            let timers: Vec<_> = end.session().timers().collect();
            for (flow, act) in acts {
                let event = Event::Act { side, flow: flow as u8, act };
                self.give(ends, state, side, Given::Act(flow, act), event, next);
            }
            for stripe in unwritten {
                let event = Event::Written { stripe: stripe.0 as u8, side };
                self.give(ends, state, side, Given::Written(stripe), event, next);
            }
            for timer in timers {
                self.fire(ends, state, side, timer, next);
            }
        }
    }

    fn dial<E: Ends>(&self, ends: &mut E, state: &State<E::Id>, next: &mut Vec<Successor<E::Id>>) {
        let greeting = |stripe: &&Stripe| stripe.states[0] == StripeState::Greeting;
        let under_way = state.stripes.iter().filter(greeting).count();
        let client = ends.end(&state.ends[0]);
        if state.budget.dials == 0 || client.ended().is_some() || client.wanted() <= under_way {
            return;
        }
        let hello = client.hello(StripeId(state.stripes.len() as u64));
        let hello = ends.messages().number(hello);
        let mut after = state.clone();
        after.budget.dials -= 1;
        after.stripes.push(Stripe {
            states: [StripeState::Greeting; 2],
            broken: false,
            queues: [VecDeque::from([hello]), VecDeque::new()],
        });
        next.push(Successor { event: Event::Dial, choices: Vec::new(), state: after });
    }

    /// What can happen at a side's end of a stripe.
    fn stripe_events<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
        index: usize,
        side: Side,
        next: &mut Vec<Successor<E::Id>>,
    ) {
        let stripe = &state.stripes[index];
        let here = stripe.states[side.index()];
        if here == StripeState::Down {
            return;
        }
        self.deliver(ends, state, (index, &[]), side, next);
        if !stripe.broken && stripe.states[side.other().index()] != StripeState::Down {
            return;
        }
        let mut told = state.clone();
        told.stripes[index].lose(side);
        let event = Event::Tell { stripe: index as u8, side, cut: false };
        if here == StripeState::Up {
            self.give(ends, &told, side, Given::Down(StripeId(index as u64)), event, next);
            self.tell_cut(ends, state, index, side, next);
        } else {
            next.push(Successor { event, choices: Vec::new(), state: told });
        }
    }

    /// A side is told of the end after the first half of a frame.
    fn tell_cut<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
        index: usize,
        side: Side,
        next: &mut Vec<Successor<E::Id>>,
    ) {
        let queue = &state.stripes[index].queues[side.other().index()];
        let Some(message) = queue.front().copied() else { return };
        let has_halves =
            matches!(ends.messages().get(message), Message::Frame(_, payload) if payload.len() > 1);
        if state.budget.cuts == 0 || !has_halves {
            return;
        }
        let stripe = StripeId(index as u64);
        let event = Event::Tell { stripe: index as u8, side, cut: true };
        // Still up while the half comes in, so that what is said in answer goes out, and is lost.
        let mut before = state.clone();
        before.budget.cuts -= 1;
        before.stripes[index].broken = true;
        let mut halves = Vec::new();
        self.give(
            ends,
            &before,
            side,
            Given::Message { stripe, message, half: true },
            event,
            &mut halves,
        );
        for half in halves {
            let mut told = half.state;
            told.stripes[index].lose(side);
            let first = next.len();
            self.give(ends, &told, side, Given::Down(stripe), event, next);
            choose_before(&mut next[first..], &half.choices);
        }
    }

    /// The first message in flight arrives, after these choices; with [`Plan::coarse`] also what
    /// follows a light one.
    fn deliver<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
        (index, choices): (usize, &[u8]),
        side: Side,
        next: &mut Vec<Successor<E::Id>>,
    ) {
        let stripe = StripeId(index as u64);
        let from = side.other().index();
        let mut after = state.clone();
        let arrived = &mut after.stripes[index];
        let Some(message) = arrived.queues[from].pop_front() else { return };
        arrived.states[side.index()] = StripeState::Up;
        let goes_on = self.plan.coarse && ends.messages().get(message).is_light();
        let event = Event::Deliver { stripe: index as u8, to: side };
        let first = next.len();
        self.give(ends, &after, side, Given::Message { stripe, message, half: false }, event, next);
        choose_before(&mut next[first..], choices);
        if goes_on {
            for successor in next.split_off(first) {
                let before = next.len();
                let stripe = &successor.state.stripes[index];
                if stripe.states[side.index()] == StripeState::Up {
                    self.deliver(ends, &successor.state, (index, &successor.choices), side, next);
                }
                if next.len() == before {
                    next.push(successor);
                }
            }
        }
    }

    fn fire<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
        side: Side,
        timer: Timer,
        next: &mut Vec<Successor<E::Id>>,
    ) {
        let in_flight = |stripe: &Stripe| stripe.queues.iter().any(|queue| !queue.is_empty());
        let waits = matches!(timer, Timer::Acknowledge | Timer::Repeat) && self.plan.late_timers;
        if waits && state.stripes.iter().any(in_flight) {
            return;
        }
        let mut after = state.clone();
        let cost = match timer {
            Timer::Doubt(_) => Some(&mut after.budget.doubts),
            Timer::Heartbeat(_) => Some(&mut after.budget.heartbeats),
            Timer::Resume => Some(&mut after.budget.resumes),
            Timer::Repeat => Some(&mut after.budget.repeats),
            // Time stands still here, and nothing is late. What could be sent again then is among
            // the rare turns.
            Timer::Overtake => return,
            // Nor does it bring ids that may be granted.
            Timer::Grant => return,
            Timer::Acknowledge | Timer::Stall(_) | Timer::Linger(_) => None,
        };
        if let Some(left) = cost {
            if *left == 0 {
                return;
            }
            *left -= 1;
        }
        self.give(ends, &after, side, Given::Fire(timer), Event::Fire { side, timer }, next);
    }

    /// Gives an end an input; `state` is the world's without the end's answer.
    fn give<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
        side: Side,
        given: Given,
        event: Event,
        next: &mut Vec<Successor<E::Id>>,
    ) {
        let outcomes = ends.answers(&self.plan, &state.ends[side.index()], given);
        for outcome in outcomes.iter() {
            let mut after = state.clone();
            after.ends[side.index()] = outcome.end.clone();
            for effect in &outcome.effects {
                match *effect {
                    Sent::Send(stripe, message) => {
                        after.stripes[stripe.0 as usize].send(side, message)
                    }
                    Sent::Close(stripe) => after.stripes[stripe.0 as usize].lose(side),
                }
            }
            next.push(Successor { event, choices: outcome.choices.clone(), state: after });
        }
    }
}

/// What was chosen on the way to these goes before what they chose.
fn choose_before<I>(successors: &mut [Successor<I>], choices: &[u8]) {
    for successor in successors {
        successor.choices.splice(0..0, choices.iter().copied());
    }
}
