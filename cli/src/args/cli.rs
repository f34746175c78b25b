//! The command line as clap's definition. Each command has a struct of its own.

use super::asking::{Close, Drain, Reload, Status, Trace};
use super::client::Client;
use super::configured::{Check, Config, Run};
use super::given::Given;
use super::key_files::{Keygen, Pubkey};
use super::manual;
use super::packages::{Completions, Man};
use super::relay::{Datagram, Relay};
use super::server::Server;
use super::shared::{Connecting, Proxying, Scheduling, Striping};
use super::top::Top;
use clap::{ArgAction, Args, Parser, Subcommand};

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Parser)]
#[command(
    name = "striper-cli",
    version = VERSION,
    propagate_version = true,
    disable_help_flag = true,
    disable_version_flag = true,
    about = "carries TCP connections over several parallel ones (stripes)",
    long_about = manual::BEFORE,
    after_help = manual::AFTER
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(super) chosen: Chosen,
    /// the page of a command, or the manual
    #[arg(short, long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
    /// the version
    #[arg(short = 'V', long, global = true, action = ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Subcommand)]
pub(super) enum Chosen {
    Server(Box<Server>),
    Client(Box<Client>),
    Relay(Relay),
    Datagram(Datagram),
    Run(Run),
    Check(Check),
    Config(Config),
    Status(Status),
    Drain(Drain),
    Reload(Reload),
    Close(Close),
    Trace(Trace),
    Top(Top),
    Keygen(Keygen),
    Pubkey(Pubkey),
    Demo(Demo),
    Completions(Completions),
    Man(Man),
    /// prints the version
    ///
    /// Prints the version of the program and that of its protocol, the commit that the program was
    /// built from, if it is known, and the features that it was built with.
    #[command(
        override_usage = "striper-cli version",
        after_help = "EXAMPLES\n  striper-cli version"
    )]
    Version,
}

/// 1, 2, 4 and 8 stripes on a capped test route
///
/// Shows in a quarter of a minute what striping does: it sends data over 1, 2, 4 and 8 stripes on a
/// test route within this machine, which caps each connection. Nothing leaves the machine, and
/// nothing is changed.
#[derive(Args)]
#[command(
    override_usage = "striper-cli demo [--json]",
    after_help = "EXAMPLES\n  striper-cli demo\n  striper-cli demo --json"
)]
pub(super) struct Demo {
    /// print the figures as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    scheduling: Scheduling,
    #[command(flatten)]
    connecting: Connecting,
}

impl Demo {
    pub(super) fn given(self) -> Given {
        Given {
            striping: Striping { scheduling: self.scheduling, ..Striping::default() },
            proxying: Proxying { connecting: self.connecting, ..Proxying::default() },
            ..Given::default()
        }
    }
}
