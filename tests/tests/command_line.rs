//! What the program says when it can't do what it is asked to, and its exit codes.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use striper_tests::{Finished, Origin, Program, Proxy, TempDir, binary, run};

#[track_caller]
fn fails(args: &[&str], code: i32, says: &[&str]) {
    let finished = run(args, &[]);
    assert_eq!(finished.code, Some(code), "{args:?}: {finished:?}");
    assert_eq!(finished.stdout, "", "{args:?}");
    for part in says {
        assert!(
            finished.stderr.contains(part),
            "{args:?}: {part:?} is not in {:?}",
            finished.stderr
        );
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&["--help"], &[]).success();
    assert!(help.contains("striper-cli -s 0.0.0.0:7650 localhost:22"));
    assert!(run(&["--version"], &[]).success().starts_with("striper-cli "));
}

/// Runs the program from a shell, with `how` in front of its arguments or behind them.
fn in_shell(before: &str, args: &[&str], behind: &str) -> Finished {
    let script = format!("{before} exec \"$0\" \"$@\" {behind}");
    Finished::of(Command::new("sh").args(["-c", &script]).arg(binary::path()).args(args))
}

#[test]
fn each_command_has_a_short_page_and_help_alone_is_the_manual() {
    let manual = run(&["help"], &[]).success();
    assert_eq!(manual, run(&["--help"], &[]).success());
    let others = ["server", "client", "relay", "datagram", "keygen", "pubkey", "demo"];
    for command in ["-s", "-c"].into_iter().chain(others) {
        let page = run(&["help", command], &[]).success();
        assert_eq!(page, run(&[command, "--help"], &[]).success(), "{command}");
        assert!(page.lines().count() < 50, "{command}: {page}");
        assert!(page.starts_with("USAGE\n") && page.contains("EXAMPLES\n"), "{command}: {page}");
    }
    assert_eq!(run(&["version"], &[]).success(), run(&["--version"], &[]).success());
}

#[test]
fn output_that_goes_nowhere_is_an_error_and_a_reader_that_has_left_is_none() {
    if !Path::new("/dev/full").exists() {
        return striper_tests::skip("there is no /dev/full");
    }
    let folder = TempDir::new();
    let key = folder.text("own.key");
    run(&["keygen", "--pair", &key], &[]).success();
    for args in [&["--help"][..], &["--version"], &["help", "demo"], &["pubkey", &key], &["demo"]] {
        let full = in_shell("", args, ">/dev/full");
        assert_eq!(full.code, Some(1), "{args:?}: {full:?}");
        assert!(full.stderr.contains("cannot write to standard output: No space"), "{full:?}");
    }
    let left = in_shell("set -e;", &["--help"], "| :");
    assert_eq!((left.code, left.stderr.as_str()), (Some(0), ""));
}

/// The loader itself needs a few; with these it still starts.
#[test]
fn too_few_open_files_are_an_error_and_no_panic() {
    let folder = TempDir::new();
    let key = folder.text("own.key");
    for files in [5, 8, 13, 20] {
        let limit = format!("ulimit -n {files};");
        for args in [
            &["-s", "0", "a:1"][..],
            &["-c", "0", "a:1"],
            &["relay", "0", "a:1"],
            &["datagram", "-s", "0", "a:1"],
            &["demo"],
        ] {
            let few = in_shell(&limit, args, "");
            assert_eq!(few.code, Some(6), "{files} {args:?}: {few:?}");
            assert!(few.stderr.contains("ulimit -n 1024"), "{few:?}");
            assert!(!few.stderr.contains("panic"), "{few:?}");
        }
        in_shell(&limit, &["keygen", "--pair", &key], "").success();
        in_shell(&limit, &["pubkey", &key], "").success();
        std::fs::remove_file(&key).unwrap();
    }
}

/// The user `nobody`, on every system. The limit of threads does not hold for root.
const NOBODY: u32 = 65_534;

#[test]
fn too_few_threads_are_an_error_and_no_panic() {
    let Some([prlimit]) = Program::find(["prlimit"]) else { return };
    for threads in [1, 2] {
        for args in
            [&["-s", "0", "a:1"][..], &["-c", "0", "a:1"], &["relay", "0", "a:1"], &["demo"]]
        {
            let mut command = prlimit.command();
            command.arg(format!("--nproc={threads}")).arg(binary::path()).args(args);
            if rustix::process::geteuid().is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            let few = Finished::of(&mut command);
            if few.code == Some(126) {
                return striper_tests::skip("the program is where only root reaches it");
            }
            assert_eq!(few.code, Some(6), "{threads} {args:?}: {few:?}");
            assert!(few.stderr.contains("ulimit -u 1024"), "{few:?}");
            assert!(!few.stderr.contains("panic"), "{few:?}");
        }
    }
}

#[test]
fn an_option_that_means_nothing_to_a_command_is_refused_with_those_that_take_it() {
    for command in [&["-s", "0", "a:1"][..], &["demo"], &["keygen", "x"]] {
        let args = [command, &["-n", "4"]].concat();
        fails(&args, 2, &["does not take --stripes", "it is for striper-cli -c"]);
    }
    fails(&["demo", "-k", "x"], 2, &["demo does not take --key", "it is for striper-cli -s or -c"]);
}

#[test]
fn an_empty_name_of_a_key_never_starts_a_port_without_one() {
    for variable in ["STRIPER_KEY_FILE", "STRIPER_PEERS_FILE"] {
        for mode in ["-s", "-c"] {
            let finished = run(&[mode, "0.0.0.0:0", "a:1"], &[(variable, "")]);
            assert_eq!(finished.code, Some(6), "{finished:?}");
            assert!(finished.stderr.contains(&format!("{variable} is empty")), "{finished:?}");
        }
    }
    for option in ["-k", "--peers", "--trace"] {
        fails(&["-s", "0.0.0.0:0", "a:1", option, ""], 2, &["the name of the file is empty"]);
    }
}

#[test]
fn too_few_open_files_for_the_stripes_are_an_error_at_the_start() {
    let few = in_shell("ulimit -n 40;", &["-c", "0", "a:1", "-n", "64"], "");
    assert_eq!(few.code, Some(6), "{few:?}");
    assert!(few.stderr.contains("ulimit -n 1024"), "{few:?}");
    assert!(few.stderr.contains("or use fewer stripes: -n"), "{few:?}");
}

#[test]
fn too_low_a_limit_of_file_sizes_is_an_error_and_leaves_no_half_a_key() {
    let folder = TempDir::new();
    let key = folder.text("own.key");
    let small = in_shell("ulimit -f 0;", &["keygen", &key], "");
    assert_eq!(small.code, Some(6), "{small:?}");
    assert!(small.stderr.contains("ulimit -f unlimited"), "{small:?}");
    assert!(!Path::new(&key).exists());
}

#[test]
fn too_little_memory_for_threads_is_no_lack_of_threads() {
    // Room for the program, but not for the stack of one thread more.
    let limits = "ulimit -v 1000000; export RUST_MIN_STACK=1000000000;";
    let few = in_shell(limits, &["relay", "0", "a:1"], "");
    assert_eq!(few.code, Some(6), "{few:?}");
    assert!(few.stderr.contains("ulimit -v unlimited"), "{few:?}");
}

#[test]
fn a_misnamed_variable_is_warned_of() {
    // TEST-NET-1 (RFC 5737).
    let args = ["-s", "192.0.2.1:0", "localhost:1"];
    let finished = run(&args, &[("STRIPER_KEY", "x"), ("STRIPER_LOG", "human")]);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    let warnings = finished.stderr.lines().filter(|line| line.contains("warn"));
    let warnings: Vec<&str> = warnings.collect();
    assert_eq!(warnings.len(), 1, "{finished:?}");
    let cure = "STRIPER_KEY is unknown; did you mean STRIPER_KEY_FILE?";
    assert!(warnings[0].contains(cure), "{finished:?}");
}

#[test]
fn what_contradicts_itself_on_a_line_is_refused() {
    for (line, says) in [
        ("-c 0 a:1 --stripes 4 --stripes 8", "--stripes is given twice"),
        ("-s 0 a:1 -v -q", "--verbose and --quiet exclude each other"),
        ("-s 0 a:1 --limit flows=99 --limit flows=999", "flows is given twice"),
        ("-c 0 a:1,a:1", "a:1 is given twice"),
        ("-s localhost:22 0.0.0.0:7650", "striper-cli -s 0.0.0.0:7650 localhost:22"),
        ("-s 0 0.0.0.0:22", "all addresses of this machine"),
    ] {
        fails(&line.split(' ').collect::<Vec<_>>(), 2, &[says]);
    }
}

#[test]
fn help_behind_a_command_is_its_page_and_no_file() {
    let (folder, page) = (TempDir::new(), run(&["keygen", "--help"], &[]).success());
    let there = format!("cd {};", folder.text(""));
    assert_eq!(in_shell(&there, &["keygen", "help"], "").success(), page);
    let pair = in_shell(&there, &["keygen", "pair"], "");
    assert!(pair.code == Some(2) && pair.stderr.contains("did you mean --pair?"), "{pair:?}");
    assert_eq!(std::fs::read_dir(folder.join("")).expect("a folder").count(), 0);
}

#[test]
fn lines_of_commands_that_end_at_once_carry_no_time() {
    let folder = TempDir::new();
    let key = folder.text("site.key");
    let made = run(&["keygen", &key], &[]);
    assert!(made.code == Some(0) && made.stderr.starts_with(&key), "{made:?}");
    for args in [&["keygen", &key][..], &["pubkey", &key], &["demo", "now"], &["frobnicate"]] {
        let failed = run(args, &[]);
        assert!(failed.stderr.starts_with("striper-cli: "), "{args:?}: {failed:?}");
    }
    let quiet = run(&["keygen", "-q", &folder.text("other.key")], &[]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_command_line_that_makes_no_sense_exits_with_2_and_says_why() {
    fails(&[], 2, &["the command is missing", "--help"]);
    fails(&["-s", "7650"], 2, &["needs CONNECT", "usage: striper-cli -s LISTEN CONNECT"]);
    fails(&["-c", "x", "a:1"], 2, &["LISTEN: "]);
    fails(&["-s", "0", "https://example.org/"], 2, &["example.org:443"]);
    fails(&["-c", "0", "a:1", "-n", "0"], 2, &["from 1 to 64"]);
    fails(&["relay", "0", "a:1", "--connect-timeout", "10"], 2, &["write 10s"]);
}

#[test]
fn a_mistyped_command_or_option_gets_a_suggestion() {
    fails(&["sever", "0", "a:1"], 2, &["there is no command \"sever\"", "did you mean server?"]);
    fails(&["dmeo"], 2, &["did you mean demo?"]);
    fails(&["demo", "--stripe", "4"], 2, &["did you mean --stripes?"]);
}

#[test]
fn a_bad_environment_variable_exits_with_6_and_is_named() {
    let finished = run(&["-s", "0", "a:1"], &[("STRIPER_STRIPES", "many")]);
    assert_eq!(finished.code, Some(6), "{finished:?}");
    assert!(finished.stderr.contains("STRIPER_STRIPES"), "{finished:?}");
}

#[test]
fn a_port_in_use_exits_with_3_and_says_how_to_find_its_user() {
    let origin = Origin::start();
    let address = origin.addr().to_string();
    for mode in ["-s", "-c", "relay"] {
        let port = format!("sport = :{}", origin.addr().port());
        fails(
            &[mode, &address, "localhost:1"],
            3,
            &["another program listens there", &address, &port],
        );
    }
    fails(
        &["-s", &address, "localhost:1", "--log", "json"],
        3,
        &["\"event\":\"failed\"", "\"code\":3"],
    );
}

#[test]
fn an_address_of_another_machine_exits_with_3() {
    // TEST-NET-1 (RFC 5737).
    fails(
        &["-s", "192.0.2.1:0", "localhost:1"],
        3,
        &["this machine has no address 192.0.2.1", "0.0.0.0"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_congestion_control_of_stripes_is_in_the_log_and_an_unknown_one_is_explained() {
    let origin = Origin::start();
    // Every Linux has it, and every user may choose it.
    let server = Proxy::start(&["-s", "0", &origin.addr().to_string(), "--congestion", "reno"]);
    assert_eq!(server.wait_for("ready").text("congestion"), "reno");
    fails(
        &["-c", "0", "a:1", "--congestion", "nosuch"],
        2,
        &["no congestion control of that name", "reno", "auto or system"],
    );
}
