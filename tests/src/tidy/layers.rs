//! The layers of a crate, as its documentation has them.

use super::{Crate, Fault};

struct Layer {
    name: String,
    /// Names of files without their ending, from the crate's root; `*` stands for any.
    files: Vec<String>,
}

/// Files that import a layer above their own, or that are not in exactly one row of the table of
/// layers. The table is under `heading` in a document of this name and text. The crate's root and
/// tests are in no layer.
pub fn layers((name, text): (&str, &str), heading: &str, all: &Crate) -> Vec<Fault> {
    let layers = table(text, heading);
    let mut faults = Vec::new();
    let mut place = std::collections::BTreeMap::new();
    for (module, source, _) in all.files().filter(|(path, _, is_test)| !is_test && !path.is_empty())
    {
        let inside = &source.path[all.folder.len() + 1..];
        let has = |layer: &Layer| layer.files.iter().any(|file| is_named(file, inside));
        let rows: Vec<usize> = (0..layers.len()).filter(|row| has(&layers[*row])).collect();
        match rows[..] {
            [row] => drop(place.insert(module, row)),
            _ => {
                let rows = rows.len();
                let message = format!("stands in {rows} rows of the table of layers, not in one");
                faults.push(Fault::new("layers", &source.path, message));
            }
        }
    }
    for import in all.imports().iter().filter(|import| !import.is_test) {
        if let (Some(from), Some(to)) = (place.get(&import.importer), place.get(&import.imported))
            && from < to
        {
            let message = format!(
                "of {} imports {} of {}",
                layers[*from].name,
                all.source(&import.imported).path,
                layers[*to].name
            );
            faults.push(Fault::at("layers", import.from, import.place, &message));
        }
    }
    for file in layers.iter().flat_map(|layer| &layer.files) {
        let prefix = all.folder.len() + 1;
        if !all.files().any(|(_, source, _)| is_named(file, &source.path[prefix..])) {
            let message = format!("`{file}` in the table of layers is no file of {}", all.folder);
            faults.push(Fault::new("layers", name, message));
        }
    }
    faults
}

fn is_named(name: &str, file: &str) -> bool {
    let file = file.strip_suffix(".rs").unwrap_or(file);
    match name.strip_suffix("/*") {
        Some(folder) => file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => file == name || file.strip_suffix("/mod") == Some(name),
    }
}

/// The rows of the table of layers under a heading, the lowest first.
fn table(document: &str, heading: &str) -> Vec<Layer> {
    let section = document.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with('#'));
    let rows = section.skip_while(|line| !line.starts_with("| layer | files |"));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    let layers: Vec<Layer> = rows.filter_map(layer).collect();
    assert!(!layers.is_empty(), "no table of layers under \"{heading}\"");
    layers
}

fn layer(row: &str) -> Option<Layer> {
    let mut cells = row.split('|').skip(1);
    let name = cells.next()?.trim().to_owned();
    let words = cells.next()?.split('`').skip(1).step_by(2);
    Some(Layer { name, files: words.flat_map(spelled_out).collect() })
}

/// `wire/{varint,frame}` is `wire/varint` and `wire/frame`.
fn spelled_out(word: &str) -> Vec<String> {
    let parts =
        word.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        None => vec![word.to_owned()],
        Some((before, (list, after))) => {
            list.split(',').map(|one| format!("{before}{}{after}", one.trim())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    const DOCUMENT: &str = "## Parts\n### core\ntext\n\n\
        | layer | files | what |\n\
        | --- | --- | --- |\n\
        | L0 words | `time` | |\n\
        | L1 wire | `wire/{frame,hello}` `wire` | bytes |\n\
        | L2 top | `engine` `choice/*` | |\n\n### sim\n";

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let usual = [("lib.rs", ""), ("time.rs", ""), ("wire/hello.rs", ""), ("choice/a.rs", "")];
        let all = usual.iter().chain(files);
        let source = |(file, text): &(&str, &str)| Source::new(format!("core/src/{file}"), *text);
        let sources: Vec<Source> = all.map(source).collect();
        let document = ("ARCHITECTURE.md", DOCUMENT);
        let faults = layers(document, "### core", &Crate::new("core/src", &sources));
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn an_import_of_a_layer_above_is_named_with_both_layers() {
        let engine = ("engine.rs", "use crate::wire::frame::Frame; use crate::time::Time;");
        let wire = ("wire/mod.rs", "pub mod frame; pub mod hello; pub use hello::Hello;");
        assert_eq!(faults(&[engine, wire, ("wire/frame.rs", "use super::Hello;")]), [""; 0]);
        let test = "#[cfg(test)]\nmod tests { use crate::engine; }";
        assert_eq!(faults(&[engine, wire, ("wire/frame.rs", test)]), [""; 0]);
        let expected = "layers: core/src/wire/frame.rs: line 2: of L1 wire imports \
                        core/src/engine.rs of L2 top";
        let upwards = ("wire/frame.rs", "\nuse crate::engine::Engine;");
        assert_eq!(faults(&[engine, wire, upwards]), [expected]);
    }

    #[test]
    fn a_file_without_a_row_and_a_row_without_a_file_are_named() {
        let found = faults(&[("engine.rs", ""), ("wire/mod.rs", ""), ("new.rs", "")]);
        let expected = [
            "layers: core/src/new.rs: stands in 0 rows of the table of layers, not in one",
            "layers: ARCHITECTURE.md: `wire/frame` in the table of layers is no file of core/src",
        ];
        assert_eq!(found, expected);
    }
}
