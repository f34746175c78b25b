//! The program itself: exit codes, and what becomes of it when its reader leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{fs, io};

fn sim(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(line: &str) -> Output {
    sim(line).output().expect("the program runs")
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

/// An empty folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("striper-sim-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Folder(path)
    }

    fn sim(&self, line: &str) -> Output {
        sim(line).current_dir(&self.0).output().expect("the program runs")
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let script = fs::read_dir(script).expect("scenarios").next().expect("one");
    let script = script.expect("an entry").path();
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/traces/real-half-close.trace");
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
        let Output { status, stdout, stderr } = folder.sim(&line);
        let said = String::from_utf8([stdout, stderr].concat()).expect("text");
        assert_eq!(status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(named) && said.contains("it exists and is not"), "{line}: {said}");
        assert!(said.contains("remove it, or name a new file"), "{line}: {said}");
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
        let output = folder.sim(&format!("{SHORT} --seed {seed} --html run.html --trace run"));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(folder.names(), ["run.client", "run.html", "run.server"]);
        let trace = fs::read_to_string(folder.0.join("run.server")).expect("a trace");
        assert!(trace.contains(&format!("--seed {seed} ")), "{trace}");
    }
}

#[test]
fn a_table_and_a_page_name_the_faults() {
    let folder = Folder::new("faults");
    let line = format!("{SHORT} --fault 100ms:0:silence --fault 2s:0:heal --html run.html");
    let output = folder.sim(&line);
    let table = String::from_utf8(output.stdout).expect("text");
    let faults = "no random loss, the faults 100ms:0:silence and 2s:0:heal, seed 1";
    assert!(table.contains(faults), "{table}");
    let page = fs::read_to_string(folder.0.join("run.html")).expect("a page");
    assert!(page.contains(faults), "the page does not say {faults}");
    let json = String::from_utf8(folder.sim(&format!("{SHORT} --fault 1s:0:reset --json")).stdout);
    assert!(json.expect("text").contains("\"faults\": [\"1s:0:reset\"],"));
    let plain = String::from_utf8(run(SHORT).stdout).expect("text");
    assert!(plain.contains("no random loss, no faults, seed 1"), "{plain}");
}

#[test]
fn without_a_finished_single_stripe_there_is_no_speed_up() {
    let line = "--caps 8mbps --stripes 2 --fault 500ms:0:silence --size 2MiB";
    let table = String::from_utf8(run(line).stdout).expect("text");
    let row: Vec<&str> = table.lines().nth(3).expect("a row").split_whitespace().collect();
    assert_eq!((row[0], row[1], row[4]), ("earliest", "2", "-"), "{table}");
    let json = String::from_utf8(run(&format!("{line} --json")).stdout).expect("text");
    assert!(json.contains("\"speed_up\": null,"), "{json}");
}

#[test]
fn a_swarm_counts_every_flow_by_its_fate() {
    let said = String::from_utf8(run("swarm --seeds 0..100").stdout).expect("text");
    let line = said.lines().find(|line| line.contains(" flows: ")).expect("a line about flows");
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let numbers: Vec<u64> = numbers.map(|word| word.parse().expect("a number")).collect();
    let [all, rest @ ..] = &numbers[..] else { panic!("{line}") };
    assert!(rest.len() == 4 && rest.iter().all(|count| *count > 0), "{line}");
    assert_eq!(*all, rest.iter().sum::<u64>(), "{line}");
}
