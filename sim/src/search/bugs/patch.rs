//! The file of one bug: its story, and its changes to the sources.

use std::collections::BTreeMap;

pub type Sources = BTreeMap<String, String>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bug {
    pub name: String,
    story: String,
    pub origin: String,
    /// The faults that it takes to show: stripes that die, fall silent or overtake each other for
    /// long. For zero, cuts of reads, unequal stripes, small limits or local programs are enough.
    pub faults: u8,
    diffs: Vec<(String, String)>,
}

impl Bug {
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
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

    pub fn describe(&self) -> String {
        let Bug { name, story, origin, faults, .. } = self;
        format!("{name} [{faults} faults] ({origin})\n  {story}\n")
    }

    pub fn identifier(&self) -> String {
        let word = |word: &str| word[..1].to_uppercase() + &word[1..];
        self.name.split('-').map(word).collect()
    }

    pub fn apply(&self, sources: &mut Sources) -> Result<(), String> {
        let Bug { name, .. } = self;
        for (path, diff) in &self.diffs {
            let file = format!("sim/bugs/{name}.patch");
            let patch = diffy::Patch::from_str(diff)
                .map_err(|error| format!("{file}: no diff of {path}: {error}"))?;
            let source = sources.get_mut(path).ok_or_else(|| format!("{file}: no file {path}"))?;
            let cure = format!("adapt {file} to what is there now");
            *source = diffy::apply(source, &patch)
                .map_err(|_| format!("the bug {name} no longer applies to {path}: {cure}"))?;
        }
        Ok(())
    }
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
        assert_eq!((bug.identifier().as_str(), bug.faults), ("LateFrame", 2));
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
