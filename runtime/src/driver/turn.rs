//! The turns of a pump: when it does what.
//!
//! A turn takes the pipes that are ready, receives a few chunks from each and writes the results at
//! once. The pump sleeps only when nothing is ready. It waits for pipes, requests and its one
//! timer, never for a flow, and receiving from a stripe never waits for a write.

use super::pump::Pump;
use std::task::{Context, Poll};
use std::time::Duration;

/// Turns without sleep before the executor looks for sockets that have become ready meanwhile.
const TURNS: usize = 8;

/// How long that look may take if nothing is ready.
const LOOK: Duration = Duration::from_micros(50);

/// Pumps until nothing is ready. Ready when the pump is over for good.
pub(crate) fn run(pump: &mut Pump, cx: &mut Context<'_>) -> Poll<()> {
    pump.base.agenda.wake_from_now_on(cx.waker());
    pump.hear_limit();
    let polled = turns(pump, cx);
    pump.account();
    polled
}

fn turns(pump: &mut Pump, cx: &mut Context<'_>) -> Poll<()> {
    pump.settle();
    let begin = pump.base.engine.now();
    pump.base.agenda.begin_slice(begin);
    for _ in 0..TURNS {
        if !pump.base.agenda.gather() {
            match rest(pump, cx) {
                Rest::Due => continue,
                Rest::Asleep => return Poll::Pending,
                Rest::Over => return Poll::Ready(()),
            }
        }
        while let Some(token) = pump.base.agenda.next() {
            pump.step(token);
            pump.settle();
            if pump.base.agenda.is_slice_over(pump.base.engine.now()) {
                return yield_to_others(pump, cx);
            }
        }
    }
    yield_to_others(pump, cx)
}

/// Returns to the executor in such a way that it looks for ready sockets before it comes back.
fn yield_to_others(pump: &mut Pump, cx: &mut Context<'_>) -> Poll<()> {
    let time = pump.base.engine.now() + LOOK;
    if pump.base.agenda.poll_until(cx, time).is_ready() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

enum Rest {
    Due,
    Asleep,
    Over,
}

/// Nothing is ready: does what is due, or sleeps.
fn rest(pump: &mut Pump, cx: &mut Context<'_>) -> Rest {
    let now = pump.base.engine.now();
    let next_dial = pump.begin_rest(now);
    if pump.base.agenda.has_again() {
        return Rest::Due;
    }
    if pump.finish_if_over() {
        return Rest::Over;
    }
    let next = pump.next_time(now).into_iter().chain(next_dial).min();
    let Some(next) = next else { return Rest::Asleep };
    if next > now {
        let waited = pump.base.agenda.poll_until(cx, next);
        return if waited.is_ready() { Rest::Due } else { Rest::Asleep };
    }
    pump.do_due(now);
    Rest::Due
}
