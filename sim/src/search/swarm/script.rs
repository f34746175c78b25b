//! Scenarios as text, which `sim run FILE` reads.
//!
//! Each line is a word, then `name=value` pairs. Times are microseconds, sizes bytes, rates bit/s
//! of links and bytes/s of programs, losses millionths. A pair that a line leaves out is as in a
//! plain scenario, and `#` begins a comment. Invariant: `parse(&write(scenario)) == scenario`.

mod line;
mod read;
mod write;

pub use read::parse;
pub use write::write;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::swarm::{Size, draw_sized};

    #[test]
    fn every_drawn_scenario_reads_back() {
        for (seed, size) in
            (0..400).map(|seed| (seed, Size::Small)).chain((0..40).map(|seed| (seed, Size::Large)))
        {
            let scenario = draw_sized(seed, size);
            let text = write(&scenario);
            assert_eq!(parse(&text).as_ref(), Ok(&scenario), "seed {seed}:\n{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let head = "# a story\n\nhonest seed=1 heal=5\nroute\n";
        for (text, hint) in [
            ("", "no scenario in it"),
            ("route", "line 1: the first line"),
            ("honest seed=1", "line 1: heal= is missing"),
            ("honest seed=x heal=1", "seed=x can't be read"),
            ("honest seed=1 heal=1", "no route"),
            (&format!("{head}flow"), "line 5: at= is missing"),
            (&format!("{head}flow at=1 at=2"), "twice"),
            (&format!("{head}flow at=1 colour=2"), "colour= has no meaning"),
            (&format!("{head}flow at=6"), "heal=5"),
            (&format!("{head}upset pause time=1 at=7 side=client"), "to happen at 7"),
            (&format!("{head}config client stripes=65"), "1 to 64"),
            (&format!("{head}config client stripes=0"), "1 to 64"),
            (&format!("{head}route delay=100000000001"), "line 5: delay=100000000001 is beyond"),
            (&format!("{head}flow at=1 bytes=18446744073709551615"), "is beyond"),
            (&format!("{head}fault explode at=1 route=0"), "\"explode\" is no fault"),
            (&format!("{head}fault heal at=1 route=1"), "numbered from 0 to 0"),
            (&format!("{head}upset pause time=1 at=1 side=left"), "neither client nor server"),
            (&format!("{head}route rate=1"), "rates go from"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
