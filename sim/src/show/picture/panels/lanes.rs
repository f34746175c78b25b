//! A lane per stripe: its frames, the times when it took no more or was in doubt, and its death.

use super::*;
use std::ops::Range;
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

/// The most spans of doubt on one lane. There are no more unless something is badly wrong.
const MAX_DOUBTS: usize = 100;

pub fn draw(scene: &Scene) -> String {
    let stripes = scene.stripes();
    let lanes = || stripes.iter().map(|stripe| (*stripe, &scene.direction().lanes[stripe]));
    let most = lanes().map(|(_, lane)| lane.frames.len()).max().unwrap_or(0);
    let height = PITCH * stripes.len() as f64;
    let mut plot =
        Plot::new(&scene.time, height, "A lane per stripe: frames, blocked times, doubt and death");
    let buckets = Buckets::new(scene.time.span.clone(), (most / 4).clamp(24, scene.detail(200)));
    for (index, (stripe, lane)) in lanes().enumerate() {
        let (top, buckets) = (index as f64 * PITCH, &buckets);
        Row { scene, plot: &mut plot, stripe, lane, top, buckets }.draw(most <= FEW);
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
        text += " ";
        text += &key("blocked", "blocked: the system takes no more (share of the time)");
        text += " ";
        text += &key("doubt", "in doubt: acknowledgements are overdue");
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

struct Row<'a, 'p> {
    scene: &'a Scene<'a>,
    plot: &'a mut Plot<'p>,
    stripe: StripeId,
    lane: &'a Lane,
    top: f64,
    buckets: &'a Buckets,
}

impl Row<'_, '_> {
    fn draw(&mut self, few: bool) {
        let Row { scene, stripe, lane, top, .. } = *self;
        self.plot.level("base", top + BASE + 0.5);
        let shown = if few { self.frames() } else { self.rates() };
        self.plot.margin(top + 24.0, "name", &format!("stripe {stripe}"));
        self.plot.margin(top + 39.0, "tick", &shown);
        self.blocked_bars();
        for (from, to) in lane.doubts.iter().take(MAX_DOUBTS) {
            let [begin, end] = [*from, *to].map(|at| show_time(scene.since(at)));
            let title = format!("in doubt from {begin} to {end}");
            self.annotate("doubt", *from..*to, "in doubt", &title);
        }
        self.draw_life();
    }

    /// Draws bars that hang from a line: the blocked share of each bucket.
    fn blocked_bars(&mut self) {
        let mut d = String::new();
        let shares = self.buckets.shares(&self.lane.blocked);
        for (index, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let x = |index| short(self.plot.time.x(self.buckets.border(index)));
            let (x, end, line) = (x(index), x(index + 1), short(self.top + BASE + 1.0));
            let depth = short((share * BLOCKED).max(0.8));
            let _ = write!(d, "M{x} {line}H{end}v{depth}H{x}Z");
        }
        self.plot.path("blocked", &d);
    }

    /// Draws each frame as a bar. Returns the meaning of a full one.
    fn frames(&mut self) -> String {
        let (span, base) = (&self.scene.time.span, self.top + BASE);
        let most = self.lane.frames.iter().map(|frame| frame.size).max().unwrap_or(1).max(1);
        let (mut new, mut again) = (String::new(), String::new());
        for frame in &self.lane.frames {
            let at = frame.sent.or(frame.arrived);
            let at = at.filter(|at| (span.start..=span.end).contains(at));
            let Some(at) = at else { continue };
            let height = (FULL * frame.size as f64 / most as f64).max(4.0);
            let d = if is_again(&frame.carries) { &mut again } else { &mut new };
            let x = short(self.scene.time.x(at));
            let _ = write!(d, "M{x} {}v-{}", short(base), short(height));
        }
        self.plot.path("frame", &new);
        self.plot.path("frame resent", &again);
        show_size(most)
    }

    /// Draws frames as a rate by bucket. Returns the meaning of a full bar.
    fn rates(&mut self) -> String {
        let Row { lane, buckets, .. } = *self;
        let (cap, base) = (self.scene.cap(self.stripe), self.top + BASE);
        let all = |only_again: bool| {
            let counted =
                lane.frames.iter().filter(|frame| !only_again || is_again(&frame.carries));
            let sizes =
                counted.filter_map(|frame| Some((frame.sent.or(frame.arrived)?, frame.size)));
            let rate = |(index, sum): (usize, u64)| sum as f64 * 8e6 / buckets.width(index) as f64;
            buckets.sums(sizes).into_iter().enumerate().map(rate).collect::<Vec<f64>>()
        };
        let rates = all(false);
        let peak = rates.iter().copied().fold(0.0, f64::max);
        let full = cap.map_or(peak, |cap| cap.as_bits() as f64).max(1.0);
        let shares = |rates: &[f64]| {
            rates.iter().map(|rate| (rate / full / BEYOND).min(1.0)).collect::<Vec<f64>>()
        };
        self.plot.bars("area", buckets, &shares(&rates), base, FULL * BEYOND);
        self.plot.bars("again", buckets, &shares(&all(true)), base, FULL * BEYOND);
        if cap.is_some() {
            self.plot.path("cap", &format!("M0 {0}H{WIDTH}", short(base - FULL)));
        }
        show_rate(full)
    }

    fn draw_life(&mut self) {
        let Row { scene, top, .. } = *self;
        let Some(life) = scene.timeline.life(scene.from, self.stripe) else { return };
        let span = &scene.time.span;
        if life.up > span.start {
            let title = format!("up at {}", show_time(scene.since(life.up)));
            self.annotate("absent", span.start..life.up, "not there yet", &title);
            self.plot.moment("birth", life.up, top + 6.0..top + BASE + BLOCKED);
        }
        let Some((at, death)) = life.down else { return };
        let why = match death {
            Death::Broke => "broke",
            Death::Closed(StripeClose::Stalled) => "given up: no acknowledgement",
            Death::Closed(StripeClose::PeerGone) => "closed: the other side lost it",
            Death::Closed(_) => return,
        };
        let title = format!("{why} at {}", show_time(scene.since(at)));
        self.annotate("dead", at..span.end, &format!("✕ {why}"), &title);
        self.plot.moment("death", at, top + 6.0..top + BASE + BLOCKED);
    }

    /// Draws a span over the whole lane, named if there is room.
    fn annotate(&mut self, class: &str, span: Range<u64>, name: &str, title: &str) {
        let (time, top) = (&self.scene.time, self.top);
        if span.end < time.span.start || span.start > time.span.end {
            return;
        }
        self.plot.span(class, span.clone(), top + 6.0, BASE + BLOCKED - 6.0, title);
        let (from, to) = (time.x(span.start), time.x(span.end));
        // A letter takes some seven pixels, and a page is a thousand wide or less.
        if to - from >= 8.0 * name.chars().count() as f64 {
            self.plot.text(from + 6.0, top + 20.0, "start", "note", name);
        } else if class == "dead" {
            self.plot.text(from - 4.0, top + 20.0, "end", "note", name);
        }
    }
}

fn is_again(carries: &Carries) -> bool {
    matches!(carries, Carries::Data { again: true, .. })
}
