//! An event that keeps happening has one line and is then counted.
//!
//! The count comes with a later such event, or when a caller asks for counts that are due.

use crate::clock;
use std::time::{Duration, Instant};

/// How long the first count waits after the first line. Each further one waits twice as long, up to
/// [`LONGEST`].
const FIRST: Duration = Duration::from_secs(60);

const LONGEST: Duration = Duration::from_secs(60 * 60);

pub(super) struct Repeat {
    /// The time of its last line.
    pub said: Instant,
    wait: Duration,
    pub unsaid: u64,
}

/// The count of an event since its last line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Again {
    pub times: u64,
    pub within: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    InTime,
    /// Now, at the end.
    Now,
}

impl Repeat {
    pub(super) fn begin(now: Instant) -> Self {
        Repeat { said: now, wait: FIRST, unsaid: 0 }
    }

    /// It has happened again. `Some` if that needs a line: its time has come and there `is_room`.
    pub(super) fn again(&mut self, now: Instant, is_room: impl FnOnce() -> bool) -> Option<Again> {
        self.unsaid += 1;
        self.due(now, Due::InTime, is_room)
    }

    pub(super) fn due(
        &mut self,
        now: Instant,
        due: Due,
        is_room: impl FnOnce() -> bool,
    ) -> Option<Again> {
        let within = now.duration_since(self.said);
        let is_early = due == Due::InTime && within < self.wait;
        if self.unsaid == 0 || is_early || !is_room() {
            return None;
        }
        self.said = now;
        self.wait = (self.wait * 2).min(LONGEST);
        Some(Again { times: std::mem::take(&mut self.unsaid), within })
    }
}

impl Again {
    pub(super) fn text(self) -> String {
        let Again { times, within } = self;
        let times =
            crate::units::grouped(times) + if times == 1 { " more time" } else { " more times" };
        format!(" ({times} since {})", clock::ago(within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_event_has_ever_fewer_lines_and_is_always_counted() {
        let begin = clock::now();
        let mut repeat = Repeat::begin(begin);
        let day = (1..=24 * 60 * 60).map(|second| begin + Duration::from_secs(second));
        let said: Vec<Again> = day.filter_map(|now| repeat.again(now, || true)).collect();
        assert_eq!(said[0], Again { times: 60, within: FIRST });
        assert_eq!(said[1], Again { times: 120, within: 2 * FIRST });
        assert_eq!(said.last().unwrap().within, LONGEST);
        let counted: u64 = said.iter().map(|again| again.times).sum();
        assert_eq!(counted + repeat.unsaid, 24 * 60 * 60);
        assert!(said.len() < 30, "{said:?}");
    }

    #[test]
    fn a_count_for_which_there_is_no_room_is_kept() {
        let begin = clock::now();
        let mut repeat = Repeat::begin(begin);
        assert_eq!(repeat.again(begin + FIRST, || false), None);
        assert_eq!(repeat.again(begin + FIRST, || true), Some(Again { times: 2, within: FIRST }));
    }

    #[test]
    fn a_count_is_due_in_time_or_at_the_end_and_only_if_there_is_one() {
        let begin = clock::now();
        let mut repeat = Repeat::begin(begin);
        assert_eq!(repeat.due(begin + FIRST, Due::Now, || true), None);
        repeat.again(begin, || true);
        assert_eq!(repeat.due(begin, Due::InTime, || true), None);
        let once = |within| Some(Again { times: 1, within });
        assert_eq!(repeat.due(begin + FIRST, Due::InTime, || true), once(FIRST));
        repeat.again(begin + FIRST, || true);
        assert_eq!(repeat.due(begin + FIRST, Due::Now, || true), once(Duration::ZERO));
    }

    #[test]
    fn a_line_says_how_often_and_since_when() {
        let text = |times| Again { times, within: Duration::ZERO }.text();
        assert!(text(1).starts_with(" (1 more time since "), "{}", text(1));
        assert!(text(1_234).starts_with(" (1,234 more times since "), "{}", text(1_234));
    }
}
