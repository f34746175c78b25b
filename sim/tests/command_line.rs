//! The program itself: exit codes, and what becomes of it when its reader leaves.

use std::process::{Command, Output, Stdio};

fn sim(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(line: &str) -> Output {
    sim(line).output().expect("the program runs")
}

#[test]
fn a_reader_that_has_had_enough_ends_the_program_without_a_word() {
    for line in ["--help", "swarm --seeds 0..3", "exhaust --list"] {
        // Nobody reads it, from before its first word on.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let Output { status, stderr, .. } = sim(line).stdout(writer).output().expect("the program runs");
        let said = String::from_utf8(stderr).expect("text");
        assert_eq!((status.code(), said.as_str()), (Some(141), ""), "{line}");
    }
}

#[test]
fn what_makes_no_sense_or_can_not_be_read_or_written_ends_with_code_2_before_anything_is_measured() {
    for line in [
        "swarm --seeds 5..2",
        "run /nowhere",
        "run Cargo.toml",
        "replay /nowhere",
        "replay Cargo.toml",
        "bless /nowhere",
        "--caps 1mbps --html /nowhere/page.html",
        "--caps 1mbps --stripes 1 --trace /nowhere/trace",
    ] {
        let Output { status, stdout, stderr } = run(line);
        assert_eq!(status.code(), Some(2), "{line}");
        let said = String::from_utf8([stdout, stderr].concat()).expect("text");
        assert!(said.lines().count() <= 2 && !said.contains("panicked"), "{line}: {said}");
    }
}

#[test]
fn the_last_seeds_are_run_too() {
    let last = "--seeds 18446744073709551610..18446744073709551615 --threads 4";
    for what in ["swarm", "drive"] {
        let Output { status, stdout, stderr } = run(&format!("{what} {last}"));
        let said = String::from_utf8([stdout, stderr].concat()).expect("text");
        assert!(status.success() && said.starts_with("5 "), "{said}");
    }
}
