//! All options in one table: which commands take each, and what the help says of it. The parser,
//! "did you mean" and every page of the help go by it.

use super::Verb;
use super::values::did_you_mean;
use crate::failure::Failure;

/// One option.
#[derive(PartialEq, Eq, Debug)]
pub struct Declared {
    /// Its letter.
    pub short: Option<char>,
    /// Its name.
    pub long: &'static str,
    /// What stands for its value in the help. Empty if it has none.
    pub value: &'static str,
    /// The commands that take it.
    pub commands: &'static [Verb],
    /// What it does. A line that begins with a space stays a line of its own.
    pub text: &'static str,
}

/// Those with stripes.
const STRIPED: &[Verb] = &[Verb::Server, Verb::Client];

/// Those that run until they are stopped.
const PROXIES: &[Verb] = &[Verb::Server, Verb::Client, Verb::Relay, Verb::Datagram];

/// Those that connect to something.
const CONNECTING: &[Verb] = &[Verb::Server, Verb::Client, Verb::Relay, Verb::Datagram, Verb::Demo];

/// All options, in the order of the help.
pub const OPTIONS: &[Declared] = &[
    Declared {
        short: Some('n'),
        long: "stripes",
        value: "N",
        commands: &[Verb::Client],
        text: "stripes that the client side keeps, 1-64 (4)",
    },
    Declared {
        short: Some('L'),
        long: "listen",
        value: "[ADDR:]PORT",
        commands: &[Verb::Client],
        text: "with the word client: where connections come in; may be given several times",
    },
    Declared {
        short: None,
        long: "scheduler",
        value: "NAME",
        commands: &[Verb::Server, Verb::Client, Verb::Demo],
        text: "how this side chooses a stripe for what it sends:
  earliest  where it arrives soonest (default)
  uc        stay on one until it congests
  rr        each piece on the next one in turn",
    },
    Declared {
        short: None,
        long: "connect-timeout",
        value: "TIME",
        commands: CONNECTING,
        text: "how long a new connection waits for a silent target or server (10s); a refusal \
               fails at once",
    },
    Declared {
        short: None,
        long: "drain-timeout",
        value: "TIME",
        commands: PROXIES,
        text: "how long connections may go on after a signal to stop (30s)",
    },
    Declared {
        short: None,
        long: "congestion",
        value: "NAME",
        commands: STRIPED,
        text: "what controls congestion on the stripes of this side:
  auto    cubic, and bbr on a stripe for as long
          as it loses packets without a queue
          (default; Linux)
  system  what the system chooses
  reno, bbr, ...  always this one",
    },
    Declared {
        short: None,
        long: "limit",
        value: "NAME=VALUE",
        commands: &[Verb::Server],
        text: "what strangers and peers may cost: see LIMITS in the manual; may be given several \
               times",
    },
    Declared {
        short: Some('k'),
        long: "key",
        value: "FILE",
        commands: STRIPED,
        text: "encrypt the stripes; only a holder of this key may be the other side. Several: the \
               first is shown, all are accepted. A name without a folder is also looked for among \
               systemd's credentials",
    },
    Declared {
        short: None,
        long: "peers",
        value: "FILE",
        commands: STRIPED,
        text: "with a private key, the public keys of those who may be the other side, one a line: \
               PUBLIC-KEY NAME",
    },
    Declared {
        short: None,
        long: "plain",
        value: "",
        commands: STRIPED,
        text: "there is no key on purpose",
    },
    Declared {
        short: None,
        long: "trace",
        value: "FILE",
        commands: STRIPED,
        text: "record what the session is given and does, without content and targets \
               (docs/traces.md); later sessions go to FILE.2, FILE.3 and so on. An earlier trace \
               is replaced; any other file is an error",
    },
    Declared {
        short: None,
        long: "pair",
        value: "",
        commands: &[Verb::Keygen],
        text: "make a private key, which only this side has",
    },
    Declared {
        short: Some('v'),
        long: "verbose",
        value: "",
        commands: CONNECTING,
        text: "also tell when stripes come and go",
    },
    Declared {
        short: Some('q'),
        long: "quiet",
        value: "",
        commands: &[Verb::Server, Verb::Client, Verb::Relay, Verb::Datagram, Verb::Keygen],
        text: "warnings and errors only",
    },
    Declared {
        short: None,
        long: "log",
        value: "human|json",
        commands: CONNECTING,
        text: "log lines on stderr for a person, or as JSON",
    },
    Declared {
        short: Some('h'),
        long: "help",
        value: "",
        commands: Verb::ALL,
        text: "the page of a command, or the manual",
    },
    Declared {
        short: Some('V'),
        long: "version",
        value: "",
        commands: Verb::ALL,
        text: "the version",
    },
];

impl Declared {
    /// The option with this letter.
    pub fn by_letter(letter: char) -> Option<&'static Declared> {
        OPTIONS.iter().find(|option| option.short == Some(letter))
    }

    /// The option of this name.
    pub fn by_name(name: &str) -> Option<&'static Declared> {
        OPTIONS.iter().find(|option| option.long == name)
    }

    /// Says who takes it, if this command does not.
    pub fn check(&self, verb: Verb, name: &str) -> Result<(), Failure> {
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
            format!("--{} means nothing to {name}", self.long),
            format!("leave it out; it is for striper-cli {takers}"),
        ))
    }
}

/// The option whose name is nearest to a mistyped one.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = OPTIONS.iter().map(|option| option.long).collect();
    did_you_mean(name, &names)
}

/// The name of the long option that a word with a single dash stands for: `-key`, `-key=FILE`.
pub fn with_one_dash(word: &str) -> Option<&'static str> {
    let name = word.strip_prefix('-')?.split('=').next()?;
    let exact = Declared::by_name(name).map(|option| option.long);
    // -s and -c take no value, so that nothing else is meant by so many letters behind them.
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
                assert_eq!(Declared::by_letter(letter), Some(option));
                assert!(!['s', 'c'].contains(&letter), "-{letter} is a command");
            }
        }
    }

    #[test]
    fn a_long_option_with_one_dash_is_known_and_nothing_else() {
        assert_eq!(with_one_dash("-key"), Some("key"));
        assert_eq!(with_one_dash("-trace=x"), Some("trace"));
        assert_eq!(with_one_dash("-stripe"), Some("stripes"));
        for word in ["--key", "-k", "-kfile", "key", "-vq", "-n8", "-kpeers", "-sqv"] {
            assert_eq!(with_one_dash(word), None, "{word}");
        }
    }
}
