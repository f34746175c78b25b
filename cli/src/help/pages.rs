//! The page of each command: its forms, a description, its options, and examples.

use super::row;
use crate::args::{OPTIONS, Verb};

struct Page {
    usage: &'static [&'static str],
    what: &'static str,
    /// Command lines without the program's name.
    examples: &'static [&'static str],
}

pub(super) fn page(verb: Verb) -> String {
    let Page { usage, what, examples } = text(verb);
    let line = |line: &&str| format!("  striper-cli {line}\n");
    let lines = |lines: &[&str]| lines.iter().map(line).collect::<String>();
    let options = OPTIONS.iter().filter(|option| option.commands.contains(&verb));
    let options: String = options.map(|option| row(option, "")).collect();
    format!(
        "USAGE\n{}\n{what}\nOPTIONS\n{options}\nEXAMPLES\n{}\nThe manual: striper-cli --help\n",
        lines(usage),
        lines(examples)
    )
}

const SERVER: Page = Page {
    usage: &["-s LISTEN CONNECT", "server LISTEN [TARGET] [--allow RULE ...]"],
    what: "\
The server of a pair: takes stripes on LISTEN, and connects each connection that
they carry to CONNECT, the target. A bare port as LISTEN is open to this machine
only. 0.0.0.0:PORT is open to all: give it a key. With --allow, clients may name
other targets too. The server looks a name up, decides on the address, and
connects to that. --deny beats --allow.
",
    examples: &[
        "-s 0.0.0.0:7650 localhost:22 -k striper.key",
        "server 0.0.0.0:7650 --allow *:80,443 -k striper.key",
    ],
};

const CLIENT: Page = Page {
    usage: &[
        "-c LISTEN CONNECT",
        "client SERVER [-L ...] [-D ...] (any number of each)",
        "client SERVER -W TARGET",
    ],
    what: "\
The client of a pair: takes connections on LISTEN, and carries them over several
stripes to the server, which listens on CONNECT. With -L, -D and -W it has any
number of ways in, for one session: an address for each target, a proxy for
programs that name their targets, or standard input and output.
",
    examples: &[
        "-c 2222 there.example:7650 -k striper.key",
        "client there.example:7650 -L 2222 -k striper.key",
        "client there.example:7650 -D 1080 -L 8080:db:80 -k striper.key",
        "client there.example:7650 -W localhost:22 -k striper.key",
    ],
};

fn text(verb: Verb) -> Page {
    match verb {
        Verb::Server => SERVER,
        Verb::Client => CLIENT,
        Verb::Relay => Page {
            usage: &["relay LISTEN CONNECT"],
            what: "\
A plain TCP relay without stripes: passes connections on LISTEN on to CONNECT.
",
            examples: &["relay 2222 there.example:22"],
        },
        Verb::Datagram => Page {
            usage: &["datagram -c LISTEN CONNECT", "datagram -s LISTEN CONNECT"],
            what: "\
Carries connections as datagrams in one TCP stream: with -c it takes plain
connections and sends datagrams; with -s the other way round.
",
            examples: &[
                "datagram -c 2222 there.example:7651",
                "datagram -s 0.0.0.0:7651 localhost:22",
            ],
        },
        Verb::Keygen => Page {
            usage: &["keygen [--pair] [FILE]"],
            what: "\
Makes a key in a new file (striper.key if FILE is not given), which only this
user can read. An existing file stays as it is. Without --pair it is a shared
key: copy it to the peer's machine, and give it to both sides with -k. With
--pair it is a private key: it stays here, and the peer lists the line that
pubkey prints.
",
            examples: &["keygen striper.key", "keygen --pair laptop.key"],
        },
        Verb::Pubkey => Page {
            usage: &["pubkey FILE"],
            what: "\
Prints the public half of a private key of keygen --pair, and the key's name:
one line for the list that the peer gives to --peers.
",
            examples: &["pubkey laptop.key"],
        },
        Verb::Demo => Page {
            usage: &["demo"],
            what: "\
Shows in a quarter of a minute what striping does: it sends data over 1, 2, 4
and 8 stripes on a test route within this machine, which caps each connection.
Nothing leaves the machine, and nothing is changed.
",
            examples: &["demo"],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, Command};
    use std::ffi::OsString;

    fn words(line: &str) -> impl Iterator<Item = OsString> {
        line.split(' ').map(OsString::from)
    }

    #[test]
    fn a_page_has_the_options_that_its_command_takes_and_no_others() {
        for verb in Verb::ALL {
            let page = page(*verb);
            for option in OPTIONS {
                let name = format!("--{}", option.long);
                let is_row = |line: &&str| line.starts_with("  ") && !line.contains("striper-cli");
                let has_it = |line: &str| line.split(' ').take(2).any(|word| word == name);
                let listed = page.lines().filter(is_row).map(str::trim_start).any(has_it);
                assert_eq!(listed, option.commands.contains(verb), "{name} in {}", verb.name());
            }
        }
    }

    #[test]
    fn the_command_lines_of_the_readme_are_right() {
        let lines = include_str!("../../../README.md").lines();
        let lines: Vec<String> = lines
            .filter_map(|line| line.strip_prefix("striper-cli "))
            .map(|line| line.replace('\'', ""))
            .collect();
        assert!(lines.len() >= 3, "{lines:?}");
        for line in lines {
            let read = args::parse(words(&line), |_| None);
            assert!(read.is_ok(), "{line}: {read:?}");
        }
    }

    #[test]
    fn the_examples_of_a_page_are_lines_of_its_command() {
        for verb in Verb::ALL {
            for example in text(*verb).examples {
                let read = args::parse(words(example), |_| None);
                assert!(read.is_ok(), "{example}: {read:?}");
                let help = args::parse(words(&format!("{example} --help")), |_| None).unwrap();
                assert_eq!(help.command, Command::Help(Some(*verb)), "{example}");
            }
        }
    }
}
