//! Sends data a second time on another stripe if the first copy is stuck on a slow one, within a
//! budget.

use super::carriers::Carriers;
use super::choice::At;
use crate::buggify::Site;
use crate::config::{MIN_CHUNK, SchedulerKind};
use crate::id::{FlowId, StripeId};
use crate::scheduler::reinject;
use crate::stripe::ledger::Entry;
use crate::stripe::{Stripe, Token};
use crate::time::Instant;
use crate::timers::Timer;
use core::ops::Range;
use core::time::Duration;

/// How long until a stripe that is late, but not so that a copy would pay, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

type FlowRange = (FlowId, Range<u64>, bool);

#[derive(Clone, Debug)]
pub(super) struct Copies {
    /// Only `earliest` knows when a copy would arrive.
    enabled: bool,
    /// Bytes put up for a second sending while the first copy may still arrive, ever.
    copied: u64,
}

impl Copies {
    pub(super) fn new(scheduler: SchedulerKind) -> Self {
        Copies { enabled: scheduler == SchedulerKind::Earliest, copied: 0 }
    }

    pub(super) fn copied(&self) -> u64 {
        self.copied
    }

    /// So many bytes of the budget are spent.
    #[cfg(test)]
    pub(super) fn set_copied(&mut self, bytes: u64) {
        self.copied = bytes;
    }

    /// Puts up one piece of data for a second sending, if a copy of it would arrive well before the
    /// original. If it is `urgent`, there is other data to send. Whether there was one.
    pub(super) fn make(&mut self, urgent: bool, on: &mut Carriers<'_>) -> bool {
        let Carriers { stripes, flows, choice, turns, now, .. } = on;
        let now = *now;
        let pays = self.enabled && self.copied < reinject::budget(stripes.payload().0);
        let anyway = !urgent && turns.once(Site::Copy);
        let any_slow = || stripes.iter().any(|stripe| stripe.rate().slowed());
        if stripes.len() < 2 || !(pays || anyway) || (urgent && !any_slow()) {
            return false;
        }
        choice.gather(stripes, None, At { now, turns }, |stripe| {
            stripe.takes_data(stripe.chunk()) && !stripe.is_full(false)
        });
        let Some((carrier, copy)) = reinject::carrier(choice.candidates(), MIN_CHUNK as u64) else {
            return false;
        };
        let stuck = |stripe: &mut Stripe| {
            if anyway { oldest(stripe, 0, |_| true) } else { stuck(stripe, copy, urgent, now) }
        };
        let others = stripes.iter_mut().filter(|stripe| is_other(stripe, carrier));
        let Some((flow, range, fin)) = others.filter_map(stuck).next() else { return false };
        self.copied += range.end - range.start;
        flows.change(flow, |entry| entry.send_mut().lose(range, fin));
        true
    }

    /// Nothing is left to send: wakes when what a stripe carries becomes late, since then nothing
    /// else may.
    pub(super) fn watch_late(&self, on: &mut Carriers<'_>) {
        let Carriers { stripes, timers, now, .. } = on;
        let now = *now;
        if stripes.len() < 2 || !self.enabled {
            return;
        }
        let late = stripes.iter().filter(|stripe| !stripe.is_doubted()).filter_map(Stripe::late_at);
        let look = |at| if at > now { at } else { now + LOOK_AGAIN };
        if let Some(at) = late.map(look).min() {
            // Earlier if one becomes late before those that were looked at.
            if timers.at(Timer::Overtake).is_none_or(|set| at < set) {
                timers.set(Timer::Overtake, at);
            }
        }
    }
}

fn is_other(stripe: &Stripe, carrier: StripeId) -> bool {
    stripe.id() != carrier && !stripe.is_doubted()
}

/// The oldest data on a stripe that a copy which takes `copy` microseconds would clearly overtake.
/// It is handed out once. If it is `urgent`, since there is other data to send, only late data is
/// taken. The scheduler may have put data there knowing how long it takes.
fn stuck(stripe: &mut Stripe, copy: u64, urgent: bool, now: Instant) -> Option<FlowRange> {
    if urgent && !stripe.rate().slowed() {
        return None;
    }
    let (late, rate) = stripe.lateness(now);
    let rate = rate?;
    let worth = reinject::worth_behind(rate, copy, late && !urgent);
    if stripe.in_flight() <= worth {
        return None;
    }
    let acknowledged = stripe.ledger().acknowledged();
    let wanted = |entry: &Entry<Token>| {
        let left = rate.time_for(entry.end - acknowledged);
        !urgent || now + left > entry.late_at()
    };
    oldest(stripe, worth, wanted)
}

/// The oldest data on a stripe behind so many unacknowledged bytes that is `wanted`. It is handed
/// out once.
fn oldest(
    stripe: &mut Stripe,
    behind: u64,
    wanted: impl Fn(&Entry<Token>) -> bool,
) -> Option<FlowRange> {
    let behind = stripe.ledger().acknowledged() + behind;
    let spent = |token: &Token| !matches!(token, Token::Data { requeued: false, .. });
    match &mut stripe.ledger_mut().find(behind, spent, wanted)?.token {
        Token::Data { flow, offset, len, fin, requeued } => {
            *requeued = true;
            Some((*flow, *offset..*offset + *len, *fin))
        }
        _ => None,
    }
}
