//! All options in one table: the commands that take each one, and its text in the help. The parser,
//! "did you mean" and every page of the help use it.

use super::given::Given;
use super::invocation::Verb;
use super::values::{
    congestion, did_you_mean, log_format, positive_time, scheduler, stripes, time,
};
use super::way;
use crate::failure::Failure;
use std::path::PathBuf;
use striper_runtime::{Rule, RuleError};

pub(crate) struct Declared {
    pub short: Option<char>,
    pub long: &'static str,
    pub takes: Takes,
    /// It may be given several times with different values.
    pub repeats: bool,
    pub commands: &'static [Verb],
    /// The text in the help. A line that begins with a space stays a line of its own.
    pub text: &'static str,
}

pub(crate) enum Takes {
    Nothing(fn(&mut Given)),
    Text(&'static str, fn(&mut Given, &str) -> Result<(), String>),
    File(fn(&mut Given, PathBuf)),
}

const STRIPED: &[Verb] = &[Verb::Server, Verb::Client];

const PROXIES: &[Verb] = &[Verb::Server, Verb::Client, Verb::Relay, Verb::Datagram];

const CONNECTING: &[Verb] = &[Verb::Server, Verb::Client, Verb::Relay, Verb::Datagram, Verb::Demo];

pub(crate) const OPTIONS: &[Declared] = &[
    Declared {
        short: Some('n'),
        long: "stripes",
        takes: Takes::Text("N", |given, word| put(&mut given.stripes, stripes(word))),
        repeats: false,
        commands: &[Verb::Client],
        text: "number of stripes, 1-64 (4)",
    },
    Declared {
        short: Some('L'),
        long: "listen",
        takes: Takes::Text("[ADDR:]PORT...", |given, word| given.way("-L", way::forward(word))),
        repeats: true,
        commands: &[Verb::Client],
        text: "the address that local programs connect to; with :HOST:PORT behind it, the target \
               that the server connects them to. /PATH[:HOST:PORT] is a Unix socket",
    },
    Declared {
        short: Some('D'),
        long: "proxy",
        takes: Takes::Text("[ADDR:]PORT", |given, word| given.way("-D", way::proxy(word))),
        repeats: true,
        commands: &[Verb::Client],
        text: "the address of a proxy for local programs, which name their targets by SOCKS5, \
               SOCKS4a or HTTP. The server looks names up",
    },
    Declared {
        short: None,
        long: "proxy-users",
        takes: Takes::File(|given, file| given.proxy_users = Some(file)),
        repeats: false,
        commands: &[Verb::Client],
        text: "with -D: only programs with one of these names and passwords, USER:PASSWORD in \
               each line. SIGHUP reads it again",
    },
    Declared {
        short: Some('T'),
        long: "transparent",
        takes: Takes::Text("[ADDR:]PORT", |given, word| given.way("-T", way::transparent(word))),
        repeats: true,
        commands: &[Verb::Client],
        text: "carry connections that nft or iptables redirected to this address to where they \
               were going (Linux; docs/transparent.md)",
    },
    Declared {
        short: Some('W'),
        long: "stdio",
        takes: Takes::Text("TARGET", |given, word| given.way("-W", way::stdio(word))),
        repeats: false,
        commands: &[Verb::Client],
        text: "connect standard input and output to HOST:PORT, as ssh's ProxyCommand needs",
    },
    Declared {
        short: Some('R'),
        long: "remote",
        takes: Takes::Text("[ADDR:]PORT...", |given, word| given.way("-R", way::remote(word))),
        repeats: true,
        commands: &[Verb::Client],
        text: "the server listens on this address, and this side connects to HOST:PORT for each \
               connection there",
    },
    Declared {
        short: None,
        long: "allow",
        takes: Takes::Text("RULE", |given, word| rule(word).map(|rule| given.rules.allow(rule))),
        repeats: true,
        commands: &[Verb::Server],
        text: "let clients name this target:
  HOST:PORTS, *.example.org:PORTS, *:PORTS,
  10.0.0.0/8:PORTS, unix:/PATH; PORTS is *, 443,
  80,443 or 8000-8999",
    },
    Declared {
        short: None,
        long: "deny",
        takes: Takes::Text("RULE", |given, word| rule(word).map(|rule| given.rules.deny(rule))),
        repeats: true,
        commands: &[Verb::Server],
        text: "do not let clients name this target, whatever --allow says",
    },
    Declared {
        short: None,
        long: "allow-private",
        takes: Takes::Nothing(|given| given.rules.allow_private()),
        repeats: false,
        commands: &[Verb::Server],
        text: "with * or a name, --allow also means private and loopback addresses",
    },
    Declared {
        short: None,
        long: "allow-listen",
        takes: Takes::Text("PORTS", |given, word| {
            let rule = word.parse().map_err(|error: RuleError| error.to_string());
            rule.map(|rule| given.rules.allow_listen(rule))
        }),
        repeats: true,
        commands: &[Verb::Server],
        text: "let clients have this side listen on these ports of loopback, or on ADDR:PORTS; \
               *:PORTS is any address (their -R)",
    },
    Declared {
        short: None,
        long: "scheduler",
        takes: Takes::Text("NAME", |given, word| put(&mut given.scheduler, scheduler(word))),
        repeats: false,
        commands: &[Verb::Server, Verb::Client, Verb::Demo],
        text: "how this side chooses a stripe for data:
  earliest  the one that delivers it first
            (default)
  uc        the same one until it is congested
  rr        all stripes in turn",
    },
    Declared {
        short: None,
        long: "connect-timeout",
        takes: Takes::Text("TIME", |given, word| {
            put(&mut given.connect_timeout, positive_time(word))
        }),
        repeats: false,
        commands: CONNECTING,
        text: "how long a new connection waits for a target or server that does not answer \
               (10s)",
    },
    Declared {
        short: None,
        long: "drain-timeout",
        takes: Takes::Text("TIME", |given, word| put(&mut given.drain_timeout, time(word))),
        repeats: false,
        commands: PROXIES,
        text: "how long connections may go on after a signal to stop (30s)",
    },
    Declared {
        short: None,
        long: "congestion",
        takes: Takes::Text("NAME", |given, word| put(&mut given.congestion, congestion(word))),
        repeats: false,
        commands: STRIPED,
        text: "congestion control of the stripes of this side:
  auto    cubic, but bbr on a stripe that loses
          packets without a queue (default; Linux)
  system  the choice of the system
  reno, bbr, ...  always this one",
    },
    Declared {
        short: None,
        long: "limit",
        takes: Takes::Text("NAME=VALUE", |given, word| given.limits.add(word)),
        repeats: true,
        commands: &[Verb::Server],
        text: "a limit on callers and peers: see LIMITS in the manual; may be given several \
               times",
    },
    Declared {
        short: Some('k'),
        long: "key",
        takes: Takes::File(|given, file| given.keys.files.push(file)),
        repeats: true,
        commands: STRIPED,
        text: "encrypt the stripes, and accept only a peer that has this key. Of several keys the \
               peer sees the first, and all are accepted. A name without a folder is also looked \
               up among systemd's credentials",
    },
    Declared {
        short: None,
        long: "peers",
        takes: Takes::File(|given, file| given.keys.peers = Some(file)),
        repeats: false,
        commands: STRIPED,
        text: "with a private key: the public keys of accepted peers, one in each line: PUBLIC-KEY \
               NAME; on a server maybe with rules below (docs/runtime.md)",
    },
    Declared {
        short: None,
        long: "plain",
        takes: Takes::Nothing(|given| given.keys.plain = true),
        repeats: false,
        commands: STRIPED,
        text: "use no key, and do not warn about that",
    },
    Declared {
        short: None,
        long: "trace",
        takes: Takes::File(|given, file| given.trace = Some(file)),
        repeats: false,
        commands: STRIPED,
        text: "record the session, without content and targets (docs/traces.md). Later sessions go \
               to FILE.2, FILE.3 and so on. An earlier trace is replaced; any other file is an \
               error",
    },
    Declared {
        short: None,
        long: "pair",
        takes: Takes::Nothing(|given| given.pair = true),
        repeats: false,
        commands: &[Verb::Keygen],
        text: "make a private key, which only this side has",
    },
    Declared {
        short: Some('v'),
        long: "verbose",
        takes: Takes::Nothing(|given| given.verbose = true),
        repeats: false,
        commands: CONNECTING,
        text: "also log when stripes come and go",
    },
    Declared {
        short: Some('q'),
        long: "quiet",
        takes: Takes::Nothing(|given| given.quiet = true),
        repeats: false,
        commands: &[Verb::Server, Verb::Client, Verb::Relay, Verb::Datagram, Verb::Keygen],
        text: "log only warnings and errors",
    },
    Declared {
        short: None,
        long: "log",
        takes: Takes::Text("human|json", |given, word| put(&mut given.log, log_format(word))),
        repeats: false,
        commands: CONNECTING,
        text: "log lines on stderr for a person, or as JSON",
    },
    Declared {
        short: Some('h'),
        long: "help",
        takes: Takes::Nothing(|given| given.help = true),
        repeats: false,
        commands: Verb::ALL,
        text: "the page of a command, or the manual",
    },
    Declared {
        short: Some('V'),
        long: "version",
        takes: Takes::Nothing(|given| given.version = true),
        repeats: false,
        commands: Verb::ALL,
        text: "the version",
    },
];

fn rule(word: &str) -> Result<Rule, String> {
    word.parse().map_err(|error: RuleError| error.to_string())
}

fn put<T>(place: &mut Option<T>, read: Result<T, String>) -> Result<(), String> {
    *place = Some(read?);
    Ok(())
}

impl Declared {
    /// The name of its value in the help; empty if it has none.
    pub(crate) fn value(&self) -> &'static str {
        match self.takes {
            Takes::Nothing(_) => "",
            Takes::Text(value, _) => value,
            Takes::File(_) => "FILE",
        }
    }

    pub(crate) fn by_letter(letter: char) -> Option<&'static Declared> {
        OPTIONS.iter().find(|option| option.short == Some(letter))
    }

    pub(crate) fn by_name(name: &str) -> Option<&'static Declared> {
        OPTIONS.iter().find(|option| option.long == name)
    }

    pub(crate) fn check(&self, verb: Verb, name: &str) -> Result<(), Failure> {
        if self.commands.contains(&verb) {
            return Ok(());
        }
        let takers: Vec<&str> = self.commands.iter().map(|verb| verb.name()).collect();
        let takers = match takers.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        };
        Err(Failure::usage(
            format!("{name} does not take --{}", self.long),
            format!("leave it out; it is for striper-cli {takers}"),
        ))
    }
}

pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = OPTIONS.iter().map(|option| option.long).collect();
    did_you_mean(name, &names)
}

/// The name of the long option that a word with a single dash stands for: `-key`, `-key=FILE`.
pub(super) fn with_one_dash(word: &str) -> Option<&'static str> {
    let name = word.strip_prefix('-')?.split('=').next()?;
    let exact = Declared::by_name(name).map(|option| option.long);
    // -s and -c take no value, so several letters behind them are no value.
    let long = name.len() > 3 && name.starts_with(['s', 'c']);
    exact.or_else(|| nearest(name).filter(|_| long))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_name_and_a_letter_of_its_own() {
        for (index, option) in OPTIONS.iter().enumerate() {
            assert_eq!(OPTIONS.iter().position(|other| other.long == option.long), Some(index));
            if let Some(letter) = option.short {
                assert_eq!(Declared::by_letter(letter).map(|found| found.long), Some(option.long));
                assert!(!['s', 'c'].contains(&letter), "-{letter} is a command");
            }
        }
    }

    #[test]
    fn only_a_long_option_is_found_behind_one_dash() {
        assert_eq!(with_one_dash("-key"), Some("key"));
        assert_eq!(with_one_dash("-trace=x"), Some("trace"));
        assert_eq!(with_one_dash("-stripe"), Some("stripes"));
        for word in ["--key", "-k", "-kfile", "key", "-vq", "-n8", "-kpeers", "-sqv"] {
            assert_eq!(with_one_dash(word), None, "{word}");
        }
    }
}
