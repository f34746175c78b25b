//! The demo's output: lines, bars, and a progress bar if stdout is a terminal.

use super::figures::Figures;
use crate::failure::Failure;
use crate::log::{self, Log};
use crate::output;
use std::fmt::Display;
use std::io::IsTerminal;

pub(super) const BAR: usize = 40;

/// Stdout, with progress in the log's status line, so that log lines and progress do not mix.
pub(super) struct Screen {
    log: Log,
    live: bool,
    /// Stdout is for a program, which gets the figures alone.
    json: bool,
}

impl Screen {
    pub(super) fn new(log: &Log, json: bool) -> Self {
        let live = !json && log::on_terminal() && std::io::stdout().is_terminal();
        Screen { log: log.clone(), live, json }
    }

    pub(super) fn figures(&self, figures: &Figures) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(figures).expect("figures are JSON");
        output::print(&format!("{text}\n"))
    }

    pub(super) fn line(&self, text: impl Display) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        self.log.set_status("");
        if self.live {
            // Stdout is the same terminal, and the progress on it must be removed first.
            self.log.flush();
        }
        output::print(&format!("{text}\n"))
    }

    /// The progress from 0 to 1; the next line or progress replaces it.
    pub(super) fn progress(&self, label: &str, done: f64, note: &str) {
        if self.live {
            self.log.set_status(&format!("{label}{}  {note}", gauge(done, BAR)));
        }
    }
}

/// `█████▌`: `value` of `full` in `width` columns, to an eighth of a column.
pub(super) fn bar(value: f64, full: f64, width: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = ((value / full).clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// `[█████     ]`.
fn gauge(done: f64, width: usize) -> String {
    let filled = bar(done, 1.0, width);
    let rest = width - filled.chars().count();
    format!("[{filled}{}]", " ".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths_and_never_overflow() {
        assert_eq!(bar(0.0, 1.0, 4), "");
        assert_eq!(bar(0.5, 1.0, 4), "██");
        assert_eq!(bar(0.53125, 1.0, 4), "██▏");
        assert_eq!(bar(9.0, 1.0, 4), "████");
        assert_eq!(bar(-1.0, 1.0, 4), "");
    }

    #[test]
    fn a_gauge_keeps_its_width() {
        for step in 0..=100 {
            assert_eq!(gauge(step as f64 / 100.0, 20).chars().count(), 22);
        }
    }
}
