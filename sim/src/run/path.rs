//! The routes of a measured transfer: the modelled network between both proxies.

use crate::base::{
    Rate, micros, parse_percent, parse_rate, parse_size, parse_time, seed, write_percent,
    write_rate, write_size, write_time,
};
use crate::net::{Control, LinkSpec, MSS, Pipe, dips};
use std::fmt::Write as _;
use std::time::Duration;

/// Foreign connections and stripes whose only limit is the shared bottleneck.
const UNLIMITED: Rate = Rate::mbit(10_000);

/// Behind the seed of dips: queues shrink with the rate.
const SHRINK: &str = ",shrink";

/// The properties that all stripes have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    pub rtt: Duration,
    /// Loss probability of a packet in millionths.
    pub loss: u32,
    /// The mean number of packets that are lost in a row.
    pub loss_run: u32,
    /// The time that a full queue takes to drain, and the packets that it holds at least.
    pub queue: (Duration, u64),
    /// A policer in place of the queue: its burst in bytes.
    pub policer: Option<u64>,
    pub congestion: Control,
    /// The rate of a bottleneck that all stripes share.
    pub shared: Option<Rate>,
    /// Greedy connections beside the stripes.
    pub foreign: Vec<Control>,
    /// The seed of times at which stripes slow down.
    pub dips: Option<u64>,
    /// Whether a queue then holds as much time as before, and so fewer bytes.
    pub shrinks: bool,
    /// Whether the proxies have a key, so that stripes carry TLS records.
    pub key: bool,
}

impl Default for Path {
    fn default() -> Self {
        Path {
            rtt: Duration::from_millis(40),
            loss: 0,
            loss_run: 1,
            queue: (Duration::from_millis(100), 8),
            policer: None,
            congestion: Control::Cubic,
            shared: None,
            foreign: Vec::new(),
            dips: None,
            shrinks: false,
            key: false,
        }
    }
}

impl Path {
    pub const OPTIONS: [&str; 8] =
        ["rtt", "loss", "queue", "policer", "congestion", "shared", "foreign", "dips"];

    /// Takes an option of the command line. The error says what is wrong and what to do.
    pub fn read(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "rtt" => self.rtt = parse_time(text)?,
            "loss" => (self.loss, self.loss_run) = parse_loss(text)?,
            "queue" => self.queue = parse_queue(text)?,
            "policer" => self.policer = Some(parse_size(text)?),
            "congestion" => self.congestion = parse_control(text)?,
            "shared" => self.shared = Some(parse_rate(text)?),
            "foreign" => {
                let names = text.split(',').map(|name| parse_control(name.trim()));
                self.foreign = names.collect::<Result<_, _>>()?;
            }
            _ => {
                let seed = text.strip_suffix(SHRINK);
                self.shrinks = seed.is_some();
                let wrong = |_| {
                    let cure = "write a whole number from 0 to 2^64 - 1, such as 3 or 3,shrink";
                    format!("\"{text}\" is no seed: {cure}")
                };
                self.dips = Some(seed.unwrap_or(text).parse().map_err(wrong)?);
            }
        }
        Ok(())
    }

    /// The options that lead to it, each with a blank before it. Usual ones are left out, but for
    /// the first two.
    pub fn written(&self) -> String {
        let usual = Path::default();
        let mut text = format!(" --rtt {} --loss {}", write_time(self.rtt), self.written_loss());
        if self.queue != usual.queue {
            let _ = write!(text, " --queue {},{}", write_time(self.queue.0), self.queue.1);
        }
        if let Some(burst) = self.policer {
            let _ = write!(text, " --policer {}", write_size(burst));
        }
        if self.congestion != usual.congestion {
            let _ = write!(text, " --congestion {}", self.congestion.name());
        }
        if let Some(rate) = self.shared {
            let _ = write!(text, " --shared {}", write_rate(rate));
        }
        if !self.foreign.is_empty() {
            let names: Vec<&str> = self.foreign.iter().map(|control| control.name()).collect();
            let _ = write!(text, " --foreign {}", names.join(","));
        }
        if let Some(seed) = self.dips {
            let _ = write!(text, " --dips {seed}{}", if self.shrinks { SHRINK } else { "" });
        }
        if self.key {
            text += " --key";
        }
        text
    }

    pub fn written_loss(&self) -> String {
        let run = if self.loss_run > 1 { format!("x{}", self.loss_run) } else { String::new() };
        write_percent(self.loss) + &run
    }

    /// The routes of stripes with these caps, both ways.
    pub fn routes(&self, caps: &[Rate]) -> Vec<[LinkSpec; 2]> {
        let route = |cap: &Rate| {
            self.route(*cap, self.congestion).map(|spec| LinkSpec { keyed: self.key, ..spec })
        };
        caps.iter().map(route).collect()
    }

    pub fn foreign_routes(&self) -> Vec<[LinkSpec; 2]> {
        self.foreign.iter().map(|control| self.route(UNLIMITED, *control)).collect()
    }

    fn route(&self, cap: Rate, congestion: Control) -> [LinkSpec; 2] {
        let rtt = micros(self.rtt);
        [rtt / 2, rtt - rtt / 2].map(|delay| LinkSpec {
            loss: self.loss,
            loss_run: self.loss_run,
            queue: self.queue_of(cap),
            least_queue: self.shrinks.then_some(self.queue.1 * MSS),
            policer: self.policer,
            congestion,
            ..LinkSpec::new(cap, Duration::from_micros(delay))
        })
    }

    /// The bottleneck that all stripes share.
    pub fn shared_link(&self) -> Option<LinkSpec> {
        let rate = self.shared?;
        let queue = self.queue_of(rate);
        Some(LinkSpec { queue, policer: self.policer, ..LinkSpec::new(rate, Duration::ZERO) })
    }

    fn queue_of(&self, rate: Rate) -> u64 {
        let (time, packets) = self.queue;
        (rate.as_bytes() * micros(time) / 1_000_000).max(packets * MSS)
    }

    /// The dips of each stripe, from the beginning of the transfer on.
    pub fn dips(&self, caps: &[Rate]) -> Vec<Vec<(u64, Rate)>> {
        let Some(seed) = self.dips else { return vec![Vec::new(); caps.len()] };
        let draw =
            |(nth, cap): (usize, &Rate)| dips(&mut seed::stream(seed, "dips", nth as u64), *cap);
        caps.iter().enumerate().map(draw).collect()
    }

    /// The stripes as an oracle sees them. A shared bottleneck lets each have its part.
    pub fn pipes(&self, caps: &[Rate]) -> Vec<Pipe> {
        let delay = Duration::from_micros(micros(self.rtt) / 2);
        let all: Rate = caps.iter().copied().sum();
        let part = |rate: Rate| match self.shared.filter(|shared| *shared < all) {
            None => rate,
            Some(shared) => {
                let bits = u128::from(rate.as_bits()) * u128::from(shared.as_bits());
                Rate::bits((bits / u128::from(all.as_bits())) as u64)
            }
        };
        let pipe = |(cap, dips): (&Rate, Vec<(u64, Rate)>)| {
            let mut pipe = Pipe::steady(part(*cap), delay);
            pipe.rate.extend(dips.into_iter().map(|(at, rate)| (at, part(rate))));
            pipe
        };
        caps.iter().zip(self.dips(caps)).map(pipe).collect()
    }
}

fn parse_loss(text: &str) -> Result<(u32, u32), String> {
    let Some((share, run)) = text.split_once('x') else { return Ok((parse_percent(text)?, 1)) };
    let run = run.parse().ok().filter(|run| (1..=1_000).contains(run));
    let run = run.ok_or_else(|| {
        format!("\"{text}\" has no number from 1 to 1000 after the x; write 1%x10, for example")
    })?;
    Ok((parse_percent(share)?, run))
}

fn parse_queue(text: &str) -> Result<(Duration, u64), String> {
    let (time, packets) = text.split_once(',').unwrap_or((text, "1"));
    let packets = packets.trim().parse().ok().filter(|packets| *packets <= 1_000_000);
    let packets = packets.ok_or_else(|| {
        format!("\"{text}\" has no number of packets after the comma; write 10ms,8, for example")
    })?;
    Ok((parse_time(time)?, packets))
}

fn parse_control(text: &str) -> Result<Control, String> {
    let cure = "there are cubic and bbr; a stripe does not change between them here";
    Control::named(text).ok_or_else(|| format!("\"{text}\" is unknown; {cure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(options: &[(&str, &str)]) -> Path {
        let mut path = Path::default();
        options.iter().for_each(|(name, text)| path.read(name, text).expect("a good value"));
        path
    }

    #[test]
    fn written_options_read_back() {
        let path = path(&[
            ("rtt", "35ms"),
            ("loss", "1%x10"),
            ("queue", "10ms,8"),
            ("policer", "16KiB"),
            ("congestion", "bbr"),
            ("shared", "20mbps"),
            ("foreign", "cubic,bbr"),
            ("dips", "3,shrink"),
        ]);
        let path = Path { key: true, ..path };
        let written = " --rtt 35ms --loss 1%x10 --queue 10ms,8 --policer 16KiB --congestion bbr \
            --shared 20mbps --foreign cubic,bbr --dips 3,shrink --key";
        assert_eq!(path.written(), written);
        assert_eq!(Path::default().written(), " --rtt 40ms --loss 0%");
    }

    #[test]
    fn bad_values_are_refused_with_a_cure() {
        for (name, text, cure) in [
            ("loss", "1%x0", "write 1%x10"),
            ("loss", "1", "percent sign"),
            ("queue", "10", "such as 40ms"),
            ("queue", "10ms,", "write 10ms,8"),
            ("policer", "16K", "KiB"),
            ("congestion", "auto", "there are cubic and bbr"),
            ("foreign", "cubic,reno", "there are cubic and bbr"),
            ("shared", "20", "20mbps"),
            ("dips", "x", "whole number"),
            ("dips", "3,shrinks", "3,shrink"),
        ] {
            let error = Path::default().read(name, text).expect_err(text);
            assert!(error.contains(cure), "{name} {text}: {error}");
        }
    }

    #[test]
    fn a_queue_holds_its_time_at_the_rate_but_no_less_than_its_packets() {
        let queue = |text: &str, mbit: u64| {
            path(&[("queue", text)]).routes(&[Rate::mbit(mbit)])[0][0].queue
        };
        assert_eq!((queue("10ms", 8), queue("10ms", 1)), (10_000, MSS));
        assert_eq!((queue("10ms,8", 8), queue("0ms,0", 8)), (8 * MSS, 0));
    }

    #[test]
    fn a_shared_bottleneck_bounds_what_the_oracle_expects() {
        let caps = [Rate::mbit(30), Rate::mbit(10)];
        let rates = |path: &Path| path.pipes(&caps).iter().map(|pipe| pipe.rate[0].1).sum::<Rate>();
        assert_eq!(rates(&path(&[("shared", "20mbps")])), Rate::mbit(20));
        assert_eq!(rates(&path(&[("shared", "50mbps")])), Rate::mbit(40));
    }
}
