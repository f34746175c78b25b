//! Updates the status line of a program that runs on a terminal.

use crate::args::Options;
use crate::clock;
use crate::log::{self, Log, LogFormat, Verbosity};
use crate::service::Connections;
use crate::status::{self, Stripe, View};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use striper_core::{StripeId, StripeStats};
use striper_runtime::local::Executor;
use striper_runtime::{SessionTag, Status};

/// The time between two updates. The line is drawn only if it changes, so an idle program is idle.
const PERIOD: Duration = Duration::from_millis(500);

/// Removes the status line when dropped.
pub(crate) struct Shown {
    log: Log,
    _task: Option<smol::Task<()>>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.log.set_status("");
    }
}

/// Shows the status line until the result is dropped, if stderr is a terminal. `line` makes it for
/// a width in columns.
pub(crate) fn show(
    ex: &Executor,
    log: &Log,
    options: &Options,
    mut line: impl FnMut(usize) -> String + 'static,
) -> Shown {
    let wanted = log::on_terminal()
        && options.log == LogFormat::Human
        && options.verbosity != Verbosity::Quiet;
    let drawer = log.clone();
    let task = wanted.then(|| {
        ex.spawn(async move {
            loop {
                smol::Timer::after(PERIOD).await;
                drawer.set_status(&line(columns()));
            }
        })
    });
    Shown { log: log.clone(), _task: task }
}

pub(crate) fn of_stripes(
    look: impl Fn() -> Status,
    connections: Connections,
) -> impl FnMut(usize) -> String {
    let mut meter = Meter::default();
    move |columns| {
        let status = look();
        let mut view = meter.view(&status, connections.live(), clock::now());
        view.limits =
            kept(&status, view.connections).into_iter().chain(finishing(&connections)).collect();
        status::line(&view, columns)
    }
}

pub(crate) fn finishing(connections: &Connections) -> Option<String> {
    let within = connections.may_finish_within().filter(|_| connections.live() > 0)?;
    Some(format!("may finish until {}", clock::ahead(within)))
}

/// The earliest time until which connections without a stripe are kept, and their number if other
/// connections have stripes.
fn kept(status: &Status, connections: usize) -> Option<String> {
    let stranded =
        status.sessions.iter().filter_map(|session| Some((session.kept_for?, session.stats.flows)));
    let (within, flows) = stranded.min()?;
    let until = clock::ahead(within);
    Some(if flows < connections {
        format!("{flows} kept until {until}")
    } else {
        format!("kept until {until}")
    })
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

#[derive(Default)]
struct Meter {
    last: HashMap<(SessionTag, StripeId), (u64, u64)>,
    at: Option<Instant>,
}

impl Meter {
    fn view(&mut self, status: &Status, connections: usize, now: Instant) -> View {
        let time = self.at.replace(now).map(|at| now.duration_since(at).as_secs_f64());
        let time = time.filter(|time| *time > 0.0);
        let mut current = HashMap::new();
        let mut stripes = Vec::new();
        let several = status.sessions.len() > 1;
        for (index, session) in status.sessions.iter().enumerate() {
            let place = |stripe: &StripeStats| session.places.get(&stripe.stripe).copied();
            let mut ordered: Vec<&StripeStats> = session.stats.stripes.iter().collect();
            ordered.sort_by_key(|stripe| place(stripe));
            for stripe in ordered {
                let key = (session.session, stripe.stripe);
                let counts = (stripe.written, stripe.received);
                current.insert(key, counts);
                let before = *self.last.get(&key).unwrap_or(&counts);
                let rate = |now: u64, before: u64| {
                    time.map_or(0.0, |time| now.saturating_sub(before) as f64 / time)
                };
                let tcp = session.tcp.get(&stripe.stripe);
                let number = place(stripe).unwrap_or_default();
                stripes.push(Stripe {
                    name: match &session.peer {
                        Some(peer) if several => format!("{peer}.{number}"),
                        None if several => format!("{}.{number}", index + 1),
                        _ => number.to_string(),
                    },
                    up: rate(counts.0, before.0),
                    down: rate(counts.1, before.1),
                    congestions: stripe.congestions,
                    doubted: stripe.doubted,
                    resent: tcp.and_then(|tcp| tcp.resent),
                    control: tcp.and_then(|tcp| Some(tcp.congestion.as_ref()?.to_string())),
                });
            }
        }
        self.last = current;
        let trouble = stripes.is_empty().then(|| match &status.last_dial_error {
            Some(error) => format!("no stripe to the server: {error}"),
            None => "no stripe".to_owned(),
        });
        View { connections, limits: Vec::new(), trouble, stripes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use striper_core::Stats;
    use striper_runtime::SessionStatus;

    fn status(written: u64, received: u64) -> Status {
        let mut stripe = StripeStats::default();
        (stripe.stripe, stripe.congestions) = (StripeId(3), 9);
        (stripe.sent, stripe.written, stripe.received) = (written, written, received);
        let mut stats = Stats::default();
        stats.stripes.push(stripe);
        let session = SessionStatus {
            session: SessionTag([1; 4]),
            peer: None,
            stats,
            live: 1,
            places: BTreeMap::from([(StripeId(3), 2)]),
            kept_for: None,
            tcp: BTreeMap::new(),
        };
        Status { sessions: vec![session], last_dial_error: None }
    }

    #[test]
    fn rates_are_what_was_added_since_the_last_look() {
        let (mut meter, begin) = (Meter::default(), clock::now());
        let first = &meter.view(&status(1_000, 50), 1, begin).stripes[0];
        assert_eq!((first.up, first.down), (0.0, 0.0), "one look gives no rate");
        let second = meter.view(&status(2_000, 150), 1, begin + Duration::from_millis(500));
        assert_eq!((second.stripes[0].up, second.stripes[0].down), (2_000.0, 200.0));
        assert_eq!(second.stripes[0].name, "2", "its place, not its id");
        assert_eq!(second.stripes[0].congestions, 9);
    }

    fn names(view: &View) -> Vec<&str> {
        view.stripes.iter().map(|stripe| stripe.name.as_str()).collect()
    }

    #[test]
    fn stripes_have_the_names_and_order_of_their_sessions_and_places() {
        let mut several = status(0, 0);
        several.sessions.extend(status(0, 0).sessions);
        let view = Meter::default().view(&several, 0, clock::now());
        assert_eq!(names(&view), ["1.2", "2.2"]);
        let mut status = status(0, 0);
        let session = &mut status.sessions[0];
        let mut younger = session.stats.stripes[0].clone();
        younger.stripe = StripeId(9);
        session.stats.stripes.push(younger);
        session.places.insert(StripeId(9), 1);
        let view = Meter::default().view(&status, 0, clock::now());
        assert_eq!(names(&view), ["1", "2"]);
    }

    #[test]
    fn connections_without_a_stripe_are_kept_until_a_time_of_day() {
        let mut status = status(0, 0);
        assert_eq!(kept(&status, 3), None);
        status.sessions[0].kept_for = Some(Duration::from_secs(60));
        status.sessions[0].stats.flows = 2;
        assert!(kept(&status, 2).unwrap().starts_with("kept until "));
        assert!(kept(&status, 3).unwrap().starts_with("2 kept until "), "one is another session's");
    }

    #[test]
    fn a_stop_has_the_time_until_which_connections_may_finish() {
        let connections = Connections::default();
        let entry = connections.begin();
        assert_eq!(finishing(&connections), None);
        connections.stop_within(Duration::from_secs(30));
        assert!(finishing(&connections).unwrap().starts_with("may finish until "));
        drop(entry);
        assert_eq!(finishing(&connections), None);
    }

    #[test]
    fn without_stripes_the_line_has_the_last_error() {
        let status =
            Status { sessions: vec![], last_dial_error: Some(striper_runtime::DialError::Refused) };
        let view = Meter::default().view(&status, 2, clock::now());
        assert_eq!(view.trouble.as_deref(), Some("no stripe to the server: connection refused"));
    }
}
