//! Lines about events. Each kind of event has a bounded number of lines, so no kind hides another.

use super::throttle::{ORDINARY, Throttle, more};
use crate::clock;
use crate::log::{Level, Log, Value};
use std::collections::BTreeMap;

pub(super) struct Line {
    level: Level,
    event: &'static str,
    /// The word for events of this kind that have no line.
    counted: &'static str,
    text: String,
    fields: Vec<(&'static str, Value)>,
}

impl Line {
    pub(super) fn new(
        level: Level,
        event: &'static str,
        counted: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Line { level, event, counted, text: text.into(), fields: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// A field without a value is left out.
    pub(super) fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(super) fn with_all(mut self, fields: &[(&'static str, Value)]) -> Self {
        self.fields.extend_from_slice(fields);
        self
    }
}

/// Writes lines. Each event and level has a throttle of its own.
pub(super) struct Lines {
    log: Log,
    most: u32,
    /// Each with the word for events that have no line.
    throttles: BTreeMap<(&'static str, Level), (Throttle, &'static str)>,
}

/// Events of each connection and each stripe. They have more lines, unless they are warnings.
const FREQUENT: [&str; 4] = ["connection_opened", "connection_ended", "stripe_up", "stripe_lost"];

impl Lines {
    /// At most so many lines for one kind within [`PERIOD`](super::throttle::PERIOD).
    pub(super) fn new(log: &Log, most: u32) -> Self {
        Lines { log: log.clone(), most, throttles: BTreeMap::new() }
    }

    pub(super) fn write(&mut self, line: Line) {
        let Line { level, event, counted, text, mut fields } = line;
        // A line that is never shown was not left out for want of room.
        if !self.log.shows(level) {
            return;
        }
        let is_frequent = level < Level::Warn && FREQUENT.contains(&event);
        let most = if is_frequent { self.most.saturating_mul(ORDINARY) } else { self.most };
        let known = self.throttles.entry((event, level));
        let (throttle, _) = known.or_insert_with(|| (Throttle::new(most), counted));
        let Some(unsaid) = throttle.admit(clock::now()) else { return };
        fields.push(("unsaid", unsaid.into()));
        self.log.say(level, event, text + &more(unsaid, counted), &fields);
    }

    /// Counts what has no line and no later line that counts it: the program ends.
    pub(super) fn write_last_counts(&mut self) {
        for ((event, level), (throttle, counted)) in &mut self.throttles {
            let unsaid = std::mem::take(&mut throttle.unsaid);
            if unsaid > 0 {
                let text = format!("{event}: {unsaid} more {counted} since the last such line");
                let fields = [("of", (*event).into()), ("unsaid", unsaid.into())];
                self.log.say(*level, "left_out", text, &fields);
            }
        }
    }
}
