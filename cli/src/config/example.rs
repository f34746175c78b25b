//! `config example`: a file with all keys of a command, from clap's definition.
//!
//! The names, the explanations and the defaults are those of the options. Values without a default
//! have a sample here.

use crate::args::{Cli, defaults, in_keys, key_of, limit_defaults, section_of};
use crate::help::{text, wrapped};
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;

/// Values that are set: the file would not be complete or safe without them.
const SET: &[(&str, &str, &str)] = &[
    ("server", "listen", "\"0.0.0.0:7650\""),
    ("server", "target", "\"localhost:22\""),
    ("server", "key", "\"striper.key\""),
    ("client", "server", "\"there.example:7650\""),
    ("client", "key", "\"striper.key\""),
    ("relay", "listen", "2222"),
    ("relay", "connect", "\"there.example:22\""),
];

/// Values of options without a default.
const SAMPLES: &[(&str, &str)] = &[
    ("accept-proxy-protocol", "[\"10.0.0.0/8\"]"),
    ("allow", "[\"*:80,443\", \"*.example.org:22\"]"),
    ("allow-listen", "[\"8000-8999\"]"),
    ("control", "\"/run/striper/control.sock\""),
    ("deny", "[\"10.0.0.0/8:*\"]"),
    ("http-status", "9650"),
    ("peers", "\"peers\""),
    ("proxy-protocol", "\"v2\""),
    ("proxy-users", "\"users\""),
    ("stdio", "\"localhost:22\""),
    ("tls-key-log", "\"tls.secrets\""),
    ("trace", "\"striper.trace\""),
];

/// A table for one of the ways into a client.
struct Table {
    option: &'static str,
    name: &'static str,
    is_set: bool,
    lines: &'static str,
}

const WAYS: [Table; 4] = [
    Table {
        option: "listen",
        name: "forward",
        is_set: true,
        lines: "listen = 2222\n# target = \"db:22\"",
    },
    Table { option: "proxy", name: "proxy", is_set: false, lines: "listen = 1080" },
    Table { option: "transparent", name: "transparent", is_set: false, lines: "listen = 1081" },
    Table {
        option: "remote",
        name: "remote",
        is_set: false,
        lines: "listen = 8000\ntarget = \"web:80\"",
    },
];

const PEERS: &str = "\
# Peers that are accepted, with a private key (keygen --pair) instead of a shared
# one. Rules that only one peer has stand in its section: allow, deny,
# allow-private and allow-listen. A list in a file of its own is peers above.
# [[peers]]
# key = \"striper-public-key:0000000000000000000000000000000000000000000000000000000000000000\"
# name = \"laptop\"
# allow = [\"*:80,443\"]
";

pub(crate) fn example(role: &str) -> String {
    let root = Cli::command();
    let command = root.find_subcommand(role).expect("a command of the program");
    let mut file = format!(
        "# A {role}: striper-cli run -f FILE. It has all keys, with their defaults or a\n\
         # sample behind \"#\". Relative paths go from the folder of this file. Options\n\
         # behind FILE and variables of the environment replace values here.\n\
         # striper-cli check -f FILE finds mistakes. See docs/CONFIGURATION.md.\n\n[{role}]\n"
    );
    let named = || command.get_arguments().filter_map(|arg| Some((arg, key_of(arg)?)));
    let is_way = |name: &str| role == "client" && WAYS.iter().any(|way| way.option == name);
    let elsewhere =
        |name: &str| section_of(name).is_some() || ["limit", "verbose", "quiet"].contains(&name);
    for (arg, name) in named().filter(|(_, name)| !is_way(name) && !elsewhere(name)) {
        file += &comment(command, arg);
        let set = SET.iter().find(|(of, key, _)| (*of, *key) == (role, name.as_str()));
        let _ = match set {
            Some((.., value)) => writeln!(file, "{name} = {value}"),
            None => writeln!(file, "# {name} = {}", value(arg, &name)),
        };
    }
    for way in WAYS.iter().filter(|way| is_way(way.option)) {
        let about = named().find(|(_, name)| name == way.option);
        file.extend(about.map(|(arg, _)| format!("\n{}", comment(command, arg))));
        let before = if way.is_set { "" } else { "# " };
        let table = format!("[[client.{}]]\n{}", way.name, way.lines);
        file.extend(table.lines().map(|line| format!("{before}{line}\n")));
    }
    file += "\n[log]\n# quiet (only warnings and errors), normal, or verbose (also stripes)\n\
             # level = \"normal\"\n";
    let mut last = "log";
    for (arg, name) in named() {
        let Some((section, key)) = section_of(&name) else { continue };
        if std::mem::replace(&mut last, section) != section {
            let _ = writeln!(file, "\n[{section}]");
        }
        let _ = writeln!(file, "{}# {key} = {}", comment(command, arg), value(arg, &name));
    }
    if named().any(|(_, name)| name == "limit") {
        file += "\n[limits]\n";
        let manual = text(root.get_after_help());
        for (name, default) in limit_defaults() {
            file += &commented(&about_limit(&manual, name));
            // The only one that is a share of another.
            let default = if default == "half" { "64MiB" } else { &default };
            let _ = writeln!(file, "# {name} = {}", quoted(default));
        }
    }
    if named().any(|(_, name)| name == "peers") {
        file += &format!("\n{PEERS}");
    }
    file
}

/// The default of an option, or else its sample.
fn value(arg: &Arg, name: &str) -> String {
    if !arg.get_action().takes_values() {
        return "false".into();
    }
    let default = defaults().into_iter().find(|(option, _)| *option == name);
    let sample = SAMPLES.iter().find(|(option, _)| *option == name);
    let hint = || arg.get_value_names().map(|names| format!("\"{}\"", names.concat()));
    let default = default.map(|(_, value)| quoted(&value));
    default.or(sample.map(|(_, value)| (*value).to_owned())).or_else(hint).unwrap_or_default()
}

fn quoted(value: &str) -> String {
    match value.parse::<u64>() {
        Ok(number) => number.to_string(),
        Err(_) => format!("\"{value}\""),
    }
}

fn comment(command: &Command, arg: &Arg) -> String {
    // On a command line, an address may be two words.
    let about = text(arg.get_help()).replace(" or two words", "");
    commented(&in_keys(command, &about))
}

fn commented(text: &str) -> String {
    wrapped(text, 76).iter().map(|line| format!("# {line}\n")).collect()
}

/// The manual's text about a limit.
fn about_limit(manual: &str, name: &str) -> String {
    let limits = manual.split("\nLIMITS").nth(1).unwrap_or_default();
    let mut lines = limits.lines().skip_while(|line| line.split_whitespace().next() != Some(name));
    let first = lines.next().unwrap_or_default().split_whitespace().skip(2);
    let rest = lines.take_while(|line| line.starts_with("          "));
    first.chain(rest.flat_map(str::split_whitespace)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;
    use std::ffi::OsString;

    /// The lines of an example, with those from this one to the end of its block set.
    fn with(example: &str, from: usize) -> String {
        let is_block = example.lines().nth(from).is_some_and(|line| line.starts_with("# [["));
        let mut inside = true;
        let set = |(number, line): (usize, &str)| {
            inside &= number <= from || (is_block && line.starts_with("# "));
            let set = line.strip_prefix("# ").filter(|_| number >= from && inside);
            format!("{}\n", set.unwrap_or(line))
        };
        example.lines().enumerate().map(set).collect()
    }

    fn is_key(line: &str) -> bool {
        let Some((key, value)) = line.trim_start_matches("# ").split_once(" = ") else {
            return false;
        };
        !value.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    }

    #[test]
    fn an_example_is_right_and_so_is_each_of_its_lines_that_may_be_set() {
        let file = std::env::temp_dir().join(format!("striper-example-{}", std::process::id()));
        let parse = |text: &str| {
            std::fs::write(&file, text).expect("a file");
            let words = ["run", "-f"].map(OsString::from);
            parse(words.into_iter().chain([file.clone().into()]), |_| None)
        };
        for role in ["server", "client", "relay"] {
            let example = example(role);
            parse(&example).unwrap_or_else(|why| panic!("{role}: {why}"));
            let mut in_block = false;
            for (number, line) in example.lines().enumerate() {
                let is_block = line.starts_with("# [[");
                // Lines of a block that may be set are set with it.
                let alone = is_block || (line.starts_with("# ") && is_key(line) && !in_block);
                in_block = is_block || (in_block && line.starts_with("# "));
                if !alone {
                    continue;
                }
                let text = with(&example, number);
                if let Err(why) = parse(&text) {
                    // Some options exclude others, or need one.
                    let excludes = ["used together", "can't be used with", "and there is none"];
                    assert!(excludes.iter().any(|part| why.cause.contains(part)), "{line}: {why}");
                }
            }
        }
        std::fs::remove_file(file).expect("the file");
    }

    /// The server's example has a target, and no rules for those that clients name.
    #[test]
    fn the_client_of_the_example_leaves_the_target_to_the_server() {
        let sets = |role, key: &str| example(role).lines().any(|line| line.starts_with(key));
        assert!(sets("server", "target = ") && !sets("server", "allow = "));
        assert!(!sets("client", "target = "));
    }

    #[test]
    fn an_example_has_every_option_of_its_command() {
        for role in ["server", "client", "relay"] {
            let (root, example) = (Cli::command(), example(role));
            for arg in root.find_subcommand(role).expect("a command").get_arguments() {
                let Some(name) = key_of(arg) else { continue };
                let way = WAYS.iter().find(|way| role == "client" && way.option == name);
                let shared = section_of(&name);
                let part = match name.as_str() {
                    "verbose" | "quiet" => "# level = ".to_owned(),
                    "limit" => "[limits]".to_owned(),
                    _ => match (way, shared) {
                        (Some(way), _) => format!("[[client.{}]]", way.name),
                        (None, Some((section, key))) => {
                            assert!(example.contains(&format!("\n[{section}]\n")), "{name}");
                            format!("# {key} = ")
                        }
                        (None, None) => format!("{name} = "),
                    },
                };
                assert!(example.contains(&part), "{name} in the example of {role}");
            }
        }
    }
}
