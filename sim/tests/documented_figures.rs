//! README and docs name figures of the simulator, which are what it computes today. README names
//! figures of the lab, which are those of docs/SCHEDULER.md.

#[path = "../examples/transfer.rs"]
mod transfer;

use sim::{Command, Kind, Transfer, parse};
use std::path::Path;
use std::process;
use std::{env, fs};
use striper_core::SchedulerKind;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Its words with one blank between each two: where lines end does not matter.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_example_of_the_library_completes_and_is_drawn() {
    transfer::main();
}

#[track_caller]
fn says(name: &str, sentence: &str) {
    assert!(words(&document(name)).contains(sentence), "{name} must say: {sentence}");
}

fn transfer(line: &str) -> Transfer {
    let Ok(Command::Measure(options)) = parse(line.split_whitespace()) else { panic!("{line}") };
    options.transfer
}

fn seconds(line: &str) -> f64 {
    let transfer = transfer(line);
    let row = transfer.measure(transfer.stripes[0], SchedulerKind::Earliest);
    row.time.expect("a transfer that ends").as_secs_f64()
}

#[test]
fn the_readme_names_the_shares_that_its_commands_print() {
    let shares = |line: &str| -> Vec<String> {
        assert!(document("README.md").contains(&format!("cargo run --release -p sim -- {line}\n")));
        let transfer = transfer(line);
        let measure = |stripes: &usize| transfer.measure(*stripes, SchedulerKind::Earliest).share();
        transfer.stripes.iter().map(|stripes| format!("{:.3}", measure(stripes))).collect()
    };
    let [one, two, four, eight] = &shares("--caps 1mbps")[..] else { panic!("four rows") };
    let reach = format!("eight stripes of 1 Mbit/s reach {one}, {two}, {four} and {eight} of");
    says("README.md", &reach);
    let unequal = "--caps 20mbps,10mbps,5mbps,1mbps";
    let [_, _, short] = &shares(unequal)[..] else { panic!("three rows") };
    let longer = format!("{unequal} --size 64MiB");
    let [_, _, long] = &shares(&longer)[..] else { panic!("three rows") };
    let reach = format!("(20, 10, 5 and 1 Mbit/s) reach {short} with 8 MiB and {long} with 64 MiB");
    says("README.md", &reach);
}

/// Not the case of 100 Mbit/s, which takes half a minute.
#[test]
fn the_predictions_for_a_real_route_are_those_of_the_simulator() {
    let unequal = "19.3mbps,9.65mbps,4.825mbps,0.965mbps";
    // The caps on the wire, in Mbit/s, and the difference of both transfers, in MB.
    for (row, caps, rtt, sizes, sum) in [
        ("10 Mbit/s each, RTT 0", "9.65mbps", "0ms", [15.0, 48.0], 40.0),
        ("10 Mbit/s each, RTT 40 ms", "9.65mbps", "40ms", [15.0, 48.0], 40.0),
        ("20, 10, 5, 1 Mbit/s, RTT 20 ms", unequal, "20ms", [22.0, 86.0], 36.0),
    ] {
        let command = format!("--caps {caps} --stripes 4 --rtt {rtt}");
        let [short, long] = sizes.map(|size| seconds(&format!("{command} --size {size}MB")));
        let share = (sizes[1] - sizes[0]) * 8.0 / (long - short) / sum;
        says("docs/simulator.md", &format!("| {row} | {share:.3} |"));
    }
    let command = "--caps 9.65mbps --stripes 4 --rtt 40ms --idle 1s --size";
    for (row, size) in [
        ("10 Mbit/s each, RTT 40 ms, up and idle for a second, 100 KiB", "100KiB"),
        ("the same, 1 MiB", "1MiB"),
        ("the same, 10 MiB", "10MiB"),
    ] {
        // SendPlan a round trip for the request or the answer.
        let time = seconds(&format!("{command} {size}")) + 0.02;
        says("docs/simulator.md", &format!("| {row} | {time:.3} s |"));
    }
}

/// A row has its options, and in each cell the prediction before the figure of the lab.
#[test]
fn the_page_names_what_the_model_of_tcp_predicts_for_bare_connections() {
    let page = document("docs/simulator.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.contains(" Mbit/s: --rtt ")).collect();
    assert_eq!(rows.len(), 10);
    let wrong: Vec<String> = rows
        .into_iter()
        .filter_map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let (mbit, options) = cells[1].split_once(" Mbit/s: ").expect("a cap and options");
            let cap = mbit.parse::<f64>().expect("a number") * 0.965;
            let bare = |control: &str| {
                let line = format!("--caps {cap}mbps {options} --congestion {control}");
                let [own, all] = transfer(&line).bare_goodput(4, 5..25);
                format!("{:.3}", own.as_bits() as f64 / all.as_bits() as f64)
            };
            let predicted = ["cubic", "bbr"].map(bare);
            let is_said =
                |nth: usize| cells[2 + nth].starts_with(&format!("{} / ", predicted[nth]));
            (!is_said(0) || !is_said(1)).then(|| format!("{options}: {}", predicted.join(", ")))
        })
        .collect();
    assert!(wrong.is_empty(), "docs/simulator.md must say:\n{}", wrong.join("\n"));
}

#[test]
fn the_kinds_of_trouble_are_counted() {
    let kinds = Kind::ALL.len();
    says("docs/simulator.md", &format!("each seed a random subset of {kinds} kinds of trouble"));
    says("docs/simulator.md", &format!("each of the {} pairs met", kinds * (kinds - 1) / 2));
}

/// The first figure of a line of a mix's table: the median of its seeds.
fn median(table: &str, mix: &str, line: &str) -> String {
    let mut lines = table.lines().skip_while(|line| !line.starts_with(&format!("{mix}: ")));
    let found = lines.find_map(|text| words(text).strip_prefix(line).map(str::to_owned));
    let found = found.unwrap_or_else(|| panic!("{mix} has no \"{line}\""));
    found.split_whitespace().next().expect("a figure").to_owned()
}

#[test]
fn the_page_about_schedulers_names_the_medians_of_the_whole_table() {
    let table = document("docs/schedulers-table.txt");
    let page = document("docs/SCHEDULER.md");
    for row in ["A", "B", "C", "D", "E1, E2", "E3", "E4", "F1", "F2", "objects", "objects-C"] {
        let mixes: Vec<String> = if row.starts_with("objects") {
            ["64K", "512K", "4M"].map(|size| format!("{row}-{size}")).into()
        } else {
            row.split(", ").map(str::to_owned).collect()
        };
        let line = page.lines().find(|line| line.starts_with(&format!("| {row} | ")));
        let line = line.unwrap_or_else(|| panic!("no row {row}"));
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        for (cell, line) in [(4, "1MiB earliest"), (5, "any tcp alone")] {
            let medians: Vec<String> = mixes.iter().map(|mix| median(&table, mix, line)).collect();
            let (medians, cell) = (medians.join(", "), cells[cell]);
            assert!(cell.starts_with(&medians), "{row}: {line} is {medians}, not {cell}");
        }
    }
}

/// The lab's measurement in docs/SCHEDULER.md: the median of a row.
fn measured(conditions: &str, direction: &str, what: &str) -> String {
    let page = document("docs/SCHEDULER.md");
    let row = format!(" | {conditions} | {direction} | {what} | ");
    let line = page.lines().find(|line| line.contains(&row));
    let line = line.unwrap_or_else(|| panic!("docs/SCHEDULER.md has no row{row}"));
    let cell = line.split(" | ").nth(5).expect("a cell");
    cell.split(" (").next().expect("a figure").to_owned()
}

#[test]
fn the_readme_names_the_medians_of_the_lab() {
    let [equal, unequal] = ["4 x 10 Mbit/s, RTT 40", "20/10/5/1 Mbit/s, RTT 20"]
        .map(|conditions| measured(conditions, "up", "share of the caps"));
    let whole = |figure: String| -> String {
        let number = figure.trim_end_matches(" ms").parse::<f64>().expect("milliseconds");
        format!("{number:.0} ms")
    };
    let reset = whole(measured("reset of one stripe", "down", "longest stall"));
    let silent = whole(measured("one stripe silent for 10 s", "down", "longest stall"));
    let ping = "100 B ping-pong under bulk, 4 x 10 Mbit/s, RTT 40";
    let ping = measured(ping, "up", "ping p50");
    for sentence in [
        format!("a cap of 10 Mbit/s, together carry {equal} of the sum of their caps"),
        format!("Stripes of 20, 10, 5 and 1 Mbit/s carry {unequal}, with"),
        format!("costs a pause of {reset}, and a stripe that falls silent {silent}."),
        format!("A keystroke beside a bulk transfer takes {ping} there and back"),
    ] {
        says("README.md", &sentence);
    }
}

#[test]
fn the_page_about_traces_shows_the_output_of_its_command() {
    let page = document("docs/traces.md");
    let (before, sample) = page.split_once("```\nout.client: ").expect("a sample");
    let (sample, _) = sample.split_once("```").expect("its end");
    let (_, command) = before.rsplit_once("`sim ").expect("a command");
    let (command, _) = command.split_once('`').expect("its end");
    let folder = env::temp_dir().join(format!("striper-documented-{}", process::id()));
    fs::create_dir(&folder).expect("a new folder");
    let sim = |line: &str| {
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_sim"));
        let output = command.current_dir(&folder).args(line.split_whitespace()).output();
        String::from_utf8(output.expect("the program runs").stdout).expect("text")
    };
    sim(command);
    let told = sim("replay --explain out.client out.server --pauses 1");
    fs::remove_dir_all(&folder).expect("what was written");
    assert_eq!(told, format!("out.client: {sample}"), "sim {command}");
}
