//! Keys and passwords in place of the names of their files. No error shows them: errors are copied
//! into reports, and logs are read by others.

use crate::failure::Failure;

/// How keys begin that nobody else may see.
const KEYS: [&str; 2] = ["striper-shared-key", "striper-private-key"];

/// Why such a value is not taken, without the value.
pub(super) const CAUSE: &str = "this value looks like a key or a password, so it is not shown";
pub(super) const CURE: &str = "put it into a file that only its user can read, and name that file: \
                               key is for keys, and proxy-users for passwords";

/// Whether a text has a key in it, and can't be the name of a file.
pub(super) fn is_key(text: &str) -> bool {
    let follows = |key: &str| text.split(key).skip(1).any(|rest| rest.starts_with(':'));
    KEYS.iter().any(|key| follows(key))
}

/// Whether a text may have a key in it, or a password as in `user:password@host`.
pub(super) fn are_in(text: &str) -> bool {
    KEYS.iter().any(|key| text.contains(key)) || passwords(text).next().is_some()
}

/// The failure without what it says, if that has a part of a key or password of this text.
pub(super) fn hide(failure: Failure, given: &str) -> Failure {
    let Failure { cause, cure, excerpt, .. } = &failure;
    let said = [Some(cause), cure.as_ref(), excerpt.as_ref()];
    let is_shown = |part: &str| said.iter().flatten().any(|text| text.contains(part));
    match parts(given).any(is_shown) {
        true => hidden(failure),
        false => failure,
    }
}

pub(super) fn hidden(failure: Failure) -> Failure {
    Failure { cause: CAUSE.into(), cure: Some(CURE.into()), excerpt: None, ..failure }
}

/// The parts of keys and passwords: an error may have cut a value at a colon or a dot.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let keys = KEYS.iter().flat_map(|key| text.split(key).skip(1));
    let parts =
        keys.chain(passwords(text)).flat_map(|secret| secret.split(|c: char| !c.is_alphanumeric()));
    // A single letter is in most texts.
    parts.filter(|part| part.chars().nth(1).is_some())
}

/// The texts between the colon and the `@`, of all parts between quotes.
fn passwords(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'']).filter_map(|part| {
        let (name, _) = part.rsplit_once('@')?;
        let is_scheme = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let address = name.split_once("://").filter(|(scheme, _)| is_scheme(scheme.trim()));
        let (_, password) = address.map_or(name, |(_, rest)| rest).split_once(':')?;
        Some(password)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_passwords_are_found() {
        for text in [
            "striper-shared-key:5ec2e7",
            "key = striper-private-key 5ec2e7",
            "bob:5ec2e7@a:1",
            "server = \"a:1,bob:5ec2e7@b:1\"",
            "https://bob:5ec2e7@a/",
            "bob:5e://c2e7@a",
            "'bob:5ec@2e7@a'",
        ] {
            assert!(are_in(text), "{text}");
        }
        for text in [
            "striper-public-key:00ff",
            "bob@a:1",
            "ssh://bob@a:22",
            "listen = \"[::1]:22\"",
            "name = \"bob@a\" # a:1",
        ] {
            assert!(!are_in(text), "{text}");
        }
        assert!(is_key("/etc/striper-shared-key:5ec2e7") && !is_key("striper-shared-key.txt"));
    }

    #[test]
    fn a_failure_with_a_part_of_a_secret_says_nothing_of_it() {
        let of = |cause: &str, given: &str| hide(Failure::usage(cause, "see --help"), given).cause;
        for (cause, given) in [
            ("\"5ec2e7\" is not a port", "striper-shared-key:5ec2e7"),
            ("\"5ec2e7@a\" has no port", "bob:5ec2e7@a"),
            ("\"c2e7\" has no port", "bob:5e.c2e7@a"),
        ] {
            assert_eq!(of(cause, given), CAUSE, "{cause}");
        }
        let other = "there is no option --alow";
        assert_eq!(of(other, "striper-shared-key:5ec2e7"), other);
        assert_eq!(of(other, "2222:unix:/run/user@1000/x"), other);
    }
}
