//! What the log says of connections: that they began, how they ended, or why they did not come
//! about.

use super::throttle::{ORDINARY, Throttle, more};
use crate::log::{Level, Log, Value};
use crate::units;
use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use striper_runtime::{FlowEnd, FlowReport};

/// Tells of connections. Clones share what they let through.
#[derive(Clone)]
pub struct Connections {
    log: Log,
    throttles: Rc<RefCell<[Throttle; 4]>>,
}

/// What is told of a connection, each with a throttle of its own.
#[derive(Clone, Copy)]
enum Told {
    Opened,
    Ended,
    Failed,
    Refused,
}

impl Connections {
    /// Within [`PERIOD`](super::throttle::PERIOD) it says of so many `lines` connections that they
    /// failed or were refused, and of more that they began and ended.
    pub fn new(log: &Log, lines: u32) -> Self {
        let many = || Throttle::new(lines.saturating_mul(ORDINARY));
        let throttles = [many(), many(), Throttle::new(lines), Throttle::new(lines)];
        Connections { log: log.clone(), throttles: Rc::new(RefCell::new(throttles)) }
    }

    /// A connection has been opened. `name` is how it is introduced.
    pub fn opened(&self, name: &str, fields: &[(&str, Value)]) {
        self.say(
            Level::Info,
            Told::Opened,
            "connection_opened",
            format!("{name} opened"),
            fields,
            "opened",
        );
    }

    /// A connection has not come about.
    pub fn refused(&self, text: String, fields: &[(&str, Value)]) {
        self.say(Level::Warn, Told::Refused, "connection_refused", text, fields, "failed");
    }

    /// A connection has ended.
    pub fn ended(&self, name: &str, number: u64, report: &FlowReport) {
        let level = match report.end {
            FlowEnd::Finished | FlowEnd::Reset(_) | FlowEnd::Cut(_) => Level::Info,
            _ => Level::Warn,
        };
        let (text, fields) = end(name, number, report);
        self.gone(level, text, &fields);
    }

    /// A connection has ended in a way that `text` tells.
    pub fn gone(&self, level: Level, text: String, fields: &[(&str, Value)]) {
        let told = if level == Level::Warn { Told::Failed } else { Told::Ended };
        self.say(level, told, "connection_ended", text, fields, "ended");
    }

    fn say(
        &self,
        level: Level,
        told: Told,
        event: &str,
        text: String,
        fields: &[(&str, Value)],
        what: &str,
    ) {
        if !self.log.shows(level) {
            return;
        }
        let unsaid = self.throttles.borrow_mut()[told as usize].admit(crate::clock::now());
        let Some(unsaid) = unsaid else { return };
        let fields: Vec<_> = fields.iter().cloned().chain([("unsaid", unsaid.into())]).collect();
        self.log.say(level, event, text + &more(unsaid, what), &fields);
    }
}

/// How a connection has ended. `name` is how it was introduced.
fn end(name: &str, number: u64, report: &FlowReport) -> (String, Vec<(&'static str, Value)>) {
    let total = report.sent + report.received;
    let rate = units::mean_rate(total, report.duration);
    let ratio = (report.best_stripe > 0).then(|| total as f64 / report.best_stripe as f64);
    let mut fields = vec![
        ("connection", number.into()),
        ("end", end_key(&report.end).to_owned().into()),
        ("reason", report.end.to_string().into()),
        ("sent", report.sent.into()),
        ("received", report.received.into()),
        ("seconds", report.duration.as_secs_f64().into()),
        ("best_stripe", report.best_stripe.into()),
    ];
    fields.extend(rate.map(|rate| ("bytes_per_second", rate.into())));
    fields.extend(ratio.map(|ratio| ("of_best_stripe", ratio.into())));
    (end_text(name, report, rate, ratio), fields)
}

/// Below this a rate relative to the best stripe says more about frame headers than about stripes,
/// in bytes.
const TELLING: u64 = 256 << 10;

fn end_text(name: &str, report: &FlowReport, rate: Option<f64>, ratio: Option<f64>) -> String {
    let how = match &report.end {
        FlowEnd::Finished => "ended".to_owned(),
        FlowEnd::NoSession(error) => format!("failed: {error}"),
        end => end.to_string(),
    };
    let mut text = format!("{name} {how}");
    if matches!(report.end, FlowEnd::NoSession(_) | FlowEnd::Refused(_)) {
        let _ = write!(text, ", after {}", units::duration(report.duration));
        return text;
    }
    let (sent, received) = (units::bytes(report.sent), units::bytes(report.received));
    let _ =
        write!(text, ", {sent} sent, {received} received in {}", units::duration(report.duration));
    if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
        let _ = write!(text, ", {}", units::rate(rate));
    }
    if let Some(ratio) = ratio.filter(|_| report.sent + report.received >= TELLING) {
        let _ = write!(text, " ({ratio:.1}× the best stripe)");
    }
    text
}

fn end_key(end: &FlowEnd) -> &'static str {
    match end {
        FlowEnd::Finished => "finished",
        FlowEnd::Reset(_) | FlowEnd::Cut(_) => "reset",
        FlowEnd::Refused(_) => "refused",
        FlowEnd::NoSession(_) => "no_session",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use striper_core::Reason;
    use striper_runtime::{Cut, DialError, OpenError};

    fn report(end: FlowEnd) -> FlowReport {
        FlowReport {
            sent: 1_000,
            received: 4_000_000,
            duration: Duration::from_secs(2),
            end,
            best_stripe: 1_000_250,
        }
    }

    fn text(report: &FlowReport) -> String {
        let total = report.sent + report.received;
        let rate = units::mean_rate(total, report.duration);
        end_text("connection 7", report, rate, Some(total as f64 / report.best_stripe as f64))
    }

    #[test]
    fn a_finished_connection_tells_bytes_time_rate_and_gain() {
        assert_eq!(
            text(&report(FlowEnd::Finished)),
            "connection 7 ended, 1.00 kB sent, 4.00 MB received in 2.00 s, 16.0 Mbit/s (4.0× the \
             best stripe)"
        );
    }

    #[test]
    fn a_small_connection_claims_no_gain() {
        let small = FlowReport { received: 10, ..report(FlowEnd::Finished) };
        assert!(text(&small).ends_with("kbit/s"), "{}", text(&small));
    }

    #[test]
    fn a_broken_connection_tells_why() {
        assert!(
            text(&report(FlowEnd::Cut(Cut::Stopped)))
                .starts_with("connection 7 reset: this side has stopped, ")
        );
        let refused = report(FlowEnd::Refused(Reason::ConnectionRefused));
        assert_eq!(
            text(&refused),
            "connection 7 refused: connection to the target refused, after 2.00 s"
        );
        assert_eq!(
            text(&report(FlowEnd::NoSession(OpenError::Unreachable(DialError::Refused)))),
            "connection 7 failed: server unreachable: connection refused, after 2.00 s"
        );
    }

    #[test]
    fn a_flood_of_connections_is_summed_up_and_their_failures_have_lines_of_their_own() {
        let (log, paper) = Log::on_paper();
        let told = Connections::new(&log, 2);
        let refused = report(FlowEnd::Refused(Reason::ConnectionRefused));
        for _ in 0..1000 {
            told.opened("connection 7", &[]);
            told.ended("connection 7", 7, &report(FlowEnd::Finished));
        }
        for _ in 0..10 {
            told.ended("connection 7", 7, &refused);
            told.refused("connection 7 failed".into(), &[]);
        }
        let written = paper.take(&log);
        let count = |what: &str| written.lines().filter(|line| line.contains(what)).count();
        assert_eq!((count("opened"), count("ended, ")), (100, 100), "{written}");
        assert_eq!((count("7 refused:"), count("7 failed")), (2, 2), "{written}");
    }
}
