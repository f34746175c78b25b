//! Lints that are switched off say why.

use super::code::{attributes, words};
use super::{Fault, Source};

/// Attributes `allow` and `expect` that have neither a `reason` nor a comment right above them.
pub fn reasons(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        let code = source.code();
        for attribute in attributes(code) {
            let switched_off = ["allow", "expect"].iter().any(|name| {
                let mut places = words(&code[attribute.clone()], name);
                places.any(|place| code[attribute.start + place + name.len()..].starts_with('('))
            });
            let says = &source.text()[attribute.clone()];
            let says = says.split_once("reason = \"").is_some_and(|(_, why)| !why.starts_with('"'));
            if switched_off && !says && !has_comment_above(source.text(), attribute.start) {
                let message = "no reason = \"...\" and no comment right above it";
                faults.push(Fault::at("reasons", source, attribute.start, message));
            }
        }
    }
    faults
}

/// Whether the line before a place is a comment, and none that documents an item.
fn has_comment_above(text: &str, place: usize) -> bool {
    let above = text[..place].lines().rev().skip_while(|line| line.trim().is_empty());
    let above = above.map(str::trim).next().unwrap_or_default();
    above.starts_with("//") && !above.starts_with("///") && !above.starts_with("//!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lint_that_is_switched_off_without_a_reason_is_a_fault() {
        let faults = |text: &str| reasons(&[Source::new("core/src/a.rs", text)]);
        for good in [
            "#[allow(x, reason = \"because\")]\n",
            "// Because.\n#[allow(x)]\n",
            "    // Because.\n    #[expect(x)]\n",
            "#[cfg(x)]\n#[should_panic(expected = \"y\")]\n",
        ] {
            assert_eq!(faults(good), [], "{good}");
        }
        for bad in [
            "#[allow(x)]\n",
            "#![allow(x)]\n",
            "#[allow(x, reason = \"\")]\n",
            "/// What it is.\n#[allow(x)]\n",
            "// Not of this line.\nfn f() {}\n#[expect(x)]\n",
            "#[cfg_attr(test, allow(x))]\n",
        ] {
            assert_eq!(faults(bad).len(), 1, "{bad}");
        }
    }
}
