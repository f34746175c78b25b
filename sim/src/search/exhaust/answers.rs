//! The answers of an end to an input: one for each of its choices, each with its messages on
//! stripes.
//!
//! A message has a number, the same for the same bytes, so that states and inputs are small and
//! comparable. Each search has its own way to keep ends, and to compute an answer once or each time
//! ([`Ends`]).
//!
//! Invariant: [`outcomes`] leaves out no sequence of choices and makes none twice.

use super::end::{Effect, End, EndInput, Message, Plan};
use super::program::Act;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use striper_core::{Handshake, StripeId, Timer};

/// One answer of an end to an input.
#[derive(Clone, Debug)]
pub struct Outcome<I> {
    pub end: I,
    pub effects: Vec<Sent>,
    pub choices: Vec<u8>,
}

/// An [`Effect`] whose message has a number.
#[derive(Clone, Copy, Debug)]
pub enum Sent {
    Send(StripeId, u32),
    Close(StripeId),
}

/// An input to an end whose message has a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Given {
    /// It opens its flows.
    Open,
    /// With `half` only the first half of its payload came.
    Message { stripe: StripeId, message: u32, half: bool },
    /// See [`EndInput`].
    Down(StripeId),
    /// See [`EndInput`].
    Written(StripeId),
    /// See [`EndInput`].
    Fire(Timer),
    /// See [`EndInput`].
    Act(usize, Act),
}

/// The messages that were ever sent, each once.
#[derive(Debug, Default)]
pub struct Messages {
    all: Vec<Message>,
    numbers: HashMap<Message, u32>,
}

impl Messages {
    pub fn number(&mut self, message: Message) -> u32 {
        *self.numbers.entry(message).or_insert_with_key(|message| {
            self.all.push(message.clone());
            self.all.len() as u32 - 1
        })
    }

    pub fn get(&self, number: u32) -> &Message {
        &self.all[number as usize]
    }
}

/// A way to keep ends and to compute their answers.
pub trait Ends {
    /// The name of a state of an end. Two are equal if their fingerprints are.
    type Id: Clone + Eq + Hash;
    fn keep(&mut self, end: End) -> Self::Id;
    fn end<'a>(&'a self, id: &'a Self::Id) -> &'a End;
    fn answers(&mut self, plan: &Plan, id: &Self::Id, given: Given) -> Rc<[Outcome<Self::Id>]>;
    fn messages(&mut self) -> &mut Messages;
}

/// Computes all answers of an end to an input.
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
        // The odometer: the last choice that has another option takes it, and the choices after it
        // begin anew.
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
