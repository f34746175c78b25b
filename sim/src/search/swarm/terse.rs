//! Short ways to write a scenario: without words that change nothing, and on one line of a command.

use super::{Scenario, script};

/// Longer scripts, in bytes, are not worth the time that shortening takes.
const LONGEST: usize = 16 << 10;

pub fn write(scenario: &Scenario) -> String {
    let whole = script::write(scenario);
    if whole.len() > LONGEST {
        return whole;
    }
    let mut lines: Vec<Vec<&str>> = whole.lines().map(|line| line.split(' ').collect()).collect();
    let reads_the_same = |lines: &[Vec<&str>]| script::parse(&join(lines)).as_ref() == Ok(scenario);
    for line in (0..lines.len()).rev() {
        for word in (0..lines[line].len()).rev() {
            let left_out = lines[line].remove(word);
            if !reads_the_same(&lines) {
                lines[line].insert(word, left_out);
            }
        }
        let left_out = lines.remove(line);
        if !reads_the_same(&lines) {
            lines.insert(line, left_out);
        }
    }
    join(&lines)
}

fn join(lines: &[Vec<&str>]) -> String {
    lines.iter().map(|words| words.join(" ") + "\n").collect()
}

/// A script as an argument of a command: its lines joined, its comments left out.
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

pub fn parse_line(text: &str) -> Result<Scenario, String> {
    script::parse(&text.replace(';', "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::swarm::draw;

    #[test]
    fn a_short_script_reads_as_the_long_one_and_so_does_its_one_line() {
        for seed in 0..20 {
            let scenario = draw(seed);
            let short = write(&scenario);
            assert_eq!(script::parse(&short).as_ref(), Ok(&scenario), "seed {seed}:\n{short}");
            assert!(short.len() <= script::write(&scenario).len());
            let line = one_line(&format!("# A story; and more.\n{short}"));
            assert_eq!(parse_line(&line), Ok(scenario));
        }
    }

    #[test]
    fn a_plain_world_is_a_few_words() {
        let text = "honest seed=1 heal=5\nroute\nflow at=0\n";
        let scenario = script::parse(text).expect("a scenario");
        assert_eq!(write(&scenario), text);
    }
}
