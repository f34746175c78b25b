//! The names of schedulers, as command lines, scripts and tables write them.

use striper_core::SchedulerKind;

pub const ALL: [SchedulerKind; 3] =
    [SchedulerKind::Earliest, SchedulerKind::UntilCongested, SchedulerKind::RoundRobin];

pub fn name(kind: SchedulerKind) -> &'static str {
    match kind {
        SchedulerKind::Earliest => "earliest",
        SchedulerKind::UntilCongested => "uc",
        SchedulerKind::RoundRobin => "rr",
    }
}

pub fn named(text: &str) -> Option<SchedulerKind> {
    ALL.into_iter().find(|kind| name(*kind) == text)
}
