//! The answers of an end to an input, one for each of its choices, and two ways to keep ends and
//! answers, one for each search.
//!
//! Invariant: [`outcomes`] leaves out no sequence of choices and makes none twice.

use super::end::{Effect, End, Given, Messages, Plan};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use xxhash_rust::xxh3::Xxh3Default;

#[derive(Clone, Debug)]
pub struct Outcome<I> {
    pub end: I,
    pub effects: Vec<Effect>,
    pub choices: Vec<u8>,
}

pub trait Ends {
    /// The name of a state of an end. Two are equal if their fingerprints are.
    type Id: Clone + Eq + Hash;
    fn keep(&mut self, end: End) -> Self::Id;
    fn end<'a>(&'a self, id: &'a Self::Id) -> &'a End;
    fn answers(&mut self, plan: &Plan, id: &Self::Id, given: Given) -> Rc<[Outcome<Self::Id>]>;
    fn messages(&mut self) -> &mut Messages;
}

fn outcomes<E: Ends>(ends: &mut E, plan: &Plan, id: &E::Id, given: Given) -> Vec<Outcome<E::Id>> {
    let mut all = Vec::new();
    let mut choices = Vec::new();
    loop {
        let mut end = ends.end(id).clone();
        let (effects, made) = end.step(plan, ends.messages(), given, &choices);
        choices = made.iter().map(|(choice, _)| *choice).collect();
        all.push(Outcome { end: ends.keep(end), effects, choices: choices.clone() });
        // The odometer: the last choice that has another option takes it, and the choices after it
        // begin anew.
        let Some(last) = made.iter().rposition(|(choice, options)| choice + 1 < *options) else {
            return all;
        };
        choices.truncate(last + 1);
        choices[last] += 1;
    }
}

/// Keeps each end and each answer once. A world has far more states than ends, so nearly every step
/// is a look-up.
#[derive(Default)]
pub struct Kept {
    pub ends: Vec<End>,
    numbers: HashMap<u128, u32>,
    pub answers: HashMap<(u32, Given), Rc<[Outcome<u32>]>>,
    messages: Messages,
}

impl Ends for Kept {
    type Id = u32;

    fn keep(&mut self, end: End) -> u32 {
        let mut hasher = Xxh3Default::new();
        end.fingerprint(&mut hasher);
        *self.numbers.entry(hasher.digest128()).or_insert_with(|| {
            self.ends.push(end);
            self.ends.len() as u32 - 1
        })
    }

    fn end(&self, id: &u32) -> &End {
        &self.ends[*id as usize]
    }

    fn answers(&mut self, plan: &Plan, id: &u32, given: Given) -> Rc<[Outcome<u32>]> {
        if let Some(known) = self.answers.get(&(*id, given)) {
            return Rc::clone(known);
        }
        let answers: Rc<[_]> = outcomes(self, plan, id, given).into();
        self.answers.insert((*id, given), Rc::clone(&answers));
        answers
    }

    fn messages(&mut self) -> &mut Messages {
        &mut self.messages
    }
}

#[derive(Clone)]
pub struct Lived {
    end: Rc<End>,
    pub print: [u64; 2],
}

impl PartialEq for Lived {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Eq for Lived {}

impl Hash for Lived {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

/// Keeps nothing: each state holds two sessions that have lived through the whole way to it, and
/// each answer is computed anew. If fingerprints left out something that matters, the counts of
/// this and of [`Kept`] would differ.
#[derive(Default)]
pub struct Living {
    messages: Messages,
}

impl Ends for Living {
    type Id = Lived;

    fn keep(&mut self, end: End) -> Lived {
        let print = [0x5bd1, 0xe995].map(|beginning: u64| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(beginning);
            end.fingerprint(&mut hasher);
            hasher.finish()
        });
        Lived { end: Rc::new(end), print }
    }

    fn end<'a>(&'a self, id: &'a Lived) -> &'a End {
        &id.end
    }

    fn answers(&mut self, plan: &Plan, id: &Lived, given: Given) -> Rc<[Outcome<Lived>]> {
        outcomes(self, plan, id, given).into()
    }

    fn messages(&mut self) -> &mut Messages {
        &mut self.messages
    }
}
