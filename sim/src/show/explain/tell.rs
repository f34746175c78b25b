//! Tells pauses in words.

use super::account::{Account, Receiving, value};
use super::history::History;
use super::limits::{Limits, shares};
use super::wait::{Cause, Direction, Pause, silent};
use crate::base::Side;
use crate::show::picture::scale::{show_size as show_bytes, show_time as show_span};
use crate::show::picture::timeline::{Death, now};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use striper_core::{StripeClose, StripeId};

/// The most copies of a chunk that are told one by one.
const COPIES: usize = 6;

pub fn block(pause: &Pause, direction: &Direction<'_>) -> String {
    let Pause { span, missing, .. } = pause;
    let what = if pause.seen_by == direction.from { "was acknowledged" } else { "came out" };
    let until = if pause.open { "the end of the trace" } else { &at(span.end) };
    let mut text = format!(
        "flow {}, {}: nothing {what} for {}, from {} to {until} on the {}'s clock\n  because: {}\n",
        direction.id,
        way(direction.from),
        show_span(pause.length()),
        at(span.start),
        name(pause.seen_by),
        because(pause.cause),
    );
    if let Some((account, flow)) = direction.receiver {
        receiver(&mut text, pause, account, &flow.receiving);
    }
    if let Some((account, flow)) = direction.sender {
        sender(&mut text, account, &History::of(flow, *missing), pause);
    } else {
        let _ = writeln!(
            text,
            "  the {}'s trace says where byte {missing} was put, and when",
            name(direction.from)
        );
    }
    text
}

fn receiver(text: &mut String, pause: &Pause, account: &Account, receiving: &Receiving) {
    let Pause { span, missing, .. } = pause;
    let mut say = |line: String| _ = writeln!(text, "  {}: {line}", name(account.side));
    match &pause.held {
        Some(held) => say(format!(
            "byte {missing} was missing; {} beyond it were held, the first since {}, come on {}",
            show_bytes(held.bytes),
            at(held.since),
            stripes(held.stripes.iter().copied())
        )),
        None => say(format!("byte {missing} was next, and nothing beyond it was there")),
    }
    if pause.cause == Cause::NoCredit {
        let [taken, granted] =
            [&receiving.consumed, &receiving.granted].map(|steps| value(steps, span.start));
        say(format!("credit ended at {granted}; the consumer had taken {taken}"));
    }
    let quiet = match pause.cause {
        Cause::Broken(Some(stripe)) | Cause::Slow(stripe) => Some(stripe),
        Cause::Broken(None) => silent(account, span, pause.came),
        _ => None,
    };
    if let Some(stripe) = quiet
        && let Some(heard) = account.heard_before(stripe, span.end)
        && heard <= pause.held.as_ref().map_or(span.start, |held| held.since.max(span.start))
    {
        let until = account
            .heard_from(stripe, span.end)
            .map_or("on".into(), |time| format!("to {}", at(time)));
        say(format!(
            "stripe {stripe} brought nothing from {} {until}{}",
            at(heard),
            fate(account, stripe, "; ")
        ));
    }
    if let Some(came) = pause.came {
        say(format!("byte {missing} came on stripe {came} at {}", at(span.end)));
    }
}

fn sender(text: &mut String, account: &Account, history: &History, pause: &Pause) {
    let missing = pause.missing;
    let mut say = |line: String| _ = writeln!(text, "  {}: {line}", name(account.side));
    let Some(first) = history.sends.first() else {
        return say(match history.written {
            Some(written) => {
                format!("byte {missing} was there at {}, and was put on no stripe", at(written))
            }
            None => format!("the program had not given byte {missing}"),
        });
    };
    // Times shorter than a tenth of the pause are no part of the story.
    let told = |written: &u64| first.at.saturating_sub(*written) > pause.length() / 10;
    if let Some(written) = history.written.filter(told) {
        say(format!("byte {missing} was there from {} on", at(written)));
    }
    let settled = history.settled().unwrap_or(account.last);
    for (index, piece) in history.sends.iter().take(COPIES).enumerate() {
        let (stripe, range) = (piece.stripe, bytes(piece.offset, piece.len));
        let again = if index == 0 {
            format!("{range} put on stripe {stripe} at {}", at(piece.at))
        } else {
            let before = history.sends[index - 1].stripe;
            format!(
                "{range} again on stripe {stripe} at {}, {}",
                at(piece.at),
                reason(account, before, piece.at)
            )
        };
        say(match piece.acknowledged {
            Some(acknowledged) => format!("{again}, acknowledged at {}", at(acknowledged)),
            None => again + ", never acknowledged as a whole",
        });
        if index == 0 && pause.cause != Cause::UnderWay {
            tell_fate(&mut say, account, stripe, piece.at..settled);
        }
    }
    if history.sends.len() > COPIES {
        say(format!("and {} times more", history.sends.len() - COPIES));
    }
}

fn tell_fate(say: &mut impl FnMut(String), account: &Account, stripe: StripeId, span: Range<u64>) {
    let Some(lane) = account.lane(stripe) else { return };
    let mut line = format!("stripe {stripe}:");
    // News of a lost stripe by other ways are none of its acknowledgements.
    let end = account.lost(stripe).map_or(span.end, |(at, _)| at.min(span.end));
    match lane.moved_before(end) {
        Some(moved) => _ = write!(line, " acknowledgements last moved at {}", at(moved)),
        None => line += " no acknowledgement before",
    }
    for (from, to) in
        lane.doubts.iter().filter(|(from, to)| *from < span.end && *to > span.start).take(3)
    {
        let until = if *to == account.last { "the end of the trace" } else { &at(*to) };
        let _ = write!(line, "; in doubt from {} to {until}", at(*from));
    }
    line += &fate(account, stripe, "; ");
    say(line);
}

fn fate(account: &Account, stripe: StripeId, before: &str) -> String {
    account.lost(stripe).map_or(String::new(), |(time, death)| {
        let how = match death {
            Death::Broke => "its connection ended",
            Death::Closed(StripeClose::Stalled) => "given up, for nothing was acknowledged",
            Death::Closed(_) => "given up by the other side",
        };
        format!("{before}{how} at {}", at(time))
    })
}

fn reason(account: &Account, before: StripeId, at: u64) -> String {
    let lost = account.lost(before).is_some_and(|(lost, _)| lost <= at);
    let doubts = account.lane(before).map(|lane| lane.doubts.as_slice()).unwrap_or_default();
    if lost {
        format!("because stripe {before} was lost")
    } else if doubts.iter().any(|(from, to)| (*from..=*to).contains(&at)) {
        format!("because stripe {before} was in doubt")
    } else {
        "as it should arrive sooner there".into()
    }
}

fn because(cause: Cause) -> String {
    match cause {
        Cause::Slow(stripe) => format!("it waited for a chunk on stripe {stripe}, which took long"),
        Cause::Broken(Some(stripe)) => {
            format!("it waited for a chunk on stripe {stripe}, which was in doubt, silent or lost")
        }
        Cause::Broken(None) => "it waited for a chunk that came by a detour".into(),
        Cause::NoCredit => "no credit was left: the consumer did not take what had come".into(),
        Cause::NoStripe => "no stripe was up".into(),
        Cause::Full => "no stripe took more".into(),
        Cause::Idle => "the program had nothing to send".into(),
        Cause::UnderWay => "it was on its way".into(),
        Cause::Unseen => "nothing came".into(),
    }
}

fn kind(cause: Cause) -> &'static str {
    match cause {
        Cause::Slow(_) => "for a chunk on a slow stripe",
        Cause::Broken(_) => "for a chunk on a stripe in doubt, silent or lost",
        Cause::NoCredit => "for credit: the consumer did not take",
        Cause::NoStripe => "for a live stripe",
        Cause::Full => "for a stripe that takes more",
        Cause::Idle => "with nothing to send",
        Cause::UnderWay => "on the way, no longer than two round trips",
        Cause::Unseen => {
            "with nothing held (the sender's trace says whether there was anything to send)"
        }
    }
}

pub fn summary(direction: &Direction<'_>, pauses: &[Pause]) -> String {
    let bytes = match (direction.receiver, direction.sender) {
        (Some((_, flow)), _) => now(&flow.receiving.delivered),
        (None, Some((_, flow))) => now(&flow.sending.written),
        (None, None) => 0,
    };
    let mut kinds: BTreeMap<(bool, &str), (usize, u64)> = BTreeMap::new();
    for pause in pauses {
        let (count, sum) = kinds.entry((!pause.cause.is_a_wait(), kind(pause.cause))).or_default();
        *count += 1;
        *sum += pause.length();
    }
    let waits = || pauses.iter().filter(|pause| pause.cause.is_a_wait());
    let mut text =
        format!("flow {}, {}: {}; ", direction.id, way(direction.from), show_bytes(bytes));
    match waits().count() {
        0 => text += "no pauses",
        count => {
            let plural = if count == 1 { "" } else { "s" };
            let sum = waits().map(Pause::length).sum();
            let _ = write!(text, "{count} pause{plural}, {} in all", show_span(sum));
        }
    }
    for ((other, kind), (count, sum)) in kinds {
        let besides = if other { "besides " } else { "" };
        let _ = write!(text, "\n  {besides}{} {kind} ({count})", show_span(sum));
    }
    text + "\n"
}

pub fn limits(limits: &Limits, from: Side) -> String {
    let mut text = String::new();
    for (stripe, times) in &limits.stripes {
        let _ = writeln!(text, "stripe {stripe}, {}: {}", way(from), shares(times));
    }
    if let Some(place) = &limits.until {
        let _ = writeln!(
            text,
            "  up to {place} of the {}'s trace, which can't be followed from there",
            name(from)
        );
    }
    text
}

fn bytes(offset: u64, len: u64) -> String {
    if len == 0 { format!("the end at {offset}") } else { format!("bytes {offset}+{len}") }
}

fn stripes(stripes: impl Iterator<Item = StripeId>) -> String {
    let names: Vec<String> = stripes.map(|stripe| stripe.to_string()).collect();
    format!("stripe{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

fn way(from: Side) -> String {
    format!("{} to {}", name(from), name(from.other()))
}

pub fn name(side: Side) -> &'static str {
    ["client", "server"][side.index()]
}

fn at(micros: u64) -> String {
    format!("{:.3} s", micros as f64 / 1e6)
}
