use super::file::{fill, peers};
use super::*;
use crate::files::tests::Folder;
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

#[test]
fn a_list_has_a_key_and_a_name_a_line_and_says_which_line_is_wrong() {
    let (a, b) =
        (key(KeyKind::Private, 1).public().unwrap(), key(KeyKind::Private, 2).public().unwrap());
    let list = peers(&format!("# mine\n\n{a} laptop\n  {b}\tbackup@site-2 \r\n")).unwrap();
    assert_eq!(list, [("laptop".into(), a), ("backup@site-2".into(), b)]);
    let line = |number, error| Err(KeyError::Line(number, Box::new(error)));
    assert_eq!(peers(&format!("{a} x\n{b}\n")), line(2, KeyError::NoName));
    assert_eq!(peers(&format!("{a} x\n{a} y\n")), line(2, KeyError::Twice));
    assert_eq!(peers(&format!("{a} two words\n")), line(1, KeyError::BadName));
    assert_eq!(peers(&format!("\n{a} \u{1b}[31m\n")), line(2, KeyError::BadName));
    assert_eq!(peers(&format!("laptop {a}\n")), line(1, KeyError::Unknown));
    let secret = key(KeyKind::Private, 1).to_line();
    assert_eq!(peers(&format!("{secret} x\n")), line(1, KeyError::Secret(KeyKind::Private)));
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
    let peer = vec![(PeerName::from("peer"), key(KeyKind::Private, 3).public().unwrap())];
    let new = |own: &[&Key], peers: &[(PeerName, PublicKey)]| {
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
    let listed = [("me", &own), ("laptop", &peer)];
    let list = listed.map(|(name, key)| (PeerName::from(name), key.public().unwrap()));
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
    let keys = Keys::new(own, vec![("laptop".into(), peer)]).unwrap();
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
