//! Lines about connections: how they began and ended, or why they failed.

use super::lines::{Line, Lines};
use super::named::Named;
use super::tally::Tally;
use crate::log::{Level, Log, Value};
use crate::units;
use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use striper_runtime::{FlowEnd, FlowReport};

/// Writes lines about connections. Clones share their bounds.
#[derive(Clone)]
pub(crate) struct Connections {
    lines: Rc<RefCell<Lines>>,
    tally: Tally,
}

impl Connections {
    /// Within [`PERIOD`](super::throttle::PERIOD) at most so many `lines` about connections that
    /// failed or were refused, and more about others.
    pub(crate) fn new(log: &Log, lines: u32) -> Self {
        Connections::counted(log, lines, Tally::default())
    }

    /// The same, with counts in this tally.
    pub(super) fn counted(log: &Log, lines: u32, tally: Tally) -> Self {
        Connections { lines: Rc::new(RefCell::new(Lines::new(log, lines))), tally }
    }

    /// `rule` is the one that allows its target, if there is one.
    pub(crate) fn opened(&self, named: &Named, rule: Option<&str>) {
        let line = Line::new(Level::Info, "connection_opened", "opened", format!("{named} opened"));
        self.write(line.with_all(&named.fields()).with_some("rule", rule));
    }

    /// There is a listener on the server's side, for a client.
    pub(crate) fn listening(&self, text: String, fields: &[(&'static str, Value)]) {
        self.write(Line::new(Level::Info, "listening", "listeners", text).with_all(fields));
    }

    pub(crate) fn listener_ended(&self, text: String, fields: &[(&'static str, Value)]) {
        self.write(Line::new(Level::Info, "listener_ended", "ended", text).with_all(fields));
    }

    /// `--http-status`: a connection that was not answered, or did not take its answer.
    pub(crate) fn http_lost(&self, text: String, fields: &[(&'static str, Value)]) {
        self.write(Line::new(Level::Warn, "http_lost", "ended", text).with_all(fields));
    }

    /// A client asked for a listener and has none.
    pub(crate) fn listener_refused(&self, text: String, fields: &[(&'static str, Value)]) {
        self.write(Line::new(Level::Warn, "listener_refused", "refused", text).with_all(fields));
    }

    /// This side has not taken a connection of a program.
    pub(crate) fn refused(&self, text: String, named: &Named, reason: &str) {
        self.tally.note_end("refused");
        let line = Line::new(Level::Warn, "connection_refused", "refused", text);
        self.write(line.with_all(&named.fields()).with("reason", reason));
    }

    /// This side has not reached the target of a connection.
    pub(crate) fn failed(&self, text: String, named: &Named, rule: Option<&str>, reason: &str) {
        self.tally.note_end("refused");
        let line = Line::new(Level::Warn, "connection_failed", "failed", text);
        let line = line.with_all(&named.fields()).with_some("rule", rule);
        self.write(line.with("reason", reason));
    }

    pub(crate) fn ended(&self, named: &Named, report: &FlowReport) {
        self.ended_with(named, "", report);
    }

    /// The same, with a note behind the name.
    pub(crate) fn ended_with(&self, named: &Named, note: &str, report: &FlowReport) {
        let level = match report.end {
            FlowEnd::Finished | FlowEnd::Reset(_) | FlowEnd::Cut(_) => Level::Info,
            _ => Level::Warn,
        };
        let (text, fields) = end(&format!("{named}{note}"), report);
        self.gone(level, text, named, &fields);
    }

    /// The program or the other side gave a connection up before its target had answered.
    pub(crate) fn unwanted(&self, named: &Named, text: String) {
        self.gone(Level::Info, text, named, &[("end", "unwanted".into())]);
    }

    /// A connection has ended. One of the fields is `end`.
    pub(crate) fn gone(
        &self,
        level: Level,
        text: String,
        named: &Named,
        fields: &[(&'static str, Value)],
    ) {
        let how = fields.iter().find_map(|(name, value)| match value {
            Value::Text(how) if *name == "end" => Some(&**how),
            _ => None,
        });
        self.tally.note_end(how.unwrap_or_default());
        let line = Line::new(level, "connection_ended", "ended", text);
        self.write(line.with_all(&named.fields()).with_all(fields));
    }

    /// To be called at the end.
    pub(crate) fn write_last_counts(&self) {
        self.lines.borrow_mut().write_last_counts();
    }

    fn write(&self, line: Line) {
        self.lines.borrow_mut().write(line);
    }
}

fn end(name: &str, report: &FlowReport) -> (String, Vec<(&'static str, Value)>) {
    let total = report.sent + report.received;
    let rate = units::mean_rate(total, report.duration);
    let ratio = (report.best_stripe > 0).then(|| total as f64 / report.best_stripe as f64);
    let mut fields = vec![
        ("end", end_key(&report.end).into()),
        ("reason", report.end.to_string().into()),
        ("sent_bytes", report.sent.into()),
        ("received_bytes", report.received.into()),
        ("duration_seconds", report.duration.as_secs_f64().into()),
        ("best_stripe_bytes", report.best_stripe.into()),
    ];
    fields.extend(rate.map(|rate| ("bytes_per_second", rate.into())));
    fields.extend(ratio.map(|ratio| ("of_best_stripe", ratio.into())));
    (end_text(name, report, rate, ratio), fields)
}

/// Below this number of bytes, the ratio to the best stripe depends on frame headers more than on
/// stripes.
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

    #[test]
    fn the_end_of_a_connection_has_its_bytes_time_and_rate_or_its_cause() {
        let small = FlowReport { received: 10, ..report(FlowEnd::Finished) };
        let failed = FlowEnd::NoSession(OpenError::Unreachable(DialError::Refused));
        for (report, text) in [
            (
                report(FlowEnd::Finished),
                "connection 7 ended, 1.00 kB sent, 4.00 MB received in 2.00 s, 16.0 Mbit/s (4.0× \
                 the best stripe)",
            ),
            (small, "connection 7 ended, 1.00 kB sent, 10 bytes received in 2.00 s, 4.04 kbit/s"),
            (
                report(FlowEnd::Cut(Cut::Stopped)),
                "connection 7 reset: this side has stopped, 1.00 kB sent, 4.00 MB received in \
                 2.00 s, 16.0 Mbit/s (4.0× the best stripe)",
            ),
            (
                report(FlowEnd::Refused(Reason::ConnectionRefused)),
                "connection 7 refused: connection to the target refused, after 2.00 s",
            ),
            (
                report(failed),
                "connection 7 failed: server unreachable: connection refused, after 2.00 s",
            ),
        ] {
            assert_eq!(end("connection 7", &report).0, text);
        }
    }

    #[test]
    fn many_connections_have_few_lines_and_failures_have_their_own() {
        let (log, paper) = Log::on_paper();
        let told = Connections::new(&log, 2);
        let refused = report(FlowEnd::Refused(Reason::ConnectionRefused));
        let named = Named::new(7);
        for _ in 0..1000 {
            told.opened(&named, None);
            told.ended(&named, &report(FlowEnd::Finished));
        }
        for _ in 0..10 {
            told.ended(&named, &refused);
            told.failed("connection 7 failed".into(), &named, None, "refused");
        }
        let written = paper.take(&log);
        let count = |what: &str| written.lines().filter(|line| line.contains(what)).count();
        assert_eq!((count("opened"), count("ended, ")), (100, 100), "{written}");
        assert_eq!((count("7 refused:"), count("7 failed")), (2, 2), "{written}");
        told.write_last_counts();
        let rest = paper.take(&log);
        for part in ["connection_ended: 900 more ended", "connection_ended: 8 more ended"] {
            assert!(rest.contains(part), "{rest}");
        }
        assert_eq!(rest.lines().count(), 4, "{rest}");
        told.write_last_counts();
        assert_eq!(paper.take(&log), "", "each is counted once");
    }
}
