//! What the program says when it can't do what it is asked to, and its exit codes.

use striper_tests::{Origin, Proxy, run};

#[track_caller]
fn fails(args: &[&str], code: i32, says: &[&str]) {
    let finished = run(args, &[]);
    assert_eq!(finished.code, Some(code), "{args:?}: {finished:?}");
    assert_eq!(finished.stdout, "", "{args:?}");
    for part in says {
        assert!(finished.stderr.contains(part), "{args:?}: {part:?} is not in {:?}", finished.stderr);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&["--help"], &[]).success();
    assert!(help.contains("striper-cli -s 0.0.0.0:7650 localhost:22"));
    assert!(run(&["--version"], &[]).success().starts_with("striper-cli "));
}

#[test]
fn a_command_line_that_makes_no_sense_exits_with_2_and_says_why() {
    fails(&[], 2, &["nothing to do", "--help"]);
    fails(&["-s", "7650"], 2, &["needs CONNECT", "usage: striper-cli -s LISTEN CONNECT"]);
    fails(&["-c", "x", "a:1"], 2, &["LISTEN: "]);
    fails(&["-s", "0", "https://example.org/"], 2, &["example.org:443"]);
    fails(&["demo", "-n", "0"], 2, &["from 1 to 64"]);
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
        fails(&[mode, &address, "localhost:1"], 3, &["another program listens there", &address, &port]);
    }
    fails(&["-s", &address, "localhost:1", "--log", "json"], 3, &["\"event\":\"failed\"", "\"code\":3"]);
}

#[test]
fn an_address_of_another_machine_exits_with_3() {
    // TEST-NET-1 (RFC 5737).
    fails(&["-s", "192.0.2.1:0", "localhost:1"], 3, &["this machine has no address 192.0.2.1", "0.0.0.0"]);
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
        &["there is none of that name", "reno", "auto and system"],
    );
}
