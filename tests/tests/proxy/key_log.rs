//! `--tls-key-log`: written only where a user asks for it, and with a warning. `dissector.rs` reads
//! stripes by it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use striper_tests::listed::keygen;
use striper_tests::{Origin, Pair, Proxy, TempDir, run};

const LABELS: [&str; 4] = [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET ",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
    "CLIENT_TRAFFIC_SECRET_0 ",
    "SERVER_TRAFFIC_SECRET_0 ",
];

#[test]
fn a_log_of_secrets_has_all_stripes_and_a_warning_on_the_side_that_writes_it() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let (key, secrets) = (keygen(&folder, "site.key", &[]), folder.text("secrets"));
    let options = ["-k", &key, "--tls-key-log", &secrets];
    let Pair { mut client, server } = Pair::with(None, origin.addr(), &options, &options[..2]);
    let warning = client.wait_for("tls_key_log");
    assert_eq!((warning.text("level"), warning.text("path")), ("warn", &*secrets));
    assert!(warning.text("message").starts_with("anyone who has the file"), "{warning}");
    assert_eq!(server.count("tls_key_log"), 0);
    // The keys that are read again are used with the same log.
    client.hang_up();
    client.wait_for("keys_read");
    client.stop();
    let text = String::from_utf8(folder.read("secrets")).unwrap();
    for label in LABELS {
        assert_eq!(text.lines().filter(|line| line.starts_with(label)).count(), 4, "{text}");
    }
    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_environment_alone_makes_no_log_of_secrets() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let (key, secrets) = (keygen(&folder, "site.key", &[]), folder.text("secrets"));
    let variables = [("SSLKEYLOGFILE", &*secrets)];
    let target = origin.addr().to_string();
    let server = Proxy::start_with(&["-s", "127.0.0.1:0", &target, "-k", &key], &variables);
    let address = server.addr().to_string();
    let client = Proxy::start_with(&["-c", "127.0.0.1:0", &address, "-k", &key], &variables);
    client.assert_works(&origin);
    assert!(!folder.join("secrets").exists());
}

#[test]
fn a_log_of_secrets_that_can_not_be_written_stops_the_start_and_harms_nothing() {
    let folder = TempDir::create();
    let key = keygen(&folder, "site.key", &[]);
    let precious = folder.write("precious", "precious");
    symlink(&precious, folder.join("link")).unwrap();
    let (link, new) = (folder.text("link"), folder.text("new"));
    for (options, part) in [
        (&["-k", &key, "--tls-key-log", &link][..], "it is a symbolic link"),
        (&["-k", &key, "--tls-key-log", &precious], "something else is in it"),
        (&["--tls-key-log", &new], "--tls-key-log does nothing without a key"),
        (&["--tls-key-log", &new, "--plain"], "and --plain can't be used together"),
    ] {
        for side in [["-s", "0", "127.0.0.1:1"], ["-c", "0", "127.0.0.1:1"]] {
            let finished = run(&[&side, options].concat(), &[]);
            assert_eq!(finished.code, Some(2), "{}", finished.stderr);
            assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
        }
    }
    assert_eq!(folder.read("precious"), b"precious");
    assert!(!folder.join("new").exists());
}
