//! Finds the pauses of a flow, and their causes.
//!
//! The receiver of a direction sees the bytes that came out and those that were held meanwhile. Its
//! sender sees the stripes of the missing byte and their fate. With both, each time stays on the
//! clock of the side that saw it, and only durations are compared.
//!
//! Invariant: for bytes that the program has not given yet there is no wait. The cause is
//! [`Cause::Idle`] where the sender was seen, and [`Cause::Unseen`] where it was not.

use super::account::{Account, Flow, Receiving, exceeds, value};
use super::history::{History, on_stripes};
use crate::base::Side;
use crate::show::picture::coverage::Coverage;
use crate::show::picture::timeline::{Steps, now};
use std::collections::BTreeSet;
use std::ops::Range;
use striper_core::{FlowId, StripeId};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    Slow(StripeId),
    /// `None` if the stripe, which was in doubt or lost, can't be told.
    Broken(Option<StripeId>),
    NoCredit,
    NoStripe,
    /// The program had given bytes, and no stripe took more.
    Full,
    Idle,
    /// On its way for no longer than two of its stripe's shortest round trips.
    UnderWay,
    Unseen,
}

impl Cause {
    pub fn is_a_wait(self) -> bool {
        !matches!(self, Cause::Idle | Cause::UnderWay | Cause::Unseen)
    }
}

/// A time in which nothing more of a flow came out, or was acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    /// The side on whose clock the span is.
    pub seen_by: Side,
    pub span: Range<u64>,
    /// The trace ends before the pause does.
    pub open: bool,
    pub missing: u64,
    pub cause: Cause,
    pub held: Option<Held>,
    /// The stripe on which the missing byte came.
    pub came: Option<StripeId>,
}

/// Bytes that could not come out because an earlier one was missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    pub bytes: u64,
    /// When the first came, in microseconds.
    pub since: u64,
    pub stripes: BTreeSet<StripeId>,
}

impl Pause {
    pub fn length(&self) -> u64 {
        self.span.end - self.span.start
    }
}

pub struct Direction<'a> {
    pub id: FlowId,
    pub from: Side,
    pub sender: Option<(&'a Account, &'a Flow)>,
    pub receiver: Option<(&'a Account, &'a Flow)>,
    /// The shortest pause that counts, in microseconds.
    pub at_least: u64,
}

impl Direction<'_> {
    pub fn pauses(&self) -> Vec<Pause> {
        match (self.receiver, self.sender) {
            (Some((account, flow)), _) => self.of_receiver(account, flow),
            (None, Some((account, flow))) => self.of_sender(account, flow),
            (None, None) => Vec::new(),
        }
    }

    fn of_receiver(&self, account: &Account, flow: &Flow) -> Vec<Pause> {
        let receiving = &flow.receiving;
        let end = flow.closed.unwrap_or(account.last);
        let mut pauses = Vec::new();
        for Gap { span, missing, open } in
            gaps(flow.opened, &receiving.delivered, receiving.finished, end, self.at_least)
        {
            let open = open && flow.closed.is_none();
            let held = held(receiving, missing, span.end, open);
            let later = receiving.arrivals.partition_point(|arrival| arrival.at < span.end);
            let mut last =
                receiving.arrivals[later..].iter().take_while(|arrival| arrival.at == span.end);
            let brings =
                |range: &Range<u64>| range.contains(&missing) || *range == (missing..missing);
            let came = last.find(|arrival| brings(&arrival.range)).map(|arrival| arrival.stripe);
            let pause = |span: Range<u64>, cause, held| Pause {
                seen_by: account.side,
                open: open && span.end == account.last,
                span,
                missing,
                cause,
                held,
                came,
            };
            let Some(held) = held else {
                let cause = self.not_held(account, receiving, &span, missing);
                pauses.push(pause(span, cause, None));
                continue;
            };
            let since = held.since.max(span.start);
            let before = span.start..since;
            let cause = self.held_up(account, receiving, since..span.end, missing, came);
            let first = self.not_held(account, receiving, &before, missing);
            let is_on_a_stripe = matches!(first, Cause::Slow(_) | Cause::Broken(_));
            if span.end - since < self.at_least {
                let cause = self.not_held(account, receiving, &span, missing);
                pauses.push(pause(span, cause, Some(held)));
            } else if since - span.start < self.at_least || is_on_a_stripe {
                pauses.push(pause(span, cause, Some(held)));
            } else {
                pauses.push(pause(before, first, None));
                pauses.push(pause(since..span.end, cause, Some(held)));
            }
        }
        pauses
    }

    /// The cause why a byte was missing while later ones were there.
    fn held_up(
        &self,
        account: &Account,
        receiving: &Receiving,
        span: Range<u64>,
        missing: u64,
        came: Option<StripeId>,
    ) -> Cause {
        if alone(account, &span) {
            return Cause::NoStripe;
        }
        if let Some((sender, flow)) = self.sender
            && let Some(cause) = on_stripes(sender, &History::of(flow, missing))
        {
            return match cause {
                (Cause::UnderWay, stripe) => Cause::Slow(stripe),
                (cause, _) => cause,
            };
        }
        // A sender puts new bytes on a stripe in the order of the flow. So a byte that comes behind
        // later ones was sent again.
        match came {
            Some(came) if !came_behind_later(receiving, missing, came, span.end) => {
                Cause::Slow(came)
            }
            _ => Cause::Broken(silent(account, &span, came)),
        }
    }

    fn not_held(
        &self,
        account: &Account,
        receiving: &Receiving,
        span: &Range<u64>,
        missing: u64,
    ) -> Cause {
        let length = span.end - span.start;
        let half = |time: u64| time > 0 && time >= length / 2;
        // A program that gives nothing because nothing is taken from it has bytes to send.
        if out_of(&receiving.granted, span, missing) {
            return Cause::NoCredit;
        }
        let alone = alone(account, span);
        let Some((sender, flow)) = self.sender else {
            return if alone { Cause::NoStripe } else { Cause::Unseen };
        };
        let history = History::of(flow, missing);
        let previous = missing.checked_sub(1).map(|previous| History::of(flow, previous).sends);
        let before = previous.as_ref().and_then(|sends| sends.first());
        let before = before.map_or(flow.opened, |piece| piece.at);
        let Some(written) = history.written else { return Cause::Idle };
        let idle = written.saturating_sub(before).min(length);
        if half(idle) {
            return Cause::Idle;
        }
        if alone {
            return Cause::NoStripe;
        }
        let sent = history.sends.first().map_or(sender.last, |piece| piece.at);
        let queued = sent.saturating_sub(written.max(before)).min(length - idle);
        match on_stripes(sender, &history) {
            Some((cause, _)) if queued < length - idle - queued => cause,
            _ => queueing(sender, flow, written.max(before)..sent, missing),
        }
    }

    fn of_sender(&self, account: &Account, flow: &Flow) -> Vec<Pause> {
        let end = flow.closed.unwrap_or(account.last);
        let mut pauses = Vec::new();
        for Gap { span, missing, open } in
            gaps(flow.opened, &flow.sending.settled, None, end, self.at_least)
        {
            let history = History::of(flow, missing);
            let all = value(&flow.sending.written, span.end) <= missing;
            if all && flow.sending.finish.is_some_and(|finish| finish <= span.end) {
                continue;
            }
            let written = history.written.unwrap_or(span.end).clamp(span.start, span.end);
            let pause = |span: Range<u64>, cause| Pause {
                seen_by: account.side,
                open: open && flow.closed.is_none() && span.end == account.last,
                span,
                missing,
                cause,
                held: None,
                came: None,
            };
            let first =
                history.sends.first().map_or(span.end, |piece| piece.at).clamp(written, span.end);
            let (idle, queued, under_way) =
                (written - span.start, first - written, span.end - first);
            if idle >= self.at_least {
                let idle = span.start..written;
                let full = out_of(&flow.sending.limit, &idle, missing);
                pauses.push(pause(idle, if full { Cause::NoCredit } else { Cause::Idle }));
            }
            if queued + under_way < self.at_least {
                continue;
            }
            let cause = match on_stripes(account, &history) {
                _ if alone(account, &(written..span.end)) => Cause::NoStripe,
                Some((cause, _)) if under_way >= queued => cause,
                _ => queueing(account, flow, written..first, missing),
            };
            let start = if idle >= self.at_least { written } else { span.start };
            pauses.push(pause(start..span.end, cause));
        }
        pauses
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Gap {
    pub span: Range<u64>,
    pub missing: u64,
    pub open: bool,
}

/// The times without progress between a flow's opening and its end that are long enough.
pub(super) fn gaps(
    opened: u64,
    progress: &Steps,
    finished: Option<u64>,
    end: u64,
    at_least: u64,
) -> Vec<Gap> {
    let begins = [(opened, 0)]
        .into_iter()
        .chain(progress.iter().copied())
        .chain(finished.map(|at| (at, now(progress))));
    let ends = progress.iter().map(|(at, _)| *at).chain(finished).map(Some).chain([None]);
    let mut gaps: Vec<Gap> = begins
        .zip(ends)
        .map(|((from, missing), to)| Gap {
            span: from..to.unwrap_or(end).max(from),
            missing,
            open: to.is_none(),
        })
        .collect();
    if finished.is_some() {
        gaps.pop();
    }
    gaps.retain(|gap| gap.span.end - gap.span.start >= at_least.max(1));
    gaps
}

/// The bytes beyond a missing one that came before a time, or, in an open pause, up to it.
pub(super) fn held(receiving: &Receiving, missing: u64, until: u64, open: bool) -> Option<Held> {
    let arrivals = &receiving.arrivals;
    let count =
        arrivals.partition_point(|arrival| arrival.at < until || (open && arrival.at == until));
    let mut held = Held { bytes: 0, since: until, stripes: BTreeSet::new() };
    let mut bytes = Coverage::default();
    for arrival in arrivals[..count].iter().rev().take_while(|arrival| arrival.reached > missing) {
        if arrival.range.start > missing && !arrival.range.is_empty() {
            bytes.add(arrival.range.clone());
            held.since = arrival.at;
            held.stripes.insert(arrival.stripe);
        }
    }
    held.bytes = bytes.total();
    (held.bytes > 0).then_some(held)
}

fn came_behind_later(receiving: &Receiving, missing: u64, stripe: StripeId, until: u64) -> bool {
    let count = receiving.arrivals.partition_point(|arrival| arrival.at < until);
    let before =
        receiving.arrivals[..count].iter().rev().take_while(|arrival| arrival.reached > missing);
    before.into_iter().any(|arrival| arrival.stripe == stripe && arrival.range.start > missing)
}

/// The stripe that brought nothing during a span and was heard of last.
pub fn silent(account: &Account, span: &Range<u64>, but: Option<StripeId>) -> Option<StripeId> {
    let stripes =
        account.stripes_in(span.clone()).into_iter().filter(|stripe| Some(*stripe) != but);
    let heard =
        stripes.filter_map(|stripe| Some((account.heard_before(stripe, span.end)?, stripe)));
    heard.filter(|(at, _)| *at <= span.start).max().map(|(_, stripe)| stripe)
}

/// Whether no stripe was up for most of a span.
fn alone(account: &Account, span: &Range<u64>) -> bool {
    account.without_stripes(span.clone()) > (span.end - span.start) / 2
}

/// Whether credit did not reach beyond an offset for most of a span.
fn out_of(limit: &Steps, span: &Range<u64>, offset: u64) -> bool {
    let allowed = exceeds(limit, offset).unwrap_or(u64::MAX).min(span.end);
    !limit.is_empty() && allowed.saturating_sub(span.start) > (span.end - span.start) / 2
}

fn queueing(sender: &Account, flow: &Flow, span: Range<u64>, missing: u64) -> Cause {
    let span = span.start.min(span.end)..span.end;
    if alone(sender, &span) {
        Cause::NoStripe
    } else if out_of(&flow.sending.limit, &span, missing) {
        Cause::NoCredit
    } else {
        Cause::Full
    }
}
