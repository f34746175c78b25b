//! The difference between the settings of a running program and new ones: what changes, and what
//! can't change before a restart.

use crate::args::{Command, Framing, Invocation, KeyOptions, Options, Way};
use crate::failure::Failure;
use crate::log::{LogFormat, Verbosity};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One thing to change.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Change {
    /// A way into a client is new. Another one may have left it its port.
    Open(Way),
    /// A way into a client is gone.
    Close(Way),
    /// A server or a relay listens on another address.
    Listen(SocketAddr),
    Target,
    Framing(Framing),
    Rules,
    /// The files of keys and peers. Their content is compared when it is read.
    Keys,
    ProxyUsers,
    AcceptProxyProtocol,
    ProxyProtocol,
    Limits,
    ConnectTimeout(Duration),
    DrainTimeout(Duration),
    LogLevel(Verbosity),
    LogFormat(LogFormat),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Plan {
    pub changes: Vec<Change>,
    /// The settings that need a restart, by their names.
    pub fixed: Vec<&'static str>,
    /// The settings that hold afterwards: the new ones, but those that are fixed as they were.
    pub next: Invocation,
}

impl fmt::Display for Change {
    /// Ways and addresses have their texts where they are opened and closed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Open(_) | Change::Close(_) | Change::Listen(_) => Ok(()),
            Change::Target => f.write_str("target"),
            Change::Framing(_) => f.write_str("datagrams"),
            Change::Rules => f.write_str("rules"),
            Change::Keys => f.write_str("key files"),
            Change::ProxyUsers => f.write_str("proxy users"),
            Change::AcceptProxyProtocol => f.write_str("accept-proxy-protocol"),
            Change::ProxyProtocol => f.write_str("proxy-protocol"),
            Change::Limits => f.write_str("limits"),
            Change::ConnectTimeout(time) => time_of(f, "connect-timeout", *time),
            Change::DrainTimeout(time) => time_of(f, "drain-timeout", *time),
            Change::LogLevel(Verbosity::Quiet) => f.write_str("log level quiet"),
            Change::LogLevel(Verbosity::Normal) => f.write_str("log level normal"),
            Change::LogLevel(Verbosity::Verbose) => f.write_str("log level verbose"),
            Change::LogFormat(LogFormat::Human) => f.write_str("log format human"),
            Change::LogFormat(LogFormat::Json) => f.write_str("log format json"),
        }
    }
}

fn time_of(f: &mut fmt::Formatter<'_>, name: &str, time: Duration) -> fmt::Result {
    write!(f, "{name} {}", humantime::format_duration(time))
}

impl Plan {
    pub(crate) fn opened(&self) -> Vec<Way> {
        let way = |change: &Change| match change {
            Change::Open(way) => Some(way.clone()),
            _ => None,
        };
        self.changes.iter().filter_map(way).collect()
    }

    pub(crate) fn closed(&self) -> Vec<Way> {
        let way = |change: &Change| match change {
            Change::Close(way) => Some(way.clone()),
            _ => None,
        };
        self.changes.iter().filter_map(way).collect()
    }

    /// The new address of a server or a relay.
    pub(crate) fn moves_to(&self) -> Option<SocketAddr> {
        self.changes.iter().find_map(|change| match change {
            Change::Listen(address) => Some(*address),
            _ => None,
        })
    }

    /// The failure of a program of this role: it can't become another one, and settings that the
    /// other one does not have would be lost.
    pub(crate) fn of_another(&self, role: &str) -> Failure {
        let other = self.next.command.role();
        let cause = format!("the file is for a {other} now, and this is a {role}");
        Failure::config(cause, format!("write the section [{role}] again, or start a new program"))
    }

    /// Another process listens: nothing is opened here, and all is closed.
    pub(crate) fn listen_nowhere(&mut self) {
        let is_place = |change: &Change| {
            matches!(change, Change::Open(_) | Change::Close(_) | Change::Listen(_))
        };
        self.changes.retain(|change| !is_place(change));
    }

    /// Keeps the old value of a setting, and names it if the new one differs.
    fn fix<T: PartialEq + Clone>(&mut self, name: &'static str, old: &T, new: &mut T) {
        if old != new {
            self.fixed.push(name);
            new.clone_from(old);
        }
    }

    fn note<T: PartialEq>(&mut self, old: &T, new: &T, change: Change) {
        if old != new {
            self.changes.push(change);
        }
    }
}

/// The changes after which a program that was started with `old` does what `new` says.
pub(crate) fn plan(old: &Invocation, new: &Invocation) -> Plan {
    let mut next = new.clone();
    let mut plan = Plan { changes: Vec::new(), fixed: Vec::new(), next: new.clone() };
    commands(&mut plan, &old.command, &mut next.command);
    options(&mut plan, &old.options, &mut next.options);
    Plan { next, ..plan }
}

fn commands(plan: &mut Plan, old: &Command, new: &mut Command) {
    match (old, &mut *new) {
        (
            Command::Server { listen: old, target: old_target },
            Command::Server { listen, target },
        ) => {
            plan.note(old, listen, Change::Listen(*listen));
            plan.note(old_target, target, Change::Target);
        }
        (
            Command::Client { ways: old, servers: old_servers },
            Command::Client { ways, servers },
        ) => {
            plan.fix("server", old_servers, servers);
            if ways.iter().any(|way| matches!(way, Way::Stdio { .. })) {
                return plan.fix("stdio", old, ways);
            }
            plan.changes.extend(rest(old, ways).into_iter().map(Change::Close));
            plan.changes.extend(rest(ways, old).into_iter().map(Change::Open));
        }
        (
            Command::Relay { listen: old, target: old_target, framing: old_framing },
            Command::Relay { listen, target, framing },
        ) => {
            plan.note(old, listen, Change::Listen(*listen));
            plan.note(old_target, target, Change::Target);
            plan.note(old_framing, framing, Change::Framing(*framing));
        }
        // A role refuses the settings of another one.
        _ => {}
    }
}

/// The ways that are not among the others. Of several alike each one counts.
fn rest(ways: &[Way], others: &[Way]) -> Vec<Way> {
    let mut others = others.to_vec();
    let is_missing = |way: &&Way| match others.iter().position(|other| other == *way) {
        Some(at) => {
            others.swap_remove(at);
            false
        }
        None => true,
    };
    ways.iter().filter(is_missing).cloned().collect()
}

fn options(plan: &mut Plan, old: &Options, new: &mut Options) {
    // A new option does not compile before it is decided here what a reload does about it.
    let Options {
        // It is always read again.
        file: _,
        stripes,
        scheduler,
        verbosity,
        log,
        connect_timeout,
        drain_timeout,
        trace,
        congestion,
        limits,
        keys,
        rules,
        proxy_users,
        accept_proxy_protocol,
        proxy_protocol,
        http_status,
        control,
    } = new;
    plan.fix("stripes", &old.stripes, stripes);
    plan.fix("scheduler", &old.scheduler, scheduler);
    plan.fix("congestion", &old.congestion, congestion);
    plan.fix("trace", &old.trace, trace);
    plan.fix("http-status", &old.http_status, http_status);
    plan.fix("control", &old.control, control);
    plan.fix("limit log-lines", &old.limits.log_lines, &mut limits.log_lines);
    key_options(plan, &old.keys, keys);
    plan.note(&old.rules, rules, Change::Rules);
    plan.note(&old.proxy_users, proxy_users, Change::ProxyUsers);
    plan.note(&old.accept_proxy_protocol, accept_proxy_protocol, Change::AcceptProxyProtocol);
    plan.note(&old.proxy_protocol, proxy_protocol, Change::ProxyProtocol);
    plan.note(&old.limits, limits, Change::Limits);
    plan.note(&old.connect_timeout, connect_timeout, Change::ConnectTimeout(*connect_timeout));
    plan.note(&old.drain_timeout, drain_timeout, Change::DrainTimeout(*drain_timeout));
    plan.note(&old.verbosity, verbosity, Change::LogLevel(*verbosity));
    plan.note(&old.log, log, Change::LogFormat(*log));
}

fn key_options(plan: &mut Plan, old: &KeyOptions, new: &mut KeyOptions) {
    if old.files.is_empty() != new.files.is_empty() {
        // Whether stripes are encrypted can't change while there are some.
        return plan.fix("key", old, new);
    }
    // On `plain` only warnings depend. The peers that are listed are compared with all keys,
    // when these have been read.
    let KeyOptions { files, peers, tls_key_log, plain: _, listed: _ } = new;
    plan.fix("tls-key-log", &old.tls_key_log, tls_key_log);
    plan.note(&(&old.files, &old.peers), &(&*files, &*peers), Change::Keys);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;

    /// The settings that a command line means.
    fn read(line: &str) -> Invocation {
        let words = line.split_whitespace().map(Into::into);
        parse(words, |_| None).unwrap_or_else(|failure| panic!("{line}: {failure}"))
    }

    fn planned(old: &str, new: &str) -> Plan {
        plan(&read(old), &read(new))
    }

    const SERVER: &str = "server 0 a:1 --allow b:1 -k k";
    const CLIENT: &str = "client s:1 -D 0 -k k";

    #[test]
    fn the_same_settings_change_nothing() {
        for line in [SERVER, CLIENT, "relay 0 a:1", "datagram -c 0 a:1"] {
            let plan = planned(line, line);
            assert_eq!((plan.changes, plan.fixed), (vec![], vec![]), "{line}");
        }
    }

    /// Each option, a change of it, and its text in the log, or its name if it needs a restart.
    #[test]
    fn each_option_is_changed_or_named() {
        let second = Duration::from_secs(1);
        for (old, more, change) in [
            (SERVER, "--allow c:1", Ok((Change::Rules, "rules"))),
            (SERVER, "--deny c:1", Ok((Change::Rules, "rules"))),
            (SERVER, "--allow-private", Ok((Change::Rules, "rules"))),
            (SERVER, "--allow-listen 80", Ok((Change::Rules, "rules"))),
            (SERVER, "--proxy-protocol v2", Ok((Change::ProxyProtocol, "proxy-protocol"))),
            (SERVER, "--limit sessions=3", Ok((Change::Limits, "limits"))),
            (SERVER, "--limit log-lines=3", Err("limit log-lines")),
            (SERVER, "-k other", Ok((Change::Keys, "key files"))),
            (SERVER, "--peers p", Ok((Change::Keys, "key files"))),
            (SERVER, "--scheduler rr", Err("scheduler")),
            (SERVER, "--congestion reno", Err("congestion")),
            (SERVER, "--trace t", Err("trace")),
            (SERVER, "--http-status 0", Err("http-status")),
            (SERVER, "--control off", Err("control")),
            (SERVER, "--tls-key-log t", Err("tls-key-log")),
            (
                SERVER,
                "--connect-timeout 1s",
                Ok((Change::ConnectTimeout(second), "connect-timeout 1s")),
            ),
            (SERVER, "--drain-timeout 1s", Ok((Change::DrainTimeout(second), "drain-timeout 1s"))),
            (SERVER, "-v", Ok((Change::LogLevel(Verbosity::Verbose), "log level verbose"))),
            (SERVER, "-q", Ok((Change::LogLevel(Verbosity::Quiet), "log level quiet"))),
            (SERVER, "--log json", Ok((Change::LogFormat(LogFormat::Json), "log format json"))),
            (CLIENT, "--proxy-users u", Ok((Change::ProxyUsers, "proxy users"))),
            (
                CLIENT,
                "--accept-proxy-protocol 10.0.0.0/8",
                Ok((Change::AcceptProxyProtocol, "accept-proxy-protocol")),
            ),
            (CLIENT, "-n 7", Err("stripes")),
        ] {
            let plan = planned(old, &format!("{old} {more}"));
            match change {
                Ok((change, text)) => {
                    assert_eq!(plan.changes, std::slice::from_ref(&change), "{more}");
                    assert_eq!((change.to_string().as_str(), plan.fixed.len()), (text, 0));
                    assert_eq!(plan.next, read(&format!("{old} {more}")), "{more}");
                }
                Err(name) => {
                    assert_eq!((plan.changes, plan.fixed), (vec![], vec![name]), "{more}");
                    assert_eq!(plan.next, read(old), "{more}: the old one stays");
                }
            }
        }
    }

    #[test]
    fn each_way_is_opened_or_closed_and_the_others_stay() {
        let way = |word: &str| match read(&format!("client s:1 {word}")).command {
            Command::Client { ways, .. } => ways[0].clone(),
            other => panic!("{other:?}"),
        };
        let all = ["-L 1", "-L 2:a:1", "-L /x.sock", "-D 3", "-T 4", "-R 5:b:1", "-D 0"];
        for word in all {
            let (all, fewer) = (
                format!("client s:1 -L 0 {}", all.join(" ")),
                format!(
                    "client s:1 -L 0 {}",
                    all.iter()
                        .filter(|other| **other != word)
                        .copied()
                        .collect::<Vec<_>>()
                        .join(" ")
                ),
            );
            assert_eq!(planned(&fewer, &all).changes, [Change::Open(way(word))]);
            assert_eq!(planned(&all, &fewer).changes, [Change::Close(way(word))]);
        }
        let plan = planned("client s:1 -L 1:a:1 -L 2", "client s:1 -L 2 -L 1:b:1");
        assert_eq!((plan.closed(), plan.opened()), (vec![way("-L 1:a:1")], vec![way("-L 1:b:1")]));
        let plan = planned("client s:1 -D 0 -D 0", "client s:1 -D 0");
        assert_eq!(plan.changes, [Change::Close(way("-D 0"))], "one of two that are alike");
    }

    #[test]
    fn a_server_and_a_relay_move_and_have_another_target() {
        let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
        for (old, new) in [("server 0 a:1", "server 7 b:1"), ("relay 0 a:1", "relay 7 b:1")] {
            let plan = planned(old, new);
            assert_eq!(plan.changes, [Change::Listen(address), Change::Target], "{old}");
            assert_eq!(plan.moves_to(), Some(address));
        }
        let plan = planned("datagram -s 0 a:1", "relay 0 a:1");
        assert_eq!(plan.changes, [Change::Framing(Framing::Plain)]);
    }

    #[test]
    fn what_can_not_change_is_named_and_stays_as_it_was() {
        for (old, new, fixed, next) in [
            ("client s:1 -D 0", "client t:1 -D 0", "server", "client s:1 -D 0"),
            (
                "client s:1 -D 0 --control off",
                "client s:1 -W a:1 -v --control off",
                "stdio",
                "client s:1 -D 0 -v --control off",
            ),
            ("server 0 a:1", "server 0 a:1 -k k", "key", "server 0 a:1"),
            ("server 0 a:1 -k k", "server 0 a:1", "key", "server 0 a:1 -k k"),
        ] {
            let plan = planned(old, new);
            assert_eq!(plan.fixed, [fixed], "{old} {new}");
            assert_eq!(plan.next.command, read(next).command, "{old} {new}");
            assert_eq!(plan.next.options.keys, read(next).options.keys);
        }
    }

    #[test]
    fn a_new_setting_comes_with_one_that_needs_a_restart() {
        let plan = planned(CLIENT, "client t:1 -D 0 -k k -n 9 -v");
        assert_eq!(plan.fixed, ["server", "stripes"]);
        assert_eq!(plan.changes, [Change::LogLevel(Verbosity::Verbose)]);
        assert_eq!(plan.next, read(&format!("{CLIENT} -v")));
    }
}
