//! No circles between the top-level modules of a crate.

use super::imports::Import;
use super::{Crate, Fault};
use std::collections::{BTreeMap, BTreeSet};

/// Modules that import each other in a circle, each once. Imports of tests count, but for those of
/// modules that only tests compile: they help all tests of the crate.
pub fn circles(all: &Crate) -> Vec<Fault> {
    let imports = all.imports();
    let mut edges: BTreeMap<&str, BTreeMap<&str, &Import>> = BTreeMap::new();
    for import in imports.iter().filter(|import| !(import.is_test && import.imported_is_test)) {
        if let (Some(from), Some(to)) = (import.importer.first(), import.imported.first())
            && from != to
        {
            edges.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    let mut faults = Vec::new();
    for (module, imported) in &edges {
        let back = imported.iter().filter(|(other, _)| reaches(&edges, other, module));
        let told = back.map(|(other, Import { from, place, .. })| {
            format!("{other} ({}:{})", from.path, from.line(*place))
        });
        let told: Vec<String> = told.collect();
        if !told.is_empty() {
            let path = format!("{}/{module}", all.folder);
            faults.push(Fault::new("circles", &path, format!("imports {}", told.join(", "))));
        }
    }
    faults
}

fn reaches(edges: &BTreeMap<&str, BTreeMap<&str, &Import>>, from: &str, to: &str) -> bool {
    let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(next) = left.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            left.extend(edges.get(next).into_iter().flat_map(BTreeMap::keys));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(file, text): &(&str, &str)| Source::new(format!("core/src/{file}"), *text);
        let sources: Vec<Source> = files.iter().map(source).collect();
        circles(&Crate::new("core/src", &sources)).iter().map(Fault::to_string).collect()
    }

    #[test]
    fn a_circle_of_three_names_each_and_the_line_of_its_import() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "\nuse crate::b;"),
            ("b/mod.rs", "mod inner;"),
            ("b/inner.rs", "use crate::c::C;"),
            ("c.rs", "use super::a::A;"),
            ("d.rs", "use crate::a;"),
        ];
        let expected = [
            "circles: core/src/a: imports b (core/src/a.rs:2)",
            "circles: core/src/b: imports c (core/src/b/inner.rs:1)",
            "circles: core/src/c: imports a (core/src/c.rs:1)",
        ];
        assert_eq!(faults(&files), expected);
    }

    #[test]
    fn a_circle_through_tests_is_one_unless_it_leads_to_helpers_of_tests() {
        let test = "#[cfg(test)]\nmod tests { use crate::b; }";
        let both = [("lib.rs", ""), ("a.rs", test), ("b.rs", "use crate::a;")];
        assert_eq!(faults(&both).len(), 2);
        let helper = [("lib.rs", "#[cfg(test)]\nmod b;"), both[1], both[2]];
        assert_eq!(faults(&helper), [""; 0]);
    }
}
