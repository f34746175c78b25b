//! The description of a route, in one line such as `rtt=40ms,rate=10m,queue=10ms,stripes=4`.

use crate::shaper::{Cap, Excess};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::time::Duration;

/// The keys of a line, for messages and the help.
pub const KEYS: &str = "\
  of each path; paths are parted by +
      rtt=40ms           the round trip without queues (0)
      jitter=10ms        added to it at random, up to so much each way; order is kept (0)
      rate=10m           the cap of each connection in each direction, of IP bytes;
                         20m/10m/5m/1m are those of the first, the second and so on
      queue=100ms        the longest wait for that cap (100ms) ...
      packets=8          ... or the time of so many packets of 1,500 bytes, if that is longer (8)
      policer=16k        a token bucket of so many bytes drops the excess, instead of a queue
      loss=0.5%          of the packets, at random (0)
      burst=10           the mean number of packets that are lost in a row (as chance has it)
      link=20m           the cap of all connections of the path together
      link-queue=100ms   the longest wait for that cap (100ms)
  of the whole route
      stripes=4          the number of stripes, or of bare connections (4)
      dips=SEED          each stripe falls to 5 % of its rate for 0.5 to 3 s every 3 to 9 s
      foreign=cubic      one more bare connection beside them, on the first path
";

/// The part of a cap that is left for the content: 1,448 of a packet's 1,500 bytes.
pub const CEILING: f64 = 1448.0 / 1500.0;
/// The part of its rate that a stripe keeps in a dip.
const DIPPED: f64 = 0.05;
/// Dips are drawn for so long; no load takes longer.
const DIPS_LAST: f64 = 120.0;
const CONGESTION: [&str; 3] = ["cubic", "bbr", "reno"];

#[derive(Clone, Debug)]
pub struct Route {
    pub paths: Vec<Path>,
    pub stripes: usize,
    /// The congestion control of a bare connection beside the stripes.
    pub foreign: Option<&'static str>,
    dips: Option<Dips>,
}

/// A path between client and server, the same in both directions.
#[derive(Clone, Debug)]
pub struct Path {
    pub delay: Duration,
    pub jitter: Duration,
    pub loss: Loss,
    /// The cap of all connections together.
    pub link: Option<Cap>,
    /// Bits a second of the first connection, the second and so on, in turn; empty means no cap.
    rates: Vec<u64>,
    excess: Excess,
}

/// Loss with memory: the model of Gilbert and Elliott, where all packets of a bad state are lost.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// The part of all packets, below 1.
    share: f64,
    /// The mean number of packets that are lost in a row; `None` if each loss is independent.
    burst: Option<f64>,
}

/// The times at which each stripe is slow, since the load began.
#[derive(Clone, Debug)]
struct Dips(Vec<Vec<Range<Duration>>>);

impl Route {
    pub fn parse(text: &str) -> Result<Route, String> {
        let mut route = Route { paths: Vec::new(), stripes: 4, foreign: None, dips: None };
        let mut seed = None;
        for part in text.split('+') {
            let mut path = Path::default();
            for entry in part.split(',') {
                let (key, value) = entry.trim().split_once('=').unwrap_or((entry.trim(), ""));
                let known = match key {
                    "stripes" => whole(value).map(|count| route.stripes = count as usize),
                    "dips" => value.parse().ok().map(|value: u64| seed = Some(value)),
                    "foreign" => CONGESTION
                        .into_iter()
                        .find(|name| *name == value)
                        .map(|name| route.foreign = Some(name)),
                    _ => path.set(key, value),
                };
                known.ok_or_else(|| format!("{entry:?} in a route; there are\n{KEYS}"))?;
            }
            if path.rates.is_empty() && path.link.is_none() {
                return Err(format!("{part:?} is a path without a rate or a link"));
            }
            route.paths.push(path);
        }
        route.dips = seed.map(|seed| Dips::draw(seed, route.stripes));
        Ok(route)
    }

    /// The cap of a stripe, `None` if it has none. The time is that since the load began.
    pub fn cap(&self, stripe: usize, time: Option<Duration>) -> Option<Cap> {
        let path = &self.paths[stripe % self.paths.len()];
        let number = (stripe / self.paths.len()).checked_rem(path.rates.len())?;
        let rate = path.rates[number] as f64;
        let is_low = |dips: &Dips| {
            time.is_some_and(|time| {
                dips.0[stripe % self.stripes].iter().any(|low| low.contains(&time))
            })
        };
        let part = if self.dips.as_ref().is_some_and(is_low) { DIPPED } else { 1.0 };
        Some(Cap { rate: (rate * part) as u64, excess: path.excess })
    }

    /// The content in Mbit/s that the caps let through in this time of the load.
    pub fn allows(&self, time: Range<Duration>) -> f64 {
        let of_stripe = |stripe: usize| {
            let low = self.dips.as_ref().map_or(0.0, |dips| dips.part(stripe, &time));
            let rate = self.cap(stripe, None).map_or(f64::INFINITY, |cap| cap.rate as f64);
            rate * (1.0 - low * (1.0 - DIPPED))
        };
        let of_path = |(number, path): (usize, &Path)| {
            let stripes = (number..self.stripes).step_by(self.paths.len());
            let link = path.link.map_or(f64::INFINITY, |link| link.rate as f64);
            stripes.map(of_stripe).sum::<f64>().min(link)
        };
        self.paths.iter().enumerate().map(of_path).sum::<f64>() * 1e-6 * CEILING
    }

    pub fn has_dips(&self) -> bool {
        self.dips.is_some()
    }
}

impl Default for Path {
    fn default() -> Path {
        Path {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss { share: 0.0, burst: None },
            link: None,
            rates: Vec::new(),
            excess: QUEUE,
        }
    }
}

const QUEUE: Excess = Excess::Queue { time: Duration::from_millis(100), packets: 8 };

impl Path {
    /// Sets what this key names; `None` if the key or the value is wrong.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "rtt" => self.delay = time(value)? / 2,
            "jitter" => self.jitter = time(value)?,
            "rate" => self.rates = value.split('/').map(bits).collect::<Option<_>>()?,
            "queue" => self.excess = longest(self.excess, time(value)?),
            "packets" => match &mut self.excess {
                Excess::Queue { packets, .. } => *packets = whole(value)?,
                Excess::Policer { .. } => return None,
            },
            "policer" => self.excess = Excess::Policer { burst: bytes(value)? },
            "loss" => {
                self.loss.share = number(value, &[("%", 0.01)]).filter(|share| *share < 0.5)?
            }
            "burst" => {
                self.loss.burst = Some(value.parse().ok().filter(|burst: &f64| *burst >= 1.0)?);
            }
            "link" => self.link = Some(Cap { rate: bits(value)?, excess: QUEUE }),
            "link-queue" => {
                let link = self.link.as_mut()?;
                link.excess = longest(link.excess, time(value)?);
            }
            _ => return None,
        }
        Some(())
    }
}

fn longest(excess: Excess, time: Duration) -> Excess {
    match excess {
        Excess::Queue { packets, .. } => Excess::Queue { time, packets },
        Excess::Policer { .. } => excess,
    }
}

impl Loss {
    pub fn is_none(self) -> bool {
        self.share == 0.0
    }

    /// The probability that the packet after a lost one, or after another, is lost too.
    pub fn after(self, is_lost: bool) -> f64 {
        let burst = self.burst.unwrap_or(1.0 / (1.0 - self.share));
        if is_lost { 1.0 - 1.0 / burst } else { self.share / (1.0 - self.share) / burst }
    }
}

impl Dips {
    fn draw(seed: u64, stripes: usize) -> Dips {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut of_stripe = |_| {
            let mut dips = Vec::new();
            let mut begin = dice.random_range(2.0..6.0);
            while begin < DIPS_LAST {
                let end = begin + dice.random_range(0.5..3.0);
                dips.push(Duration::from_secs_f64(begin)..Duration::from_secs_f64(end));
                begin = end + dice.random_range(3.0..9.0);
            }
            dips
        };
        Dips((0..stripes).map(&mut of_stripe).collect())
    }

    /// The part of a time in which this stripe is slow.
    fn part(&self, stripe: usize, time: &Range<Duration>) -> f64 {
        let low = self.0[stripe]
            .iter()
            .map(|low| low.end.min(time.end).saturating_sub(low.start.max(time.start)));
        low.sum::<Duration>().as_secs_f64() / (time.end - time.start).as_secs_f64()
    }
}

/// A number above 0 with one of these units.
fn number(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let unit =
        |(unit, factor): &(&str, f64)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor);
    units.iter().find_map(unit).filter(|number| number.is_finite() && *number >= 0.0)
}

fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number > 0)
}

fn time(text: &str) -> Option<Duration> {
    number(text, &[("ms", 1e-3), ("s", 1.0)]).map(Duration::from_secs_f64)
}

fn bits(text: &str) -> Option<u64> {
    let rate = number(text, &[("k", 1e3), ("m", 1e6)])?;
    Some(rate as u64).filter(|rate| *rate > 0)
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("k", 1024.0), ("m", 1024.0 * 1024.0), ("", 1.0)];
    number(text, &units).map(|bytes| bytes as u64).filter(|bytes| *bytes >= 1500)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn route(text: &str) -> Route {
        Route::parse(text).unwrap()
    }

    #[test]
    fn a_line_describes_each_path_and_the_whole_route() {
        let route = route("rtt=100ms,rate=30m + rtt=2ms,rate=10m,policer=16k,stripes=2");
        assert_eq!((route.paths.len(), route.stripes), (2, 2));
        assert_eq!(route.paths[0].delay, Duration::from_millis(50));
        let slow = Cap { rate: 10_000_000, excess: Excess::Policer { burst: 16 << 10 } };
        assert_eq!(route.cap(0, None), Some(Cap { rate: 30_000_000, excess: QUEUE }));
        assert_eq!(route.cap(1, None), Some(slow));
    }

    #[test]
    fn a_mistake_in_a_line_is_named() {
        for (line, said) in [
            ("rtt=40ms", "without a rate"),
            ("rate=10m,speed=1", "speed=1"),
            ("rate=10", "rate=10"),
            ("rate=10m,loss=3", "loss=3"),
            ("rate=10m,loss=90%", "loss=90%"),
            ("rate=10m,foreign=x", "foreign=x"),
            ("rate=10m,link-queue=1ms", "link-queue"),
            ("clean", "clean"),
        ] {
            let error = Route::parse(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn the_rates_go_round_the_stripes_of_their_path() {
        let route = route("rate=20m/5m + rate=1m");
        let rates = (0..6).map(|stripe| route.cap(stripe, None).unwrap().rate / 1_000_000);
        assert_eq!(rates.collect::<Vec<_>>(), [20, 1, 5, 1, 20, 1]);
    }

    #[test]
    fn the_caps_allow_the_content_of_stripes_within_their_links() {
        let allows = |text| route(text).allows(Duration::ZERO..SECOND) / CEILING;
        for (text, mbit) in [
            ("rate=10m", 40.0),
            ("rate=20m/10m/5m/1m", 36.0),
            ("link=20m", 20.0),
            ("rate=12m,link=20m + rate=1m", 22.0),
            ("rate=30m + rate=10m,stripes=2", 40.0),
        ] {
            assert!((allows(text) - mbit).abs() < 1e-9, "{text}: {}", allows(text));
        }
    }

    #[test]
    fn dips_last_their_time_and_are_taken_off_what_the_caps_allow() {
        let route = route("rate=10m,dips=3,stripes=2");
        for (stripe, dips) in route.dips.as_ref().unwrap().0.iter().enumerate() {
            let mut before = Duration::ZERO;
            for dip in dips {
                let (rest, length) = (dip.start - before, dip.end - dip.start);
                assert!((2 * SECOND..9 * SECOND).contains(&rest), "{rest:?}");
                assert!((SECOND / 2..3 * SECOND).contains(&length), "{length:?}");
                let rate = |time| route.cap(stripe, Some(time)).unwrap().rate;
                assert_eq!((rate(dip.start), rate(dip.end)), (500_000, 10_000_000));
                before = dip.end;
            }
        }
        let first = route.dips.as_ref().unwrap().0[0][0].clone();
        let one = Route { stripes: 1, ..route };
        assert_eq!(one.cap(0, None).unwrap().rate, 10_000_000);
        let late = first.start + (first.end - first.start) / 2..first.end;
        for part_of_dip in [first, late] {
            assert!((one.allows(part_of_dip) - 0.5 * CEILING).abs() < 1e-6);
        }
    }

    #[test]
    fn losses_have_the_share_and_the_length_of_their_line() {
        let after = |text| {
            let loss = route(text).paths[0].loss;
            (loss.after(false), loss.after(true))
        };
        let near = |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() + (b - d).abs() < 1e-9;
        assert!(near(after("rate=1m,loss=2%"), (0.02, 0.02)));
        // Of 100 packets one is lost, in one of ten rows of ten: 1 row begins after 990 others.
        assert!(near(after("rate=1m,loss=1%,burst=10"), (1.0 / 990.0, 0.9)));
    }
}
