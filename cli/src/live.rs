//! Updates the status line of a program that runs on a terminal.

use crate::clock;
use crate::log::{self, Log};
use crate::service::Connections;
use crate::status::{self, Stripe, View};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use striper_core::{LimitTimes, StripeId, StripeLimit, StripeStats};
use striper_runtime::local::Executor;
use striper_runtime::{SessionTag, Status, TcpStatus, TcpTimes};

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
    mut line: impl FnMut(usize) -> String + 'static,
) -> Shown {
    let drawer = log.clone();
    let task = log::on_terminal().then(|| {
        ex.spawn(async move {
            loop {
                smol::Timer::after(PERIOD).await;
                // Level and format may change.
                let wanted = drawer.takes_status();
                drawer.set_status(&if wanted { line(columns()) } else { String::new() });
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
    last: HashMap<(SessionTag, StripeId), Look>,
    at: Option<Instant>,
}

/// The counts of a stripe at one look.
#[derive(Clone, Copy)]
struct Look {
    written: u64,
    received: u64,
    limited: LimitTimes,
    tcp: Option<TcpTimes>,
}

impl Look {
    fn at(stripe: &StripeStats, tcp: Option<&TcpStatus>) -> Look {
        Look {
            written: stripe.written,
            received: stripe.received,
            limited: stripe.limited,
            tcp: tcp.and_then(|tcp| tcp.times),
        }
    }

    /// The limit since `before`, or the present `limit` if no time has passed. The engine
    /// takes a full receive window of the peer's system for the route.
    fn limit_since(&self, before: &Look, limit: StripeLimit) -> StripeLimit {
        let limit = self.limited.longest_since(&before.limited).unwrap_or(limit);
        let of_receiver = |(now, before): (TcpTimes, TcpTimes)| now.are_of_receiver(&before);
        match limit {
            StripeLimit::Route if self.tcp.zip(before.tcp).is_some_and(of_receiver) => {
                StripeLimit::Receiver
            }
            limit => limit,
        }
    }
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
                let tcp = session.tcp.get(&stripe.stripe);
                let look = Look::at(stripe, tcp);
                current.insert(key, look);
                let before = self.last.get(&key).unwrap_or(&look);
                let rate = |now: u64, before: u64| {
                    time.map_or(0.0, |time| now.saturating_sub(before) as f64 / time)
                };
                let number = place(stripe).unwrap_or_default();
                stripes.push(Stripe {
                    name: match &session.peer {
                        Some(peer) if several => format!("{peer}.{number}"),
                        None if several => format!("{}.{number}", index + 1),
                        _ => number.to_string(),
                    },
                    up: rate(look.written, before.written),
                    down: rate(look.received, before.received),
                    congestions: stripe.congestions,
                    doubted: stripe.doubted,
                    limit: look.limit_since(before, stripe.limit),
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
            peers: BTreeMap::new(),
            memory: (0, 0),
            kept_for: None,
            tcp: BTreeMap::new(),
        };
        Status { sessions: vec![session], ..Status::default() }
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

    #[test]
    fn the_limit_is_the_longest_since_the_last_look_or_the_present_one() {
        use StripeLimit::{Application, Receiver, Route, Window};
        let mut meter = Meter::default();
        let mut status = status(0, 0);
        let mut look = |spent: &[(StripeLimit, u64)], receiver: u64| {
            let session = &mut status.sessions[0];
            let stripe = &mut session.stats.stripes[0];
            stripe.limit = Window;
            for (limit, millis) in spent {
                stripe.limited.add(*limit, Duration::from_millis(*millis));
            }
            let [busy, receiver] =
                [stripe.limited.by(Route).as_millis() as u64, receiver].map(Duration::from_millis);
            let times = Some(TcpTimes { busy, receiver });
            let tcp = TcpStatus {
                congestion: None,
                packets: None,
                retransmitted: None,
                resent: None,
                times,
            };
            session.tcp.insert(StripeId(3), tcp);
            meter.view(&status, 1, clock::now()).stripes[0].limit
        };
        assert_eq!(look(&[(Application, 900)], 0), Window, "one look says what is now");
        assert_eq!(look(&[(Application, 100), (Route, 300)], 0), Route);
        assert_eq!(look(&[(Route, 300)], 200), Receiver, "the peer's system");
        assert_eq!(look(&[(Route, 100), (Application, 101)], 300), Application);
        assert_eq!(look(&[], 300), Window);
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
        let status = Status {
            last_dial_error: Some(striper_runtime::DialError::Refused),
            ..Status::default()
        };
        let view = Meter::default().view(&status, 2, clock::now());
        assert_eq!(view.trouble.as_deref(), Some("no stripe to the server: connection refused"));
    }
}
