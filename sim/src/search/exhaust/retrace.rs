//! The way to a violation, retraced by sessions that live through it.

use super::answers::Ends;
use super::end::Message;
use super::ends::Living;
use super::state::State;
use super::world::{Event, World};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Retraces the way to a violation and tells each event in words. The error says what is wrong.
pub fn retrace(world: &World, path: &[u32], tell: &mut dyn FnMut(String)) -> Result<(), String> {
    let mut ends = Living::default();
    let mut path = path.iter().map(|by| *by as usize);
    let mut states = guard(|| world.initial(&mut ends))?;
    let first = path.next().unwrap_or(0);
    if first >= states.len() {
        return Err(format!(
            "the way begins with {first}, there are only {} beginnings",
            states.len()
        ));
    }
    let mut state = states.swap_remove(first);
    loop {
        let mut next = Vec::new();
        guard(|| {
            world.check(&ends, &state);
            next = world.successors(&mut ends, &state);
            if !next.iter().any(|next| next.event.is_fair() && next.state != state) {
                world.check_complete(&ends, &state);
            }
        })?;
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
            let message =
                state.front(*stripe, *to).map(|number| ends.messages().get(number).clone());
            let message = message.as_ref().map_or_else(String::new, Message::describe);
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

/// Runs something and turns a panic into its message.
pub fn guard<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic".to_owned())
    })
}
