//! The command lines of docs/TUNING.md, TROUBLESHOOTING.md, LOG.md and wire.md do what these say.
//! The module `striper_tests::desk` says which parts of a line are changed here.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use striper_tests::capture::{SERVER_PORT, capture};
use striper_tests::desk::{Desk, localhost, vacant};
use striper_tests::document::{Document, with};
use striper_tests::{Finished, Origin, Program, Route, Sshd, connect, exchange, skip, start_until};

const TUNING: &str = include_str!("../../../docs/TUNING.md");
const TROUBLESHOOTING: &str = include_str!("../../../docs/TROUBLESHOOTING.md");
const LOG: &str = include_str!("../../../docs/LOG.md");
const WIRE: &str = include_str!("../../../docs/wire.md");

fn lines<const N: usize>(text: &str, with: &str) -> [String; N] {
    Document::new(text).lines(with)
}

fn desk() -> Desk {
    Desk::with_key("striper-cli keygen striper.key")
}

#[test]
fn each_block_is_run_by_a_test() {
    Document::new(TUNING).assert_has(&[
        "iperf3",
        "-n 8",
        "tcp_available_congestion_control",
        "tcp_rmem",
        "tcp_slow_start_after_idle",
        "--trace",
    ]);
    Document::new(TROUBLESHOOTING).assert_has(&["-W localhost:22", "ss -ltnp"]);
    Document::new(LOG).assert_has(&["--log json"]);
    Document::new(WIRE).assert_has(&["tcpdump", "sha256sum", "--tls-key-log"]);
}

/// A server for a target, started in the folder of the other machine. Returns its address.
fn serve(desk: &mut Desk, target: &str, options: &str) -> (striper_tests::Vacant, String) {
    let (held, server, _) = vacant();
    let line = format!("striper-cli server {server} {target} -k striper.key {options}");
    desk.start("there", &line);
    (held, server)
}

#[test]
fn iperf3_compares_one_connection_with_four() {
    let Some([iperf3]) = Program::find(["iperf3"]) else { return };
    let (desk, (_held, _, port)) = (Desk::new(), vacant());
    let mut server = iperf3.command();
    server.args(["-s", "--forceflush", "-p", &port]).stdout(Stdio::piped());
    let _server = start_until(&mut server, "Server listening");
    for line in lines::<2>(TUNING, "iperf3") {
        let here = format!("127.0.0.1 -p {port}");
        let said = desk.run(&with(&line, &[("there.example", &here), ("-t 10", "-n 1M")]));
        assert_eq!(said.contains("[SUM]"), line.ends_with("-P 4"), "{said}");
    }
}

#[test]
fn the_settings_of_the_system_are_shown() {
    let Some([_sysctl]) = Program::find(["sysctl"]) else { return };
    let desk = Desk::new();
    for part in ["tcp_available_congestion_control", "tcp_rmem"] {
        let [show] = lines(TUNING, part);
        assert_eq!(desk.run(&show).lines().count(), 2, "{show}");
    }
}

#[test]
fn connections_can_keep_their_rate_over_a_pause() {
    let Some([_sysctl, _unshare]) = Program::find(["sysctl", "unshare"]) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("a network namespace needs root");
    }
    let [set] = lines(TUNING, "tcp_slow_start_after_idle");
    let said = Desk::new().run(&format!("unshare --net {set}"));
    assert!(said.contains("tcp_slow_start_after_idle = 0"), "{said}");
}

#[test]
fn a_client_has_eight_stripes_and_a_json_log() {
    let (mut desk, origin) = (desk(), Origin::start());
    let (_held, server) = serve(&mut desk, &localhost(origin.addr()), "");
    let table = [("there.example:7650", &*server), ("2222", "0")];
    let [many] = lines(TUNING, "-n 8");
    desk.start_until("home", &with(&many, &table), "8 stripes to");
    let [json] = lines(LOG, "--log json");
    desk.start_until("home", &with(&json, &table), "\"event\":\"ready\"");
}

#[test]
fn a_trace_of_a_client_is_explained() {
    let (mut desk, origin) = (desk(), Origin::start());
    let (_held, server) = serve(&mut desk, &localhost(origin.addr()), "");
    let (entry, _, port) = vacant();
    let [begin, explain] = lines(TUNING, "--trace");
    desk.start("home", &with(&begin, &[("there.example:7650", &server), ("2222", &port)]));
    exchange(&connect(entry.addr()), &origin.accept(), 0..1_000_000);
    desk.stop();
    let words = explain.strip_prefix("cargo run --release -p sim -- ").expect("a command of sim");
    let words = with(words, &[("run.trace", &desk.files.text("home/run.trace"))]);
    let Ok(sim::Command::Replay(task)) = sim::parse(words.split(' ')) else { panic!("{words}") };
    let (text, verdict) = task.run();
    assert_eq!(verdict, sim::replay::Verdict::Fits, "{text}");
}

#[test]
fn the_first_look_tells_where_the_way_ends() {
    let Some([sshd, keygen]) = Program::find(["sshd", "ssh-keygen"]) else { return };
    let Some(target) = Sshd::start(&sshd, &keygen) else { return };
    let (mut desk, name, (_vacant, nobody, _)) = (desk(), localhost(target.addr()), vacant());
    let (_held, server) = serve(&mut desk, "", &format!("--allow {name} --allow {nobody}"));
    let [look] = lines(TROUBLESHOOTING, "-W localhost:22");
    let looks = |target: &str, key: &str| {
        let table =
            [("there.example:7650", &*server), ("localhost:22", target), ("striper.key", key)];
        Finished::of(&mut desk.command("home", &with(&look, &table)))
    };
    let good = looks(&name, "striper.key");
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    assert!(good.stdout.starts_with("SSH-2.0-"), "{}", good.stdout);
    assert_eq!(looks(&nobody, "striper.key").code, Some(5));
    desk.run("striper-cli keygen other.key");
    let refused = looks(&name, "other.key");
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("a key that is not accepted here"), "{}", refused.stderr);
    assert_eq!(looks(&name, "none.key").code, Some(8));
    let Some([_ss]) = Program::find(["ss"]) else { return };
    let [show] = lines(TROUBLESHOOTING, "ss -ltnp");
    let port = server.rsplit(':').next().expect("a port");
    let said = desk.run(&with(&show, &[("7650", port)]));
    assert!(said.contains(&server) && said.contains("striper-cli"), "{said}");
}

/// The text of all source files below a folder, with texts that span lines in one line.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false => {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.split("\\\n");
            let first = lines.next().unwrap_or_default().to_owned();
            lines.fold(first, |text, line| text + line.trim_start())
        }
    };
    entries.map(text).collect()
}

#[test]
fn each_line_of_the_log_in_troubleshooting_is_one_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources: String =
        ["cli/src", "runtime/src", "core/src"].map(|part| sources(&root.join(part))).concat();
    // From the standard library.
    let others = ["Too many open files"];
    let (mut tables, mut rows) = (0, 0);
    let mut is_log = false;
    for line in TROUBLESHOOTING.lines() {
        let first = line.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
        match line {
            line if line.starts_with("| the log says") => (is_log, tables) = (true, tables + 1),
            line if line.starts_with("| ---") => {}
            line if is_log && line.starts_with('|') => {
                rows += 1;
                let is_there = sources.contains(first) || others.contains(&first);
                assert!(is_there, "the program never says {first:?}");
            }
            _ => is_log = false,
        }
    }
    assert!(tables == 4 && rows > 30, "{tables} tables, {rows} rows");
}

#[test]
fn a_recording_is_read_without_a_key_and_with_the_secrets_of_one() {
    let Some([_tshark]) = Program::find(["tshark"]) else { return };
    let [_, plain] = lines(WIRE, "tcpdump");
    let [keyed, decrypt] = lines(WIRE, "--tls-key-log");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for (line, has_key) in [(plain, false), (decrypt, true)] {
        let (mut desk, origin, route) = (desk(), Origin::start(), Route::recording());
        symlink(&docs, desk.files.join("home/docs")).unwrap();
        let (held, server, _) = vacant();
        let table = [("0.0.0.0:7650", &*server), ("localhost:22", &localhost(origin.addr()))];
        let serve = with(&keyed, &table);
        let key = " -k striper.key --tls-key-log secrets";
        let serve = if has_key { serve } else { with(&serve, &[(key, "")]) };
        // Where the reader looks for the secrets.
        desk.start("home", &serve);
        route.lead_to(held.addr());
        let (entry, address, _) = vacant();
        let key = if has_key { "-k striper.key" } else { "" };
        desk.start("home", &format!("striper-cli -c {address} {} {key}", route.addr()));
        exchange(&connect(entry.addr()), &origin.accept(), 0..10_000);
        desk.stop();
        fs::write(desk.files.join("home/stripes.pcap"), capture(&route.recorded())).unwrap();
        let said = desk.run(&line);
        for part in ["HELLO create", "OPEN 1", "CLOSE"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a limit for a test that hangs")]
#[test]
fn tcpdump_records_the_packets_of_a_port() {
    let Some([_tcpdump]) = Program::find(["tcpdump"]) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("tcpdump needs root");
    }
    let (desk, origin) = (Desk::new(), Origin::start());
    let [record, _] = lines(WIRE, "tcpdump");
    let port = origin.addr().port().to_string();
    let record = format!("exec {}", with(&record, &[(&SERVER_PORT.to_string(), &port)]));
    let mut command = desk.command("home", &record);
    let _tcpdump = start_until(command.stderr(Stdio::piped()), "listening on");
    let text = b"recorded on every interface";
    connect(origin.addr()).write_all(text).unwrap();
    let is_there = || {
        let file = desk.files.read("home/stripes.pcap");
        file.windows(text.len()).any(|part| part == text)
    };
    let begin = std::time::Instant::now();
    while !is_there() {
        assert!(begin.elapsed() < striper_tests::LIMIT, "tcpdump records nothing");
        std::thread::yield_now();
    }
}

#[test]
fn the_name_of_a_session_follows_from_its_id() {
    let Some([_xxd, _sum]) = Program::find(["xxd", "sha256sum"]) else { return };
    let [name] = lines(WIRE, "sha256sum");
    let id: [u8; 16] = std::array::from_fn(|at| at as u8);
    let digest = Sha256::digest(id).into_iter().take(4).map(|byte| format!("{byte:02x}"));
    assert_eq!(Desk::new().run(&name).trim(), digest.collect::<String>());
}
