//! A view of the sessions of a world.
//!
//! A side may have many sessions, one after the other and, on a server, at the same time. Each has
//! a number of its own. Every input is shown twice, before and after, so that an observer has seen
//! the input that a session dies of.

use crate::base::Side;
use striper_core::testing::Endpoint;
use striper_core::{Input, Instant, Output, Session};

pub struct Seen<'a> {
    pub life: usize,
    pub side: Side,
    /// As it is at this moment; before its first input as it was born.
    pub session: &'a Session,
    pub now: Instant,
    pub input: &'a Input,
    pub outputs: Option<&'a [Output]>,
}

pub type Observer = Box<dyn FnMut(&Seen)>;

pub fn give(
    observer: &mut Option<Observer>,
    (life, side): (usize, Side),
    end: &mut Endpoint,
    now: Instant,
    input: Input,
    outputs: &mut Vec<Output>,
) {
    let Some(observe) = observer else { return end.give(now, input, outputs) };
    observe(&Seen { life, side, session: &end.session, now, input: &input, outputs: None });
    end.give(now, input.clone(), outputs);
    let (session, outputs) = (&end.session, Some(&outputs[..]));
    observe(&Seen { life, side, session, now, input: &input, outputs });
}
