//! `-c` and `client`: the options of a client, and their meaning.

use super::addresses::{ensure_no_circle, listen, servers, swapped};
use super::given::Given;
use super::invocation::{Command, Place, Way};
use super::refusal::Line;
use super::shared::{Proxying, Striping};
use super::values::{file, network, stripes};
use super::way;
use crate::endpoint;
use crate::failure::Failure;
use clap::Args;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use striper_runtime::Target;

/// the client: takes connections, dials stripes
///
/// The client of a pair: takes connections on LISTEN, and carries them over several stripes to the
/// server, which listens on CONNECT. With -L, -D and -W it has any number of ways in, for one
/// session. A way is an address for one target, a proxy for programs that name their targets, or
/// standard input and output.
#[derive(Args)]
#[command(
    short_flag = 'c',
    override_usage = "\
striper-cli -c LISTEN CONNECT
striper-cli client SERVER [-L ...] [-D ...] [-R ...] (any number of each)
striper-cli client SERVER -W TARGET",
    after_help = "\
EXAMPLES
  striper-cli -c 2222 there.example:7650 -k striper.key
  striper-cli client there.example:7650 -L 8080:db:80 -k striper.key
  striper-cli client there.example:7650 -D 1080 -R 8000:web:80 -k striper.key
  striper-cli client there.example:7650 -W localhost:22 -k striper.key"
)]
pub(super) struct Client {
    /// the server: HOST:PORT or two words; A:PORT,B:PORT names several addresses of it
    #[arg(value_name = "SERVER", required_unless_present = "c")]
    words: Vec<String>,
    /// the command in its short form: the words are LISTEN and CONNECT
    #[arg(
        short,
        hide = true,
        conflicts_with_all =
            ["forwards", "proxies", "proxy_users", "transparent", "stdio", "remote"]
    )]
    c: bool,
    /// number of stripes, 1-64 (4)
    #[arg(short = 'n', long, value_name = "N", value_parser = stripes)]
    stripes: Option<usize>,
    /// the address that local programs connect to; with :HOST:PORT behind it, the target that the
    /// server connects them to. /PATH is a Unix socket
    #[arg(
        short = 'L', long = "listen", value_name = "[ADDR:]PORT...", value_parser = way::forward
    )]
    forwards: Vec<Way>,
    /// a proxy for local programs, which name targets by SOCKS5, SOCKS4a or HTTP. The server looks
    /// names up
    #[arg(short = 'D', long = "proxy", value_name = "[ADDR:]PORT", value_parser = way::proxy)]
    proxies: Vec<Way>,
    /// with -D: only programs with one of these names and passwords, USER:PASSWORD in each line
    #[arg(long, value_name = "FILE", value_parser = file())]
    proxy_users: Option<PathBuf>,
    /// connections from this address or block begin with a PROXY header (HAProxy) that names their
    /// program
    #[arg(long, value_name = "NET", value_parser = network)]
    accept_proxy_protocol: Vec<IpNet>,
    /// carry connections that nft or iptables redirected to this address to where they were going
    /// (Linux; docs/transparent.md)
    #[arg(short = 'T', long, value_name = "[ADDR:]PORT", value_parser = way::transparent)]
    transparent: Vec<Way>,
    /// connect standard input and output to HOST:PORT, as ssh's ProxyCommand needs
    #[arg(short = 'W', long, value_name = "TARGET", value_parser = way::stdio)]
    stdio: Option<Way>,
    /// the server listens on this address; :HOST:PORT behind it is the target that this side
    /// connects each connection there to
    #[arg(short = 'R', long, value_name = "[ADDR:]PORT...", value_parser = way::remote)]
    remote: Vec<Way>,
    #[command(flatten)]
    striping: Striping,
    #[command(flatten)]
    proxying: Proxying,
}

impl Client {
    pub(super) fn read(mut self, line: &Line<'_>) -> Result<(Command, Given), Failure> {
        if self.proxy_users.is_some() && self.proxies.is_empty() {
            let cause = "--proxy-users is for programs that use -D, and there is none";
            return Err(Failure::usage(cause, "add -D [ADDR:]PORT, or leave it out"));
        }
        let listening =
            [&mut self.forwards, &mut self.proxies, &mut self.transparent, &mut self.remote];
        let listening = listening.into_iter().flat_map(std::mem::take);
        let ways: Vec<Way> = listening.chain(self.stdio.take()).collect();
        let is_port = |way: &Way| {
            matches!(way, Way::Forward { listen: Place::Tcp(_), .. } | Way::Proxy { .. })
        };
        // With -c there is a port, which is no way here.
        let has_port = self.c || ways.iter().any(is_port);
        if !self.accept_proxy_protocol.is_empty() && !has_port {
            let cause = "--accept-proxy-protocol is for TCP ports of -L and -D, and there is none";
            return Err(Failure::usage(cause, "add -L [ADDR:]PORT, or leave it out"));
        }
        let command = if self.c { self.pair(line)? } else { self.many(line, ways)? };
        let given = Given {
            stripes: self.stripes,
            proxy_users: self.proxy_users,
            accept_proxy_protocol: self.accept_proxy_protocol,
            striping: self.striping,
            proxying: self.proxying,
            ..Given::default()
        };
        Ok((command, given))
    }

    /// `-c LISTEN CONNECT`.
    fn pair(&self, line: &Line<'_>) -> Result<Command, Failure> {
        let [first, rest @ ..] = &self.words[..] else {
            return Err(line.wrong("-c needs LISTEN and CONNECT"));
        };
        let in_order = |failure| swapped(line, &self.words).unwrap_or(failure);
        let here = listen(first).map_err(in_order)?;
        let servers = servers(line, rest, "CONNECT").map_err(in_order)?;
        ensure_no_circle(&[here], &servers, "CONNECT")?;
        let ways = vec![Way::Forward { listen: Place::Tcp(here), target: Target::Default }];
        Ok(Command::Client { ways, servers })
    }

    /// `client SERVER` with ways of any number.
    fn many(&self, line: &Line<'_>, ways: Vec<Way>) -> Result<Command, Failure> {
        if let [server, target] = &self.words[..]
            && ways.iter().any(|way| !way.names_targets())
            && [server, target].iter().all(|word| endpoint::connect(word).is_ok())
        {
            return Err(Failure::usage(
                format!("client takes one SERVER, {server}, but {target} follows"),
                format!("if it is the target of -L, write it there: -L PORT:{target}"),
            ));
        }
        if let [listen, server] = &self.words[..]
            && endpoint::listen(listen).is_ok()
            && endpoint::servers(server).is_ok()
        {
            return Err(Failure::usage(
                format!(
                    "{listen} is an address to listen on, which the command client takes only \
                     with -L"
                ),
                format!("striper-cli client {server} -L {listen}"),
            ));
        }
        let servers = servers(line, &self.words, "SERVER")?;
        if ways.is_empty() {
            let cause = "client needs at least one way in for local programs: -L, -D, -T, -R or -W";
            return Err(line.wrong(cause));
        }
        let takes_stdio = ways.iter().any(|way| matches!(way, Way::Stdio { .. }));
        if takes_stdio && ways.len() > 1 {
            let cause =
                "-W can't be used with -L, -D, -T or -R: the client ends with its connection";
            return Err(Failure::usage(cause, "start another client for them"));
        }
        let listens: Vec<SocketAddr> = ways.iter().filter_map(Way::listens_on).collect();
        let remote: Vec<SocketAddr> = ways.iter().filter_map(Way::server_listens_on).collect();
        for (listens, whose) in [(&listens, ""), (&remote, " of the server")] {
            let twice = |(nth, listen): (usize, &SocketAddr)| {
                (listen.port() != 0 && listens[..nth].contains(listen)).then_some(*listen)
            };
            if let Some(listen) = listens.iter().enumerate().find_map(twice) {
                let cause = format!("{listen} is given twice, as an address{whose} to listen on");
                return Err(Failure::usage(cause, "leave one of them out, or choose another port"));
            }
        }
        ensure_no_circle(&listens, &servers, "SERVER")?;
        Ok(Command::Client { ways, servers })
    }
}
