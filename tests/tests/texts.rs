//! The pages of help, the man pages and the examples of configuration are those of
//! `tests/golden/texts`, so the diff of a change shows each text that it changes.
//!
//! `STRIPER_RENEW=1 cargo test -p striper-tests --test texts` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use striper_tests::run;

const RENEW: &str = "STRIPER_RENEW";

/// All texts, by the names of their files.
fn texts() -> BTreeMap<String, String> {
    let said = |args: &[&str]| {
        let text = run(args, &[]).success();
        // A release changes no other text.
        text.replace(&format!("striper {}", env!("CARGO_PKG_VERSION")), "striper VERSION")
    };
    let program = said(&["man"]);
    let listed = program.lines().filter_map(|line| line.split("cli\\-").nth(1)?.split('(').next());
    let mut texts: BTreeMap<String, String> = listed
        .flat_map(|name| {
            let (help, man) = (format!("{name}.help"), format!("{name}.1"));
            [(help, said(&["help", name])), (man, said(&["man", name]))]
        })
        .collect();
    for role in ["server", "client", "relay"] {
        texts.insert(format!("{role}.toml"), said(&["config", "example", role]));
    }
    texts.insert("manual.help".to_owned(), said(&["help"]));
    texts.insert("manual.1".to_owned(), program);
    texts
}

#[test]
fn the_texts_for_users_are_those_of_the_last_commit() {
    let (folder, texts) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/texts"), texts());
    assert!(texts.len() > 20, "{:?}", texts.keys());
    if std::env::var_os(RENEW).is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        texts.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap());
    let read = |file: fs::DirEntry| {
        let name = file.file_name().into_string().unwrap();
        (name, fs::read_to_string(file.path()).unwrap())
    };
    let golden: BTreeMap<String, String> = files.map(read).collect();
    let names = golden.keys().chain(texts.keys());
    let mut changed: Vec<_> = names.filter(|name| golden.get(*name) != texts.get(*name)).collect();
    changed.dedup();
    assert!(
        changed.is_empty(),
        "{changed:?} are not as in tests/golden/texts; if they are as they should be: {RENEW}=1 \
         cargo test -p striper-tests --test texts"
    );
}
