//! The switch of the planted bugs. In a process of its own, since a switch is for the whole
//! process.
#![cfg(feature = "planted")]

use std::collections::BTreeSet;
use striper_core::planted::{Bug, Origin, activate, active, hits};
use striper_core::wire::varint;

#[test]
fn names_are_unique_and_plain_and_lead_back() {
    let names: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
    assert_eq!(names.len(), Bug::ALL.len());
    for bug in Bug::ALL {
        assert_eq!(Bug::from_name(bug.name()), Some(*bug));
        assert!(bug.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", bug.name());
    }
    assert_eq!(Bug::from_name("no-such-bug"), None);
}

#[test]
fn there_are_enough_of_each_kind() {
    let count = |kind: &dyn Fn(&Bug) -> bool| Bug::ALL.iter().filter(|bug| kind(bug)).count();
    assert!(Bug::ALL.len() >= 50);
    assert!(count(&|bug| matches!(bug.origin(), Origin::Modelled(_))) >= 10);
    assert!(count(&|bug| bug.faults() == 2) >= 10);
    assert_eq!(count(&|bug| bug.faults() > 2), 0);
}

#[test]
fn at_most_one_bug_is_active_and_only_that_one_strikes() {
    let taken = || varint::take(&mut &[0x80, 0x80, 0x40][..]);
    assert_eq!((active(), taken()), (None, Ok(Some(1 << 20))));
    activate(Some(Bug::VarintBitLost));
    assert_eq!((active(), hits()), (Some(Bug::VarintBitLost), 0));
    assert_eq!((taken(), hits()), (Ok(Some(0)), 1));
    activate(Some(Bug::CreditOffByOne));
    assert_eq!((active(), taken(), hits()), (Some(Bug::CreditOffByOne), Ok(Some(1 << 20)), 0));
    activate(None);
    assert_eq!((active(), taken()), (None, Ok(Some(1 << 20))));
}

#[test]
fn each_bug_has_exactly_one_site() {
    let mut sources = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut text = String::new();
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            sources.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if !path.ends_with("planted.rs") {
            text += &std::fs::read_to_string(&path).unwrap();
        }
    }
    for bug in Bug::ALL {
        assert_eq!(text.matches(&format!("planted!({bug:?})")).count(), 1, "{bug:?}");
    }
}
