//! What `--help` and `--version` print: the manual, a page for each command, and the version.

mod pages;

use crate::args::{Declared, OPTIONS, Verb};
use std::fmt::Write;

/// The version line.
pub const VERSION: &str =
    concat!("striper-cli ", env!("CARGO_PKG_VERSION"), " (protocol version 1)\n");

/// The page of a command, or the manual.
pub fn page(topic: Option<Verb>) -> String {
    topic.map_or_else(manual, pages::page)
}

/// The manual on one page.
fn manual() -> String {
    let options: String = OPTIONS.iter().map(|option| row(option, &takers(option))).collect();
    format!("{BEFORE}{options}\n{AFTER}")
}

/// Where the second column begins, and how wide a page is, in columns.
const INDENT: usize = 30;
const WIDTH: usize = 80;

/// Who takes an option, if not all do.
fn takers(option: &Declared) -> String {
    if option.commands == Verb::ALL {
        return String::new();
    }
    let names: Vec<&str> = option.commands.iter().map(|verb| verb.name()).collect();
    format!("{}: ", names.join(", "))
}

/// One option with what it does, which begins with `before`.
fn row(option: &Declared, before: &str) -> String {
    let letter = option.short.map_or("    ".into(), |letter| format!("-{letter}, "));
    let value =
        if option.value().is_empty() { String::new() } else { format!(" {}", option.value()) };
    let mut first = format!("  {letter}--{}{value}", option.long);
    let mut row = String::new();
    for line in wrapped(&format!("{before}{}", option.text)) {
        let _ = writeln!(row, "{first:INDENT$}{line}");
        first.clear();
    }
    row
}

/// A text for the second column. A line that begins with a space stays as it is.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        if paragraph.starts_with(' ') {
            lines.push(paragraph.to_owned());
            continue;
        }
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if line.is_empty() {
                word.clone_into(&mut line);
            } else if INDENT + line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::replace(&mut line, word.to_owned()));
            } else {
                line = format!("{line} {word}");
            }
        }
        lines.push(line);
    }
    lines
}

/// The manual up to the options.
const BEFORE: &str = "\
striper-cli - carries TCP connections over several parallel ones (stripes)

Where a route limits each connection, several are faster than one. Two commands
make a pair:

  there, beside the server:   striper-cli -s 0.0.0.0:7650 localhost:22 -k FILE
  here, beside the client:    striper-cli -c 2222 there.example:7650 -k FILE

FILE is a key that both have: striper-cli keygen FILE makes it once.
Now whatever connects to port 2222 here reaches port 22 there, over 4 stripes:

  ssh -p 2222 localhost

To see what it does, without a network:  striper-cli demo

COMMANDS
  -s LISTEN CONNECT              server-facing side: stripes in, plain TCP out
  server LISTEN TARGET           the same
  -c LISTEN CONNECT              client-facing side: plain TCP in, stripes out
  client SERVER -L [ADDR:]PORT   the same; -L may be given several times
  relay LISTEN CONNECT           plain TCP relay, no stripes
  datagram -c LISTEN CONNECT     plain TCP in, datagrams in one TCP stream out
  datagram -s LISTEN CONNECT     the other way round, at the far end
  keygen [--pair] [FILE]         make a key that both sides have (striper.key);
                                 with --pair, one that only this side has
  pubkey FILE                    what the other side lists of the latter
  demo                           1, 2, 4 and 8 stripes on a made-up capped route
  help [COMMAND]                 this manual, or the page of a command
  version                        the version

  LISTEN   PORT, ADDR:PORT or [V6ADDR]:PORT. A bare port is open to this
           machine only (127.0.0.1; for IPv6 write [::1]:PORT); 0.0.0.0:PORT or
           [::]:PORT is open to everybody. Port 0 lets the system choose; the
           line \"ready\" says what it chose.
  CONNECT  HOST:PORT, [V6ADDR]:PORT or two words HOST PORT; SERVER and TARGET
           likewise. For -c and client, A:PORT,B:PORT names one server by
           several addresses, and the stripes are spread over them.

OPTIONS (anywhere on the line, each once unless it says otherwise)
";

/// The manual behind the options.
const AFTER: &str = "  TIME is a number with its unit: 500ms, 10s, 2m.

ENVIRONMENT (an option beats its variable; all commands share them)
  STRIPER_STRIPES, STRIPER_SCHEDULER, STRIPER_CONNECT_TIMEOUT,
  STRIPER_DRAIN_TIMEOUT, STRIPER_CONGESTION, STRIPER_LOG   as the options
  STRIPER_LIMITS=NAME=VALUE,...        as --limit, which beats it name by name
  STRIPER_VERBOSE=1, STRIPER_QUIET=1   as -v and -q
  STRIPER_KEY_FILE, STRIPER_PEERS_FILE   as --key and --peers
  NO_COLOR=1                           no colours
  Another name that begins with STRIPER_ is warned of.
  An empty variable is as good as none. But -s and -c refuse to start with an
  empty STRIPER_KEY_FILE or STRIPER_PEERS_FILE, unless an option replaces it.

SECURITY
  With a key, nobody gets in without it, and who watches or changes what passes
  learns nothing but sizes and times (TLS 1.3; SECURITY.md has it all). Without,
  whoever reaches the port of -s reaches its target, and stripes can be read:
  keep them on a trusted network, or in a VPN or an ssh tunnel.
  One key for all:        keygen FILE, the same FILE to both sides
  A key for each client:  keygen --pair on each side, pubkey FILE >> PEERS of
                          the other side, --peers PEERS
  To replace a key: -k OLD -k NEW on the server side, then -k NEW -k OLD on the
  client sides, then NEW alone on the server side, and on the clients at last.
  SIGHUP reads all these files again, and who is no longer listed is cut off; a
  list with a mistake changes nothing, and the log says so.

LIMITS (of -s, with --limit NAME=VALUE; here with what holds otherwise)
  handshakes              256     callers that have not yet said who they are
  handshakes-per-address  128     those from one address (IPv6: one /64 network)
  handshake-time          5s      how long a caller may take for that
  sessions                256     client sides at once
  sessions-per-key        128     those with one and the same key
  stripes                 64      of one session, 1-64
  flows                   16384   open connections of one session
  unanswered              1024    connections whose target has yet to answer
  memory                  128MiB  data in transit in all: KiB, MiB, GiB
  memory-per-session      half    of that, for one session
  opens-per-second        10000   connections that a client may open in the long
                                  run; beyond it they wait
  control-burst           16MiB   control (not payload) from a peer at once
  control-per-second      1MiB    and each second; beyond it its session ends
  payload-per-control     64      payload bytes that allow one more of control
  spare-files             32      file descriptors that callers must leave free
                                  (never more than a quarter of ulimit -n)
  log-lines               20      for one cause within 10 s (50 times that where
                                  it is one a connection or stripe); the next
                                  line says how many there were beyond that
  Where several keys are accepted, one may have as much of memory and unanswered
  as it leaves free: half, or a third beside another one that wants it all.

STATUS LINE (when stderr is a terminal)
  2 connections  ↑19.3M ↓90k bit/s  #1 ↑9.65M ↓50k c12  #2 ↑9.65M ↓40k c7?
  Connections, what they send and receive together, then each stripe: its rates,
  how often it was congested, and ? while it does not answer. On a wide terminal
  also the share of packets that TCP sent again (r1.2%), and what controls
  congestion (Linux). A narrow one shows each stripe's larger rate (#1 9.65M c12
  or #1 9.65M), a narrower one how many stripes there are and how often they
  were congested (64 stripes, 768 congestions), then less of that, and at last
  connections alone. Without a stripe the reason stands there, or \"no peer\".
  (kept until 12:03:10Z): these connections have no stripe. They are reset at
  that time (UTC) unless a stripe is back. (2 kept until 12:03:10Z): this
  applies to two of the connections.
  (may finish until 12:03:10Z): the program stops, and resets at that time those
  that are left.

  relay and datagram show each leg instead: near is who connected, far CONNECT.
  1 connection  near wr ↓1.2 MB ↑3.4 GB c12  far wr ↓3.4 GB ↑1.2 MB c0
  Bytes from it and to it and congestions, since the start; w it takes data, -
  it is congested, x its direction has ended; r it may send, x it has sent its
  end. Of several connections: how many are congested there, or half-closed. A
  narrow terminal shows what went to CONNECT, what came from it, and all
  congestions (↑1.2 MB ↓3.4 GB c12), with the states of both or without.

STOPPING
  SIGTERM or SIGINT (Ctrl-C), or the end of the terminal that stderr is: no new
  connections; those there are may finish within --drain-timeout. A second
  signal stops at once.

EXIT CODES
  0  done, or stopped with every connection finished
  1  unexpected error, or the demo's data arrived damaged
  2  command line not understood, or what it names cannot be had (--trace,
     --congestion)
  3  cannot listen on LISTEN
  4  peer unreachable (one-shot commands; -s, -c and relay keep trying)
  5  refused by the peer, or its version does not match (one-shot commands)
  6  environment variable not understood, or too low a limit of open files,
     threads or file sizes
  7  stopped, but connections outlasted --drain-timeout and were cut
  8  key, list of peers, or the file of one is of no use
  130, 143  stopped at once by a second signal (SIGINT, SIGTERM)
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{VARIABLES, limit_defaults};

    #[test]
    fn the_help_fits_a_terminal() {
        for topic in Verb::ALL.iter().copied().map(Some).chain([None]) {
            for line in page(topic).lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn the_help_has_each_limit_with_its_default() {
        for (name, default) in limit_defaults() {
            let is_there = |line: &str| {
                let words: Vec<_> = line.split_whitespace().take(2).collect();
                words == [name, &default]
            };
            assert!(manual().lines().any(is_there), "{name} {default} in the help");
        }
    }

    #[test]
    fn the_help_names_every_variable_and_exit_code() {
        let variables = VARIABLES.iter().map(|name| format!("STRIPER_{name}"));
        for name in variables.chain(["NO_COLOR".to_owned()]) {
            assert!(manual().contains(&name), "{name}");
        }
        for code in 0..=8 {
            assert!(manual().contains(&format!("\n  {code}  ")), "exit code {code}");
        }
    }

    #[test]
    fn the_manual_explains_each_time_in_the_status_line() {
        for note in ["(kept until ", "(2 kept until ", "(may finish until "] {
            assert!(manual().contains(note), "{note}");
        }
    }

    #[test]
    fn the_manual_has_every_option_and_every_command() {
        let manual = manual();
        let lines: Vec<&str> = manual.lines().map(str::trim_start).collect();
        for option in OPTIONS {
            let name = format!("--{}", option.long);
            let has_it = |line: &&str| line.split(' ').take(2).any(|word| word == name);
            assert!(lines.iter().any(has_it), "{name}");
        }
        for verb in Verb::ALL {
            let name = verb.name();
            assert!(lines.iter().any(|line| line.split(' ').next() == Some(name)), "{name}");
        }
    }
}
