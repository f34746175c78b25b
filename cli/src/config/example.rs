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
    ("trace", "\"striper.trace\""),
];

/// The ways into a client: the option, the name of its table, whether it is set, and its keys.
const WAYS: &[(&str, &str, bool, &[(&str, &str)])] = &[
    ("listen", "forward", true, &[("listen", "2222"), ("target", "\"db:22\"")]),
    ("proxy", "proxy", false, &[("listen", "1080")]),
    ("transparent", "transparent", false, &[("listen", "1081")]),
    ("remote", "remote", false, &[("listen", "8000"), ("target", "\"web:80\"")]),
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
    let is_way = |name: &str| role == "client" && WAYS.iter().any(|(option, ..)| *option == name);
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
    for (option, table, is_set, keys) in WAYS.iter().filter(|(option, ..)| is_way(option)) {
        file.extend(
            named()
                .find(|(_, name)| name == option)
                .map(|(arg, _)| format!("\n{}", comment(command, arg))),
        );
        let before = if *is_set { "" } else { "# " };
        let _ = writeln!(file, "{before}[[client.{table}]]");
        keys.iter().for_each(|(key, value)| {
            let _ = writeln!(file, "{before}{key} = {value}");
        });
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

/// What the manual says about a limit.
fn about_limit(manual: &str, name: &str) -> String {
    let limits = manual.split("\nLIMITS").nth(1).unwrap_or_default();
    let mut lines = limits.lines().skip_while(|line| line.split_whitespace().next() != Some(name));
    let first = lines.next().unwrap_or_default().split_whitespace().skip(2);
    let rest = lines.take_while(|line| line.starts_with("          "));
    first.chain(rest.flat_map(str::split_whitespace)).collect::<Vec<_>>().join(" ")
}
