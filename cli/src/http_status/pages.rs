//! The pages, by their paths.

use super::answer::{Answer, JSON, METRICS};
use super::metrics;
use crate::clock;
use crate::service::Connections;
use crate::state::{Running, State};
use bytes::Bytes;
use std::cell::RefCell;
use std::time::{Duration, Instant};

const PAGE: &str = include_str!("page.html");

/// For so long an answer stays as it is. So many readers, or a fast one, cost no more than four
/// looks a second. A look takes time in proportion to the number of stripes and flows.
const KEPT: Duration = Duration::from_millis(250);

pub(super) struct Pages {
    running: Running,
    connections: Connections,
    metrics: Kept,
    json: Kept,
}

/// The latest answer, and when it was made.
#[derive(Default)]
struct Kept(RefCell<Option<(Instant, Bytes)>>);

impl Kept {
    fn get(&self, now: Instant, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut kept = self.0.borrow_mut();
        match &*kept {
            Some((at, bytes)) if now.saturating_duration_since(*at) < KEPT => bytes.clone(),
            _ => kept.insert((now, make())).1.clone(),
        }
    }
}

impl Pages {
    pub(super) fn new(running: Running, connections: Connections) -> Self {
        Pages { running, connections, metrics: Kept::default(), json: Kept::default() }
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        let now = clock::now();
        match path {
            "/" => {
                let nonce = format!("{:032x}", rand::random::<u128>());
                Answer::page(PAGE.replace("NONCE", &nonce), &nonce)
            }
            "/metrics" => {
                let make = || metrics::text(&self.running.state()).into();
                Answer::ok(METRICS, self.metrics.get(now, make))
            }
            "/status.json" => Answer::ok(JSON, self.json.get(now, || json(&self.running.state()))),
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
