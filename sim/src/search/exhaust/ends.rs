//! Two ways to keep ends, one for each search.

use super::answers::{Ends, Given, Messages, Outcome, outcomes};
use super::end::{End, Plan};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use xxhash_rust::xxh3::Xxh3Default;

/// Keeps each end once, named by its number, and computes each answer once. A world has far more
/// states than its ends, so nearly every step is a look-up.
#[derive(Default)]
pub struct Kept {
    ends: Vec<End>,
    numbers: HashMap<u128, u32>,
    answers: HashMap<(u32, Given), Rc<[Outcome<u32>]>>,
    messages: Messages,
}

impl Kept {
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    pub fn computed(&self) -> usize {
        self.answers.len()
    }
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

/// An end with its own history, and its fingerprint.
#[derive(Clone)]
pub struct Lived {
    end: Rc<End>,
    /// Two hashes of 64 bits with different beginnings.
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
