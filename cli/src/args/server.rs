//! `-s` and `server`: the options of a server, and their meaning.

use super::addresses::{ensure_no_circle, listen, swapped, target};
use super::given::Given;
use super::invocation::Command;
use super::limits::Changes;
use super::refusal::Line;
use super::shared::{Proxying, Striping};
use super::values::{PROXY_PROTOCOLS, SEE_HELP, one_of};
use crate::failure::Failure;
use clap::Args;
use striper_runtime::ways::proxy_protocol::Version;
use striper_runtime::{ListenRule, Rule, Rules};

/// the server: takes stripes, connects to the target
///
/// The server of a pair: takes stripes on LISTEN, and connects each connection that they carry to
/// CONNECT, the target. A bare port as LISTEN is open to this machine only. 0.0.0.0:PORT is open to
/// all: give it a key. With --allow, clients may name other targets too. The server looks a name
/// up, decides on the address, and connects to that. --deny beats --allow.
#[derive(Args)]
#[command(
    short_flag = 's',
    override_usage = "\
striper-cli -s LISTEN CONNECT
striper-cli server LISTEN [TARGET] [--allow RULE ...]",
    after_help = "\
EXAMPLES
  striper-cli -s 0.0.0.0:7650 localhost:22 -k striper.key
  striper-cli server 0.0.0.0:7650 --allow '*:80,443' -k striper.key"
)]
pub(super) struct Server {
    #[arg(
        value_name = "LISTEN",
        help = "the address that stripes come to: PORT, ADDR:PORT or [V6ADDR]:PORT"
    )]
    listen: String,
    /// the address that connections go to: HOST:PORT or two words
    // With the long form, the list of peers may have rules: the server itself looks for them.
    #[arg(value_name = "TARGET", required_if_eq("s", "true"))]
    target: Vec<String>,
    /// the command in its short form
    #[arg(short, hide = true)]
    s: bool,
    /// let clients name this target:
    ///   HOST:PORTS, *.example.org:PORTS, *:PORTS,
    ///   10.0.0.0/8:PORTS, unix:/PATH; PORTS is *, 443,
    ///   80,443 or 8000-8999
    #[arg(long, value_name = "RULE", verbatim_doc_comment)]
    allow: Vec<Rule>,
    /// do not let clients name this target, whatever --allow says
    #[arg(long, value_name = "RULE")]
    deny: Vec<Rule>,
    /// with * or a name, --allow also means private and loopback addresses
    #[arg(long)]
    allow_private: bool,
    /// begin each connection to a target with a PROXY header (HAProxy) that names the program at
    /// the client. The target must expect it
    #[arg(long, value_name = "v1|v2", value_parser = one_of(PROXY_PROTOCOLS))]
    proxy_protocol: Option<Version>,
    /// let clients have this side listen on these ports of loopback, or on ADDR:PORTS; *:PORTS is
    /// any address (their -R)
    #[arg(long, value_name = "PORTS")]
    allow_listen: Vec<ListenRule>,
    /// a limit on callers and peers: see LIMITS in the manual; may be given several times
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    #[command(flatten)]
    striping: Striping,
    #[command(flatten)]
    proxying: Proxying,
}

impl Server {
    pub(super) fn read(self, line: &Line<'_>) -> Result<(Command, Given), Failure> {
        let name = if self.s { "CONNECT" } else { "TARGET" };
        let words = || [&self.listen].into_iter().chain(&self.target);
        let in_order = |failure| swapped(line, words()).unwrap_or(failure);
        let here = listen(&self.listen).map_err(in_order)?;
        let target = match self.target.is_empty() {
            true => None,
            false => Some(target(line, &self.target, name).map_err(in_order)?),
        };
        ensure_no_circle(&[here], target.as_slice(), name)?;
        let given = Given {
            rules: self.rules(),
            proxy_protocol: self.proxy_protocol,
            limits: changes(&self.limits)?,
            striping: self.striping,
            proxying: self.proxying,
            ..Given::default()
        };
        Ok((Command::Server { listen: here, target }, given))
    }

    fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        self.allow.iter().for_each(|rule| rules.allow(rule.clone()));
        self.deny.iter().for_each(|rule| rules.deny(rule.clone()));
        if self.allow_private {
            rules.allow_private();
        }
        self.allow_listen.iter().for_each(|rule| rules.allow_listen(rule.clone()));
        rules
    }
}

/// The changes of all `--limit` together: each limit at most once.
fn changes(lists: &[String]) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    let mut add = |list: &String| changes.add(list);
    let read = lists.iter().try_for_each(&mut add);
    read.map_err(|why| Failure::usage(format!("--limit: {why}"), SEE_HELP))?;
    Ok(changes)
}
