//! The cures that the program names for a failure help: the commands in them are run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use striper_tests::{Finished, Proxy, TempDir, binary, run};

/// Runs a line in a shell that finds `striper-cli`, in this folder.
fn shell(folder: &TempDir, line: &str) -> Finished {
    let beside = binary::path().parent().expect("a folder").display().to_string();
    let folders = format!("{beside}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    Finished::of(command.args(["-c", line]).env("PATH", folders).current_dir(folder.join("")))
}

/// A file of this name and content that only its owner can read.
fn secret(folder: &TempDir, name: &str, content: &str) -> String {
    let file = folder.write(name, content);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
}

/// Runs the command of a cure, and then `args` again. Returns how that went, to be looked at.
fn cured(folder: &TempDir, args: &[&str], code: i32, cure: &str) -> Finished {
    let failed = run(args, &[]);
    assert_eq!(failed.code, Some(code), "{args:?}: {failed:?}");
    assert!(failed.stderr.contains(cure), "{args:?}: {cure:?} is not in {:?}", failed.stderr);
    shell(folder, cure).success();
    run(args, &[])
}

/// A server side that goes no further than its keys: it can't listen where this machine is not.
fn server<'a>(options: &[&'a str]) -> Vec<&'a str> {
    // TEST-NET-1 (RFC 5737).
    [&["-s", "192.0.2.1:0", "localhost:22"], options].concat()
}

#[test]
fn what_is_said_of_a_new_key_that_can_not_be_written_helps() {
    let folder = TempDir::new();
    let deep = folder.text("one two/three/site.key");
    let cure =
        format!("mkdir -p '{}' && striper-cli keygen '{deep}'", folder.text("one two/three"));
    cured(&folder, &["keygen", &deep], 8, &cure);
    assert!(fs::metadata(&deep).is_ok(), "one command makes the folder and the key");
    let new = folder.text("new/");
    let cure = format!(
        "mkdir -p {} && striper-cli keygen --pair {new}striper.key",
        new.trim_end_matches('/')
    );
    cured(&folder, &["keygen", "--pair", &new], 8, &cure);
    run(&["pubkey", &folder.text("new/striper.key")], &[]).success();
    let deep = folder.text("deep/er/");
    let cure =
        format!("mkdir -p {} && striper-cli keygen {deep}striper.key", &deep[..deep.len() - 1]);
    cured(&folder, &["keygen", &deep], 8, &cure);
    assert!(fs::metadata(deep + "striper.key").is_ok());
    let there = folder.text("site.key");
    run(&["keygen", &there], &[]).success();
    cured(&folder, &["keygen", &there], 8, &format!("rm {there}")).success();
    let home = run(&["keygen", &folder.text("")], &[]);
    assert!(home.code == Some(8) && home.stderr.contains("name a file in that folder"), "{home:?}");
    let full = run(&["keygen", "/dev/full"], &[]);
    assert!(full.code == Some(8) && !full.stderr.contains("rm "), "{full:?}");
}

#[test]
fn what_is_said_of_a_key_that_is_of_no_use_helps() {
    let folder = TempDir::new();
    let missing = folder.text("it's missing.key");
    let quoted = format!(r"'{}/it'\''s missing.key'", folder.text("").trim_end_matches('/'));
    let with = |file: &str, cure: &str| {
        let done = cured(&folder, &server(&["-k", file]), 8, cure);
        assert_eq!(done.code, Some(3), "the key is good now: {done:?}");
    };
    with(&missing, &format!("striper-cli keygen {quoted}"));
    let far = folder.text("far/away/site.key");
    let cure = format!("mkdir -p {} && striper-cli keygen {far}", folder.text("far/away"));
    with(&far, &cure);
    let empty = secret(&folder, "empty.key", "");
    with(&empty, &format!("rm {empty} && striper-cli keygen {empty}"));
    let open = folder.text("open.key");
    run(&["keygen", &open], &[]).success();
    fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    with(&open, &format!("chmod 600 {open}"));
    for (content, why) in [
        ("hello", "this is no key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "such as ssh"),
        ("striper-shared-key:00", "64 hexadecimal digits"),
    ] {
        let file = secret(&folder, "bad.key", content);
        let done = cured(&folder, &server(&["-k", &file]), 8, "striper-cli keygen NEW.key");
        assert!(done.stderr.contains(why), "{done:?}");
        let new = folder.text("NEW.key");
        assert_eq!(run(&server(&["-k", &new]), &[]).code, Some(3));
        fs::remove_file(new).unwrap();
    }
}

#[test]
fn what_is_said_of_a_link_that_leads_to_no_key_makes_one_there() {
    let folder = TempDir::new();
    let [link, end] = ["link", "far.key"].map(|name| folder.text(name));
    std::os::unix::fs::symlink("far.key", &link).unwrap();
    let cure = format!("striper-cli keygen {end}");
    let done = cured(&folder, &server(&["-k", &link]), 8, &cure);
    assert_eq!(done.code, Some(3), "the key is good now: {done:?}");
    fs::remove_file(&end).unwrap();
    let cure = format!("striper-cli keygen --pair {end}");
    cured(&folder, &["keygen", "--pair", &link], 8, &cure);
    run(&["pubkey", &link], &[]).success();
    fs::remove_file(&end).unwrap();
    cured(&folder, &["pubkey", &link], 8, &cure).success();
}

#[test]
fn what_is_said_of_a_key_without_a_public_half_helps() {
    let folder = TempDir::new();
    let missing = folder.text("own.key");
    let cure = format!("striper-cli keygen --pair {missing}");
    cured(&folder, &["pubkey", &missing], 8, &cure).success();
    let far = folder.text("far/own.key");
    let cure = format!("mkdir -p {} && striper-cli keygen --pair {far}", folder.text("far"));
    cured(&folder, &["pubkey", &far], 8, &cure).success();
    let empty = secret(&folder, "empty.key", "");
    let cure = format!("rm {empty} && striper-cli keygen --pair {empty}");
    cured(&folder, &["pubkey", &empty], 8, &cure).success();
    let shared = folder.text("shared.key");
    run(&["keygen", &shared], &[]).success();
    let cure = "striper-cli keygen --pair NEW.key && striper-cli pubkey NEW.key";
    cured(&folder, &["pubkey", &shared], 8, cure);
}

#[test]
fn what_is_said_of_a_list_that_is_of_no_use_helps() {
    let folder = TempDir::new();
    let own = folder.text("own.key");
    run(&["keygen", "--pair", &own], &[]).success();
    let list = folder.text("list");
    let line = run(&["pubkey", &own], &[]).success();
    fs::write(&list, &line).unwrap();
    fs::set_permissions(&list, Permissions::from_mode(0o666)).unwrap();
    let args = ["-k", &own, "--peers", &list];
    let done = cured(&folder, &server(&args), 8, &format!("chmod go-w {list}"));
    assert_eq!(done.code, Some(3), "{done:?}");
    fs::write(&list, fs::read(&own).unwrap()).unwrap();
    let secret = run(&server(&args), &[]);
    assert!(secret.code == Some(8) && secret.stderr.contains("pubkey KEY prints it"), "{secret:?}");
}

#[test]
fn what_is_said_of_a_trace_that_can_not_be_created_helps() {
    let folder = TempDir::new();
    let trace = folder.text("new/trace");
    let failed = run(&["-s", "127.0.0.1:0", "127.0.0.1:9", "--trace", &trace], &[]);
    let cure = format!("mkdir -p {}", folder.text("new"));
    assert!(failed.code == Some(2) && failed.stderr.contains(&cure), "{failed:?}");
    shell(&folder, &cure).success();
    let _server = Proxy::start(&["-s", "127.0.0.1:0", "127.0.0.1:9", "--trace", &trace]);
    assert!(folder.join("new/trace").exists());
}
