//! Log lines on stderr, for a person or as JSON, and the status line below them.
//!
//! Nothing here waits for stderr: see [`writer`]. Text from peers is printed without control
//! characters, so no peer can change the terminal.

#[cfg(debug_assertions)]
mod documented;
mod writer;

use crate::printable::{garbles, json_escape, printable};
use crate::{clock, units};
use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::io::{IsTerminal, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use writer::Writer;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Also when connections begin and end.
    Normal,
    /// Also when stripes come and go.
    Verbose,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    Human,
    /// One JSON object in each line, with stable keys.
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    /// Details, such as stripes that come and go.
    Debug,
    /// Connections begin and end.
    Info,
    Warn,
    Error,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Text(String),
    Count(u64),
    Number(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Value::Count(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Value::Count(count as u64)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

/// The log. Clones share the terminal, the level and the format.
#[derive(Clone)]
pub(crate) struct Log {
    quiet: bool,
    timed: bool,
    shared: Rc<Shared>,
}

struct Shared {
    least: Cell<Level>,
    /// The writer's thread reads it.
    is_json: Arc<AtomicBool>,
    colour: bool,
    writer: Writer,
}

/// Whether stderr is a terminal that understands control sequences.
pub(crate) fn on_terminal() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Log {
    pub(crate) fn new(verbosity: Verbosity, format: LogFormat) -> Self {
        let colour =
            on_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::with_sink(verbosity, format, colour, Box::new(std::io::stderr()))
    }

    fn with_sink(
        verbosity: Verbosity,
        format: LogFormat,
        colour: bool,
        sink: Box<dyn Write + Send>,
    ) -> Self {
        let is_json = Arc::new(AtomicBool::new(format == LogFormat::Json));
        let of_writer = is_json.clone();
        let lost =
            move |count| lost_line(clock::time_of_day(), format_of(&of_writer), colour, count);
        let (writer, least) = (Writer::start(sink, lost), Cell::new(least(verbosity)));
        let shared = Rc::new(Shared { least, is_json, colour, writer });
        Log { quiet: false, timed: true, shared }
    }

    pub(crate) fn quiet(&self) -> Self {
        Log { quiet: true, ..self.clone() }
    }

    /// Changes the level of all clones, but not that of quiet twins.
    pub(crate) fn set_verbosity(&self, verbosity: Verbosity) {
        self.shared.least.set(least(verbosity));
    }

    /// Changes the format of all clones.
    pub(crate) fn set_format(&self, format: LogFormat) {
        self.shared.is_json.store(format == LogFormat::Json, Ordering::Relaxed);
    }

    fn format(&self) -> LogFormat {
        format_of(&self.shared.is_json)
    }

    /// Whether a status line fits below the log: a person reads it, and wants more than warnings.
    pub(crate) fn takes_status(&self) -> bool {
        self.format() == LogFormat::Human && self.shows(Level::Info)
    }

    /// The same log without times, for a command that a person waits for.
    pub(crate) fn untimed(&self) -> Self {
        Log { timed: false, ..self.clone() }
    }

    /// Whether lines of this level are printed: spares the making of those that are not.
    pub(crate) fn shows(&self, level: Level) -> bool {
        level >= self.shared.least.get() && (level >= Level::Warn || !self.quiet)
    }

    /// Prints a line. Programs read `event` and `fields`, which docs/LOG.md lists. A person reads
    /// `text`.
    pub(crate) fn say(
        &self,
        level: Level,
        event: &str,
        text: impl Display,
        fields: &[(&str, Value)],
    ) {
        #[cfg(debug_assertions)]
        documented::check(level, event, fields);
        if !self.shows(level) {
            return;
        }
        let text = text.to_string();
        let now = clock::time_of_day();
        let colour = self.shared.colour;
        self.shared.writer.line(&match self.format() {
            LogFormat::Human => human_line(self.timed.then_some(now), level, &text, colour),
            LogFormat::Json => json_line(now, level, event, &text, fields),
        });
    }

    /// Prints lines below the last one, for a person alone. They must be printable.
    pub(crate) fn below(&self, lines: Option<&str>) {
        if let (LogFormat::Human, Some(lines)) = (self.format(), lines) {
            self.shared.writer.line(&format!("{lines}\n"));
        }
    }

    pub(crate) fn debug(&self, event: &str, text: impl Display, fields: &[(&str, Value)]) {
        self.say(Level::Debug, event, text, fields);
    }

    pub(crate) fn info(&self, event: &str, text: impl Display, fields: &[(&str, Value)]) {
        self.say(Level::Info, event, text, fields);
    }

    pub(crate) fn warn(&self, event: &str, text: impl Display, fields: &[(&str, Value)]) {
        self.say(Level::Warn, event, text, fields);
    }

    pub(crate) fn error(&self, event: &str, text: impl Display, fields: &[(&str, Value)]) {
        self.say(Level::Error, event, text, fields);
    }

    /// Shows this line below all others; an empty line removes it. Draws only changes.
    pub(crate) fn set_status(&self, line: &str) {
        self.shared.writer.set_status(line);
    }

    /// Draws the status line again, after another program has written over it.
    pub(crate) fn redraw_status(&self) {
        self.shared.writer.redraw_status();
    }

    /// Waits until all lines are written, but not for a reader that has stopped.
    pub(crate) fn flush(&self) {
        self.shared.writer.flush(PATIENCE);
    }
}

fn least(verbosity: Verbosity) -> Level {
    match verbosity {
        Verbosity::Quiet => Level::Warn,
        Verbosity::Normal => Level::Info,
        Verbosity::Verbose => Level::Debug,
    }
}

fn format_of(is_json: &AtomicBool) -> LogFormat {
    if is_json.load(Ordering::Relaxed) { LogFormat::Json } else { LogFormat::Human }
}

/// The time that the end of the program waits for stderr to take the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

fn lost_line(time: SystemTime, format: LogFormat, colour: bool, count: u64) -> String {
    let lines = units::count(usize::try_from(count).unwrap_or(usize::MAX), "log line");
    let text = format!("{lines} dropped here, because stderr did not take them");
    match format {
        LogFormat::Human => human_line(Some(time), Level::Warn, &text, colour),
        LogFormat::Json => {
            let fields = [("dropped", count.into())];
            json_line(time, Level::Warn, "log_dropped", &text, &fields)
        }
    }
}

fn name(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Debug => ("debug", "\x1b[2m"),
        Level::Info => ("info", "\x1b[32m"),
        Level::Warn => ("warn", "\x1b[33m"),
        Level::Error => ("error", "\x1b[31m"),
    }
}

fn human_line(time: Option<SystemTime>, level: Level, text: &str, colour: bool) -> String {
    let (name, paint) = name(level);
    let (paint, reset) = if colour { (paint, "\x1b[0m") } else { ("", "") };
    let time = time.map(|time| format!("{} ", humantime::format_rfc3339_seconds(time)));
    format!("{}{paint}{name:<5}{reset} {}\n", time.unwrap_or_default(), printable(text))
}

fn json_line(
    time: SystemTime,
    level: Level,
    event: &str,
    text: &str,
    fields: &[(&str, Value)],
) -> String {
    let mut line = format!(
        "{{\"time\":\"{}\",\"level\":\"{}\"",
        humantime::format_rfc3339_millis(time),
        name(level).0
    );
    let strings = [("event", event), ("message", text)];
    for (key, value) in strings {
        let _ = write!(line, ",\"{key}\":");
        push_json_string(&mut line, value);
    }
    for (key, value) in fields {
        let _ = write!(line, ",\"{key}\":");
        match value {
            Value::Text(text) => push_json_string(&mut line, text),
            Value::Count(count) => _ = write!(line, "{count}"),
            // JSON has no NaN and no infinity.
            Value::Number(number) if !number.is_finite() => line.push_str("null"),
            Value::Number(number) => _ = write!(line, "{:.3}", number),
        }
    }
    line.push_str("}\n");
    line
}

/// RFC 8259, section 7: quotes, backslashes and control characters are escaped. So are others that
/// could garble the text.
fn push_json_string(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            c if garbles(c) => line.push_str(&json_escape(c)),
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
pub(crate) use paper::Paper;

#[cfg(test)]
mod paper {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(crate) fn take(&self, log: &Log) -> String {
            log.flush();
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        pub(crate) fn on_paper() -> (Log, Paper) {
            Self::on_paper_with(Verbosity::Normal)
        }

        pub(crate) fn on_paper_with(verbosity: Verbosity) -> (Log, Paper) {
            let paper = Paper::default();
            let sink = Box::new(paper.clone());
            (Log::with_sink(verbosity, LogFormat::Human, false, sink), paper)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn noon() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_792_670_400_250)
    }

    #[test]
    fn a_human_line_has_time_level_and_text_and_only_the_level_has_colour() {
        let line = |level, colour| human_line(Some(noon()), level, "mind", colour);
        assert_eq!(line(Level::Warn, false), "2026-10-22T12:00:00Z warn  mind\n");
        let coloured = "2026-10-22T12:00:00Z \x1b[31merror\x1b[0m mind\n";
        assert_eq!(line(Level::Error, true), coloured);
    }

    #[test]
    fn a_line_of_an_untimed_log_has_no_time() {
        let (log, paper) = Log::on_paper();
        log.untimed().warn("stopped", "mind", &[]);
        assert_eq!(paper.take(&log), "warn  mind\n");
    }

    #[test]
    fn control_characters_from_peers_are_escaped() {
        let line = human_line(Some(noon()), Level::Info, "a\x1b[2Jb\r\nc\u{9b}d", false);
        assert!(line.ends_with("info  a\\u{1b}[2Jb\\r\\nc\\u{9b}d\n"), "{line:?}");
    }

    #[test]
    fn characters_that_move_or_hide_others_are_escaped() {
        let text = "a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{2028}é";
        let line = human_line(Some(noon()), Level::Info, text, false);
        let expected = r"a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{2028}é";
        assert!(line.ends_with(&format!("{expected}\n")), "{line:?}");
        let line = json_line(noon(), Level::Info, "x", text, &[]);
        assert!(line.contains(r#""a\u202eb\u2066c\u200bd\ufeffe\u2028é""#), "{line}");
    }

    #[test]
    fn a_json_line_has_stable_keys_and_escapes_special_characters() {
        let line = json_line(
            noon(),
            Level::Info,
            "flow_end",
            "\"quoted\" \\ \n \u{1} é",
            &[
                ("sent", 7_u64.into()),
                ("ratio", 3.8.into()),
                ("none", f64::NAN.into()),
                ("who", "x\ty".into()),
            ],
        );
        assert_eq!(
            line,
            "{\"time\":\"2026-10-22T12:00:00.250Z\",\"level\":\"info\",\"event\":\"flow_end\",\
             \"message\":\"\\\"quoted\\\" \\\\ \\n \\u0001 \
             é\",\"sent\":7,\"ratio\":3.800,\"none\":null,\"who\":\"x\\ty\"}\n"
        );
    }

    #[test]
    fn a_quiet_log_prints_only_warnings_and_a_quiet_twin_shares_its_paper() {
        let (log, paper) = Log::on_paper_with(Verbosity::Quiet);
        log.info("stopped", "not this", &[]);
        log.warn("stopped", "this", &[]);
        assert!(paper.take(&log).ends_with("warn  this\n"));
        let (log, paper) = Log::on_paper();
        let quiet = log.quiet();
        quiet.info("stopped", "not this", &[]);
        quiet.warn("stopped", "one", &[]);
        log.info("stopped", "two", &[]);
        let written = paper.take(&log);
        let ends = written.lines().map(|line| line.rsplit(' ').next().unwrap());
        assert_eq!(ends.collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn a_level_and_a_format_that_change_hold_for_all_clones_but_not_for_a_quiet_twin() {
        let (log, paper) = Log::on_paper();
        let (clone, quiet) = (log.clone(), log.quiet());
        log.set_verbosity(Verbosity::Verbose);
        clone.debug("no_control", "one", &[]);
        quiet.info("stopped", "not this", &[("connections", 0u64.into())]);
        assert!(paper.take(&log).ends_with("debug one\n"));
        assert!(clone.takes_status() && !quiet.takes_status());
        log.set_format(LogFormat::Json);
        clone.debug("no_control", "two", &[]);
        assert!(paper.take(&log).contains("\"message\":\"two\""));
        assert!(!clone.takes_status());
        log.set_verbosity(Verbosity::Quiet);
        clone.info("stopped", "not this", &[("connections", 0u64.into())]);
        assert_eq!(paper.take(&log), "");
    }

    #[test]
    fn dropped_lines_are_counted() {
        let line = lost_line(noon(), LogFormat::Json, false, 7);
        let parts = ["\"event\":\"log_dropped\"", "\"dropped\":7"];
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        assert!(lost_line(noon(), LogFormat::Human, false, 1).contains("warn  1 log line dropped"));
    }

    #[test]
    fn a_log_line_goes_above_the_status_line() {
        let (log, paper) = Log::on_paper();
        log.set_status("12 connections");
        assert_eq!(paper.take(&log), "\r\x1b[J\x1b[?7l12 connections\x1b[?7h\r");
        log.info("stopped", "text", &[]);
        let written = paper.take(&log);
        assert!(written.starts_with("\r\x1b[J2"), "{written:?}");
        assert!(written.ends_with("text\n\x1b[?7l12 connections\x1b[?7h\r"), "{written:?}");
        log.set_status("12 connections");
        assert_eq!(paper.take(&log), "", "nothing has changed, so nothing is drawn");
        log.redraw_status();
        assert_eq!(paper.take(&log), "\r\x1b[J\x1b[?7l12 connections\x1b[?7h\r");
        log.set_status("");
        assert_eq!(paper.take(&log), "\r\x1b[J");
        log.redraw_status();
        assert_eq!(paper.take(&log), "", "there is none to be drawn");
    }
}
