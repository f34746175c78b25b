//! The way to a violation, retraced by sessions that live through it.

use super::check::guard;
use super::ends::{Ends, Living};
use super::state::State;
use super::world::{Event, World};

/// Retraces the way to a violation and tells each event in words. The error says what is wrong.
pub fn retrace(world: &World, path: &[u32], tell: &mut dyn FnMut(String)) -> Result<(), String> {
    let mut ends = Living::default();
    let mut path = path.iter().map(|by| *by as usize);
    let mut states = guard(|| world.initial(&mut ends))?;
    let first = path.next().unwrap_or(0);
    let count = states.len();
    if first >= count {
        return Err(format!("the way begins with {first}, there are only {count} beginnings"));
    }
    let mut state = states.swap_remove(first);
    loop {
        let (mut next, _) = world.visit(&mut ends, &state)?;
        let Some(by) = path.next() else { return Ok(()) };
        if by >= next.len() {
            return Err(format!("the way goes on with {by}, there are only {} events", next.len()));
        }
        let successor = next.swap_remove(by);
        tell(describe(&mut ends, &state, &successor.event, &successor.choices));
        state = successor.state;
    }
}

fn describe<E: Ends>(ends: &mut E, state: &State<E::Id>, event: &Event, choices: &[u8]) -> String {
    let mut text = match event {
        Event::Deliver { stripe, to } => {
            let queue = &state.stripes[usize::from(*stripe)].queues[to.other().index()];
            let message = ends.messages().get(*queue.front().expect("a message")).describe();
            format!("stripe {stripe} brings the {to:?} {message}")
        }
        Event::Dial => "the Client dials".to_owned(),
        Event::Break { stripe } => format!("stripe {stripe} breaks"),
        Event::Tell { stripe, side, cut } => {
            let half = if *cut { ", after the first half of a frame" } else { "" };
            format!("the {side:?} is told that stripe {stripe} is broken{half}")
        }
        Event::Written { stripe, side } => {
            format!("stripe {stripe} has taken what the {side:?} wrote")
        }
        Event::Act { side, flow, act } => format!("flow {flow} at the {side:?}: {act:?}"),
        Event::Fire { side, timer } => format!("at the {side:?} the time of {timer:?} has come"),
    };
    if !choices.is_empty() {
        text += &format!(" (choices {choices:?})");
    }
    text
}
