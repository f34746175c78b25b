//! The events that can happen next in a world of two ends and the stripes between them.
//! Events that stand for trouble cost a part of the [`Budget`].
//!
//! Invariant: successors are a function of the state alone, in the same order each time, however
//! ends are kept.

use super::end::{Effect, End, Given, Message, Plan};
use super::ends::Ends;
use super::program::Act;
use super::state::{Budget, State, Stripe, StripeState};
use crate::base::Side;
use std::collections::VecDeque;
use striper_core::{StripeId, Timer};

#[derive(Clone, Debug)]
pub struct World {
    pub name: &'static str,
    pub about: &'static str,
    pub is_quick: bool,
    pub plan: Plan,
    pub budget: Budget,
}

/// At `Tell` a side learns that a stripe is broken, and loses the messages in flight to it. With
/// `cut` the first half of a frame has arrived before. At `Written` the operating system has taken
/// all that a side transmitted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Event {
    Dial,
    Deliver { stripe: u8, to: Side },
    Tell { stripe: u8, side: Side, cut: bool },
    Written { stripe: u8, side: Side },
    Act { side: Side, flow: u8, act: Act },
    Fire { side: Side, timer: Timer },
    Break { stripe: u8 },
}

impl Event {
    /// Whether it is no further trouble. Such events must lead from each state to a complete one.
    pub fn is_fair(&self) -> bool {
        match self {
            Event::Break { .. } | Event::Tell { cut: true, .. } => false,
            Event::Fire { timer, .. } => matches!(
                timer,
                Timer::Acknowledge | Timer::Repeat | Timer::Linger(_) | Timer::Resume
            ),
            _ => true,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Successor<I> {
    pub event: Event,
    /// Places among the writable stripes.
    pub choices: Vec<u8>,
    pub state: State<I>,
}

impl World {
    /// The first states: all stripes are up and at rest, and flows have just been opened.
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
            let mut steps = Steps { world: self, ends, next: Vec::new() };
            states.iter().for_each(|state| steps.give(state, side, Given::Open, Event::Dial));
            states = steps.next.into_iter().map(|successor| successor.state).collect();
        }
        states
    }

    /// The next state without further trouble; `None` if nothing is left to happen.
    fn fair<E: Ends>(&self, ends: &mut E, state: &State<E::Id>) -> Option<State<E::Id>> {
        let next = self.successors(ends, state).into_iter();
        let fair = next.filter(|next| next.event.is_fair() && next.state != *state);
        fair.min_by_key(|next| (next.event, next.choices.clone())).map(|next| next.state)
    }

    pub fn successors<E: Ends>(&self, ends: &mut E, state: &State<E::Id>) -> Vec<Successor<E::Id>> {
        let mut steps = Steps { world: self, ends, next: Vec::new() };
        steps.all(state);
        steps.next
    }
}

/// The successors of a state under way. A function that gets a `state` begins with that one.
struct Steps<'a, E: Ends> {
    world: &'a World,
    ends: &'a mut E,
    next: Vec<Successor<E::Id>>,
}

impl<E: Ends> Steps<'_, E> {
    fn all(&mut self, state: &State<E::Id>) {
        self.dial(state);
        for (index, stripe) in state.stripes.iter().enumerate() {
            Side::BOTH.into_iter().for_each(|side| self.stripe_events(state, index, side));
            let is_over = stripe.states == [StripeState::Down; 2];
            if state.budget.deaths > 0 && !stripe.broken && !is_over {
                let mut after = state.clone();
                after.budget.deaths -= 1;
                after.stripes[index].broken = true;
                self.add(Event::Break { stripe: index as u8 }, after);
            }
        }
        for side in Side::BOTH {
            let end = self.ends.end(&state.ends[side.index()]);
            if end.ended().is_some() {
                continue;
            }
            let acts: Vec<_> = end.acts(&self.world.plan).collect();
            let unwritten: Vec<_> = end.unwritten().collect();
            let timers: Vec<_> = end.endpoint.session.timers().collect();
            for (flow, act) in acts {
                let event = Event::Act { side, flow: flow as u8, act };
                self.give(state, side, Given::Act(flow, act), event);
            }
            for stripe in unwritten {
                let event = Event::Written { stripe: stripe.0 as u8, side };
                self.give(state, side, Given::Written(stripe), event);
            }
            timers.into_iter().for_each(|timer| self.fire(state, side, timer));
        }
    }

    fn add(&mut self, event: Event, state: State<E::Id>) {
        self.next.push(Successor { event, choices: Vec::new(), state });
    }

    fn dial(&mut self, state: &State<E::Id>) {
        let greeting = |stripe: &&Stripe| stripe.states[0] == StripeState::Greeting;
        let under_way = state.stripes.iter().filter(greeting).count();
        let client = self.ends.end(&state.ends[0]);
        let has_enough = client.endpoint.wanted() <= under_way;
        if state.budget.dials == 0 || client.ended().is_some() || has_enough {
            return;
        }
        let hello = client.hello(StripeId(state.stripes.len() as u64));
        let hello = self.ends.messages().number(hello);
        let mut after = state.clone();
        after.budget.dials -= 1;
        after.stripes.push(Stripe {
            states: [StripeState::Greeting; 2],
            broken: false,
            queues: [VecDeque::from([hello]), VecDeque::new()],
        });
        self.add(Event::Dial, after);
    }

    fn stripe_events(&mut self, state: &State<E::Id>, index: usize, side: Side) {
        let stripe = &state.stripes[index];
        let here = stripe.states[side.index()];
        if here == StripeState::Down {
            return;
        }
        self.deliver(state, (index, &[]), side);
        if !stripe.broken && stripe.states[side.other().index()] != StripeState::Down {
            return;
        }
        let mut told = state.clone();
        told.stripes[index].lose(side);
        let event = Event::Tell { stripe: index as u8, side, cut: false };
        if here == StripeState::Up {
            self.give(&told, side, Given::Down(StripeId(index as u64)), event);
            self.tell_cut(state, index, side);
        } else {
            self.add(event, told);
        }
    }

    fn tell_cut(&mut self, state: &State<E::Id>, index: usize, side: Side) {
        let queue = &state.stripes[index].queues[side.other().index()];
        let Some(message) = queue.front().copied() else { return };
        let Message::Frame(_, payload) = self.ends.messages().get(message) else { return };
        if state.budget.cuts == 0 || payload.len() <= 1 {
            return;
        }
        let stripe = StripeId(index as u64);
        let event = Event::Tell { stripe: index as u8, side, cut: true };
        // The stripe is still up while the half comes in, so the answer to it goes out, and is
        // lost.
        let mut before = state.clone();
        before.budget.cuts -= 1;
        before.stripes[index].broken = true;
        let first = self.next.len();
        self.give(&before, side, Given::Message { stripe, message, half: true }, event);
        for half in self.next.split_off(first) {
            let mut told = half.state;
            told.stripes[index].lose(side);
            let first = self.next.len();
            self.give(&told, side, Given::Down(stripe), event);
            self.choose_before(first, &half.choices);
        }
    }

    /// The first message in flight arrives, after these choices. With [`Plan::coarse`] the messages
    /// behind a light one arrive too.
    fn deliver(&mut self, state: &State<E::Id>, (index, choices): (usize, &[u8]), side: Side) {
        let stripe = StripeId(index as u64);
        let mut after = state.clone();
        let arrived = &mut after.stripes[index];
        let Some(message) = arrived.queues[side.other().index()].pop_front() else { return };
        arrived.states[side.index()] = StripeState::Up;
        let goes_on = self.world.plan.coarse && self.ends.messages().get(message).is_light();
        let event = Event::Deliver { stripe: index as u8, to: side };
        let first = self.next.len();
        self.give(&after, side, Given::Message { stripe, message, half: false }, event);
        self.choose_before(first, choices);
        if goes_on {
            for successor in self.next.split_off(first) {
                let before = self.next.len();
                let stripe = &successor.state.stripes[index];
                if stripe.states[side.index()] == StripeState::Up {
                    self.deliver(&successor.state, (index, &successor.choices), side);
                }
                if self.next.len() == before {
                    self.next.push(successor);
                }
            }
        }
    }

    fn fire(&mut self, state: &State<E::Id>, side: Side, timer: Timer) {
        let in_flight = |stripe: &Stripe| stripe.queues.iter().any(|queue| !queue.is_empty());
        let is_late = self.world.plan.late_timers;
        let waits = matches!(timer, Timer::Acknowledge | Timer::Repeat) && is_late;
        if waits && state.stripes.iter().any(in_flight) {
            return;
        }
        let mut after = state.clone();
        let cost = match timer {
            Timer::Doubt(_) => Some(&mut after.budget.doubts),
            Timer::Heartbeat(_) => Some(&mut after.budget.heartbeats),
            Timer::Resume => Some(&mut after.budget.resumes),
            Timer::Repeat => Some(&mut after.budget.repeats),
            // Time stands still here, so nothing is late, and no ids are granted. The copies of
            // late bytes are among the rare turns.
            Timer::Overtake | Timer::Grant => return,
            Timer::Acknowledge | Timer::Stall(_) | Timer::Linger(_) => None,
        };
        if let Some(left) = cost {
            if *left == 0 {
                return;
            }
            *left -= 1;
        }
        self.give(&after, side, Given::Fire(timer), Event::Fire { side, timer });
    }

    /// Gives an end an input; `state` is the world's without the end's answer.
    fn give(&mut self, state: &State<E::Id>, side: Side, given: Given, event: Event) {
        let answers = self.ends.answers(&self.world.plan, &state.ends[side.index()], given);
        for outcome in answers.iter() {
            let mut after = state.clone();
            after.ends[side.index()] = outcome.end.clone();
            for effect in &outcome.effects {
                match *effect {
                    Effect::Send(to, message) => after.stripes[to.0 as usize].send(side, message),
                    Effect::Close(stripe) => after.stripes[stripe.0 as usize].lose(side),
                }
            }
            self.next.push(Successor { event, choices: outcome.choices.clone(), state: after });
        }
    }

    /// Puts the choices on the way to the successors from `first` on before their own.
    fn choose_before(&mut self, first: usize, choices: &[u8]) {
        for successor in &mut self.next[first..] {
            successor.choices.splice(0..0, choices.iter().copied());
        }
    }
}
