//! Sends what can be sent: what is owed first, then data, until no stripe takes more or nothing is
//! left.

use super::carriers::Carriers;
use super::control::Control;
use super::copies::Copies;
use crate::buggify::Site;
use crate::config::{MAX_CHUNK, MIN_CHUNK};
use crate::flow::send::Chunk;
use crate::id::{FlowId, StripeId};
use crate::intents::Intent;
use crate::io::Output;
use crate::stripe::{Demand, Stripe, Token};
use crate::timers::Timer;
use crate::wire::frame::Frame;

/// Sends control and data until neither has anything to send.
///
/// Data may have used up credit, and the frame that says so changes which stripe would be the best
/// for the data that waits. The end of this is a state in which time alone changes nothing before
/// the deadline.
pub(super) fn send_all(control: &mut Control, copies: &mut Copies, on: &mut Carriers<'_>) {
    control.send(on);
    loop {
        send_data(control, copies, on);
        if !control.send(on) {
            break;
        }
    }
}

/// Sends data; when there is none left to send and stripes would take more, what is stuck on slow
/// stripes once more.
fn send_data(control: &mut Control, copies: &mut Copies, on: &mut Carriers<'_>) {
    control.send_repeats(on);
    while copies.make(true, on) {}
    loop {
        send_queued(control, on);
        if on.flows.next_to_send().is_some() {
            return;
        }
        if !copies.make(false, on) {
            return copies.watch_late(on);
        }
    }
}

/// Sends what is queued, each chunk on the stripe that the scheduler picks.
fn send_queued(control: &mut Control, on: &mut Carriers<'_>) {
    let mut gathered = None;
    while let Some(flow) = on.flows.next_to_send() {
        if !on.stripes.takes_another() {
            break;
        }
        let Some(entry) = on.flows.get(flow) else { break };
        let waiting = entry.send().sendable();
        let sparse = waiting <= MIN_CHUNK as u64 && on.flows.next_is_fresh();
        let len = waiting.min(MAX_CHUNK as u64);
        let takes = |stripe: &Stripe| {
            stripe.takes_data(stripe.chunk().min(len as usize)) && !stripe.is_full(sparse)
        };
        if gathered != Some((len, sparse)) {
            let at = super::choice::At { now: on.now, turns: on.turns };
            on.choice.gather(on.stripes, None, at, takes);
            gathered = Some((len, sparse));
        }
        let Some(id) = on.choice.for_data(len, on.flows.backlog()) else { break };
        send_chunk(flow, id, control, on);
        on.choice.refresh(on.stripes, id, takes, on.now);
    }
}

fn send_chunk(flow: FlowId, id: StripeId, control: &mut Control, on: &mut Carriers<'_>) {
    let Some(stripe) = on.stripes.get(id) else { return };
    let (unwritten, allowance) = (stripe.unwritten(), stripe.allowance());
    let mut max = stripe.chunk();
    let (sent, resent) = on.stripes.payload();
    if on.turns.take(Site::Crumb, sent + resent) {
        max = max.min(3);
    }
    let taken = on.flows.change(flow, |entry| {
        let before = entry.send().buffer().next();
        let chunk = entry.send_mut().take(max)?;
        Some((chunk, entry.send().buffer().next() == before))
    });
    let Some((chunk, again)) = taken.flatten() else { return };
    let len = chunk.data.len() as u64;
    count_data(flow, len, again, control, on);
    on.flows.charge_turn(flow, chunk.data.len());
    let fits = unwritten == 0 || unwritten + len <= allowance;
    assert!(fits, "data beyond a stripe's allowance");
    put_data(flow, id, chunk, on);
}

pub(super) fn put_data(flow: FlowId, id: StripeId, chunk: Chunk, on: &mut Carriers<'_>) {
    let Chunk { offset, data, fin } = chunk;
    let frame = Frame::Data { flow, offset, fin };
    let token = Token::Data { flow, offset, len: data.len() as u64, fin, requeued: false };
    on.put(id, &frame, data, (token, true));
    on.flows.notify_writable(flow, on.out);
}

/// Counts a DATA frame that is about to go on a stripe, `again` if what it carries was sent before.
/// The peer is told if it uses up the credit.
pub(super) fn count_data(
    flow: FlowId,
    len: u64,
    again: bool,
    control: &mut Control,
    on: &mut Carriers<'_>,
) {
    on.stripes.count_payload(len, again);
    if on.flows.get(flow).is_some_and(|entry| entry.send().is_blocked()) {
        control.owe(Intent::Blocked(flow));
    }
}

pub(super) fn after_sending(on: &mut Carriers<'_>) {
    let demand = match on.flows.next_to_send() {
        Some(_) => Demand::Waiting,
        None if on.flows.want_credit() => Demand::NoCredit,
        None => Demand::Nothing,
    };
    for stripe in on.stripes.iter_mut() {
        let id = stripe.id();
        stripe.after_sending(demand, on.now);
        if let Some(at) = stripe.doubt_at().filter(|_| !stripe.is_doubted()) {
            // Earlier if the stripe has been measured meanwhile; later is what its handler sees to.
            if on.timers.at(Timer::Doubt(id)).is_none_or(|set| at < set) {
                on.timers.set(Timer::Doubt(id), at);
            }
        }
        if let Some(unsent) = stripe.new_pace() {
            on.out.push(Output::StripePace { stripe: id, unsent });
        }
    }
}
