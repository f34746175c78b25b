//! `relay` and `datagram`: proxies without stripes.

use super::addresses::{ensure_no_circle, listen, swapped, target};
use super::given::Given;
use super::invocation::{Command, Framing};
use super::refusal::Line;
use super::shared::Proxying;
use crate::failure::Failure;
use clap::Args;

/// plain TCP relay, no stripes
///
/// A plain TCP relay without stripes: passes connections on LISTEN on to CONNECT.
#[derive(Args)]
#[command(
    override_usage = "striper-cli relay LISTEN CONNECT",
    after_help = "EXAMPLES\n  striper-cli relay 2222 there.example:22"
)]
pub(super) struct Relay {
    #[command(flatten)]
    between: Between,
    #[command(flatten)]
    proxying: Proxying,
}

/// carries connections as datagrams in one TCP stream
///
/// Carries connections as datagrams in one TCP stream: with -c it takes plain connections and sends
/// datagrams; with -s the other way round.
#[derive(Args)]
#[command(
    override_usage = "\
striper-cli datagram -c LISTEN CONNECT
striper-cli datagram -s LISTEN CONNECT",
    after_help = "\
EXAMPLES
  striper-cli datagram -c 2222 there.example:7651
  striper-cli datagram -s 0.0.0.0:7651 localhost:22"
)]
pub(super) struct Datagram {
    #[command(flatten)]
    between: Between,
    #[command(flatten)]
    side: Side,
    #[command(flatten)]
    proxying: Proxying,
}

#[derive(Args)]
struct Between {
    #[arg(
        value_name = "LISTEN",
        help = "the address that connections come to: PORT, ADDR:PORT or [V6ADDR]:PORT"
    )]
    listen: String,
    /// the address that connections go to: HOST:PORT or two words
    #[arg(value_name = "CONNECT", required = true)]
    connect: Vec<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Side {
    /// take plain connections, send datagrams
    #[arg(short)]
    c: bool,
    /// take datagrams, make plain connections
    #[arg(short)]
    s: bool,
}

impl Relay {
    pub(super) fn read(self, line: &Line<'_>) -> Result<(Command, Given), Failure> {
        self.between.read(line, Framing::Plain, self.proxying)
    }
}

impl Datagram {
    pub(super) fn read(self, line: &Line<'_>) -> Result<(Command, Given), Failure> {
        let framing = if self.side.c { Framing::Far } else { Framing::Near };
        self.between.read(line, framing, self.proxying)
    }
}

impl Between {
    fn read(
        &self,
        line: &Line<'_>,
        framing: Framing,
        proxying: Proxying,
    ) -> Result<(Command, Given), Failure> {
        let words = || [&self.listen].into_iter().chain(&self.connect);
        let in_order = |failure| swapped(line, words()).unwrap_or(failure);
        let listen = listen(&self.listen).map_err(in_order)?;
        let target = target(line, &self.connect, "CONNECT").map_err(in_order)?;
        ensure_no_circle(&[listen], std::slice::from_ref(&target), "CONNECT")?;
        let given = Given { proxying, ..Given::default() };
        Ok((Command::Relay { listen, target, framing }, given))
    }
}
