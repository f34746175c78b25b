//! The breadth-first search: finds the shortest way to a violation.
//!
//! A state is kept as a fingerprint of 128 bits, with the number of the state before it and the
//! place of the event there. States that are still to be looked at are kept in full. Among n states
//! two have the same fingerprint with a probability below n²/2^129: at 10^8 states, 10^-22.

use super::check::guard;
use super::ends::Kept;
use super::state::State;
use super::world::{Successor, World};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_128;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub states: u64,
    pub transitions: u64,
    /// States from which nothing happens without further trouble.
    pub terminal: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Found {
    pub counts: Counts,
    pub is_whole: bool,
    /// Events on the longest of the shortest ways.
    pub depth: u64,
    /// Different states of single ends, both kinds together.
    pub ends: u64,
    pub inputs: u64,
    pub violation: Option<Violation>,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub what: String,
    /// The way there: the place of each event among those that were possible.
    pub path: Vec<u32>,
}

/// A fingerprint is hashed well enough as it is.
#[derive(Clone, Copy, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (first, _) = bytes.split_first_chunk().expect("eight bytes");
        self.0 = u64::from_le_bytes(*first);
    }
}

const NONE: u32 = u32::MAX;

struct Seen {
    before: u32,
    /// The place of the event among those of the state before it.
    by: u32,
    fair: u32,
}

#[derive(Default)]
struct Search {
    ends: Kept,
    numbers: HashMap<[u8; 16], u32, BuildHasherDefault<AsItIs>>,
    seen: Vec<Seen>,
    waiting: VecDeque<Box<[u32]>>,
    words: Vec<u32>,
}

/// Searches all of a world, or its first `limit` states.
pub fn search(world: &World, limit: usize) -> Found {
    let mut search = Search::default();
    let mut found = Found::default();
    match guard(|| world.initial(&mut search.ends)) {
        Ok(first) => {
            for (by, state) in first.iter().enumerate() {
                search.see(state, NONE, by as u32);
            }
        }
        Err(what) => found.violation = Some(Violation { what, path: Vec::new() }),
    }
    let mut at = 0;
    while let Some(words) = search.waiting.pop_front() {
        if search.seen.len() > limit || found.violation.is_some() {
            break;
        }
        let state = State::decode(&words);
        let (next, is_terminal) = match world.visit(&mut search.ends, &state) {
            Ok(visited) => visited,
            Err(what) => {
                found.violation = Some(Violation { what, path: search.path(at) });
                break;
            }
        };
        found.counts.terminal += u64::from(is_terminal);
        found.counts.transitions += next.len() as u64;
        search.take(at, &state, &next);
        at += 1;
    }
    found.counts.states = search.seen.len() as u64;
    found.is_whole = found.violation.is_none() && at as usize == search.seen.len();
    found.ends = search.ends.ends.len() as u64;
    found.inputs = search.ends.answers.len() as u64;
    let last = search.seen.len().checked_sub(1);
    found.depth = last.map_or(0, |last| search.path(last as u32).len() as u64 - 1);
    if found.is_whole
        && let Some(stuck) = search.runs_in_circles()
    {
        let what = "from here on nothing ever completes, though nothing goes wrong any more";
        found.violation = Some(Violation { what: what.into(), path: search.path(stuck) });
    }
    found
}

impl Search {
    /// The number of a state; a new one is kept to be looked at.
    fn see(&mut self, state: &State<u32>, before: u32, by: u32) -> u32 {
        state.encode(&mut self.words, |id, words| words.push(*id));
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let print = xxh3_128(&bytes).to_le_bytes();
        let (seen, waiting, words) = (&mut self.seen, &mut self.waiting, &self.words);
        *self.numbers.entry(print).or_insert_with(|| {
            seen.push(Seen { before, by, fair: NONE });
            waiting.push_back(words.as_slice().into());
            seen.len() as u32 - 1
        })
    }

    fn take(&mut self, at: u32, state: &State<u32>, next: &[Successor<u32>]) {
        let mut fair: Option<(&Successor<u32>, u32)> = None;
        for (by, successor) in next.iter().enumerate() {
            let number = self.see(&successor.state, at, by as u32);
            if successor.event.is_fair()
                && number != at
                && fair.is_none_or(|(best, _)| {
                    (successor.event, &successor.choices) < (best.event, &best.choices)
                })
            {
                debug_assert!(successor.state != *state);
                fair = Some((successor, number));
            }
        }
        self.seen[at as usize].fair = fair.map_or(NONE, |(_, number)| number);
    }

    fn path(&self, mut at: u32) -> Vec<u32> {
        let mut path = Vec::new();
        while at != NONE {
            let seen = &self.seen[at as usize];
            path.push(seen.by);
            at = seen.before;
        }
        path.reverse();
        path
    }

    /// A state from which the run without further trouble never ends.
    fn runs_in_circles(&self) -> Option<u32> {
        let mut ends = vec![0u32; self.seen.len()];
        for start in 0..self.seen.len() as u32 {
            let run = start + 1;
            let mut at = start;
            while at != NONE && ends[at as usize] == 0 {
                ends[at as usize] = run;
                at = self.seen[at as usize].fair;
            }
            // A state of an earlier run comes to an end. A state of this run has been met again.
            if at != NONE && ends[at as usize] == run {
                return Some(start);
            }
        }
        None
    }
}
