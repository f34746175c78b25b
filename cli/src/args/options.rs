//! All options in one table: which commands take each, and what the help says of it. The parser,
//! "did you mean" and every page of the help go by it.

use super::given::Given;
use super::invocation::Verb;
use super::values::{
    congestion, did_you_mean, log_format, positive_time, scheduler, stripes, time,
};
use crate::failure::Failure;
use std::path::PathBuf;

/// One option.
pub struct Declared {
    /// Its letter.
    pub short: Option<char>,
    /// Its name.
    pub long: &'static str,
    /// What follows it, and where that goes.
    pub takes: Takes,
    /// Whether it may be given several times with different values.
    pub repeats: bool,
    /// The commands that take it.
    pub commands: &'static [Verb],
    /// What it does. A line that begins with a space stays a line of its own.
    pub text: &'static str,
}

/// What follows an option, and where that goes.
pub enum Takes {
    /// Nothing.
    Nothing(fn(&mut Given)),
    /// A text, and what stands for it in the help. An error says what is wrong with it.
    Text(&'static str, fn(&mut Given, &str) -> Result<(), String>),
    /// A file's name.
    File(fn(&mut Given, PathBuf)),
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
        takes: Takes::Text("N", |given, word| put(&mut given.stripes, stripes(word))),
        repeats: false,
        commands: &[Verb::Client],
        text: "stripes that the client side keeps, 1-64 (4)",
    },
    Declared {
        short: Some('L'),
        long: "listen",
        takes: Takes::Text("[ADDR:]PORT", |given, word| {
            given.listens.push(word.to_owned());
            Ok(())
        }),
        repeats: true,
        commands: &[Verb::Client],
        text: "with the word client: where connections come in; may be given several times",
    },
    Declared {
        short: None,
        long: "scheduler",
        takes: Takes::Text("NAME", |given, word| put(&mut given.scheduler, scheduler(word))),
        repeats: false,
        commands: &[Verb::Server, Verb::Client, Verb::Demo],
        text: "how this side chooses a stripe for what it sends:
  earliest  where it arrives soonest (default)
  uc        stay on one until it congests
  rr        each piece on the next one in turn",
    },
    Declared {
        short: None,
        long: "connect-timeout",
        takes: Takes::Text("TIME", |given, word| {
            put(&mut given.connect_timeout, positive_time(word))
        }),
        repeats: false,
        commands: CONNECTING,
        text: "how long a new connection waits for a silent target or server (10s); a refusal \
               fails at once",
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
        takes: Takes::Text("NAME=VALUE", |given, word| given.limits.add(word)),
        repeats: true,
        commands: &[Verb::Server],
        text: "what strangers and peers may cost: see LIMITS in the manual; may be given several \
               times",
    },
    Declared {
        short: Some('k'),
        long: "key",
        takes: Takes::File(|given, file| given.keys.files.push(file)),
        repeats: true,
        commands: STRIPED,
        text: "encrypt the stripes; only a holder of this key may be the other side. Several: the \
               first is shown, all are accepted. A name without a folder is also looked for among \
               systemd's credentials",
    },
    Declared {
        short: None,
        long: "peers",
        takes: Takes::File(|given, file| given.keys.peers = Some(file)),
        repeats: false,
        commands: STRIPED,
        text: "with a private key, the public keys of those who may be the other side, one a line: \
               PUBLIC-KEY NAME",
    },
    Declared {
        short: None,
        long: "plain",
        takes: Takes::Nothing(|given| given.keys.plain = true),
        repeats: false,
        commands: STRIPED,
        text: "there is no key on purpose",
    },
    Declared {
        short: None,
        long: "trace",
        takes: Takes::File(|given, file| given.trace = Some(file)),
        repeats: false,
        commands: STRIPED,
        text: "record what the session is given and does, without content and targets \
               (docs/traces.md); later sessions go to FILE.2, FILE.3 and so on. An earlier trace \
               is replaced; any other file is an error",
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
        text: "also tell when stripes come and go",
    },
    Declared {
        short: Some('q'),
        long: "quiet",
        takes: Takes::Nothing(|given| given.quiet = true),
        repeats: false,
        commands: &[Verb::Server, Verb::Client, Verb::Relay, Verb::Datagram, Verb::Keygen],
        text: "warnings and errors only",
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

/// Takes a value that was read, or says what is wrong with it.
fn put<T>(place: &mut Option<T>, read: Result<T, String>) -> Result<(), String> {
    *place = Some(read?);
    Ok(())
}

impl Declared {
    /// What stands for its value in the help. Empty if it has none.
    pub fn value(&self) -> &'static str {
        match self.takes {
            Takes::Nothing(_) => "",
            Takes::Text(value, _) => value,
            Takes::File(_) => "FILE",
        }
    }

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
                assert_eq!(Declared::by_letter(letter).map(|found| found.long), Some(option.long));
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
