//! docs/LOG.md is the list of events and their fields. A debug build checks each line against it.

use super::{Level, Value, name};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const DOCUMENT: &str = include_str!("../../../docs/LOG.md");

/// One event of the document.
struct Row {
    levels: Vec<&'static str>,
    fields: Vec<&'static str>,
}

/// Panics if the document has another line in mind.
pub(super) fn check(level: Level, event: &str, fields: &[(&str, Value)]) {
    let Some(row) = events().get(event) else { panic!("docs/LOG.md has no event {event}") };
    let level = name(level).0;
    assert!(row.levels.contains(&level), "docs/LOG.md: {event} has not the level {level}");
    for (place, (field, _)) in fields.iter().enumerate() {
        let is_known = *field == "unsaid" || row.fields.contains(field);
        assert!(is_known, "docs/LOG.md: {event} has no field {field}");
        let is_first = fields[..place].iter().all(|(earlier, _)| earlier != field);
        assert!(is_first, "{event} has two fields {field}");
    }
}

fn events() -> &'static BTreeMap<&'static str, Row> {
    static EVENTS: OnceLock<BTreeMap<&'static str, Row>> = OnceLock::new();
    EVENTS.get_or_init(|| {
        let row = |cells: Vec<&'static str>| match cells[..] {
            [event, levels, fields, _] => {
                let levels = levels.split_whitespace().collect();
                (quoted(event)[0], Row { levels, fields: quoted(fields) })
            }
            _ => panic!("docs/LOG.md: four columns in {cells:?}"),
        };
        table("## Events").map(row).collect()
    })
}

/// The rows of the table below a heading, each as its cells.
fn table(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(heading).expect("a heading");
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

/// The words in backquotes.
fn quoted(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// The text of all source files below a folder.
    fn sources(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let text = |path: std::path::PathBuf| match path.is_dir() {
            true => sources(&path),
            false => fs::read_to_string(&path).unwrap(),
        };
        entries.map(text).collect()
    }

    #[test]
    fn each_event_and_field_of_the_document_is_in_the_program() {
        let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let fields = events().values().flat_map(|row| &row.fields);
        for name in events().keys().chain(fields) {
            assert!(sources.contains(&format!("\"{name}\"")), "the program never says {name}");
        }
    }

    #[test]
    fn each_field_is_explained_once_and_has_an_event() {
        let explained: Vec<_> = table("## Fields").map(|cells| quoted(cells[0])[0]).collect();
        assert!(explained.is_sorted(), "{explained:?}");
        let used: BTreeSet<_> = events().values().flat_map(|row| row.fields.clone()).collect();
        assert_eq!(explained, used.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn an_event_that_is_not_described_is_found() {
        let of = |level, event: &'static str, fields: &'static [&str]| {
            let fields: Vec<_> = fields.iter().map(|name| (*name, Value::Count(1))).collect();
            std::panic::catch_unwind(move || check(level, event, &fields)).is_ok()
        };
        assert!(of(Level::Warn, "log_dropped", &["dropped", "unsaid"]));
        assert!(!of(Level::Warn, "log_lost", &[]), "another event");
        assert!(!of(Level::Info, "log_dropped", &[]), "another level");
        assert!(!of(Level::Warn, "log_dropped", &["lost"]), "another field");
        assert!(!of(Level::Warn, "log_dropped", &["dropped", "dropped"]), "a field twice");
    }
}
