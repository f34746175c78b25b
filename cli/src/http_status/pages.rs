//! The pages, by their paths.

use super::answer::{Answer, JSON, METRICS};
use super::metrics;
use crate::clock;
use crate::service::Connections;
use crate::state::{Running, State};
use bytes::Bytes;
use std::cell::RefCell;
use std::time::Instant;

const PAGE: &str = include_str!("page.html");

/// An answer is kept for so many times the time that it took to make. That time grows with the
/// number of stripes and flows. So the two kinds of answers take at most 1 % of the thread's time,
/// however many readers there are.
const REST: u32 = 200;

/// The flows that an answer lists at most: a look at them takes about a millisecond.
const FLOWS: usize = 1_000;

pub(super) struct Pages {
    running: Running,
    connections: Connections,
    metrics: Kept,
    json: Kept,
}

/// The latest answer, and until when it is kept.
#[derive(Default)]
struct Kept(RefCell<Option<(Instant, Bytes)>>);

impl Kept {
    fn get(&self, clock: impl Fn() -> Instant, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut kept = self.0.borrow_mut();
        let begin = clock();
        match &*kept {
            Some((until, bytes)) if begin < *until => bytes.clone(),
            _ => {
                let bytes = make();
                let end = clock();
                let until = end + end.saturating_duration_since(begin) * REST;
                kept.insert((until, bytes)).1.clone()
            }
        }
    }
}

impl Pages {
    pub(super) fn new(running: Running, connections: Connections) -> Self {
        Pages { running, connections, metrics: Kept::default(), json: Kept::default() }
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        match path {
            "/" => {
                let nonce = format!("{:032x}", rand::random::<u128>());
                Answer::page(PAGE.replace("NONCE", &nonce), &nonce)
            }
            "/metrics" => {
                let make = || metrics::text(&self.running.state()).into();
                Answer::ok(METRICS, self.metrics.get(clock::now, make))
            }
            "/status.json" => Answer::ok(
                JSON,
                self.json.get(clock::now, || json(&self.running.state_with_flows(FLOWS))),
            ),
            "/healthz" => Answer::line("200 OK", "ok"),
            "/readyz" => match self.connections.may_finish_within() {
                None => Answer::line("200 OK", "ready"),
                Some(_) => Answer::line("503 Service Unavailable", "draining"),
            },
            _ => {
                let text = "there is no such page; the pages are /, /status.json, /metrics, \
                            /healthz and /readyz";
                Answer::line("404 Not Found", text)
            }
        }
    }
}

fn json(state: &State) -> Bytes {
    // A state has no map whose keys are not text, so this can't fail.
    let mut text = serde_json::to_vec(state).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    #[test]
    fn an_answer_is_kept_in_proportion_to_its_cost() {
        let (kept, now) = (Kept::default(), Cell::new(clock::now()));
        let get = |cost: u64, text: &'static str| {
            let make = || {
                now.set(now.get() + Duration::from_millis(cost));
                Bytes::from_static(text.as_bytes())
            };
            kept.get(|| now.get(), make)
        };
        assert_eq!(get(2, "first"), "first");
        now.set(now.get() + Duration::from_millis(399));
        assert_eq!(get(2, "second"), "first");
        now.set(now.get() + Duration::from_millis(1));
        assert_eq!(get(0, "third"), "third");
        assert_eq!(get(0, "fourth"), "fourth", "it costs nothing");
    }
}
