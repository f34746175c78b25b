//! The command lines that are accepted, and the errors of others.

use super::*;
use crate::failure::code;
use crate::log::{LogFormat, Verbosity};
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::{HostPort, Target};

fn read_with(line: &str, env: &[(&str, &str)]) -> Result<Invocation, Failure> {
    let env = |name: &str| {
        env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    };
    parse(line.split_whitespace().map(OsString::from), env)
}

fn read(line: &str) -> Invocation {
    read_with(line, &[]).unwrap()
}

fn fails(line: &str) -> String {
    let failure = read_with(line, &[]).unwrap_err();
    assert_eq!(failure.code, code::USAGE, "{line}");
    failure.to_string()
}

fn host(host: &str, port: u16) -> HostPort {
    HostPort { host: host.into(), port }
}

fn listen(address: &str) -> std::net::SocketAddr {
    address.parse().unwrap()
}

fn forward(address: &str) -> Way {
    Way::Forward { listen: Place::Tcp(listen(address)), target: Target::Default }
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn all_spellings_of_a_command_mean_the_same() {
    let (here, target) = (listen("0.0.0.0:7650"), Some(host("localhost", 22)));
    let server = Command::Server { listen: here, target };
    let client = Command::Client {
        ways: vec![forward("127.0.0.1:2222")],
        servers: vec![host("example.org", 7650)],
    };
    let relay = |framing| Command::Relay {
        listen: listen("0.0.0.0:11111"),
        target: host("127.0.0.1", 22222),
        framing,
    };
    for (line, expected) in [
        ("-s 0.0.0.0:7650 localhost:22", &server),
        ("-s 0.0.0.0:7650 localhost 22", &server),
        ("server 0.0.0.0:7650 localhost:22", &server),
        ("server 0.0.0.0:7650 localhost 22", &server),
        ("-c 2222 example.org:7650", &client),
        ("-c 2222 example.org 7650", &client),
        ("-c 127.0.0.1:2222 example.org:7650", &client),
        ("client example.org:7650 -L 2222", &client),
        ("client -L 2222 example.org 7650", &client),
        ("client -L2222 example.org:7650", &client),
        ("client --listen=2222 example.org:7650", &client),
        ("relay 0.0.0.0:11111 127.0.0.1 22222", &relay(Framing::Plain)),
        ("datagram -c 0.0.0.0:11111 127.0.0.1 22222", &relay(Framing::Far)),
        ("datagram -c 0.0.0.0:11111 127.0.0.1:22222", &relay(Framing::Far)),
        ("datagram -s 0.0.0.0:11111 127.0.0.1 22222", &relay(Framing::Near)),
        ("datagram -s -s 0.0.0.0:11111 127.0.0.1:22222", &relay(Framing::Near)),
    ] {
        assert_eq!(read(line).command, *expected, "{line}");
    }
}

#[test]
fn a_client_may_listen_on_several_ports_and_reach_several_servers() {
    let Command::Client { ways, servers } = read("client a:1,b:2 -L 2222 -L [::1]:2223").command
    else {
        panic!()
    };
    assert_eq!(ways, [forward("127.0.0.1:2222"), forward("[::1]:2223")]);
    assert_eq!(servers, [host("a", 1), host("b", 2)]);
}

#[test]
fn options_may_come_before_and_after_the_mode() {
    let before = read("-q -n 8 --scheduler rr -c 127.0.0.1:7600 10.99.0.2:7650");
    assert_eq!(before, read("-c 127.0.0.1:7600 10.99.0.2:7650 --scheduler=rr --stripes=8 --quiet"));
    assert_eq!(before, read("-qn8 -c 127.0.0.1:7600 --scheduler rr 10.99.0.2:7650"));
    assert_eq!(before, read("-qn8 127.0.0.1:7600 10.99.0.2:7650 --scheduler rr -c"));
    let late = read("--trace relay -q -L 1 client a:1");
    assert_eq!(late, read("client a:1 --trace relay -q -L 1"));
    assert_eq!(before.options.stripes, 8);
    assert_eq!(before.options.verbosity, Verbosity::Quiet);
    assert_eq!(before.options.scheduler, SchedulerKind::RoundRobin);
}

#[test]
fn an_option_beats_the_environment_which_beats_the_default() {
    let env = [
        ("STRIPER_STRIPES", "8"),
        ("STRIPER_SCHEDULER", "uc"),
        ("STRIPER_LOG", "json"),
        ("STRIPER_CONNECT_TIMEOUT", "3s"),
        ("STRIPER_DRAIN_TIMEOUT", "0s"),
        ("STRIPER_QUIET", "1"),
        ("STRIPER_CONGESTION", "bbr"),
    ];
    let (line, options) = ("-c 1 a:1", "-c 1 a:1 -n 2 --log human -v --congestion auto --trace x");
    let defaults = read(line).options;
    let expected = Options {
        stripes: 4,
        scheduler: SchedulerKind::Earliest,
        verbosity: Verbosity::Normal,
        log: LogFormat::Human,
        connect_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(30),
        congestion: None,
        trace: None,
        ..defaults.clone()
    };
    assert_eq!(defaults, expected);
    let set = Options {
        stripes: 8,
        scheduler: SchedulerKind::UntilCongested,
        verbosity: Verbosity::Quiet,
        log: LogFormat::Json,
        connect_timeout: Duration::from_secs(3),
        drain_timeout: Duration::ZERO,
        congestion: Some("bbr".into()),
        ..defaults
    };
    assert_eq!(read_with(line, &env).unwrap().options, set);
    let set = Options {
        stripes: 2,
        verbosity: Verbosity::Verbose,
        log: LogFormat::Human,
        congestion: Some("auto".into()),
        trace: Some("x".into()),
        ..set
    };
    assert_eq!(read_with(options, &env).unwrap().options, set);
}

#[test]
fn a_wrong_environment_variable_is_named_and_has_its_own_exit_code() {
    for (name, value) in [
        ("STRIPER_STRIPES", "many"),
        ("STRIPER_SCHEDULER", "best"),
        ("STRIPER_LOG", "xml"),
        ("STRIPER_CONNECT_TIMEOUT", "10"),
        ("STRIPER_DRAIN_TIMEOUT", "soon"),
        ("STRIPER_VERBOSE", "maybe"),
        ("STRIPER_LIMITS", "sessions=0"),
    ] {
        let failure = read_with("demo", &[(name, value)]).unwrap_err();
        assert_eq!(failure.code, code::CONFIG);
        let value_alone = value.trim_start_matches("sessions=");
        assert!([name, value_alone].iter().all(|part| failure.cause.contains(part)), "{failure}");
        assert!(failure.cure.is_some_and(|cure| cure.contains(&format!("unset {name}"))));
        assert!(read_with("demo", &[(name, "")]).is_ok(), "an empty variable is ignored");
        assert!(read_with("--help", &[(name, value)]).is_ok(), "help ignores variables");
    }
}

#[test]
fn help_and_version_win_over_all_else() {
    for line in ["--help", "-h", "help", "help help", "--help --version"] {
        assert_eq!(read(line).command, Command::Help(None), "{line}");
    }
    for line in ["--version", "-V", "version", "-s -V"] {
        assert_eq!(read(line).command, Command::Version, "{line}");
    }
}

#[test]
fn each_command_has_a_page_of_help() {
    let page = |name: &str| Command::Help(Some(name.to_owned()));
    let root = Cli::command();
    let names = root.get_subcommands().map(|command| (command.get_name(), command.get_name()));
    for (name, of) in names.chain([("-s", "server"), ("-c", "client")]) {
        for line in [
            format!("help {name}"),
            format!("{name} help"),
            format!("{name} --help"),
            format!("-h {name}"),
        ] {
            assert_eq!(read(&line).command, page(of), "{line}");
        }
    }
    for line in ["keygen x --help", "help keygen -n 4"] {
        assert_eq!(read(line).command, page("keygen"), "{line}");
    }
    assert!(matches!(read("keygen ./help").command, Command::Keygen { .. }));
}

#[test]
fn only_the_commands_that_take_an_option_accept_it() {
    let root = Cli::command();
    // Those of files take the options of the command in the file.
    let of_files = ["run", "check", "config"];
    let is_of_file = |command: &&clap::Command| of_files.contains(&command.get_name());
    for command in root.get_subcommands().filter(|command| !is_of_file(command)) {
        let line = match command.get_name() {
            "server" => "-s 7650 a:1",
            "client" => "client a:1 -L 2",
            "relay" => "relay 7650 a:1",
            "datagram" => "datagram -c 7650 a:1",
            "keygen" => "keygen x",
            "pubkey" => "pubkey x",
            "close" => "close 7",
            "trace" => "trace off",
            name => name,
        };
        for option in options(&root) {
            let Some(long) = option.arg.get_long() else { continue };
            let value = match long {
                "stripes" => "2",
                "listen" => "3",
                "proxy" => "4",
                "transparent" => "5",
                "stdio" => "a:2",
                "allow" | "deny" => "a:22",
                "remote" => "5:a:22",
                "allow-listen" => "6",
                "http-status" => "7",
                "scheduler" => "rr",
                "connect-timeout" | "drain-timeout" => "1s",
                "congestion" => "cubic",
                "limit" => "sessions=5",
                "log" => "json",
                "accept-proxy-protocol" => "10.0.0.0/8",
                "proxy-protocol" => "v2",
                _ if !option.takes_value() => "",
                _ => "x",
            };
            let (line, with) = match long {
                "deny" | "allow-private" => (line, "--allow b:1"),
                "proxy-users" => (line, "-D 9"),
                "stdio" if command.get_name() == "client" => ("client a:1", ""),
                _ => (line, ""),
            };
            let line = format!("{line} --{long} {value} {with}");
            let takes = |arg: &clap::Arg| arg.get_long() == Some(long);
            if command.get_arguments().any(takes) || root.get_arguments().any(takes) {
                assert!(read_with(&line, &[]).is_ok(), "{line}");
            } else {
                let why = fails(&line);
                let taker = &option.takers[0];
                assert!(why.contains("does not take --") && why.contains(taker), "{line}: {why}");
            }
        }
    }
}

#[test]
fn the_addresses_of_other_proxies_are_blocks_by_their_first_address() {
    for (words, blocks) in [
        ("10.0.0.1", &["10.0.0.1/32"][..]),
        ("10.0.0.0/8", &["10.0.0.0/8"]),
        ("::ffff:10.0.0.1", &["10.0.0.1/32"]),
        ("::1 --accept-proxy-protocol 2001:db8::/32", &["::1/128", "2001:db8::/32"]),
        ("0.0.0.0/0", &["0.0.0.0/0"]),
    ] {
        let read = read(&format!("client a:1 -L 0 --accept-proxy-protocol {words}")).options;
        let read: Vec<_> = read.accept_proxy_protocol.iter().map(ToString::to_string).collect();
        assert_eq!(read, blocks);
    }
    for (word, part) in [
        ("10.0.0.1/8", "write 10.0.0.0/8, or 10.0.0.1 alone"),
        ("10.0.0.0/33", "neither an address nor a block"),
        ("localhost", "neither an address nor a block"),
        ("10.0.0.1:80", "neither an address nor a block"),
        ("::ffff:10.0.0.0/104", "a block of IPv4 addresses"),
    ] {
        let why = fails(&format!("client a:1 -L 0 --accept-proxy-protocol {word}"));
        assert!(why.contains(part), "{word}: {why}");
    }
}

#[test]
fn variables_are_shared_by_all_commands() {
    let env = [("STRIPER_STRIPES", "8"), ("STRIPER_KEY_FILE", "x"), ("STRIPER_LIMITS", "flows=99")];
    for line in ["-s 7650 a:1", "-c 7650 a:1", "relay 7650 a:1", "keygen", "pubkey x", "demo"] {
        assert!(read_with(line, &env).is_ok(), "{line}");
    }
}

#[test]
fn a_running_proxy_is_asked_by_words() {
    let ask = |question, socket: Option<&str>| Command::Ask {
        question,
        socket: socket.map(PathBuf::from),
    };
    for (line, command) in [
        ("status", ask(Question::Status { json: false }, None)),
        ("status --json client-1", ask(Question::Status { json: true }, Some("client-1"))),
        ("drain", ask(Question::Drain, None)),
        ("reload /run/x.sock", ask(Question::Reload, Some("/run/x.sock"))),
        ("close 7", ask(Question::Close(7), None)),
        ("close 7 x", ask(Question::Close(7), Some("x"))),
        ("trace on a", ask(Question::Trace(Some("a".into())), None)),
        ("trace on a x", ask(Question::Trace(Some("a".into())), Some("x"))),
        ("trace off", ask(Question::Trace(None), None)),
        ("trace off x", ask(Question::Trace(None), Some("x"))),
        ("top", Command::Top { socket: None, no_color: false }),
        ("top --no-color x", Command::Top { socket: Some("x".into()), no_color: true }),
    ] {
        assert_eq!(read(line).command, command, "{line}");
        let wrong = [("STRIPER_STRIPES", "many")];
        assert!(read_with(line, &wrong).is_ok(), "{line}: it needs no variable");
    }
    for (line, part) in [
        ("close", "close needs FLOW"),
        ("close x", "\"x\" is not the number of a connection"),
        ("close 1 2 3", "\"3\" is one word too many"),
        ("trace", "trace needs on or off"),
        ("trace on", "trace on needs FILE"),
        ("trace maybe", "\"maybe\" is neither on nor off"),
        ("trace off x y", "\"y\" is one word too many"),
        ("trace on a x y", "\"y\" is one word too many"),
        ("drain --json", "drain does not take --json"),
    ] {
        let why = fails(line);
        assert!(why.contains(part), "{line}: {why}");
    }
}

#[test]
fn a_proxy_has_a_control_socket_unless_it_is_a_part_of_another_program() {
    for (line, control) in [
        ("-s 1 a:1", Control::Somewhere),
        ("relay 1 a:1", Control::Somewhere),
        ("client a:1 -W b:1", Control::Off),
        ("client a:1 -W b:1 --control x", Control::At("x".into())),
        ("client a:1 -L 1 --control off", Control::Off),
        ("client a:1 -L 1 --control ./off", Control::At("./off".into())),
    ] {
        assert_eq!(read(line).options.control, control, "{line}");
    }
}

#[test]
fn an_empty_name_of_a_key_is_an_error() {
    let empty = |line: &[&str]| {
        let failure = parse(line.iter().map(OsString::from), |_| None).unwrap_err();
        assert_eq!(failure.code, code::USAGE);
        assert!(failure.cause.contains("the name of the file is empty"), "{line:?}: {failure}");
    };
    for option in ["--key", "--peers", "--trace"] {
        empty(&["-s", "1", "a:1", option, ""]);
        empty(&["-s", "1", "a:1", &format!("{option}=")]);
    }
    empty(&["-s", "1", "a:1", "-k", ""]);
    empty(&["keygen", ""]);
    empty(&["pubkey", ""]);
}

#[test]
fn keys_and_passwords_in_place_of_files_are_not_shown() {
    for (line, env) in [
        ("-s 1 a:1 -k striper-shared-key:5ec2e7", &[][..]),
        ("-s 1 a:1 --peers=striper-private-key:5ec2e7", &[]),
        ("-s 1 striper-shared-key:5ec2e7", &[]),
        ("-s 1 bob:5ec2e7@a:1", &[]),
        ("client a:1 -L ann:5ec2e7@127.0.0.1:1080", &[]),
        ("client a:1 -L 1 --scheduler striper-shared-key:5ec2e7", &[]),
        ("striper-shared-key:5ec2e7", &[]),
        ("pubkey striper-private-key:5ec2e7", &[]),
        ("-s 1 a:1", &[("STRIPER_KEY_FILE", "striper-shared-key:5ec2e7")]),
        ("-s 1 a:1", &[("STRIPER_LOG", "striper-shared-key:5ec2e7")]),
    ] {
        let shown = format!("{:?}", read_with(line, env).unwrap_err());
        assert!(!shown.contains("5ec2e7"), "{line}: {shown}");
        assert!(shown.contains("looks like a key or a password"), "{line}: {shown}");
    }
}

#[test]
fn an_empty_variable_of_a_key_is_an_error_of_the_commands_with_keys() {
    for name in ["STRIPER_KEY_FILE", "STRIPER_PEERS_FILE"] {
        let env = [(name, "")];
        for line in ["-s 1 a:1", "-c 1 a:1"] {
            let failure = read_with(line, &env).unwrap_err();
            assert_eq!(failure.code, code::CONFIG, "{line}");
            assert!(failure.cause.contains(&format!("{name} is empty")), "{failure}");
            assert!(read_with(&format!("{line} --plain"), &env).is_ok(), "{line}");
        }
        assert!(read_with("-s 1 a:1 -k x --peers y", &env).is_ok(), "an option beats it");
        assert!(read_with("relay 1 a:1", &env).is_ok());
        assert!(read_with("keygen", &env).is_ok());
    }
}

#[test]
fn a_wrong_command_line_has_its_cause() {
    for (line, part) in [
        ("", "the command is missing"),
        ("-s", "-s needs LISTEN and CONNECT"),
        ("-s 7650", "-s needs CONNECT"),
        ("client", "client needs SERVER"),
        ("client a:1", "at least one way in"),
        ("client -c 1 a:2", "client and -c can't be used together"),
        ("-k x", "the command is missing"),
        ("-c 1 a:2 -L 3", "--listen is for the command client"),
        ("client a:1 -L 2222 -L 127.0.0.1:2222", "127.0.0.1:2222 is given twice"),
        ("client a:1 -R 22:b:1 -R 22:b:2", "127.0.0.1:22 is given twice, as an address of the ser"),
        ("client a:1 -L 2222 b:22", "-L PORT:b:22"),
        ("\u{2013}-help", "type it again: --help"),
        ("-s 7650 a 22 b", "one word too many"),
        ("-s -c 1 a:2", "can't be used together"),
        ("relay x a:2", "LISTEN: "),
        ("relay 1 a", "CONNECT: "),
        ("demo now", "demo takes no"),
        ("-c 1 a:1 -n 0", "from 1 to 64"),
        ("-c 1 a:1 -n 65", "from 1 to 64"),
        ("-c 1 a:1 -n", "--stripes needs a value"),
        ("demo --connect-timeout 10", "write 10s"),
        ("demo --connect-timeout 0s", "more than zero"),
        ("relay 1 a:1 --drain-timeout 2d", "more than a day"),
        ("demo -x", "there is no option -x"),
        ("keygen --quiet=yes", "quiet"),
        ("-s localhost:22 7650", "striper-cli -s 7650 localhost:22"),
        ("-s localhost:22 0.0.0.0:7650", "striper-cli -s 0.0.0.0:7650 localhost:22"),
        ("datagram -c localhost:22 7650", "striper-cli datagram -c 7650 localhost:22"),
        ("-c there:1,there:2 2222", "striper-cli -c 2222 there:1,there:2"),
        ("-s myhost:7650 localhost:22", "LISTEN: \"myhost\" is not an IP address"),
        ("client 2222 there:7650", "striper-cli client there:7650 -L 2222"),
        ("-c 1 a:1 --stripes 4 -n 4", "--stripes is given twice"),
        ("-s 1 a:1 --log json --log human", "--log is given twice"),
        ("-s 1 a:1 -v -q", "--verbose and --quiet can't be used together"),
        ("-s 1 a:1 --plain -k x", "--plain and --key can't be used together"),
        ("-s 1 a:1 --plain --peers x", "--plain and --peers can't be used together"),
        ("-s 1 a:1 -k x -k y -k x", "--key x is given twice"),
        ("-s 1 a:1 --http-status x", "--http-status"),
        ("-s 7650 a:1 --http-status 7650", "127.0.0.1:7650 is given twice"),
        ("client a:1 -L 2 -D 3 --http-status 127.0.0.1:3", "127.0.0.1:3 is given twice"),
        ("-s 1 a:1 --limit sessions=x", "--limit: sessions: \"x\" is not a number"),
        ("keygen pair", "did you mean --pair?"),
    ] {
        let text = fails(line);
        assert!(text.contains(part), "{line}: {text}");
    }
}

#[test]
fn a_mistyped_or_misplaced_word_has_a_suggestion() {
    for (line, part) in [
        ("-s 1 a:1 -key f", "did you mean --key?"),
        ("-s 1 a:1 -trace=f", "did you mean --trace?"),
        ("-listen 1", "did you mean --listen?"),
        ("-c 1 a:1 -stripe 4", "did you mean --stripes?"),
        ("-s 1 a:1 \u{2013}k f", "type it again: -k"),
        ("-s 1 a:1 \u{2014}key f", "type it again: --key"),
        ("-c 1 a:1 -k -v", "--key needs a value, and -v follows"),
        ("-c 1 a:1 --trace --peers f", "--trace needs a value, and --peers follows"),
        ("-c 1 a:1 -k", "--key needs a value"),
        ("-S 1 a:1", "did you mean -s?"),
        ("-s 1 a:1 -K f", "did you mean -k?"),
        ("-s 1 a:1 -quite", "did you mean --quiet?"),
        ("-s 1 a:1 --quiet=yes", "put a space between them"),
        ("-s=1 a:1", "put a space between them"),
        ("-c 1 a:1, b:2", "without spaces"),
        ("-s 1 a:1 --peers a --peers b", "--peers is given twice"),
        ("sever 1 a:2", "did you mean server?"),
        ("dmeo", "did you mean demo?"),
        ("Client", "did you mean client?"),
        ("help keygn", "did you mean keygen?"),
        ("datagran -c 11111", "did you mean datagram?"),
        ("--stripe 4 demo", "did you mean --stripes?"),
        ("--conect-timeout 4s demo", "did you mean --connect-timeout?"),
        ("demo --scheduler earlist", "did you mean earliest?"),
        ("-s 1 a:1 --limit sesions=5", "did you mean sessions?"),
        ("frobnicate", "there is no command \"frobnicate\"; the commands are"),
        ("2222 example.org:7650", "there is no command"),
        ("datagram 11111 localhost:22", "datagram needs -c or -s"),
        ("datagram -c -s 11111 localhost:22", "-s and -c can't be used together"),
        ("datagram -c 11111", "datagram -c LISTEN CONNECT"),
        ("-c 1 a:1 --trace", "--trace needs a value"),
        ("demo --trace x", "it is for striper-cli -s or -c"),
        ("relay 2222 localhost:22 --trace x", "it is for striper-cli -s or -c"),
        ("-c 7650 a:1 --congestion ../x", "not the name of a congestion control"),
        ("datagram -c 7650 a:1 --congestion bbr", "it is for striper-cli -s or -c"),
        ("-s 1 a:1 -L 2", "it is for striper-cli client"),
        ("-s 1 a:1 --limit", "--limit needs a value"),
        ("-c 1 a:1 --limit sessions=5", "it is for striper-cli -s"),
    ] {
        let text = fails(line);
        assert!(text.contains(part), "{line}: {text}");
    }
}

#[test]
fn words_with_spaces_and_dashes_are_read_as_they_are_meant() {
    for word in ["-s 7650 localhost:22", "keygen striper.key", "--plain -s 1 a:1"] {
        let failure = parse([OsString::from(word)], |_| None).unwrap_err();
        assert!(failure.to_string().contains("leave out the quotes"), "{failure}");
    }
    let spaced = ["-c", "1", "a:1", "-k", "my key", "-ktheir key", "--trace=my trace"];
    assert!(parse(spaced.map(OsString::from), |_| None).is_ok());
    assert_eq!(read("-c 1 a:1 --key=-v").options.keys.files, [PathBuf::from("-v")]);
    let Command::Keygen { file, .. } = read("keygen -- -key").command else { panic!() };
    assert_eq!(file, PathBuf::from("-key"));
}

#[test]
fn no_command_connects_to_its_own_port() {
    for line in [
        "-s 7650 localhost:7650",
        "server 0.0.0.0:7650 127.0.0.1 7650",
        "-c 2222 there:7650,localhost:2222",
        "client localhost:2223 -L 2222 -L 2223",
        "relay [::1]:80 [::1]:80",
    ] {
        let failure = read_with(line, &[]).unwrap_err();
        assert_eq!(failure.code, code::USAGE, "{line}");
        assert!(failure.cause.contains("would listen on"), "{line}: {failure}");
    }
    for line in ["-s 7650 localhost:22", "-c 2222 there:2222", "relay 192.0.2.1:80 localhost:80"] {
        assert!(read_with(line, &[]).is_ok(), "{line}");
    }
}

#[test]
fn limits_add_up_and_an_option_beats_the_variable_for_each_name() {
    let line = "-s 1 a:1 --limit sessions=5 --limit memory=64MiB,flows=100";
    let limits =
        read_with(line, &[("STRIPER_LIMITS", "sessions=7,stripes=3")]).unwrap().options.limits;
    assert_eq!((limits.server.sessions, limits.server.stripes), (5, 3));
    assert_eq!((limits.engine.memory_limit, limits.engine.max_flows), (64 << 20, 100));
}

#[test]
fn options_with_several_values_may_be_given_twice() {
    for line in
        ["-s 1 a:1 -q -q", "-s 1 a:1 -k x -k y", "-s 1 a:1 --limit flows=99 --limit stripes=3"]
    {
        assert!(read_with(line, &[]).is_ok(), "{line}");
    }
}

#[test]
fn completions_are_for_a_known_shell_and_a_page_is_one_of_a_command() {
    assert_eq!(read("completions zsh").command, Command::Completions(clap_complete::Shell::Zsh));
    assert_eq!(read("man").command, Command::Man(None));
    assert_eq!(read("man client").command, Command::Man(Some("client".into())));
    assert!(fails("completions tcsh").contains("bash, zsh, fish"));
    assert!(fails("man clent").contains("did you mean client?"));
}

#[test]
fn variables_that_exclude_each_other_are_an_error_without_an_option() {
    let env = [("STRIPER_VERBOSE", "1"), ("STRIPER_QUIET", "1")];
    let failure = read_with("demo", &env).unwrap_err();
    assert_eq!(failure.code, code::CONFIG);
    assert!(failure.cause.contains("can't be used together"), "{failure}");
    assert_eq!(read_with("relay 1 a:1 -q", &env).unwrap().options.verbosity, Verbosity::Quiet);
}

#[test]
fn a_warning_about_an_unknown_variable_names_a_similar_one() {
    let names =
        ["STRIPER_KEY", "STRIPER_LOG", "striper_peers_file", "PATH", "STRIPER", "STRIPER_X"];
    let misnamed = misnamed(names.iter().map(OsString::from));
    assert_eq!(misnamed, ["STRIPER_KEY", "STRIPER_X", "striper_peers_file"]);
    let said: Vec<String> = misnamed.iter().map(|name| about(name)).collect();
    assert!(said[0].contains("did you mean STRIPER_KEY_FILE?"), "{said:?}");
    assert!(said[1].contains("--help lists all variables"), "{said:?}");
    assert!(said[2].contains("did you mean STRIPER_PEERS_FILE?"), "{said:?}");
}
