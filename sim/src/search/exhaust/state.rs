//! A state of a world: both ends, the messages in flight on each stripe, and the trouble that may
//! still come.
//!
//! A stripe is two queues of messages. It breaks at any time. From then on nothing is added to it,
//! and messages in flight may still arrive until each side has been told. A side that closes a
//! stripe leaves the other one in the same position.
//!
//! Invariant: two states are equal exactly if their words are ([`State::encode`]).

use crate::base::Side;
use std::collections::VecDeque;

/// The trouble that may come in a world, each at most so many times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    pub deaths: u8,
    /// Deaths that may lose the second half of a frame whose first half has arrived.
    pub cuts: u8,
    /// Connections that the client makes beyond its first ones.
    pub dials: u8,
    pub doubts: u8,
    pub heartbeats: u8,
    /// Times that acknowledgements and credit are repeated on a second stripe.
    pub repeats: u8,
    /// Times that a session counts as too long without a stripe.
    pub resumes: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum StripeState {
    /// The side has not heard the other's HELLO.
    Greeting,
    Up,
    /// The side has closed it, or has been told that it is broken.
    Down,
}

/// One connection. Arrays are by side, or by the side that sends.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Stripe {
    pub states: [StripeState; 2],
    pub broken: bool,
    /// Messages in flight, by their number in [`super::end::Messages`].
    pub queues: [VecDeque<u32>; 2],
}

/// A state of a world. `I` names a state of an end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State<I> {
    pub ends: [I; 2],
    pub(super) stripes: Vec<Stripe>,
    pub(super) budget: Budget,
}

impl Stripe {
    pub fn send(&mut self, side: Side, message: u32) {
        let nobody = self.broken || self.states[side.other().index()] == StripeState::Down;
        if !nobody && self.states[side.index()] != StripeState::Down {
            self.queues[side.index()].push_back(message);
        }
    }

    pub fn lose(&mut self, side: Side) {
        self.states[side.index()] = StripeState::Down;
        self.queues[side.other().index()].clear();
        self.broken |= self.states == [StripeState::Down; 2];
    }
}

impl<I> State<I> {
    pub fn encode(&self, words: &mut Vec<u32>, name: impl Fn(&I, &mut Vec<u32>)) {
        words.clear();
        self.ends.iter().for_each(|end| name(end, words));
        let Budget { deaths, cuts, dials, doubts, heartbeats, repeats, resumes } = self.budget;
        words.push(u32::from_le_bytes([deaths, cuts, dials, doubts]));
        words.push(u32::from_le_bytes([heartbeats, repeats, resumes, self.stripes.len() as u8]));
        for stripe in &self.stripes {
            let [client, server] = stripe.states.map(|state| state as u8);
            words.push(u32::from_le_bytes([client, server, u8::from(stripe.broken), 0]));
            for queue in &stripe.queues {
                words.push(queue.len() as u32);
                words.extend(queue);
            }
        }
    }
}

impl State<u32> {
    /// The state that [`State::encode`] wrote.
    pub fn decode(words: &[u32]) -> Self {
        let mut words = words.iter().copied();
        let mut next = || words.next().expect("a whole state");
        let ends = [next(), next()];
        let [deaths, cuts, dials, doubts] = next().to_le_bytes();
        let [heartbeats, repeats, resumes, stripes] = next().to_le_bytes();
        let states = [StripeState::Greeting, StripeState::Up, StripeState::Down];
        let state = |number: u8| states[usize::from(number)];
        let stripes = (0..stripes).map(|_| {
            let [client, server, broken, _] = next().to_le_bytes();
            let queues = [(); 2].map(|()| (0..next()).map(|_| next()).collect());
            Stripe { states: [state(client), state(server)], broken: broken == 1, queues }
        });
        let stripes = stripes.collect();
        let budget = Budget { deaths, cuts, dials, doubts, heartbeats, repeats, resumes };
        State { ends, stripes, budget }
    }
}
