//! The name of a congestion control algorithm.

use std::fmt;

/// A congestion control algorithm, by the operating system's name, such as `bbr` or `cubic`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Congestion(String);

impl Congestion {
    /// The beginning of [`CongestionChoice::Auto`](crate::CongestionChoice::Auto).
    pub fn calm() -> Congestion {
        Congestion::from_name("cubic")
    }

    /// The choice of [`CongestionChoice::Auto`](crate::CongestionChoice::Auto) where packets are
    /// lost without a queue.
    pub fn lossy() -> Congestion {
        Congestion::from_name("bbr")
    }

    /// Whether the system has it is not known.
    pub(crate) fn from_name(name: &str) -> Congestion {
        Congestion(name.to_owned())
    }

    /// Whether it measures the route's rate and keeps the queue short itself: BBR of any version.
    pub(crate) fn is_rate_based(&self) -> bool {
        self.0.starts_with("bbr")
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bbr_of_any_version_is_rate_based_and_nothing_else() {
        let is_rate_based = |name| Congestion::from_name(name).is_rate_based();
        assert!(["bbr", "bbr2", "bbr3"].into_iter().all(is_rate_based));
        assert!(!["cubic", "reno", "dctcp", "vegas", ""].into_iter().any(is_rate_based));
        assert!(Congestion::lossy().is_rate_based() && !Congestion::calm().is_rate_based());
    }
}
