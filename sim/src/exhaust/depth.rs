//! The second search: depth-first, with a stack, a set and an order of its own, so that the two can't make the same mistake.

use super::breadth::Counts;
use super::ends::{Kept, Living};
use super::world::{Ends, State, World};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};

/// How the second search keeps ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Each state holds two sessions that lived through all that led there. Slow, and a check of the fingerprints.
    Living,
    /// As the first search does.
    Kept,
}

/// Counts a world's states, as far as there are at most `limit`. Whatever is wrong is a panic: the first search has seen it all.
pub fn count(world: &World, way: Way, limit: usize) -> Option<Counts> {
    match way {
        Way::Living => search(world, Living::default(), limit, |id, words| {
            words.extend(id.print.iter().flat_map(|print| [*print as u32, (*print >> 32) as u32]));
        }),
        Way::Kept => search(world, Kept::default(), limit, |id, words| words.push(*id)),
    }
}

fn search<E: Ends>(
    world: &World,
    mut ends: E,
    limit: usize,
    name: impl Fn(&E::Id, &mut Vec<u32>) + Copy,
) -> Option<Counts> {
    let mut known: HashSet<[u64; 2]> = HashSet::new();
    let mut words = Vec::new();
    let mut is_new = |state: &State<E::Id>| {
        state.encode(&mut words, name);
        known.insert([0x9e37, 0x79b9].map(|beginning: u64| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(beginning);
            words.iter().for_each(|word| hasher.write_u32(*word));
            hasher.finish()
        }))
    };
    let mut stack: Vec<_> = world.initial(&mut ends).into_iter().filter(|state| is_new(state)).collect();
    let mut counts = Counts::default();
    let mut next = Vec::new();
    while let Some(state) = stack.pop() {
        counts.states += 1;
        if counts.states as usize > limit {
            return None;
        }
        world.successors(&mut ends, &state, &mut next);
        counts.transitions += next.len() as u64;
        let goes_on = next.iter().any(|next| next.event.is_fair() && next.state != state);
        counts.terminal += u64::from(!goes_on);
        stack.extend(next.drain(..).map(|successor| successor.state).filter(|state| is_new(state)));
    }
    Some(counts)
}
