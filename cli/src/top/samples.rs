//! A rate at the last looks, and its picture in one line.

use std::collections::VecDeque;

/// Two minutes, with a look a second: as wide as a line of a large terminal.
const KEPT: usize = 120;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Clone, Debug, Default)]
pub(super) struct Samples(VecDeque<f32>);

impl Samples {
    pub(super) fn push(&mut self, value: f64) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(value as f32);
    }

    /// The largest of the last `width`.
    pub(super) fn peak(&self, width: usize) -> f32 {
        self.latest(width).fold(0.0, f32::max)
    }

    /// The last `width` of them, the latest at the right. The lowest bar is nothing at all, the
    /// highest is `peak`.
    pub(super) fn picture(&self, width: usize, peak: f32) -> String {
        let steps = (LEVELS.len() - 1) as f32;
        let bar = |value: f32| match value > 0.0 && peak > 0.0 {
            true => LEVELS[(value / peak * steps).ceil().clamp(1.0, steps) as usize],
            false => LEVELS[0],
        };
        let blank = width.saturating_sub(self.0.len());
        " ".repeat(blank) + &self.latest(width).map(bar).collect::<String>()
    }

    fn latest(&self, width: usize) -> impl Iterator<Item = f32> {
        self.0.iter().skip(self.0.len().saturating_sub(width)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Samples {
        let mut samples = Samples::default();
        values.iter().for_each(|value| samples.push(*value));
        samples
    }

    #[test]
    fn a_picture_ends_with_the_latest_sample() {
        let samples = of(&[700.0, 0.0, 1.0, 350.0, 700.0]);
        assert_eq!(samples.picture(4, samples.peak(4)), "▁▂▅█");
        assert_eq!(samples.picture(7, 1400.0), "  ▅▁▂▃▅");
        assert_eq!((samples.peak(2), samples.peak(0)), (700.0, 0.0));
    }

    #[test]
    fn a_picture_of_nothing_has_no_peak() {
        assert_eq!(of(&[0.0, 0.0]).picture(2, 0.0), "▁▁");
        assert_eq!(of(&[]).picture(3, 0.0), "   ");
    }

    #[test]
    fn old_samples_are_dropped() {
        let samples = of(&(0..500).map(f64::from).collect::<Vec<_>>());
        assert_eq!(samples.0.len(), KEPT);
        assert_eq!(samples.peak(usize::MAX), 499.0);
    }
}
