//! One chart as inline SVG that fits any width. Marks are stretched with the page; text and line
//! widths are not.
//!
//! The outer element has no view box, so its units are pixels and its horizontal places are
//! percentages. Marks live in an inner one whose view box is [`WIDTH`] wide. So a phone shows the
//! same text size as a desk. Only numbers and escaped text get into the markup.

use super::scale::{Scale, number, time_unit};
use super::series::Buckets;
use std::fmt::Write as _;
use std::ops::Range;

pub const WIDTH: f64 = 1000.0;

/// Text as HTML and XML take it, in an attribute too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // Control characters are not allowed in XML, not even as references.
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// An axis of time, in microseconds; labels count from `zero`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeAxis {
    pub span: Range<u64>,
    pub zero: u64,
}

impl TimeAxis {
    pub fn x(&self, at: u64) -> f64 {
        let length = (self.span.end - self.span.start).max(1) as f64;
        let at = at.clamp(self.span.start, self.span.end) - self.span.start;
        at as f64 * WIDTH / length
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let length = (self.span.end - self.span.start) as f64;
        let step = Scale::up_to(length, 6).step;
        let first = self.span.start.saturating_sub(self.zero) as f64;
        let last = self.span.end.saturating_sub(self.zero) as f64;
        let (name, size) = time_unit(last);
        let from = (first / step - 1e-9).ceil() as u64;
        (from..)
            .map(|index| index as f64 * step)
            .take_while(|at| *at <= last * (1.0 + 1e-9))
            .map(|at| {
                let text = format!("{} {name}", number(at / size, step / size));
                ((at - first) * WIDTH / length, text)
            })
            .collect()
    }
}

#[derive(Debug)]
pub struct Plot<'a> {
    pub time: &'a TimeAxis,
    /// In pixels.
    pub height: f64,
    label: String,
    under: String,
    marks: String,
    over: String,
}

impl<'a> Plot<'a> {
    /// `label` is for readers who can't see the chart.
    pub fn new(time: &'a TimeAxis, height: f64, label: &str) -> Self {
        let [under, marks, over] = Default::default();
        let mut plot = Plot { time, height, label: escape(label), under, marks, over };
        for (x, text) in time.ticks() {
            let _ = write!(
                plot.under,
                "<line class=\"grid\" x1=\"{0}%\" x2=\"{0}%\" y1=\"0\" y2=\"{1}\"/>",
                short(x / 10.0),
                short(height + 4.0)
            );
            plot.text(x, height + 17.0, "middle", "tick", &text);
        }
        plot
    }

    /// Horizontal grid lines with labels; `size` is that of the unit in which they are labelled.
    pub fn scale(&mut self, scale: &Scale, size: f64) {
        for tick in scale.ticks() {
            let y = self.y(tick, scale.top);
            self.level("grid", y);
            self.margin(y + 4.0, "tick", &number(tick / size, scale.step / size));
        }
    }

    /// The height of a value, zero at the bottom and `top` at the top. Higher values are cut off.
    pub fn y(&self, value: f64, top: f64) -> f64 {
        self.height * (1.0 - (value / top).clamp(0.0, 1.0))
    }

    pub fn path(&mut self, class: &str, d: &str) {
        if !d.is_empty() {
            let _ = write!(self.marks, "<path class=\"{class}\" d=\"{d}\"/>");
        }
    }

    /// Bars without gaps between `base` and `base - height`, each a share (0 to 1) of `height`.
    pub fn bars(&mut self, class: &str, buckets: &Buckets, shares: &[f64], base: f64, height: f64) {
        let mut d = String::new();
        let mut open = false;
        for (index, share) in shares.iter().enumerate() {
            let y = short(base - height * share.clamp(-1.0, 1.0));
            let (x, end) =
                (self.time.x(buckets.border(index)), self.time.x(buckets.border(index + 1)));
            if *share > 0.0 {
                if !open {
                    let _ = write!(d, "M{} {}", short(x), short(base));
                }
                let _ = write!(d, "V{y}H{}", short(end));
            } else if open {
                let _ = write!(d, "V{}Z", short(base));
            }
            open = *share > 0.0;
        }
        if open {
            let _ = write!(d, "V{}Z", short(base));
        }
        self.path(class, &d);
    }

    /// It is not stretched, so that a pattern in it stays even; `title` shows on hovering.
    pub fn span(&mut self, class: &str, span: Range<u64>, y: f64, height: f64, title: &str) {
        let (from, to) = (self.time.x(span.start), self.time.x(span.end));
        let _ = write!(
            self.over,
            "<rect class=\"{class}\" x=\"{}%\" width=\"{}%\" y=\"{}\" height=\"{}\">\
             <title>{}</title></rect>",
            short(from / 10.0),
            short((to - from) / 10.0),
            short(y),
            short(height),
            escape(title),
        );
    }

    pub fn moment(&mut self, class: &str, at: u64, y: Range<f64>) {
        let _ = write!(
            self.over,
            "<line class=\"{class}\" x1=\"{0}%\" x2=\"{0}%\" y1=\"{1}\" y2=\"{2}\"/>",
            short(self.time.x(at) / 10.0),
            short(y.start),
            short(y.end),
        );
    }

    pub fn level(&mut self, class: &str, y: f64) {
        let _ = write!(
            self.under,
            "<line class=\"{class}\" x1=\"0\" x2=\"100%\" y1=\"{0}\" y2=\"{0}\"/>",
            short(y)
        );
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let _ = write!(
            self.over,
            "<text class=\"{class}\" x=\"{}%\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            short(x / 10.0),
            short(y),
            escape(text),
        );
    }

    pub fn margin(&mut self, y: f64, class: &str, text: &str) {
        let _ = write!(
            self.over,
            "<text class=\"{class}\" x=\"-8\" y=\"{}\" text-anchor=\"end\">{}</text>",
            short(y),
            escape(text)
        );
    }

    pub fn finish(self) -> String {
        let Plot { height, label, under, marks, over, .. } = self;
        let height = short(height);
        format!(
            "<div class=\"plot\"><svg class=\"chart\" role=\"img\" aria-label=\"{label}\" \
             height=\"{height}\">{under}\
             <svg viewBox=\"0 0 {WIDTH} {height}\" preserveAspectRatio=\"none\" width=\"100%\" \
             height=\"{height}\">{marks}</svg>\
             {over}</svg></div>\n"
        )
    }
}

/// A coordinate, to a tenth of a thousandth of the width at most.
pub fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_not_become_markup() {
        assert_eq!(
            escape("<a href='x'>\"&\u{1}</a>"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{fffd}&lt;/a&gt;"
        );
    }

    #[test]
    fn ticks_of_a_window_in_mid_run_count_from_the_runs_beginning() {
        let time = TimeAxis { span: 2_240_000..2_300_000, zero: 1_000_000 };
        let ticks = time.ticks();
        let labels: Vec<&str> = ticks.iter().map(|(_, text)| &**text).collect();
        assert_eq!(labels, ["1.24 s", "1.25 s", "1.26 s", "1.27 s", "1.28 s", "1.29 s", "1.30 s"]);
        assert!((ticks[0].0, ticks[6].0) == (0.0, WIDTH));
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([1.0, 0.5, -0.001, 33.333_3].map(short), ["1", "0.5", "0", "33.33"]);
    }
}
