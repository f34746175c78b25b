//! Helpers of the end-to-end tests: the real program ([`Proxy`], [`Pair`], [`run`]) and what stands
//! around it, all on loopback.
//!
//! ```text
//! test (local program) → Pair: striper-cli -c → Route (resets, falls silent, heals)
//!                      → striper-cli -s → Origin (test)
//! ```
//!
//! - No port is fixed: everything listens on port 0 and says where.
//! - Nothing sleeps. A test waits for what it wants to see, a byte or a log line, and [`LIMIT`]
//!   only ends a test that hangs.
//! - Data is a [`Pattern`]: each byte follows from its position, so a check finds the first damage.
//! - A process ends when its value is dropped, also when a test fails. A failing test prints the
//!   logs, and an error in a log fails the test.
//!
//! The program is the one that `cargo test --workspace` builds, see [`binary::path`].
//! `TESTED_STRIPER_CLI` names another program. A test that can't run here says so with [`skip`],
//! and the test command ends with a list of them.

pub mod binary;
pub mod capture;
pub mod desk;
pub mod document;
mod event;
mod folder;
pub mod fuzz;
pub mod listed;
mod origin;
mod pattern;
mod process;
mod program;
mod proxy;
mod route;
pub mod servers;
pub mod skipped;
mod socket;
pub mod stranger;
mod terminal;
pub mod tidy;
pub mod tshark;

pub use binary::run;
pub use event::Event;
pub use folder::TempDir;
pub use origin::{Origin, Vacant};
pub use pattern::{DOWN, Pattern, UP, exchange};
pub use process::{Finished, Process};
pub use program::Program;
pub use proxy::{Pair, Proxy, Usage, Way, pair};
pub use route::Route;
pub use servers::{Inetd, Sshd, start_until};
pub use skipped::skip;
pub use socket::{
    connect, expect_fin, expect_reset, expect_reset_at, finish, flush, reset, take_little,
    try_connect, try_finish,
};
pub use terminal::Terminal;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A test fails if it waits longer than this. No test depends on it otherwise.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The loopback addresses of this machine: IPv4 always, IPv6 unless it is switched off.
pub fn loopbacks() -> Vec<IpAddr> {
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    match std::net::TcpListener::bind((v6, 0)) {
        Ok(_) => addresses.push(v6),
        Err(error) => skip(format!("there is no {v6} ({error})")),
    }
    addresses
}
