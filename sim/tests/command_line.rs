//! The program itself: exit codes, and what becomes of it when its reader leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

fn sim(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(line.split_whitespace());
    command
}

/// Runs the program, which must end with this code, and returns its words, those of errors last.
fn run_in(folder: &Path, line: &str, code: i32) -> String {
    let Output { status, stdout, stderr } =
        sim(line).current_dir(folder).output().expect("the program runs");
    let said = String::from_utf8([stdout, stderr].concat()).expect("text");
    assert_eq!(status.code(), Some(code), "{line}: {said}");
    said
}

fn run(line: &str, code: i32) -> String {
    run_in(Path::new("."), line, code)
}

#[test]
fn a_reader_that_has_had_enough_ends_the_program_without_a_word() {
    for line in ["--help", "swarm --seeds 0..3", "exhaust --list"] {
        // Nobody reads it, from before its first word on.
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let Output { status, stderr, .. } =
            sim(line).stdout(writer).output().expect("the program runs");
        let said = String::from_utf8(stderr).expect("text");
        assert_eq!((status.code(), said.as_str()), (Some(141), ""), "{line}");
    }
}

#[test]
fn a_bad_line_or_file_ends_with_code_2_before_any_measurement() {
    for line in [
        "swarm --seeds 5..2",
        "swarm --seeds 0..1 --out Cargo.toml",
        "run /nowhere",
        "run Cargo.toml",
        "replay /nowhere",
        "replay Cargo.toml",
        "bless /nowhere",
        "--caps 1mbps --html /nowhere/page.html",
        "--caps 1mbps --stripes 1 --trace /nowhere/trace",
    ] {
        let said = run(line, 2);
        assert!(said.lines().count() <= 2 && !said.contains("panicked"), "{line}: {said}");
    }
}

#[test]
fn the_last_seeds_are_run_too() {
    let last = "--seeds 18446744073709551610..18446744073709551615 --threads 4";
    for what in ["swarm", "drive"] {
        let said = run(&format!("{what} {last}"), 0);
        assert!(said.starts_with("5 "), "{said}");
    }
}

/// An empty folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("striper-sim-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Folder(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let names = entries.map(|entry| name(entry).into_string().expect("text"));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SHORT: &str = "--caps 1mbps --stripes 1 --size 64KiB";

#[test]
fn a_file_of_another_kind_is_never_replaced() {
    let folder = Folder::new("kinds");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let script = fs::read_dir(tests.join("scenarios")).expect("scenarios").next().expect("one");
    let script = script.expect("an entry").path();
    let trace = tests.join("traces/real-half-close.trace");
    for name in ["mine", "mine.client", "mine.server"] {
        fs::write(folder.0.join(name), "[package]\n").expect("a file");
    }
    for (line, named) in [
        (format!("{SHORT} --html mine"), "mine:"),
        (format!("{SHORT} --trace mine"), "mine.client:"),
        (format!("{SHORT} --html page.html --trace mine"), "mine.client:"),
        (format!("run {} --trace mine", script.display()), "mine.client:"),
        (format!("replay {} --html mine", trace.display()), "mine:"),
    ] {
        let said = run_in(&folder.0, &line, 2);
        for words in [named, "it exists and is not", "remove it, or name a new file"] {
            assert!(said.contains(words), "{line}: {said}");
        }
        assert_eq!(folder.names(), ["mine", "mine.client", "mine.server"], "{line}");
    }
    for name in folder.names() {
        assert_eq!(fs::read_to_string(folder.0.join(name)).expect("a file"), "[package]\n");
    }
}

#[test]
fn an_earlier_page_and_earlier_traces_are_replaced() {
    let folder = Folder::new("again");
    for seed in [1, 2] {
        run_in(&folder.0, &format!("{SHORT} --seed {seed} --html run.html --trace run"), 0);
        assert_eq!(folder.names(), ["run.client", "run.html", "run.server"]);
        let trace = fs::read_to_string(folder.0.join("run.server")).expect("a trace");
        assert!(trace.contains(&format!("--seed {seed} ")), "{trace}");
    }
}

#[test]
fn a_table_and_a_page_name_the_faults() {
    let folder = Folder::new("faults");
    let line = format!("{SHORT} --fault 100ms:0:silence --fault 2s:0:heal --html run.html");
    let table = run_in(&folder.0, &line, 0);
    let faults = "no random loss, the faults 100ms:0:silence and 2s:0:heal, seed 1";
    assert!(table.contains(faults), "{table}");
    let page = fs::read_to_string(folder.0.join("run.html")).expect("a page");
    assert!(page.contains(faults), "the page does not say {faults}");
    let json = run(&format!("{SHORT} --fault 1s:0:reset --json"), 0);
    assert!(json.contains("\"faults\": [\"1s:0:reset\"],"), "{json}");
    let plain = run(SHORT, 0);
    assert!(plain.contains("no random loss, no faults, seed 1"), "{plain}");
}

#[test]
fn without_a_finished_single_stripe_there_is_no_speed_up() {
    let line = "--caps 8mbps --stripes 2 --fault 500ms:0:silence --size 2MiB";
    let table = run(line, 0);
    let row: Vec<&str> = table.lines().nth(3).expect("a row").split_whitespace().collect();
    assert_eq!((row[0], row[1], row[4]), ("earliest", "2", "-"), "{table}");
    let json = run(&format!("{line} --json"), 0);
    assert!(json.contains("\"speed_up\": null,"), "{json}");
}

#[test]
fn a_swarm_counts_every_flow_by_its_fate() {
    let said = run("swarm --seeds 0..100", 0);
    let line = said.lines().find(|line| line.contains(" flows: ")).expect("a line about flows");
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let numbers: Vec<u64> = numbers.map(|word| word.parse().expect("a number")).collect();
    let [all, rest @ ..] = &numbers[..] else { panic!("{line}") };
    assert!(rest.len() == 4 && rest.iter().all(|count| *count > 0), "{line}");
    assert_eq!(*all, rest.iter().sum::<u64>(), "{line}");
}
