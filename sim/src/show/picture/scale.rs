//! Axis ticks at round numbers, and quantities with their units.

/// The least of the numbers 1, 2, 5 times a power of ten that is not below `value`.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor =
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= value * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[derive(Clone, PartialEq, Debug)]
pub struct Scale {
    pub top: f64,
    pub step: f64,
}

impl Scale {
    /// A scale that reaches `most` at least, with about `ticks` ticks. `most` is positive.
    pub fn reaching(most: f64, ticks: usize) -> Self {
        let step = round_up(most.max(1e-9) / ticks.max(1) as f64);
        Scale { top: (most / step - 1e-9).ceil().max(1.0) * step, step }
    }

    /// A scale that reaches `most` with ticks that are round in the unit of the labels.
    pub fn in_unit(most: f64, ticks: usize, unit: impl Fn(f64) -> Unit) -> (Self, Unit) {
        let (name, size) = unit(most);
        let Scale { top, step } = Self::reaching(most / size, ticks);
        (Scale { top: top * size, step: step * size }, (name, size))
    }

    /// A scale that ends exactly at `top`, such as an axis of time.
    pub fn up_to(top: f64, ticks: usize) -> Self {
        Scale { top, step: round_up(top.max(1e-9) / ticks.max(1) as f64) }
    }

    pub fn ticks(&self) -> Vec<f64> {
        let count = (self.top / self.step + 1e-9).floor() as usize;
        (0..=count).map(|index| index as f64 * self.step).collect()
    }
}

/// A number with as many decimals as the step between ticks asks for.
pub fn number(value: f64, step: f64) -> String {
    let decimals = if step > 0.0 { (-step.log10().floor()).clamp(0.0, 6.0) as usize } else { 0 };
    format!("{value:.decimals$}")
}

/// A unit, and its size in base units.
pub type Unit = (&'static str, f64);

fn unit(most: f64, units: &[Unit]) -> Unit {
    *units.iter().rev().find(|(_, size)| most >= *size).unwrap_or(&units[0])
}

/// For times in microseconds.
pub fn time_unit(most: f64) -> Unit {
    unit(most, &[("µs", 1.0), ("ms", 1e3), ("s", 1e6)])
}

/// For rates in bit/s.
pub fn rate_unit(most: f64) -> Unit {
    unit(most, &[("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)])
}

/// For sizes in bytes.
pub fn size_unit(most: f64) -> Unit {
    unit(most, &[("B", 1.0), ("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0)])
}

/// A quantity with three digits or so.
fn show(value: f64, (name, size): Unit) -> String {
    let value = value / size;
    let decimals = if value >= 99.95 || value.fract().abs() < 1e-9 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {name}")
}

pub fn show_time(micros: u64) -> String {
    if micros == 0 { "0 s".into() } else { show(micros as f64, time_unit(micros as f64)) }
}

pub fn show_size(bytes: u64) -> String {
    show(bytes as f64, size_unit(bytes as f64))
}

/// A rate, from bit/s.
pub fn show_rate(rate: f64) -> String {
    show(rate, rate_unit(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_one_two_or_five_times_a_power_of_ten() {
        assert_eq!(Scale::reaching(36.0, 4).ticks(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(Scale::reaching(7.0, 4).ticks(), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(Scale::up_to(2.4, 6).ticks(), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(Scale::reaching(40.0, 4).top, 40.0);
        let (scale, unit) = Scale::in_unit(570.0 * 1024.0, 3, size_unit);
        assert_eq!((unit.0, scale.top / unit.1, scale.step / unit.1), ("KiB", 600.0, 200.0));
    }

    #[test]
    fn numbers_have_the_decimals_of_the_step() {
        let numbers = [(1.5, 0.5), (20.0, 10.0), (0.05, 0.05)];
        assert_eq!(numbers.map(|(value, step)| number(value, step)), ["1.5", "20", "0.05"]);
    }

    #[test]
    fn quantities_come_with_a_fitting_unit() {
        assert_eq!([0, 40_000, 2_345_678].map(show_time), ["0 s", "40 ms", "2.35 s"]);
        assert_eq!([8 << 20, 1_500].map(show_size), ["8 MiB", "1.46 KiB"]);
        assert_eq!([36_000_000.0, 0.0].map(show_rate), ["36 Mbit/s", "0 bit/s"]);
    }
}
