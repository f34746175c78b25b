//! A lane per stripe: its frames, the times when it took no more or was in doubt, and its death.

use super::{key, line_key, panel};
use crate::show::picture::lane::{Carries, Lane};
use crate::show::picture::plot::{Anchor, Plot, WIDTH, short};
use crate::show::picture::scale::{show_rate, show_size, show_time};
use crate::show::picture::scene::{MAX_LANES, Scene};
use crate::show::picture::series::Buckets;
use crate::show::picture::timeline::Death;
use std::fmt::Write as _;
use striper_core::{StripeClose, StripeId};

/// The distance from one lane to the next, in pixels.
const PITCH: f64 = 56.0;

/// The height of the bars at the cap, and the factor by which they may rise beyond it.
const FULL: f64 = 30.0;
const BEYOND: f64 = 1.25;

/// The line that a lane's bars stand on, from its top; the blocked times are below.
const BASE: f64 = 40.0;
const BLOCKED: f64 = 7.0;

/// With fewer frames on each lane, every one is drawn.
const FEW: usize = 120;

/// The most spans of doubt that are drawn on one lane. There are no more unless something is badly
/// wrong.
const MAX_DOUBTS: usize = 100;

pub fn draw(scene: &Scene) -> String {
    let stripes = scene.stripes();
    let lanes: Vec<(StripeId, &Lane)> =
        stripes.iter().map(|stripe| (*stripe, &scene.direction().lanes[stripe])).collect();
    let most = lanes.iter().map(|(_, lane)| lane.frames.len()).max().unwrap_or(0);
    let height = PITCH * lanes.len() as f64;
    let mut plot =
        Plot::new(&scene.time, height, "A lane per stripe: frames, blocked times, doubt and death");
    let buckets = Buckets::new(scene.time.span.clone(), (most / 4).clamp(24, scene.detail(200)));
    for (index, (stripe, lane)) in lanes.iter().enumerate() {
        draw_lane(scene, &mut plot, *stripe, lane, index as f64 * PITCH, &buckets, most <= FEW);
    }
    panel("Stripes", &caption(scene, most <= FEW), &plot.finish())
}

fn caption(scene: &Scene, few: bool) -> String {
    let mut text = if few {
        key("frame", "a frame, as high as it is long; the longest of each stripe is named")
    } else {
        key("area", "frames, as a rate")
    };
    text += " ";
    text += &key("again", "bytes sent again");
    if scene.sees_sending() {
        for sample in [
            key("blocked", "blocked: the system takes no more (share of the time)"),
            key("doubt", "in doubt: acknowledgements are overdue"),
        ] {
            text += " ";
            text += &sample;
        }
    } else {
        text +=
            " Only the receiver was recorded: when a stripe was blocked or in doubt is not known.";
    }
    text += " ";
    text += &key("dead", "dead");
    if !few && scene.summary.caps.is_empty() {
        text += " The highest rate of each stripe is named beside it.";
    } else if !few {
        let _ = write!(text, " {}", line_key("cap", "the stripe's cap"));
    }
    let left_out = scene.direction().lanes.len().saturating_sub(scene.stripes().len());
    if scene.stripes().len() == MAX_LANES && left_out > 0 {
        let _ = write!(text, " {left_out} more stripes are not drawn.");
    }
    text
}

fn draw_lane(
    scene: &Scene,
    plot: &mut Plot,
    stripe: StripeId,
    lane: &Lane,
    top: f64,
    buckets: &Buckets,
    few: bool,
) {
    let base = top + BASE;
    plot.level("base", base + 0.5);
    let shown = if few {
        frames(scene, plot, lane, base)
    } else {
        rates(scene, plot, stripe, lane, base, buckets)
    };
    plot.margin(top + 24.0, "name", &format!("stripe {stripe}"));
    plot.margin(top + 39.0, "tick", &shown);
    let blocked: Vec<f64> = buckets.shares(&lane.blocked).iter().map(|share| -share).collect();
    blocked_bars(plot, buckets, &blocked, base + 1.0);
    for (from, to) in lane.doubts.iter().take(MAX_DOUBTS) {
        let title = format!(
            "in doubt from {} to {}",
            show_time(scene.since(*from)),
            show_time(scene.since(*to))
        );
        annotate(scene, plot, "doubt", *from..*to, top, "in doubt", &title);
    }
    draw_life(scene, plot, stripe, top);
}

/// Bars that hang from a line: the blocked share of each bucket.
fn blocked_bars(plot: &mut Plot, buckets: &Buckets, shares: &[f64], line: f64) {
    let mut d = String::new();
    for (index, share) in shares.iter().enumerate().filter(|(_, share)| **share < 0.0) {
        let (x, end) = (plot.time.x(buckets.border(index)), plot.time.x(buckets.border(index + 1)));
        let depth = (-share * BLOCKED).max(0.8);
        let _ = write!(
            d,
            "M{} {}H{}v{}H{}Z",
            short(x),
            short(line),
            short(end),
            short(depth),
            short(x)
        );
    }
    plot.path("blocked", &d);
}

/// Draws each frame as a bar. Returns the meaning of a full one.
fn frames(scene: &Scene, plot: &mut Plot, lane: &Lane, base: f64) -> String {
    let most = lane.frames.iter().map(|frame| frame.size).max().unwrap_or(1).max(1);
    let (mut new, mut again) = (String::new(), String::new());
    for frame in &lane.frames {
        let Some(at) = frame
            .sent
            .or(frame.arrived)
            .filter(|at| (scene.time.span.start..=scene.time.span.end).contains(at))
        else {
            continue;
        };
        let height = (FULL * frame.size as f64 / most as f64).max(4.0);
        let d = if is_again(&frame.carries) { &mut again } else { &mut new };
        let _ = write!(d, "M{} {}v-{}", short(scene.time.x(at)), short(base), short(height));
    }
    plot.path("frame", &new);
    plot.path("frame resent", &again);
    show_size(most)
}

/// Draws frames as a rate by bucket. Returns the meaning of a full bar.
fn rates(
    scene: &Scene,
    plot: &mut Plot,
    stripe: StripeId,
    lane: &Lane,
    base: f64,
    buckets: &Buckets,
) -> String {
    let all = |only_again: bool| {
        let counted = lane.frames.iter().filter(|frame| !only_again || is_again(&frame.carries));
        let sums = buckets
            .sums(counted.filter_map(|frame| Some((frame.sent.or(frame.arrived)?, frame.size))));
        let rate = |(index, sum): (usize, u64)| sum as f64 * 8e6 / buckets.width(index) as f64;
        sums.into_iter().enumerate().map(rate).collect::<Vec<f64>>()
    };
    let rates = all(false);
    let peak = rates.iter().copied().fold(0.0, f64::max);
    let full = scene.cap(stripe).map_or(peak, |cap| cap.as_bits() as f64).max(1.0);
    let shares = |rates: &[f64]| {
        rates.iter().map(|rate| (rate / full / BEYOND).min(1.0)).collect::<Vec<f64>>()
    };
    plot.bars("area", buckets, &shares(&rates), base, FULL * BEYOND);
    plot.bars("again", buckets, &shares(&all(true)), base, FULL * BEYOND);
    if scene.cap(stripe).is_some() {
        plot.path("cap", &format!("M0 {0}H{WIDTH}", short(base - FULL)));
    }
    show_rate(full)
}

fn is_again(carries: &Carries) -> bool {
    matches!(carries, Carries::Data { again: true, .. })
}

/// Draws the beginning and the end of the stripe.
fn draw_life(scene: &Scene, plot: &mut Plot, stripe: StripeId, top: f64) {
    let Some(life) = scene.timeline.life(scene.from, stripe) else { return };
    let span = &scene.time.span;
    if life.up > span.start {
        let title = format!("up at {}", show_time(scene.since(life.up)));
        annotate(scene, plot, "absent", span.start..life.up, top, "not there yet", &title);
        plot.moment("birth", life.up, top + 6.0..top + BASE + BLOCKED);
    }
    let Some((at, death)) = life.down else { return };
    let why = match death {
        Death::Broke => "broke",
        Death::Closed(StripeClose::Stalled) => "given up: no acknowledgement",
        Death::Closed(StripeClose::PeerGone) => "closed: the other side lost it",
        Death::Closed(_) => return,
    };
    let title = format!("{why} at {}", show_time(scene.since(at)));
    annotate(scene, plot, "dead", at..span.end, top, &format!("✕ {why}"), &title);
    plot.moment("death", at, top + 6.0..top + BASE + BLOCKED);
}

/// A span over a whole lane, named if there is room.
fn annotate(
    scene: &Scene,
    plot: &mut Plot,
    class: &str,
    span: std::ops::Range<u64>,
    top: f64,
    name: &str,
    title: &str,
) {
    if span.end < scene.time.span.start || span.start > scene.time.span.end {
        return;
    }
    plot.span(class, span.clone(), top + 6.0, BASE + BLOCKED - 6.0, title);
    let (from, to) = (scene.time.x(span.start), scene.time.x(span.end));
    // A letter takes some seven pixels, and a page is a thousand wide or less.
    if to - from >= 8.0 * name.chars().count() as f64 {
        plot.text(from + 6.0, top + 20.0, Anchor::Start, "note", name);
    } else if class == "dead" {
        plot.text(from - 4.0, top + 20.0, Anchor::End, "note", name);
    }
}
