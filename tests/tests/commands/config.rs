//! Configuration files: run, checked, shown, and refused with a reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use striper_tests::listed::{keygen, pubkey};
use striper_tests::{Finished, Origin, Proxy, TempDir, binary, exchange, run, skip};

fn check(finished: &Finished, code: i32, says: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for part in says {
        assert!(finished.stderr.contains(part), "{part:?} is not in {finished:?}");
    }
}

/// The file of a server in front of the origin, with these lines more.
fn server(folder: &TempDir, origin: &Origin, lines: &str) -> String {
    let target = origin.addr();
    let text = format!("[server]\nlisten = \"127.0.0.1:0\"\ntarget = \"{target}\"\n{lines}\n");
    folder.write("server.toml", text)
}

/// The file of a client that forwards to the server's target, with these lines more.
fn client(folder: &TempDir, server: &Proxy, lines: &str) -> String {
    let address = server.addr();
    let text = format!(
        "[client]\nserver = \"{address}\"\n{lines}\n[[client.forward]]\nlisten = \"127.0.0.1:0\"\n"
    );
    folder.write("client.toml", text)
}

fn start(file: &str) -> Proxy {
    Proxy::start(&["run", "-f", file])
}

#[test]
fn a_pair_that_two_files_describe_carries_connections() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    keygen(&folder, "site.key", &[]);
    let key = "key = \"site.key\"";
    let server = start(&server(&folder, &origin, key));
    let client = start(&client(&folder, &server, &format!("{key}\nstripes = 2")));
    exchange(&client.connect(), &origin.accept(), 0..100_000);
    assert_eq!(server.wait_for("connection_opened").text("key"), "site");
    assert_eq!(client.wait_for("ready").number("stripes"), 2);
}

#[test]
fn a_relay_that_a_file_describes_passes_connections_on() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let text = format!("[relay]\nlisten = \"127.0.0.1:0\"\nconnect = \"{}\"\n", origin.addr());
    start(&folder.write("relay.toml", text)).assert_works(&origin);
}

#[test]
fn peers_in_a_file_are_accepted_under_their_names() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let [own, laptop] =
        ["own.key", "laptop.key"].map(|name| pubkey(&keygen(&folder, name, &["--pair"])));
    let section = |line: &str| {
        let (key, name) = line.trim().split_once(' ').expect("a key and a name");
        format!("[[peers]]\nkey = \"{key}\"\nname = \"{name}\"")
    };
    let lines = format!("key = \"own.key\"\n{}", section(&laptop));
    let server = start(&server(&folder, &origin, &lines));
    let file = client(&folder, &server, "key = \"laptop.key\"");
    let text = fs::read_to_string(&file).expect("the file") + &section(&own);
    let client = start(&folder.write("client.toml", text));
    exchange(&client.connect(), &origin.accept(), 0..100_000);
    assert_eq!(server.wait_for("connection_opened").text("key"), "laptop");
}

#[test]
fn a_second_process_with_the_same_file_says_that_the_address_is_taken() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let first = start(&server(&folder, &origin, "plain = true"));
    let (address, target) = (first.addr().to_string(), origin.addr());
    let text = format!("[server]\nlisten = \"{address}\"\ntarget = \"{target}\"\nplain = true\n");
    let file = folder.write("second.toml", text);
    let second = run(&["run", "-f", &file], &[]);
    check(&second, 3, &["cannot listen on", &address, "another program listens there"]);
    check(&run(&["check", "-f", &file], &[]), 0, &[]);
}

#[test]
fn a_file_that_is_no_configuration_has_its_cause_and_exit_code() {
    let folder = TempDir::create();
    let large = folder.write("large", "");
    fs::File::options().write(true).open(&large).unwrap().set_len(1 << 30).unwrap();
    let fifo = folder.text("fifo");
    Finished::of(Command::new("mkfifo").arg(&fifo)).success();
    for (file, says) in [
        (folder.text(""), "this is a folder"),
        (folder.text("none"), "No such file"),
        (folder.write("empty", "\n \n"), "it is empty"),
        (large, "more than 1 MiB"),
        (fifo, "this is no regular file"),
        ("/dev/null".to_owned(), "this is no regular file"),
        (folder.write("latin", b"[server]\n# caf\xe9\n"), "line 2: this is not UTF-8"),
        (folder.write("comment", "# nothing"), "no section [server], [client] or [relay]"),
        (folder.write("binary", [0; 100]), "line 1: "),
        (folder.write("deep", format!("a = {}", "[".repeat(100_000))), "line 1: "),
    ] {
        for args in [&["run", "-f"][..], &["check", "-f"], &["config", "show", "-f"]] {
            let failed = run(&[args, &[&file]].concat(), &[]);
            check(&failed, 6, &[&format!("striper-cli: {file}: "), says, "\n  "]);
            assert!(!failed.stderr.contains("panic") && failed.stdout.is_empty(), "{failed:?}");
        }
    }
}

#[test]
fn a_file_that_this_user_may_not_read_has_its_cause() {
    if rustix::process::geteuid().is_root() {
        return skip("root can read every file");
    }
    let folder = TempDir::create();
    let file = folder.write("secret.toml", "[relay]");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("a mode");
    check(&run(&["check", "-f", &file], &[]), 6, &["Permission denied", "ls -l"]);
}

#[test]
fn a_mistake_shows_its_line_with_carets() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let file = server(&folder, &origin, "plain = true\n[limits]\nsesions = 5");
    let says = [
        "server.toml: line 6: there is no limit \"sesions\"; did you mean sessions?",
        "\n    sesions = 5\n    ^^^^^^^\n",
    ];
    check(&run(&["run", "-f", &file], &[]), 6, &says);
}

#[test]
fn check_reads_keys_peers_and_rules_without_a_start() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let of = |lines: &str| run(&["check", "-f", &server(&folder, &origin, lines)], &[]);
    let key = keygen(&folder, "own.key", &["--pair"]);
    let right = of("plain = true");
    check(&right, 0, &[]);
    assert!(right.stdout.ends_with("server.toml: no mistake found\n"), "{right:?}");
    check(&of("key = \"none.key\""), 8, &[&folder.text("none.key"), "keygen"]);
    check(&of("key = \"own.key\""), 8, &["--peers"]);
    folder.write("peers", "nonsense");
    check(&of("key = \"own.key\"\npeers = \"peers\""), 8, &["peers: line 1: this is no key"]);
    let own = pubkey(&key);
    let (public, _) = own.split_once(' ').expect("a key and a name");
    let listed = format!("[[peers]]\nkey = \"{public}\"\nname = \"own\"");
    check(&of(&format!("key = \"own.key\"\n{listed}")), 0, &["has this side's own key"]);
    check(&of(&listed), 8, &["[[peers]]: ", "without a key"]);
    check(&of("plain = true\nallow-private = true"), 6, &["allow-private does nothing"]);
    check(&of("plain = true\ncongestion = \"nosuch\""), 6, &["server.toml: congestion nosuch"]);
}

#[test]
fn what_holds_is_shown_with_its_source() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let file = server(&folder, &origin, "plain = true\n[limits]\nsessions = 5");
    let args = ["config", "show", "-f", &file, "--drain-timeout", "5s"];
    let variables = [("STRIPER_LOG", "json"), ("STRIPER_LIMITS", "flows=99")];
    let shown = run(&args, &variables).success();
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        format!("server.listen 127.0.0.1:0 file {file}:2"),
        format!("limits.sessions 5 file {file}:6"),
        "server.drain-timeout 5s option".into(),
        "log.format json environment STRIPER_LOG".into(),
        "limits.flows 99 environment STRIPER_LIMITS".into(),
        "server.connect-timeout 10s default".into(),
        "server.trace - default".into(),
    ] {
        assert!(lines.contains(&line), "{line}: {shown}");
    }
    let json = run(&[&args[..], &["--json"]].concat(), &variables).success();
    let words = json.split_whitespace().collect::<Vec<_>>().join(" ");
    let value = "{ \"key\": \"limits.flows\", \"place\": \"STRIPER_LIMITS\", \
                 \"source\": \"environment\", \"value\": \"99\" }";
    assert!(words.contains(value), "{json}");
}

/// `tests/tests/texts.rs` compares them with golden files.
#[test]
fn the_examples_are_right() {
    let folder = TempDir::create();
    keygen(&folder, "striper.key", &[]);
    for role in ["server", "client", "relay"] {
        let example = run(&["config", "example", role], &[]).success();
        let file = folder.write("example.toml", &example);
        check(&run(&["check", "-f", &file], &[]), 0, &[]);
    }
}

#[test]
fn a_key_without_a_folder_may_be_a_credential_of_systemd() {
    let (folder, credentials, origin) = (TempDir::create(), TempDir::create(), Origin::start());
    keygen(&credentials, "site.key", &[]);
    let file = server(&folder, &origin, "key = \"site.key\"");
    check(&run(&["check", "-f", &file], &[]), 8, &[&folder.text("site.key")]);
    let home = credentials.text("");
    check(&run(&["check", "-f", &file], &[("CREDENTIALS_DIRECTORY", &home)]), 0, &[]);
}

/// The folder is not that of the file, and the file is named without one.
#[test]
fn relative_paths_go_from_the_folder_of_the_file() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    keygen(&folder, "site.key", &[]);
    server(&folder, &origin, "key = \"site.key\"");
    for (from, file) in
        [(folder.join(""), "server.toml"), ("/".into(), &folder.text("server.toml"))]
    {
        let mut command = Command::new(binary::path());
        command.current_dir::<&Path>(&from).args(["check", "-f", file]);
        check(&Finished::of(&mut command), 0, &[]);
    }
}
