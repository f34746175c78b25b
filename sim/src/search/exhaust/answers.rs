//! How an end answers an input: in as many ways as it has choices, each with what it puts on
//! stripes.
//!
//! A message has a number, the same for the same bytes, so that states and inputs are small and
//! comparable. How ends are kept, and whether an answer is computed once or each time, is the
//! search's own ([`Ends`]).
//!
//! Invariant: [`outcomes`] leaves out no sequence of choices and makes none twice.

use super::end::{Effect, End, EndInput, Message, Plan};
use super::program::Act;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use striper_core::{Handshake, StripeId, Timer};

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
        /// The stripe on which it came.
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
pub fn outcomes<E: Ends>(
    ends: &mut E,
    plan: &Plan,
    id: &E::Id,
    given: Given,
) -> Vec<Outcome<E::Id>> {
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
        all.push(Outcome {
            end,
            effects,
            choices: made.iter().map(|(choice, _)| *choice).collect(),
        });
        // The odometer: the last choice that has another option takes it, what comes after begins
        // anew.
        let Some(last) = made.iter().rposition(|(choice, options)| choice + 1 < *options) else {
            return all;
        };
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
