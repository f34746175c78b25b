//! The file of one bug: its story, and its changes to the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Sources by their path in the workspace.
pub type Sources = BTreeMap<String, String>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bug {
    name: String,
    /// Its mistake, and the harm to a user.
    story: String,
    origin: String,
    faults: u8,
    /// A diff for each file, with the file's path.
    diffs: Vec<(String, String)>,
}

impl Bug {
    /// Reads a patch: the story, a line `origin:`, a line `faults:`, and a unified diff.
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let missing = |what| format!("sim/bugs/{name}.patch: {what} is missing");
        let (head, diff) = text.split_once("\n--- a/").ok_or_else(|| missing("the diff"))?;
        let (story, fields) =
            head.split_once("\norigin: ").ok_or_else(|| missing("a line with \"origin: \""))?;
        let (origin, faults) =
            fields.split_once("\nfaults: ").ok_or_else(|| missing("a line with \"faults: \""))?;
        let faults = faults.trim().parse().map_err(|_| missing("the number of faults"))?;
        let file = |diff: &str| {
            let path = diff.lines().next().unwrap_or_default();
            (path.to_owned(), format!("--- a/{diff}\n"))
        };
        let (name, origin) = (name.to_owned(), origin.trim().replace('\n', " "));
        let story = story.trim().replace('\n', " ");
        Ok(Bug { name, story, origin, faults, diffs: diff.split("\n--- a/").map(file).collect() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of faults that it takes to show: stripes that die, fall silent or overtake each
    /// other for long. Zero says that cuts of reads, unequal stripes, small limits or local
    /// programs are enough.
    #[cfg(test)]
    pub fn faults(&self) -> u8 {
        self.faults
    }

    #[cfg(test)]
    pub fn is_modelled(&self) -> bool {
        self.origin != "chosen for this engine"
    }

    /// For `selftest --list`.
    pub fn describe(&self) -> String {
        let Bug { name, story, origin, faults, .. } = self;
        format!("{name} [{faults} faults] ({origin})\n  {story}\n")
    }

    /// Its name in the sources: `late-frame` is `LateFrame` there.
    pub fn identifier(&self) -> String {
        let word = |word: &str| word[..1].to_uppercase() + &word[1..];
        self.name.split('-').map(word).collect()
    }

    /// Puts it into the sources. Fails if the patch does not fit them.
    ///
    pub fn apply(&self, sources: &mut Sources) -> Result<(), String> {
        let Bug { name, .. } = self;
        for (path, diff) in &self.diffs {
            let file = format!("sim/bugs/{name}.patch");
            let patch = diffy::Patch::from_str(diff)
                .map_err(|error| format!("{file}: no diff of {path}: {error}"))?;
            let source = sources.get_mut(path).ok_or_else(|| format!("{file}: no file {path}"))?;
            *source = diffy::apply(source, &patch).map_err(|_| {
                format!(
                    "the bug {name} no longer applies to {path}: adapt {file} to what is there now"
                )
            })?;
        }
        Ok(())
    }
}

/// Reads all patches of a folder, by name. Fails if a file can't be read, or is no patch with a
/// story.
///
pub fn read(folder: &Path) -> Result<Vec<Bug>, String> {
    let trouble = |error| format!("cannot read {}: {error}", folder.display());
    let mut bugs = Vec::new();
    for entry in fs::read_dir(folder).map_err(trouble)? {
        let path = entry.map_err(trouble)?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            bugs.push(Bug::parse(&name, &fs::read_to_string(&path).map_err(trouble)?)?);
        }
    }
    bugs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(bugs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "What goes wrong,\nand who suffers.\n\norigin: another one\nfaults: 2\n\n\
        --- a/one.rs\n+++ b/one.rs\n@@ -1,2 +1,3 @@\n fn a() {\n+    bug();\n }\n\
        --- a/two.rs\n+++ b/two.rs\n@@ -1,1 +1,1 @@\n-old\n+new\n";

    fn sources(one: &str) -> Sources {
        [("one.rs", one), ("two.rs", "old\n")]
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .into()
    }

    #[test]
    fn a_patch_has_a_story_and_changes_each_file_that_it_names() {
        let bug = Bug::parse("late-frame", PATCH).unwrap();
        assert_eq!((bug.identifier().as_str(), bug.faults()), ("LateFrame", 2));
        assert!(bug.describe().contains("goes wrong, and who suffers."), "{}", bug.describe());
        let mut sources = sources("use x;\n\nfn a() {\n}\n");
        bug.apply(&mut sources).unwrap();
        assert_eq!(sources["one.rs"], "use x;\n\nfn a() {\n    bug();\n}\n", "it has moved");
        assert_eq!(sources["two.rs"], "new\n");
    }

    #[test]
    fn a_patch_that_no_longer_fits_says_which_bug_and_which_file() {
        let bug = Bug::parse("late-frame", PATCH).unwrap();
        let error = bug.apply(&mut sources("fn b() {\n}\n")).unwrap_err();
        assert!(error.contains("late-frame") && error.contains("one.rs"), "{error}");
        let error = bug.apply(&mut Sources::new()).unwrap_err();
        assert!(error.contains("no file one.rs"), "{error}");
    }

    #[test]
    fn a_patch_without_a_story_names_the_missing_part() {
        for (part, what) in [
            ("origin: ", "origin"),
            ("faults: ", "faults"),
            ("faults: 2", "faults"),
            ("--- a/", "diff"),
        ] {
            let error = Bug::parse("x", &PATCH.replace(part, "")).unwrap_err();
            assert!(error.contains(what) && error.contains("x.patch"), "{error}");
        }
    }
}
