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

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
