//! Every dependency has a licence that deny.toml allows. This needs no network.

use std::collections::BTreeSet;
use std::path::Path;
use striper_tests::{Finished, binary};

/// Whether an SPDX expression can be met with the allowed licences. An expression without
/// parentheses around an AND is enough for cargo's packages.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let parts = expression.split(" AND ").map(|part| part.trim_matches(['(', ')']));
    parts.into_iter().all(|part| {
        part.replace('/', " OR ").split(" OR ").any(|licence| allowed.contains(licence.trim()))
    })
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rules = std::fs::read_to_string(root.join("deny.toml")).expect("deny.toml");
    let (_, list) = rules.split_once("allow = [").expect("a list of licences");
    let (list, _) = list.split_once(']').expect("the end of the list");
    let lines = list.lines().map(str::trim);
    let allowed: BTreeSet<&str> =
        lines.filter_map(|line| line.strip_suffix("\",")?.strip_prefix('"')).collect();
    assert!(allowed.len() > 3, "the list of deny.toml is one licence a line: {allowed:?}");
    let mut tree = binary::cargo();
    tree.args(["tree", "--offline", "--locked", "--workspace", "--prefix", "none"])
        .args(["--edges", "normal,build,dev", "--format", "{p}|{l}"])
        .current_dir(root);
    let text = Finished::of(&mut tree).success();
    let lines = text.lines().filter(|line| !line.is_empty());
    let packages: BTreeSet<&str> = lines.map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(packages.len() > 50, "{packages:?}");
    for package in packages {
        let (name, licence) = package.split_once('|').expect("a package and its licence");
        assert!(is_allowed(licence, &allowed), "{name} has the licence {licence:?}");
    }
}

#[test]
fn all_parts_and_one_alternative_of_an_expression_must_be_allowed() {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
