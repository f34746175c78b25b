//! The commands in the cures of failures are run, and help.

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

fn secret(folder: &TempDir, name: &str, content: &str) -> String {
    let file = folder.write(name, content);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
}

/// Runs `args`, which must fail, then the command of its cure, and then `args` again.
fn cured(folder: &TempDir, args: &[&str], cure: &str) -> Finished {
    let failed = run(args, &[]);
    assert_eq!(failed.code, Some(8), "{args:?}: {failed:?}");
    assert!(failed.stderr.contains(cure), "{args:?}: {cure:?} is not in {:?}", failed.stderr);
    shell(folder, cure).success();
    run(args, &[])
}

/// A server that gets no further than its keys, because it can't listen on its address.
fn server<'a>(options: &[&'a str]) -> Vec<&'a str> {
    // TEST-NET-1 (RFC 5737).
    [&["-s", "192.0.2.1:0", "localhost:22"], options].concat()
}

#[test]
fn the_cure_for_a_new_key_that_can_not_be_written_helps() {
    let folder = TempDir::create();
    let deep = folder.text("one two/three/site.key");
    let parent = folder.text("one two/three");
    let cure = format!("mkdir -p '{parent}' && striper-cli keygen '{deep}'");
    cured(&folder, &["keygen", &deep], &cure);
    assert!(fs::metadata(&deep).is_ok(), "one command makes the folder and the key");
    for (name, option) in [("new/", &["--pair"][..]), ("deep/er/", &[])] {
        let new = folder.text(name);
        let command = [&["keygen"], option].concat();
        let parent = new.trim_end_matches('/');
        let made = format!("striper-cli {} {new}striper.key", command.join(" "));
        cured(&folder, &[&command, &[&*new][..]].concat(), &format!("mkdir -p {parent} && {made}"));
        assert!(fs::metadata(new + "striper.key").is_ok());
    }
    run(&["pubkey", &folder.text("new/striper.key")], &[]).success();
    let there = folder.text("site.key");
    run(&["keygen", &there], &[]).success();
    cured(&folder, &["keygen", &there], &format!("rm {there}")).success();
    let home = run(&["keygen", &folder.text("")], &[]);
    assert!(home.code == Some(8) && home.stderr.contains("name a file in that folder"), "{home:?}");
    let full = run(&["keygen", "/dev/full"], &[]);
    assert!(full.code == Some(8) && !full.stderr.contains("rm "), "{full:?}");
}

#[test]
fn the_cure_for_a_key_that_can_not_be_used_helps() {
    let folder = TempDir::create();
    let quoted = format!(r"'{}/it'\''s missing.key'", folder.text("").trim_end_matches('/'));
    let with = |file: &str, cure: &str| {
        let done = cured(&folder, &server(&["-k", file]), cure);
        assert_eq!(done.code, Some(3), "the key is good now: {done:?}");
    };
    with(&folder.text("it's missing.key"), &format!("striper-cli keygen {quoted}"));
    let far = folder.text("far/away/site.key");
    let parent = folder.text("far/away");
    with(&far, &format!("mkdir -p {parent} && striper-cli keygen {far}"));
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
        let done = cured(&folder, &server(&["-k", &file]), "striper-cli keygen NEW.key");
        assert!(done.stderr.contains(why), "{done:?}");
        let new = folder.text("NEW.key");
        assert_eq!(run(&server(&["-k", &new]), &[]).code, Some(3));
        fs::remove_file(new).unwrap();
    }
}

#[test]
fn the_cure_for_a_link_without_a_key_makes_one_at_its_end() {
    let folder = TempDir::create();
    let [link, end] = ["link", "far.key"].map(|name| folder.text(name));
    std::os::unix::fs::symlink("far.key", &link).unwrap();
    let made = cured(&folder, &server(&["-k", &link]), &format!("striper-cli keygen {end}"));
    assert_eq!(made.code, Some(3), "the key is good now: {made:?}");
    fs::remove_file(&end).unwrap();
    let cure = format!("striper-cli keygen --pair {end}");
    cured(&folder, &["keygen", "--pair", &link], &cure);
    run(&["pubkey", &link], &[]).success();
    fs::remove_file(&end).unwrap();
    cured(&folder, &["pubkey", &link], &cure).success();
}

#[test]
fn the_cure_for_a_key_without_a_public_half_helps() {
    let folder = TempDir::create();
    let missing = folder.text("own.key");
    let far = folder.text("far/own.key");
    let empty = secret(&folder, "empty.key", "");
    let keygen = |file: &str| format!("striper-cli keygen --pair {file}");
    for (file, cure) in [
        (&missing, keygen(&missing)),
        (&far, format!("mkdir -p {} && {}", folder.text("far"), keygen(&far))),
        (&empty, format!("rm {empty} && {}", keygen(&empty))),
    ] {
        cured(&folder, &["pubkey", file], &cure).success();
    }
    let shared = folder.text("shared.key");
    run(&["keygen", &shared], &[]).success();
    let cure = "striper-cli keygen --pair NEW.key && striper-cli pubkey NEW.key";
    cured(&folder, &["pubkey", &shared], cure);
}

#[test]
fn the_cure_for_a_list_that_can_not_be_used_helps() {
    let folder = TempDir::create();
    let own = folder.text("own.key");
    run(&["keygen", "--pair", &own], &[]).success();
    let list = folder.write("list", run(&["pubkey", &own], &[]).success());
    fs::set_permissions(&list, Permissions::from_mode(0o666)).unwrap();
    let args = ["-k", &own, "--peers", &list];
    let done = cured(&folder, &server(&args), &format!("chmod go-w {list}"));
    assert_eq!(done.code, Some(3), "{done:?}");
    fs::write(&list, fs::read(&own).unwrap()).unwrap();
    let secret = run(&server(&args), &[]);
    assert!(secret.code == Some(8) && secret.stderr.contains("pubkey KEY prints it"), "{secret:?}");
}

#[test]
fn the_cure_for_a_trace_that_can_not_be_created_helps() {
    let folder = TempDir::create();
    let trace = folder.text("new/trace");
    let args = ["-s", "127.0.0.1:0", "127.0.0.1:9", "--trace", &trace];
    let failed = run(&args, &[]);
    let cure = format!("mkdir -p {}", folder.text("new"));
    assert!(failed.code == Some(2) && failed.stderr.contains(&cure), "{failed:?}");
    shell(&folder, &cure).success();
    let _server = Proxy::start(&args);
    assert!(folder.join("new/trace").exists());
}
