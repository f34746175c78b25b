//! The lab's errors where it cannot work. Its measurements need root, see docs/lab.md.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

/// The user `nobody`, on every system.
const NOBODY: u32 = 65_534;

fn lab() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lab"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_root_the_error_has_a_cure() {
    let mut command = lab();
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    match command.arg("--quick").output() {
        Ok(output) => {
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            assert!(stderr(&output).contains("run it with sudo"), "{}", stderr(&output));
            assert!(output.stdout.is_empty());
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            striper_tests::skip("only root can reach the program");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_wrong_command_line_is_an_error_before_anything_is_done() {
    for (args, said) in
        [(&["t1"][..], "t2, t3, t4, t6, t9"), (&["--runs", "none"], "a number"), (&["-x"], "-x")]
    {
        let output = lab().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    let help = lab().arg("--help").output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"lab - "));
}
