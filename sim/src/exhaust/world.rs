//! A world of two ends and the stripes between them: its state, and everything that can happen next.
//!
//! A stripe is two queues of messages. It breaks at any time (which costs one of the world's deaths): from then on nothing is added to it, what
//! is in flight may still arrive, and each side is told at some time of its own, losing what has not arrived by then.
//! A side that closes a stripe leaves the other one in the same position.

use super::end::{Effect, End, EndInput, Message, Plan};
use super::program::{Act, Ending, Over, Program};
use crate::app::Side;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::rc::Rc;
use striper_core::{Handshake, StripeId, Timer};

/// What may go wrong in a world, each at most so many times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    /// Stripes that break.
    pub deaths: u8,
    /// One of these may lose the second half of a frame whose first half has arrived.
    pub cuts: u8,
    /// Connections that the client makes beyond its first ones.
    pub dials: u8,
    /// Times that acknowledgements are taken to be overdue.
    pub doubts: u8,
    /// Times that a stripe is taken to be silent.
    pub heartbeats: u8,
    /// Times that acknowledgements and credit are repeated on a second stripe.
    pub repeats: u8,
    /// Times that a session is taken to have been without a stripe for too long.
    pub resumes: u8,
}

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

/// Where a side stands with a stripe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Standing {
    /// It has not heard the other's HELLO.
    Greeting,
    Up,
    /// It has closed it, or has been told that it is broken.
    Down,
}

/// One connection. What is indexed by a side's number is that side's, or the way from it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Stripe {
    standing: [Standing; 2],
    /// Nothing is added to it any more.
    broken: bool,
    /// Messages in flight, by their number in [`Messages`].
    queues: [VecDeque<u32>; 2],
}

/// A state of a world. `I` names a state of an end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State<I> {
    /// The client's end and the server's.
    pub ends: [I; 2],
    stripes: Vec<Stripe>,
    budget: Budget,
}

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Event {
    /// The client makes a connection.
    Dial,
    /// The first message in flight arrives.
    Deliver {
        /// Which.
        stripe: u8,
        /// Who gets it.
        to: Side,
    },
    /// A side learns that a stripe is broken, and loses what was in flight to it; `cut`: but for the first half of a frame.
    Tell {
        /// Which.
        stripe: u8,
        /// Which side.
        side: Side,
        /// The first half of a frame has arrived before.
        cut: bool,
    },
    /// The operating system has taken what a side transmitted.
    Written {
        /// Which.
        stripe: u8,
        /// Which side.
        side: Side,
    },
    /// A program does something.
    Act {
        /// Which side.
        side: Side,
        /// Of which flow.
        flow: u8,
        /// What it does.
        act: Act,
    },
    /// A timer goes off.
    Fire {
        /// Which side.
        side: Side,
        /// Which.
        timer: Timer,
    },
    /// A stripe breaks.
    Break {
        /// Which.
        stripe: u8,
    },
}

impl Event {
    /// Whether it is part of what happens when nothing goes wrong any more: then each state must lead to a complete one.
    pub fn is_fair(&self) -> bool {
        match self {
            Event::Break { .. } | Event::Tell { cut: true, .. } => false,
            Event::Fire { timer, .. } => {
                matches!(timer, Timer::Acknowledge | Timer::Repeat | Timer::Linger(_) | Timer::Resume)
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

/// One way in which an end answers an input.
#[derive(Clone, Debug)]
pub struct Outcome<I> {
    /// The end after it.
    pub end: I,
    /// What it does to the world.
    pub effects: Vec<Sent>,
    /// The choices made.
    pub choices: Vec<u8>,
}

/// An [`Effect`] whose message has a number.
#[derive(Clone, Copy, Debug)]
pub enum Sent {
    /// Puts a message on a stripe.
    Send(StripeId, u32),
    /// Closes a stripe.
    Close(StripeId),
}

/// An input to an end whose message has a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Given {
    /// Opens its flows.
    Open,
    /// A message came in on a stripe; `half`: its first half.
    Message {
        /// Which.
        stripe: StripeId,
        /// Its number.
        message: u32,
        /// Only the first half of its payload came.
        half: bool,
    },
    /// See [`EndInput::Down`].
    Down(StripeId),
    /// See [`EndInput::Written`].
    Written(StripeId),
    /// See [`EndInput::Fire`].
    Fire(Timer),
    /// See [`EndInput::Act`].
    Act(usize, Act),
}

/// The messages that were ever sent, each once.
#[derive(Debug, Default)]
pub struct Messages {
    all: Vec<Message>,
    numbers: HashMap<Message, u32>,
}

impl Messages {
    /// The number of a message.
    pub fn number(&mut self, message: Message) -> u32 {
        *self.numbers.entry(message).or_insert_with_key(|message| {
            self.all.push(message.clone());
            self.all.len() as u32 - 1
        })
    }

    /// The message of a number.
    pub fn get(&self, number: u32) -> &Message {
        &self.all[number as usize]
    }
}

/// Where ends are kept and how they answer: the way to compute it is the search's own.
pub trait Ends {
    /// Names a state of an end: two are equal if their fingerprints are.
    type Id: Clone + Eq + Hash;
    /// Takes in an end.
    fn keep(&mut self, end: End) -> Self::Id;
    /// The end of a name.
    fn end<'a>(&'a self, id: &'a Self::Id) -> &'a End;
    /// All ways in which it answers an input.
    fn answers(&mut self, plan: &Plan, id: &Self::Id, given: Given) -> Rc<[Outcome<Self::Id>]>;
    /// The messages.
    fn messages(&mut self) -> &mut Messages;
}

/// Computes all ways in which an end answers an input.
pub fn outcomes<E: Ends>(ends: &mut E, plan: &Plan, id: &E::Id, given: Given) -> Vec<Outcome<E::Id>> {
    let mut all = Vec::new();
    let mut choices = Vec::new();
    loop {
        let input = input(ends.messages(), given);
        let (end, effects, made) = ends.end(id).step(plan, input, &choices);
        let effects = effects.into_iter().map(|effect| match effect {
            Effect::Send(stripe, message) => Sent::Send(stripe, ends.messages().number(message)),
            Effect::Close(stripe) => Sent::Close(stripe),
        });
        let effects = effects.collect();
        let end = ends.keep(end);
        all.push(Outcome { end, effects, choices: made.iter().map(|(choice, _)| *choice).collect() });
        // The odometer: the last choice that has another option takes it, what comes after begins anew.
        let Some(last) = made.iter().rposition(|(choice, options)| choice + 1 < *options) else { return all };
        choices = made[..=last].iter().map(|(choice, _)| *choice).collect();
        choices[last] += 1;
    }
}

fn input(messages: &Messages, given: Given) -> EndInput {
    match given {
        Given::Open => EndInput::Open,
        Given::Message { stripe, message, half } => match messages.get(message) {
            Message::Hello(bytes) => {
                let heard = Handshake::new().feed(bytes.clone().into()).expect("a HELLO");
                let (hello, _) = heard.expect("all of it");
                EndInput::Hello { stripe, hello }
            }
            Message::Frame(header, payload) => {
                EndInput::Frame { stripe, header: header.clone(), payload: payload.clone(), half }
            }
        },
        Given::Down(stripe) => EndInput::Down { stripe },
        Given::Written(stripe) => EndInput::Written { stripe },
        Given::Fire(timer) => EndInput::Fire(timer),
        Given::Act(flow, act) => EndInput::Act { flow, act },
    }
}

impl World {
    /// The state in which the search begins: all stripes are up and at rest, and flows have just been opened.
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
    pub fn successors<E: Ends>(&self, ends: &mut E, state: &State<E::Id>, next: &mut Vec<Successor<E::Id>>) {
        self.dial(ends, state, next);
        for (index, stripe) in state.stripes.iter().enumerate() {
            for side in Side::BOTH {
                self.stripe_events(ends, state, (index, stripe), side, next);
            }
            let is_over = stripe.standing == [Standing::Down; 2];
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
        let greeting = |stripe: &&Stripe| stripe.standing[0] == Standing::Greeting;
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
            standing: [Standing::Greeting; 2],
            broken: false,
            queues: [VecDeque::from([hello]), VecDeque::new()],
        });
        next.push(Successor { event: Event::Dial, choices: Vec::new(), state: after });
    }

    fn stripe_events<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
        (index, stripe): (usize, &Stripe),
        side: Side,
        next: &mut Vec<Successor<E::Id>>,
    ) {
        let id = StripeId(index as u64);
        let from = side.other().index();
        if stripe.standing[side.index()] == Standing::Down {
            return;
        }
        self.deliver(ends, state, (index, &[]), side, next);
        if !stripe.broken && stripe.standing[from] != Standing::Down {
            return;
        }
        let mut after = state.clone();
        after.stripes[index].lose(side);
        let was_up = stripe.standing[side.index()] == Standing::Up;
        let event = Event::Tell { stripe: index as u8, side, cut: false };
        if !was_up {
            next.push(Successor { event, choices: Vec::new(), state: after });
            return;
        }
        self.give(ends, &after, side, Given::Down(id), event, next);
        let Some(message) = stripe.queues[from].front().copied() else { return };
        let has_halves =
            matches!(ends.messages().get(message), Message::Frame(_, payload) if payload.len() > 1);
        if state.budget.cuts > 0 && has_halves {
            after.budget.cuts -= 1;
            let mut halves = Vec::new();
            let event = Event::Tell { stripe: index as u8, side, cut: true };
            // Still up while the half comes in, so that what is said in answer goes out, and is lost.
            let mut before = state.clone();
            before.budget.cuts -= 1;
            before.stripes[index].broken = true;
            self.give(
                ends,
                &before,
                side,
                Given::Message { stripe: id, message, half: true },
                event,
                &mut halves,
            );
            for half in halves {
                let mut told = half.state;
                told.stripes[index].lose(side);
                let first = next.len();
                self.give(ends, &told, side, Given::Down(id), event, next);
                for successor in &mut next[first..] {
                    successor.choices.splice(0..0, half.choices.iter().copied());
                }
            }
        }
    }

    /// The first message in flight arrives, after these choices; with [`Plan::coarse`] also what follows a light one.
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
        arrived.standing[side.index()] = Standing::Up;
        let goes_on = self.plan.coarse && ends.messages().get(message).is_light();
        let event = Event::Deliver { stripe: index as u8, to: side };
        let first = next.len();
        self.give(ends, &after, side, Given::Message { stripe, message, half: false }, event, next);
        for successor in &mut next[first..] {
            successor.choices.splice(0..0, choices.iter().copied());
        }
        if goes_on {
            for successor in next.split_off(first) {
                let before = next.len();
                let stripe = &successor.state.stripes[index];
                if stripe.standing[side.index()] == Standing::Up {
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
                    Sent::Send(stripe, message) => after.stripes[stripe.0 as usize].send(side, message),
                    Sent::Close(stripe) => after.stripes[stripe.0 as usize].lose(side),
                }
            }
            next.push(Successor { event, choices: outcome.choices.clone(), state: after });
        }
    }

    /// What must hold between the two ends, whatever has happened. Panics otherwise.
    pub fn check<E: Ends>(&self, ends: &E, state: &State<E::Id>) {
        let both = [0, 1].map(|side| ends.end(&state.ends[side]));
        for side in Side::BOTH {
            let (here, there) = (both[side.index()], both[side.other().index()]);
            for (program, other) in here.programs().iter().zip(there.programs()) {
                assert!(program.delivered <= other.given, "more delivered than given");
                assert!(!program.got_fin || other.finished, "a FIN before the other end has finished");
                if let Some(Over::Reset(reason)) = program.over
                    && reason != striper_core::Reason::SessionLost
                    && here.ended().is_none()
                {
                    assert_eq!(other.over, Some(Over::OwnReset), "a reset before the other end has reset");
                }
            }
            if here.ended().is_some() || there.ended().is_some() {
                continue;
            }
            let (sent, received) = (here.session().stats(), there.session().stats());
            for stripe in &sent.stripes {
                if let Some(peer) = received.stripes.iter().find(|peer| peer.stripe == stripe.stripe) {
                    assert!(stripe.acknowledged <= peer.received, "acknowledged before it was processed");
                    assert!(peer.received <= stripe.sent, "received more than was sent");
                }
            }
        }
    }

    /// What must hold when nothing is left to happen: all is complete, or there is a cause why it isn't. Panics otherwise.
    pub fn check_complete<E: Ends>(&self, ends: &E, state: &State<E::Id>) {
        let mut queues = state.stripes.iter().flat_map(|stripe| &stripe.queues);
        assert!(queues.all(VecDeque::is_empty), "messages in flight and nothing to happen");
        for side in Side::BOTH {
            let end = ends.end(&state.ends[side.index()]);
            if end.ended().is_some() {
                let open = |program: &Program| program.id.is_some() && program.over.is_none();
                assert!(!end.programs().iter().any(open), "a flow outlives its session");
                assert!(self.budget.resumes > 0, "the session has ended without a cause");
                continue;
            }
            for program in end.programs() {
                self.check_program(program);
            }
            let stats = end.session().stats();
            let open = end.programs().iter().filter(|program| program.over.is_none()).count();
            assert_eq!(stats.flows, open, "flows that are over are still kept at the {side:?}");
            assert!((stats.held, stats.reordering) == (0, 0), "memory is held for nothing");
            let missed = self.plan.config.stripes - stats.stripes.len();
            assert!(missed == 0 || state.budget.dials == 0, "{missed} stripes missed at the {side:?}");
        }
    }

    /// What a program must have come to when nothing is left to happen and its session lives.
    fn check_program(&self, program: &Program) {
        let plan = &self.plan.flows[program.flow];
        let (here, there) = (&plan.ends[program.side.index()], &plan.ends[program.side.other().index()]);
        let has = |ending| here.ending == ending || there.ending == ending;
        if !plan.answer.1 {
            assert!(matches!(program.over, Some(Over::Refused | Over::OwnRefusal)), "{program:?}");
        } else if has(Ending::Reset) {
            let reset = matches!(program.over, Some(Over::Reset(_) | Over::OwnReset));
            assert!(reset, "flow {} was not reset at the {:?}", program.flow, program.side);
        } else {
            assert_eq!(program.delivered, there.total(), "not all has come to the {:?}", program.side);
            assert_eq!(program.given, here.total(), "the {:?} could not give all", program.side);
            assert_eq!(program.got_fin, there.ending == Ending::Fin, "a FIN is missing");
            let over = if has(Ending::Never) { None } else { Some(Over::Ended) };
            assert_eq!(program.over, over, "flow {} at the {:?}", program.flow, program.side);
        }
    }
}

impl Stripe {
    /// A side says something; on a broken stripe, to nobody.
    fn send(&mut self, side: Side, message: u32) {
        let nobody = self.broken || self.standing[side.other().index()] == Standing::Down;
        if !nobody && self.standing[side.index()] != Standing::Down {
            self.queues[side.index()].push_back(message);
        }
    }

    /// A side has no more to do with it.
    fn lose(&mut self, side: Side) {
        self.standing[side.index()] = Standing::Down;
        self.queues[side.other().index()].clear();
        if self.standing == [Standing::Down; 2] {
            self.broken = true;
        }
    }
}

impl<I> State<I> {
    /// The state as words, each end by a name of its own.
    pub fn encode(&self, words: &mut Vec<u32>, name: impl Fn(&I, &mut Vec<u32>)) {
        words.clear();
        self.ends.iter().for_each(|end| name(end, words));
        let Budget { deaths, cuts, dials, doubts, heartbeats, repeats, resumes } = self.budget;
        words.push(u32::from_le_bytes([deaths, cuts, dials, doubts]));
        words.push(u32::from_le_bytes([heartbeats, repeats, resumes, self.stripes.len() as u8]));
        for stripe in &self.stripes {
            let [client, server] = stripe.standing.map(|standing| standing as u8);
            words.push(u32::from_le_bytes([client, server, u8::from(stripe.broken), 0]));
            for queue in &stripe.queues {
                words.push(queue.len() as u32);
                words.extend(queue);
            }
        }
    }

    /// The state that [`State::encode`] wrote, for ends whose name is one word.
    pub fn decode(words: &[u32], name: impl Fn(u32) -> I) -> Self {
        let mut words = words.iter().copied();
        let mut next = || words.next().expect("a whole state");
        let ends = [name(next()), name(next())];
        let [deaths, cuts, dials, doubts] = next().to_le_bytes();
        let [heartbeats, repeats, resumes, stripes] = next().to_le_bytes();
        let standing = |number| match number {
            0 => Standing::Greeting,
            1 => Standing::Up,
            _ => Standing::Down,
        };
        let stripes = (0..stripes).map(|_| {
            let [client, server, broken, _] = next().to_le_bytes();
            let queues = [(); 2].map(|()| (0..next()).map(|_| next()).collect());
            Stripe { standing: [standing(client), standing(server)], broken: broken == 1, queues }
        });
        let stripes = stripes.collect();
        State { ends, stripes, budget: Budget { deaths, cuts, dials, doubts, heartbeats, repeats, resumes } }
    }

    /// Number of messages on their way, for the first in a queue.
    pub fn front(&self, stripe: u8, to: Side) -> Option<u32> {
        self.stripes.get(usize::from(stripe))?.queues[to.other().index()].front().copied()
    }
}
