//! The modules of a crate and what they import from each other.
//!
//! Known are paths that begin with `crate`, `super` or `self`, and in `use` also those that begin
//! with a child of the module. A name that a module only passes on with `use` is an import of the
//! module where it comes from.

use super::Source;
use super::code::{closing, is_name, name, words};
use std::collections::BTreeMap;
use std::ops::Range;

/// How often a name may be passed on.
const MOST_HOPS: usize = 8;

/// The path of a module or an item, from the crate's root.
type Path = Vec<String>;

/// The modules of a crate that are files of their own.
pub struct Crate<'a> {
    pub(super) folder: &'a str,
    modules: BTreeMap<Path, Module<'a>>,
}

struct Module<'a> {
    source: &'a Source,
    /// Only tests compile it.
    is_test: bool,
    passes_on: BTreeMap<String, Path>,
}

pub struct Import<'a> {
    pub from: &'a Source,
    pub place: usize,
    pub is_test: bool,
    /// The module of the file that imports.
    pub importer: Path,
    /// The module of the file that is imported.
    pub imported: Path,
    pub imported_is_test: bool,
}

impl<'a> Crate<'a> {
    /// The crate whose root is in a folder such as `core/src`.
    pub fn new(folder: &'a str, sources: &'a [Source]) -> Crate<'a> {
        let mut modules = BTreeMap::new();
        for source in sources {
            if let Some(path) = module_path(folder, &source.path) {
                let is_test = path.iter().any(|name| name == "tests");
                modules.insert(path, Module { source, is_test, passes_on: BTreeMap::new() });
            }
        }
        let mut all = Crate { folder, modules };
        all.mark_tests();
        let uses: Vec<(Path, String, Path)> =
            all.modules.keys().flat_map(|path| all.passed_on(path)).collect();
        for (path, name, origin) in uses {
            let module = all.modules.get_mut(&path).expect("a module that passes on");
            module.passes_on.insert(name, origin);
        }
        all
    }

    /// Each file, with its module and whether only tests compile it; the root is the empty path.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &'a Source, bool)> {
        self.modules.iter().map(|(path, module)| (path, module.source, module.is_test))
    }

    pub fn source(&self, path: &[String]) -> &'a Source {
        self.modules[path].source
    }

    pub fn imports(&self) -> Vec<Import<'a>> {
        let mut imports = Vec::new();
        for (path, module) in &self.modules {
            for (place, target) in self.paths_in(path) {
                let imported = self.file_of(target, MOST_HOPS);
                if imported != *path {
                    imports.push(Import {
                        from: module.source,
                        place,
                        is_test: module.is_test || module.source.is_test_item(place),
                        importer: path.clone(),
                        imported_is_test: self.modules[&imported].is_test,
                        imported,
                    });
                }
            }
        }
        imports
    }

    fn mark_tests(&mut self) {
        let mut declared = Vec::new();
        for (path, module) in &self.modules {
            let code = &module.source.code;
            for place in words(code, "mod").filter(|place| module.source.is_test_item(*place)) {
                declared.push(child(path, &code[name(code, place + 3)]));
            }
        }
        for (path, module) in &mut self.modules {
            module.is_test |= declared.iter().any(|test| path.starts_with(test));
        }
    }

    /// The names that a module's `use`s bring into it.
    fn passed_on(&self, path: &Path) -> Vec<(Path, String, Path)> {
        let source = self.modules[path].source;
        let inline = inline_modules(&source.code);
        let mut names = Vec::new();
        for place in words(&source.code, "use") {
            if inline.iter().any(|(_, range)| range.contains(&place)) {
                continue;
            }
            for (segments, alias) in use_tree(&source.code, place + 3) {
                let Some(name) = alias.or_else(|| segments.last().cloned()) else { continue };
                if let Some(origin) = self.absolute(path, &segments) {
                    names.push((path.clone(), name, origin));
                }
            }
        }
        names
    }

    /// The paths in a file that lead to modules of the crate, each from the root on.
    fn paths_in(&self, path: &Path) -> Vec<(usize, Path)> {
        let code = &self.modules[path].source.code;
        let inline = inline_modules(code);
        let mut found = Vec::new();
        for (place, segments) in paths(code) {
            let mut inside = path.clone();
            let around = inline.iter().filter(|(_, range)| range.contains(&place));
            inside.extend(around.map(|(name, _)| name.clone()));
            found.extend(self.absolute(&inside, &segments).map(|target| (place, target)));
        }
        found
    }

    /// A path as it is written in a module, from the root on; `None` if it leads elsewhere.
    fn absolute(&self, module: &[String], segments: &[String]) -> Option<Path> {
        let mut base = module.to_vec();
        let mut rest = segments;
        match rest.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &rest[1..]),
            "self" | "super" => {
                while let Some("self" | "super") = rest.first().map(String::as_str) {
                    if rest[0] == "super" {
                        base.pop()?;
                    }
                    rest = &rest[1..];
                }
            }
            first if self.modules.contains_key(&child(module, first)) => {}
            _ => return None,
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module of the file that defines the item of a path.
    fn file_of(&self, path: Path, hops: usize) -> Path {
        let depth = (0..=path.len()).rev().find(|depth| self.modules.contains_key(&path[..*depth]));
        let depth = depth.unwrap_or(0);
        let module = &self.modules[&path[..depth]];
        let origin = path.get(depth).and_then(|name| module.passes_on.get(name));
        match origin {
            Some(origin) if hops > 0 => {
                let mut there = origin.clone();
                there.extend(path[depth + 1..].iter().cloned());
                self.file_of(there, hops - 1)
            }
            _ => path[..depth].to_vec(),
        }
    }
}

fn child(parent: &[String], name: &str) -> Path {
    parent.iter().cloned().chain([name.to_owned()]).collect()
}

/// The module of a file; `None` if it is not in the folder, or in a program below it.
fn module_path(folder: &str, file: &str) -> Option<Path> {
    let inside = file.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".rs")?;
    let mut parts: Path = inside.split('/').map(str::to_owned).collect();
    let is_root = parts.len() == 1 && matches!(parts[0].as_str(), "lib" | "main");
    if is_root || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (parts.first().is_none_or(|first| first != "bin")).then_some(parts)
}

/// Modules in braces, each with its range.
fn inline_modules(code: &str) -> Vec<(String, Range<usize>)> {
    let mut modules = Vec::new();
    for place in words(code, "mod") {
        let name = name(code, place + 3);
        let blank = code[name.end..].len() - code[name.end..].trim_start().len();
        if code[name.end + blank..].starts_with('{') {
            let open = name.end + blank;
            modules.push((code[name].to_owned(), open..closing(code, open)));
        }
    }
    modules
}

/// The paths that begin with a word for a module, each with its place; all paths of `use`.
fn paths(code: &str) -> Vec<(usize, Path)> {
    let mut found = Vec::new();
    let mut uses: Vec<Range<usize>> = Vec::new();
    for place in words(code, "use") {
        uses.push(place..place + code[place..].find(';').unwrap_or(0));
        found.extend(use_tree(code, place + 3).into_iter().map(|(path, _)| (place, path)));
    }
    for word in ["crate", "super", "self"] {
        for place in words(code, word) {
            let before = code[..place].trim_end();
            let starts =
                !before.ends_with("::") && !before.ends_with("in") && !before.ends_with('$');
            if starts && !uses.iter().any(|range| range.contains(&place)) {
                let segments = segments(code, place);
                found.extend((segments.len() > 1).then_some((place, segments)));
            }
        }
    }
    found
}

fn segments(code: &str, from: usize) -> Path {
    let mut path = Vec::new();
    let mut at = from;
    loop {
        let name = name(code, at);
        if name.is_empty() {
            return path;
        }
        path.push(code[name.clone()].to_owned());
        if !code[name.end..].starts_with("::") {
            return path;
        }
        at = name.end + 2;
        if !is_name(code.as_bytes().get(at).copied()) {
            return path;
        }
    }
}

/// The paths of a `use`, given the place behind that word, each with its new name if it has one.
fn use_tree(code: &str, from: usize) -> Vec<(Path, Option<String>)> {
    let end = code[from..].find(';').map_or(code.len(), |len| from + len);
    let mut found = Vec::new();
    branch(&Vec::new(), &code[from..end], &mut found);
    found
}

fn branch(before: &Path, text: &str, found: &mut Vec<(Path, Option<String>)>) {
    let text = text.trim();
    let (head, group) = match text.find('{') {
        Some(open) => (&text[..open], Some(&text[open + 1..closing(text, open) - 1])),
        None => (text, None),
    };
    let (head, alias) =
        head.split_once(" as ").map_or((head, None), |(head, alias)| (head, Some(alias)));
    let names = head.split("::").map(str::trim).filter(|name| !name.is_empty() && *name != "*");
    let mut path = before.clone();
    // `a::{self}` is `a` itself.
    path.extend(names.filter(|name| *name != "self" || before.is_empty()).map(str::to_owned));
    match group {
        None => found.push((path, alias.map(|alias| alias.trim().to_owned()))),
        Some(group) => parts(group).into_iter().for_each(|part| branch(&path, part, found)),
    }
}

/// The parts between commas outside braces.
fn parts(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&group[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(file, text): &(&str, &str)| Source::new(format!("core/src/{file}"), *text);
        let sources: Vec<Source> = files.iter().map(source).collect();
        let all = Crate::new("core/src", &sources);
        let line = |import: &Import| {
            let test = if import.is_test { " in a test" } else { "" };
            format!("{} -> {}{test}", import.importer.join("::"), import.imported.join("::"))
        };
        all.imports().iter().map(line).collect()
    }

    #[test]
    fn paths_of_all_forms_are_found() {
        for text in [
            "use crate::b::B;",
            "use crate::{b::{self, B}};",
            "use super::b;",
            "use super::{c as d, b::B as E};",
            "fn f() { crate::b::g() }",
            "fn f(x: super::b::B) {}",
        ] {
            let found = imports(&[("lib.rs", ""), ("a.rs", text), ("b.rs", ""), ("d.rs", "")]);
            assert!(found.contains(&"a -> b".to_owned()), "{text}: {found:?}");
        }
        let words = "// use crate::b::B;\nconst X: &str = \"crate::b::B\"; use std::b::B;";
        assert_eq!(imports(&[("lib.rs", ""), ("a.rs", words), ("b.rs", "")]), [""; 0]);
    }

    #[test]
    fn a_name_that_is_passed_on_comes_from_where_it_is_written() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::B;"),
            ("a.rs", "use crate::B;"),
            ("b/mod.rs", "mod c; mod d; pub use c::B;"),
            ("b/c.rs", ""),
            ("b/d.rs", "use super::B;"),
        ];
        assert_eq!(imports(&files), [" -> b::c", "a -> b::c", "b -> b::c", "b::d -> b::c"]);
    }

    #[test]
    fn test_code_is_marked_and_its_super_is_the_file() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "#[cfg(test)]\nmod tests { use super::*; use crate::b; }"),
            ("b.rs", "#[cfg(test)] mod play;"),
            ("b/play.rs", "use crate::a;"),
        ];
        assert_eq!(imports(&files), ["a -> b in a test", "b::play -> a in a test"]);
    }
}
