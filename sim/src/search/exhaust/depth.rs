//! The second search: depth-first. Its stack, set and order are its own, so that the two searches
//! can't make the same mistake.

use super::breadth::Counts;
use super::ends::{Ends, Kept, Living};
use super::state::State;
use super::world::World;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Each state holds two sessions that lived through the whole way to it: slow, see [`Living`].
    Living,
    Kept,
}

/// `None` if there are more states than `limit`. Panics at a violation: there should be none.
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
    let mut stack: Vec<_> =
        world.initial(&mut ends).into_iter().filter(|state| is_new(state)).collect();
    let mut counts = Counts::default();
    while let Some(state) = stack.pop() {
        counts.states += 1;
        if counts.states as usize > limit {
            return None;
        }
        let mut next = world.successors(&mut ends, &state);
        counts.transitions += next.len() as u64;
        let goes_on = next.iter().any(|next| next.event.is_fair() && next.state != state);
        counts.terminal += u64::from(!goes_on);
        stack.extend(next.drain(..).map(|successor| successor.state).filter(|state| is_new(state)));
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::exhaust::worlds;
    use std::collections::HashMap;

    /// Two ways to one fingerprint must have the same successors.
    #[test]
    fn successors_follow_from_the_fingerprint() {
        let mut pairs = 0;
        let names = ["1x2x1", "credit", "control"];
        for world in worlds::all().into_iter().filter(|world| names.contains(&world.name)) {
            let mut ends = Living::default();
            let mut known = HashMap::new();
            let mut stack = world.initial(&mut ends);
            while let Some(state) = stack.pop() {
                let next = world.successors(&mut ends, &state);
                let Some(other) = known.insert(state.clone(), state) else {
                    stack.extend(next.into_iter().map(|successor| successor.state));
                    continue;
                };
                let expected = world.successors(&mut ends, &other);
                assert_eq!(next.len(), expected.len());
                for (one, other) in next.iter().zip(&expected) {
                    assert_eq!((one.event, &one.choices), (other.event, &other.choices));
                    assert!(one.state == other.state, "{:?} leads to two states", one.event);
                }
                pairs += 1;
            }
        }
        assert!(pairs > 4_000, "{pairs} pairs");
    }
}
