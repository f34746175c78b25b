//! Errors of the command line and of the system, with their messages and exit codes.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use striper_tests::{Finished, Origin, Program, Proxy, TempDir, binary, run, skip};

#[track_caller]
fn check(finished: &Finished, code: i32, says: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "");
    for part in says {
        assert!(finished.stderr.contains(part), "{part:?} is not in {finished:?}");
    }
    assert!(!finished.stderr.contains("panic"), "{finished:?}");
}

/// Runs the program from a shell, with `before` in front of its arguments and `behind` after them.
fn in_shell(before: &str, args: &[&str], behind: &str) -> Finished {
    let script = format!("{before} exec \"$0\" \"$@\" {behind}");
    Finished::of(Command::new("sh").args(["-c", &script]).arg(binary::path()).args(args))
}

#[test]
fn help_and_version_go_to_standard_output_and_each_command_has_a_page() {
    let manual = run(&["help"], &[]).success();
    assert_eq!(manual, run(&["--help"], &[]).success());
    assert!(manual.contains("striper-cli -s 0.0.0.0:7650 localhost:22"));
    let others = ["server", "client", "relay", "datagram", "keygen", "pubkey", "demo"];
    let others = others.into_iter().chain(["run", "check", "config", "top"]);
    for command in ["-s", "-c"].into_iter().chain(others) {
        let page = run(&["help", command], &[]).success();
        assert_eq!(page, run(&[command, "--help"], &[]).success(), "{command}");
        assert!(page.lines().count() < 70, "{command}: {page}");
        assert!(page.starts_with("USAGE\n") && page.contains("EXAMPLES\n"), "{command}: {page}");
    }
    let version = run(&["version"], &[]).success();
    assert_eq!(version, run(&["--version"], &[]).success());
    let names: Vec<&str> =
        version.lines().map(|line| line.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(names, ["striper-cli", "protocol", "commit", "features"], "{version}");
}

#[test]
fn help_behind_a_command_is_its_page_and_no_file() {
    let (folder, page) = (TempDir::create(), run(&["keygen", "--help"], &[]).success());
    let there = format!("cd {};", folder.text(""));
    assert_eq!(in_shell(&there, &["keygen", "help"], "").success(), page);
    check(&in_shell(&there, &["keygen", "pair"], ""), 2, &["did you mean --pair?"]);
    assert_eq!(std::fs::read_dir(folder.join("")).expect("a folder").count(), 0);
}

#[test]
fn the_demo_prints_its_figures_as_json() {
    let figures = run(&["demo", "--json"], &[]).success();
    assert!(figures.starts_with("{\n") && figures.ends_with("\n}\n"), "{figures}");
    assert_eq!(figures.matches("\"speed_up\": ").count(), 4, "{figures}");
    for part in ["\"speed_up\": 1.0", "\"after_bytes_per_second\": [", "\"intact\": true"] {
        assert!(figures.contains(part), "{part} in {figures}");
    }
}

#[test]
fn output_without_room_is_an_error_and_a_reader_that_has_left_is_none() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let folder = TempDir::create();
    let key = folder.text("own.key");
    run(&["keygen", "--pair", &key], &[]).success();
    for args in [&["--help"][..], &["--version"], &["help", "demo"], &["pubkey", &key], &["demo"]] {
        let full = in_shell("", args, ">/dev/full");
        check(&full, 1, &["cannot write to standard output: No space"]);
    }
    let left = in_shell("set -e;", &["--help"], "| :");
    assert_eq!((left.code, left.stderr.as_str()), (Some(0), ""));
}

const PROXIES: [&[&str]; 5] = [
    &["-s", "0", "a:1"],
    &["-c", "0", "a:1"],
    &["relay", "0", "a:1"],
    &["datagram", "-s", "0", "a:1"],
    &["demo"],
];

/// The loader itself needs a few files; with these it still starts.
#[test]
fn too_few_open_files_are_an_error() {
    let folder = TempDir::create();
    let key = folder.text("own.key");
    for files in [5, 8, 13, 20] {
        let limit = format!("ulimit -n {files};");
        for args in PROXIES {
            check(&in_shell(&limit, args, ""), 6, &["ulimit -n 1024"]);
        }
        in_shell(&limit, &["keygen", "--pair", &key], "").success();
        in_shell(&limit, &["pubkey", &key], "").success();
        std::fs::remove_file(&key).unwrap();
    }
    let few = in_shell("ulimit -n 40;", &["-c", "0", "a:1", "-n", "64"], "");
    check(&few, 6, &["ulimit -n 1024", "or use fewer stripes: -n"]);
}

/// The user `nobody`, on every system. The limit of threads does not hold for root.
const NOBODY: u32 = 65_534;

#[test]
fn too_few_threads_are_an_error() {
    let Some([prlimit]) = Program::find(["prlimit"]) else { return };
    for threads in [1, 2] {
        for args in PROXIES {
            let mut command = prlimit.command();
            command.arg(format!("--nproc={threads}")).arg(binary::path()).args(args);
            if rustix::process::geteuid().is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            let few = Finished::of(&mut command);
            if few.code == Some(126) {
                return skip("only root can reach the program");
            }
            check(&few, 6, &["ulimit -u 1024"]);
        }
    }
}

#[test]
fn too_low_limits_of_memory_and_file_sizes_are_errors() {
    // Room for the program, but not for the stack of one thread more.
    let limits = "ulimit -v 1000000; export RUST_MIN_STACK=1000000000;";
    check(&in_shell(limits, &["relay", "0", "a:1"], ""), 6, &["ulimit -v unlimited"]);
    let folder = TempDir::create();
    let key = folder.text("own.key");
    check(&in_shell("ulimit -f 0;", &["keygen", &key], ""), 6, &["ulimit -f unlimited"]);
    assert!(!Path::new(&key).exists(), "half a key is left");
}

/// `cli/src/args` tests all messages.
#[test]
fn a_wrong_command_line_exits_with_2_and_a_wrong_variable_with_6() {
    for (line, says) in [
        ("", &["the command is missing", "--help"][..]),
        ("-s 7650", &["needs CONNECT", "usage: striper-cli -s LISTEN CONNECT"]),
        ("sever 0 a:1", &["there is no command \"sever\"", "did you mean server?"]),
        ("demo -k x", &["demo does not take --key", "it is for striper-cli -s or -c"]),
        ("-s 0.0.0.0:0 a:1 -k ", &["the name of the file is empty"]),
        ("-c 0 a:1 --congestion nosuch", &["no congestion control of that name", "auto or system"]),
    ] {
        let args: Vec<&str> = line.split(' ').skip(usize::from(line.is_empty())).collect();
        check(&run(&args, &[]), 2, says);
    }
    for (variable, value, says) in [
        ("STRIPER_STRIPES", "many", "STRIPER_STRIPES: \"many\""),
        ("STRIPER_KEY_FILE", "", "STRIPER_KEY_FILE is empty"),
        ("STRIPER_PEERS_FILE", "", "STRIPER_PEERS_FILE is empty"),
    ] {
        for side in ["-s", "-c"] {
            check(&run(&[side, "0.0.0.0:0", "a:1"], &[(variable, value)]), 6, &[says]);
        }
    }
}

#[test]
fn an_unknown_variable_has_a_warning() {
    // TEST-NET-1 (RFC 5737).
    let args = ["-s", "192.0.2.1:0", "localhost:1"];
    let finished = run(&args, &[("STRIPER_KEY", "x"), ("STRIPER_LOG", "human")]);
    check(&finished, 3, &["this machine has no address 192.0.2.1", "0.0.0.0"]);
    let warnings: Vec<&str> =
        finished.stderr.lines().filter(|line| line.contains("warn")).collect();
    assert_eq!(warnings.len(), 1, "{finished:?}");
    let cure = "STRIPER_KEY is unknown; did you mean STRIPER_KEY_FILE?";
    assert!(warnings[0].contains(cure), "{finished:?}");
}

#[test]
fn lines_of_commands_that_end_at_once_have_no_time() {
    let folder = TempDir::create();
    let key = folder.text("site.key");
    let made = run(&["keygen", &key], &[]);
    assert!(made.code == Some(0) && made.stderr.starts_with(&key), "{made:?}");
    for args in [&["keygen", &key][..], &["pubkey", &key], &["demo", "now"], &["frobnicate"]] {
        let failed = run(args, &[]);
        assert!(failed.stderr.starts_with("striper-cli: "), "{args:?}: {failed:?}");
    }
    check(&run(&["keygen", "-q", &folder.text("other.key")], &[]), 0, &[]);
}

#[test]
fn a_port_in_use_exits_with_3_and_its_user_can_be_found() {
    let origin = Origin::start();
    let address = origin.addr().to_string();
    let port = format!("sport = :{}", origin.addr().port());
    for mode in ["-s", "-c", "relay"] {
        let says = ["another program listens there", &address, &port];
        check(&run(&[mode, &address, "localhost:1"], &[]), 3, &says);
    }
    let json = run(&["-s", &address, "localhost:1", "--log", "json"], &[]);
    check(&json, 3, &["\"event\":\"failed\"", "\"code\":3"]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_log_has_the_congestion_control_of_stripes() {
    // Every Linux has it, and every user may choose it.
    let server = Proxy::server(Origin::start().addr(), &["--congestion", "reno"]);
    assert_eq!(server.wait_for("ready").text("congestion"), "reno");
}
