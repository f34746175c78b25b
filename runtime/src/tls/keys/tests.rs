use super::file::fill;
use super::list::peers;
use super::*;
use crate::files::tests::Folder;
use crate::rules::Rules;
use quickcheck::quickcheck;
use std::io::ErrorKind;

/// The error of Linux for a file or folder that is missing.
const NO_FILE: &str = "No such file or directory (os error 2)";

fn key(kind: KeyKind, byte: u8) -> Key {
    Key { kind, secret: [byte; 32] }
}

fn named(name: &str, key: Key) -> (PeerName, Key) {
    (name.into(), key)
}

#[test]
fn a_key_survives_its_line_and_never_shows_itself_otherwise() {
    for kind in [KeyKind::Shared, KeyKind::Private] {
        let key = Key::generate(kind).unwrap();
        assert_eq!(key.to_line().parse(), Ok(key.clone()));
        assert!(!format!("{key:?}").contains(&hex(&key.secret)[..8]));
        assert_ne!(key, Key::generate(kind).unwrap());
    }
}

#[test]
fn the_two_roles_of_a_shared_key_have_different_keys() {
    let shared = key(KeyKind::Shared, 7);
    assert_ne!(shared.seed(Role::Client), shared.seed(Role::Server));
    assert_ne!(shared.seed(Role::Client), shared.secret);
    assert_ne!(shared.seed(Role::Client), key(KeyKind::Shared, 8).seed(Role::Client));
    assert_eq!(shared.public(), None);
}

#[test]
fn derived_keys_are_those_of_rfc_5869_and_rfc_8032() {
    // Computed with Python's hmac and OpenSSL's ed25519: see PROTOCOL.md, section 12.
    let shared = key(KeyKind::Shared, 0);
    let [client, server] = [Role::Client, Role::Server].map(|role| shared.seed(role));
    for (derived, expected) in [
        (client, "efa2506cb5c29a1acd1b740f4baf8095fbc4533a2baa32703db7bee640335b9e"),
        (server, "f8e20b2aee08c9ffb5cc57607311ce0cd56cdc802562021332d55abe7a7e7bb1"),
        (public_of(&client).0, "952f53ace0bd4dfa35980291793f59d590c60e7485ae1f8a6cd0531c0c2cd261"),
    ] {
        assert_eq!(hex(&derived), expected);
    }
    // RFC 8032, section 7.1, test 1.
    let seed = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(public_of(&seed).to_string(), format!("striper-public-key:{public}"));
}

#[test]
fn a_line_that_is_no_key_is_called_by_its_kind() {
    let private = key(KeyKind::Private, 1);
    let public = private.public().unwrap();
    for (text, error) in [
        ("", KeyError::Unknown),
        ("hello", KeyError::Unknown),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", KeyError::OtherProgram),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here", KeyError::OtherProgram),
        (&private.to_line().to_ascii_uppercase(), KeyError::Capitals),
        ("striper-shared-key:", KeyError::BadDigits),
        ("striper-shared-key:00", KeyError::BadDigits),
        (&format!("{}00", private.to_line()), KeyError::BadDigits),
        (&private.to_line().replace('1', "x"), KeyError::BadDigits),
        (&public.to_string(), KeyError::PublicHalf),
    ] {
        assert_eq!(text.parse::<Key>(), Err(error), "{text}");
    }
    assert_eq!(private.to_line().parse::<PublicKey>(), Err(KeyError::Secret(KeyKind::Private)));
    let shared = key(KeyKind::Shared, 1).to_line();
    assert_eq!(shared.parse::<PublicKey>(), Err(KeyError::Secret(KeyKind::Shared)));
    assert_eq!("laptop".parse::<PublicKey>(), Err(KeyError::Unknown));
    assert_eq!(public.to_string().parse(), Ok(public));
}

fn listed(name: &str, key: PublicKey) -> Listed {
    Listed::new(name.into(), key)
}

/// The line of a mistake in a list, the part of it that is wrong, and the error.
fn mistake(text: &str) -> (usize, Option<String>, KeyError) {
    let Err(KeyError::Line(bad)) = peers(text) else { panic!("{text}") };
    let wrong = bad.line.map(|(line, range)| line[range].to_owned());
    (bad.number, wrong, bad.error)
}

#[test]
fn a_list_has_a_key_and_a_name_a_line_and_says_which_line_is_wrong() {
    let (a, b) =
        (key(KeyKind::Private, 1).public().unwrap(), key(KeyKind::Private, 2).public().unwrap());
    let list = peers(&format!("# mine\n\n{a} laptop\n  {b}\tbackup@site-2 \r\n")).unwrap();
    assert_eq!(list, [listed("laptop", a), listed("backup@site-2", b)]);
    for (text, number, wrong, error) in [
        (format!("{a} x\n{b}\n"), 2, Some(""), KeyError::NoName),
        (format!("{a} x\n {a} y\n"), 2, Some(&*a.to_string()), KeyError::Twice),
        (format!("{a} two words\n"), 1, Some("two words"), KeyError::BadName),
        (format!("\n{a} \u{1b}[31m\n"), 2, Some("\u{1b}[31m"), KeyError::BadName),
        (format!("laptop {a}\n"), 1, None, KeyError::Unknown),
    ] {
        assert_eq!(mistake(&text), (number, wrong.map(str::to_owned), error), "{text}");
    }
    // Lines with secrets are not shown.
    let secret = key(KeyKind::Private, 1).to_line();
    for line in [format!("{secret} x"), format!("  {secret}"), format!("\t{secret} x")] {
        let error = KeyError::Secret(KeyKind::Private);
        assert_eq!(mistake(&line), (1, None, error), "{line}");
    }
    assert_eq!(mistake("  striper-privat-key:0"), (1, None, KeyError::Unknown));
}

/// Rules as those of a command line.
fn rules(allow: &[&str], deny: &[&str], private: bool) -> Rules {
    let mut rules = Rules::default();
    allow.iter().for_each(|rule| rules.allow(rule.parse().unwrap()));
    deny.iter().for_each(|rule| rules.deny(rule.parse().unwrap()));
    if private {
        rules.allow_private();
    }
    rules
}

#[test]
fn indented_lines_are_rules_of_the_key_above_them() {
    let [a, b, c] = [1, 2, 3].map(|byte| key(KeyKind::Private, byte).public().unwrap());
    let text = format!(
        "{a} laptop\n    allow *.example.org:443\n\tdeny\t10.0.0.1:*  \r\n# a comment\n\n   \
         # another\n  allow   unix:/run/a b\n  {b} phone\n  allow-private\n{c} backup\n"
    );
    let list = peers(&text).unwrap();
    let own = [
        rules(&["*.example.org:443", "unix:/run/a b"], &["10.0.0.1:*"], false),
        rules(&[], &[], true),
        Rules::default(),
    ];
    let names = ["laptop", "phone", "backup"];
    assert_eq!(list.iter().map(|peer| &*peer.name).collect::<Vec<_>>(), names);
    assert_eq!(list.into_iter().map(|peer| peer.rules).collect::<Vec<_>>(), own);
}

#[test]
fn a_wrong_rule_has_its_line_the_wrong_part_of_it_and_a_cure() {
    let a = key(KeyKind::Private, 1).public().unwrap();
    let long = format!("allow {}", "x".repeat(1024));
    for (line, wrong, cause, cure) in [
        (
            "  alow a:1",
            Some("alow"),
            "there is no rule \"alow\"",
            "begins with allow, deny, allow-listen or",
        ),
        ("  allow a:1,x", Some("x"), "\"x\" is no port", "from 1 to 65535"),
        ("\tallow  *.ä.org:1 ", Some("ä"), "'ä' can't be in a name", "xn--"),
        ("  allow", Some(""), "the rule is empty", "HOST:PORTS"),
        ("  deny a", Some(""), "the rule has no ports", "a:443"),
        ("  allow-private a:1", Some("a:1"), "nothing comes behind this word", "leave it out"),
        ("allow a:1", Some("allow"), "this rule is not indented", "below their key"),
        ("  Allow a:1", Some("Allow"), "there is no rule \"Allow\"", ""),
        (&format!("  {long}"), None, "longer than 1024 bytes", "several rules"),
        ("  ssh-ed25519 AAAA x", None, "another program", "PUBLIC-KEY NAME"),
    ] {
        let text = format!("{a} laptop\n  allow a:1\n{line}\n");
        let (number, part, error) = mistake(&text);
        assert_eq!((number, part.as_deref()), (3, wrong), "{line}");
        assert!(error.to_string().contains(cause), "{line}: {error}");
        let cure = peers(&text).unwrap_err().cure().contains(cure);
        assert!(cure, "{line}: {}", error.cure());
    }
    let (number, part, error) = mistake("# none\n  allow a:1\n");
    assert_eq!((number, part, error), (2, Some("allow".into()), KeyError::NobodysRule));
    let cure = KeyError::NoKeyword(String::new()).cure();
    assert!(keywords().iter().all(|word| cure.contains(word)), "{cure}");
}

/// Pieces of lists: texts of them reach further than texts of any characters.
const PIECES: [&str; 22] = [
    "\n",
    "\n  ",
    "\n\t",
    "\r",
    " ",
    "\u{3000}",
    "#",
    "striper-public-key:",
    "0101010101010101010101010101010101010101010101010101010101010101",
    "striper-public-key:0202020202020202020202020202020202020202020202020202020202020202 b",
    "striper-public-key:0303030303030303030303030303030303030303030303030303030303030303 c",
    "laptop",
    "allow ",
    "deny ",
    "allow-private",
    "a.org",
    ":443",
    "10.0.0.0/8",
    "*",
    "ä",
    "\0",
    "unix:/a",
];

quickcheck! {
    fn any_row_of_pieces_is_a_list_or_a_mistake_in_one_of_its_lines(row: Vec<usize>) -> bool {
        let text: String = row.iter().map(|piece| PIECES[piece % PIECES.len()]).collect();
        match peers(&text) {
            Ok(list) => list.len() <= text.matches(PUBLIC).count(),
            Err(KeyError::Line(bad)) => {
                let line = text.lines().nth(bad.number - 1);
                bad.line.is_none_or(|(shown, range)| {
                    line == Some(&*shown) && shown.get(range).is_some()
                })
            }
            Err(_) => false,
        }
    }
}

#[test]
fn the_rules_of_a_key_that_is_a_comment_are_not_those_of_the_key_above() {
    let [a, b] = [1, 2].map(|seed| key(KeyKind::Private, seed).public().unwrap());
    for sign in ["#", "# ", "  ##\t"] {
        let text = format!("{a} ann\n  deny x:1\n{sign}{b} bob\n\n  # his\n  allow *:*\n");
        let (number, part, error) = mistake(&text);
        assert_eq!((number, part.as_deref()), (6, Some("allow")), "{text}");
        assert_eq!(error, KeyError::HiddenKeysRule(3));
    }
    let text = format!("# {b} bob\n{a} ann\n  allow a:1\n  #allow b:1\n# bob is out\n  deny c:1");
    assert_eq!(peers(&text).unwrap().len(), 1);
}

#[test]
fn a_list_over_the_limit_is_refused() {
    let lines = |count: usize| -> String {
        let line = |i: usize| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&i.to_be_bytes());
            format!("{} peer{i}\n", PublicKey(seed))
        };
        (0..count).map(line).collect()
    };
    assert_eq!(peers(&lines(MAX_PEERS)).unwrap().len(), MAX_PEERS);
    assert_eq!(peers(&lines(MAX_PEERS + 1)), Err(KeyError::TooMany));
}

#[test]
fn keys_that_could_never_meet_anybody_are_refused() {
    let (shared, private) = (key(KeyKind::Shared, 1), key(KeyKind::Private, 2));
    let peer = vec![listed("peer", key(KeyKind::Private, 3).public().unwrap())];
    let new = |own: &[&Key], peers: &[Listed]| {
        Keys::new(own.iter().map(|key| named("k", (*key).clone())).collect(), peers.to_vec()).err()
    };
    assert_eq!(new(&[], &peer), Some(KeyError::NoKey));
    let nobody = Keys::new(vec![named("k", private.clone())], Vec::new()).unwrap();
    assert_eq!(nobody.ensure_somebody(), Err(KeyError::NobodyAccepted));
    assert_eq!(Keys::shared("k", shared.clone()).unwrap().ensure_somebody(), Ok(()));
    assert_eq!(new(&[&shared], &peer), Some(KeyError::NothingToShow));
    assert_eq!(new(&[&shared], &[]), None);
    assert_eq!(new(&[&private], &peer), None);
    assert_eq!(new(&[&shared, &private], &peer), None);
}

#[test]
fn a_private_key_that_is_its_own_peer_is_found() {
    let (own, peer) = (key(KeyKind::Private, 1), key(KeyKind::Private, 2));
    let list = [("me", &own), ("laptop", &peer)];
    let list = list.map(|(name, key)| listed(name, key.public().unwrap()));
    let keys = Keys::new(vec![named("own", own)], list.to_vec()).unwrap();
    assert_eq!(keys.listed_own().map(|name| &**name).collect::<Vec<_>>(), ["me"]);
    let keys = Keys::new(vec![named("other", key(KeyKind::Private, 3))], list.to_vec()).unwrap();
    assert_eq!(keys.listed_own().count(), 0);
}

#[test]
fn everybody_is_called_by_a_name() {
    let (shared, private) = (key(KeyKind::Shared, 1), key(KeyKind::Private, 2));
    let peer = key(KeyKind::Private, 3).public().unwrap();
    let own = vec![named("site", shared.clone()), named("own", private.clone())];
    let keys = Keys::new(own, vec![listed("laptop", peer)]).unwrap();
    let client = public_of(&shared.seed(Role::Client));
    assert_eq!(keys.client_name(&client).as_deref(), Some("site"));
    assert_eq!(keys.server_name(&client), None, "a client must not pass for a server");
    assert_eq!(keys.client_name(&peer).as_deref(), Some("laptop"));
    assert_eq!(keys.client_name(&private.public().unwrap()), None);
}

#[cfg(unix)]
#[test]
fn a_key_file_is_for_its_owner_alone_and_refused_if_others_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("keys-mode");
    let path = folder.0.join("striper.key");
    let key = Key::generate(KeyKind::Shared).unwrap();
    write_key(&path, &key).unwrap();
    let mode =
        |bits| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(write_key(&path, &Key::generate(KeyKind::Shared).unwrap()), Err(KeyError::Exists));
    assert_eq!(read_key(&path, false), Ok(key.clone()));
    for (bits, alone, within) in
        [(0o400, true, true), (0o440, false, true), (0o644, false, false), (0o602, false, false)]
    {
        mode(bits);
        assert_eq!(read_key(&path, false).is_ok(), alone, "{bits:o}");
        assert_eq!(read_key(&path, true).is_ok(), within, "{bits:o} in a private folder");
    }
    assert_eq!(read_key(&path, false), Err(KeyError::Exposed(0o602)));
    std::fs::write(&path, "").unwrap();
    for (bits, peers) in [(0o644, Ok(Vec::new())), (0o664, Err(KeyError::Writable(0o664)))] {
        mode(bits);
        assert_eq!(read_peers(&path), peers);
    }
}

/// The text names only regular files as being in the way, lest somebody remove another one.
#[cfg(unix)]
#[test]
fn a_folder_or_a_link_is_no_place_for_a_new_key() {
    let folder = Folder::new("keys-places");
    let write = |path: &std::path::Path| write_key(path, &key(KeyKind::Shared, 1));
    let error = |kind, text: &str| Err(KeyError::File(FileUse::NewKey, kind, text.into()));
    assert_eq!(write(&folder.0), error(ErrorKind::IsADirectory, "it is a folder"));
    let link = folder.0.join("link");
    std::os::unix::fs::symlink("nothing", &link).unwrap();
    assert_eq!(write(&link), error(ErrorKind::InvalidInput, "it is a symbolic link"));
}

/// Only Linux has /dev/full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_half_key_behind() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let folder = Folder::new("keys-full");
    let path = folder.0.join("striper.key");
    std::fs::write(&path, "striper-sh").unwrap();
    let error = fill(full, &path, "striper-shared-key:").unwrap_err();
    assert!(matches!(error, KeyError::File(FileUse::NewKey, ErrorKind::StorageFull, _)), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_key_file_is_not_read_to_its_end() {
    let folder = Folder::new("keys-wrong");
    let path = folder.0.join("x");
    let read = |content: &[u8]| {
        let _ = std::fs::remove_file(&path);
        write_key(&path, &key(KeyKind::Shared, 1)).unwrap();
        std::fs::write(&path, content).unwrap();
        read_key(&path, false)
    };
    let line = key(KeyKind::Shared, 5).to_line();
    assert_eq!(read(format!("# the site's\n{line}\n").as_bytes()), Ok(key(KeyKind::Shared, 5)));
    assert_eq!(read(format!("{line}\n{line}\n").as_bytes()), Err(KeyError::ManyLines));
    assert_eq!(read(format!("\u{feff}{line}\r\n").as_bytes()), Ok(key(KeyKind::Shared, 5)));
    assert_eq!(read(b""), Err(KeyError::Empty));
    assert_eq!(read(b"# nothing\n\n"), Err(KeyError::Empty));
    assert_eq!(read(b"\xff\xfe"), Err(KeyError::NoText));
    assert_eq!(read(&vec![b'#'; 1 << 20]), Err(KeyError::Unknown));
    let none = folder.0.join("none");
    let missing = |purpose| KeyError::File(purpose, ErrorKind::NotFound, NO_FILE.into());
    assert_eq!(read_key(&none, false), Err(missing(FileUse::Key)));
    assert_eq!(read_peers(&none), Err(missing(FileUse::List)));
    let nowhere = folder.0.join("none/striper.key");
    assert_eq!(write_key(&nowhere, &key(KeyKind::Shared, 1)), Err(missing(FileUse::NewKey)));
    assert_eq!(read_key(&folder.0, false), Err(KeyError::NoFile(FileUse::Key)));
    assert_eq!(read_peers(&folder.0), Err(KeyError::NoFile(FileUse::List)));
    let list = format!("\u{feff}{} laptop\n", key(KeyKind::Private, 2).public().unwrap());
    std::fs::write(&path, list).unwrap();
    assert_eq!(read_peers(&path).unwrap().len(), 1);
    #[cfg(unix)]
    {
        // Others may read a public key; that it is no secret one is what is wrong.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, mode).unwrap();
        let public = key(KeyKind::Private, 2).public().unwrap().to_string();
        std::fs::write(&path, public).unwrap();
        assert_eq!(read_key(&path, false), Err(KeyError::PublicHalf));
    }
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert_eq!(read_peers(&path), Err(KeyError::NoList));
}
