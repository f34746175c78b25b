//! The figures of the demo as JSON. The names are those of docs/LOG.md.

use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
pub(super) struct Figures {
    /// The cap of each connection.
    cap_bytes_per_second: u64,
    round_trip_seconds: f64,
    pub runs: Vec<Transfer>,
    pub choked: Option<Choked>,
    /// Whether the hashes of all data are those of what was sent.
    pub intact: bool,
    pub duration_seconds: f64,
}

#[derive(Serialize)]
pub(super) struct Transfer {
    stripes: usize,
    bytes: u64,
    duration_seconds: f64,
    pub bytes_per_second: f64,
    /// The rate as a multiple of that of the first run.
    pub speed_up: f64,
}

/// The run in which one stripe is choked midway, with the rates of the stripes in order.
#[derive(Serialize)]
pub(super) struct Choked {
    pub stripes: usize,
    pub bytes: u64,
    pub duration_seconds: f64,
    /// The place of the choked stripe, from 1.
    pub place: usize,
    pub cap_bytes_per_second: u64,
    pub before_bytes_per_second: Vec<f64>,
    pub after_bytes_per_second: Vec<f64>,
}

impl Figures {
    /// Of a route that caps each connection, in bytes a second.
    pub(super) fn new(cap: u64, round_trip: Duration) -> Self {
        Figures {
            cap_bytes_per_second: cap,
            round_trip_seconds: round_trip.as_secs_f64(),
            runs: Vec::new(),
            choked: None,
            intact: false,
            duration_seconds: 0.0,
        }
    }

    /// Notes a run, and gives it back.
    pub(super) fn note(&mut self, stripes: usize, bytes: u64, time: Duration) -> &Transfer {
        let duration_seconds = time.as_secs_f64();
        let bytes_per_second = bytes as f64 / duration_seconds;
        let first = self.runs.first().map_or(bytes_per_second, |run| run.bytes_per_second);
        let speed_up = bytes_per_second / first;
        self.runs.push(Transfer { stripes, bytes, duration_seconds, bytes_per_second, speed_up });
        &self.runs[self.runs.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_compared_with_the_first_one() {
        let mut figures = Figures::new(1, Duration::ZERO);
        assert_eq!(figures.note(1, 1_000, Duration::from_secs(4)).speed_up, 1.0);
        let second = figures.note(2, 1_000, Duration::from_secs(2));
        assert_eq!((second.bytes_per_second, second.speed_up), (500.0, 2.0));
    }
}
