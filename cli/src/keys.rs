//! Keys: `-k`, `--peers` and `--plain`, which SIGHUP reads again, and the commands that make keys.

use crate::args::{KeyOptions, did_you_mean};
use crate::excerpt::excerpt;
use crate::failure::{Failure, shell_word};
use crate::log::{Level, Log};
use crate::printable::printable;
use crate::{events, files, output, units};
use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use striper_runtime::keys::{
    FileUse, Key, KeyError, KeyKind, Keys, PeerName, keywords, peer_name, read_key, read_peers,
    write_key,
};
use striper_runtime::{HostPort, Rules};

impl KeyOptions {
    /// Checks the keys at the start, when at least one peer must be accepted.
    pub(crate) fn begin(&self, log: &Log, keys: Option<&Keys>) -> Result<(), Failure> {
        let somebody = keys.map_or(Ok(()), Keys::ensure_somebody);
        let file = self.list().or(self.files.first().map(PathBuf::as_path));
        if let (Err(error), Some(file)) = (somebody, file) {
            return Err(Failure::key(file, &error));
        }
        if let Some(keys) = keys {
            self.warn_of_own(log, keys);
        }
        Ok(())
    }

    /// Warns if a list of peers has this side's own key. A list for all machines may have it. More
    /// often a user has copied the wrong key, which shuts the peer out.
    fn warn_of_own(&self, log: &Log, keys: &Keys) {
        for name in keys.listed_own() {
            let list = self.list().unwrap_or(Path::new("")).display().to_string();
            let text = format!(
                "{list} has this side's own key, as {name}; that line does not let the peer in; \
                 list the key that striper-cli pubkey prints on the peer's machine"
            );
            let fields = [("path", list.into()), ("key", name.to_string().into())];
            log.warn("own_key_listed", text, &fields);
        }
    }

    /// The list of peers in messages: a file, or the sections of a configuration file.
    fn list(&self) -> Option<&Path> {
        let sections = || (!self.listed.is_empty()).then_some(Path::new("[[peers]]"));
        self.peers.as_deref().or_else(sections)
    }

    pub(crate) fn read(&self) -> Result<Option<Keys>, Failure> {
        if let (true, Some(peers)) = (self.files.is_empty(), self.list()) {
            return Err(Failure::key(peers, &KeyError::NoKey));
        }
        if self.files.is_empty() {
            return Ok(None);
        }
        let mut own = Vec::new();
        for file in &self.files {
            let (path, private_folder) = find(file, credentials());
            let key = read_key(&path, private_folder).map_err(|error| unread(&path, &error))?;
            own.push((name_of(&path), key));
        }
        let peers = match &self.peers {
            None => self.listed.clone(),
            Some(file) => {
                let (path, _) = find(file, credentials());
                read_peers(&path).map_err(|error| bad_list(&path, &error))?
            }
        };
        let file = self.list().unwrap_or(&self.files[0]);
        Keys::new(own, peers).map(Some).map_err(|error| Failure::key(file, &error))
    }

    pub(crate) fn names(&self) -> String {
        self.files.iter().map(|file| name_of(file).to_string()).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn describe(&self, keys: Option<&Keys>) -> String {
        let Some(keys) = keys else { return "no key".into() };
        let names = self.names();
        if self.list().is_none() {
            return format!("key {names}");
        }
        let listed = units::count(keys.listed().len(), "peer");
        let with_rules = keys.listed().iter().filter(|peer| peer.rules != Rules::default()).count();
        let ruled = match with_rules {
            0 => String::new(),
            count => format!(" ({count} with rules)"),
        };
        format!("key {names}, {listed}{ruled}")
    }
}

/// Reads keys again after a signal. Keys that can't be read change nothing.
pub(crate) fn reread(
    log: &Log,
    options: &KeyOptions,
    set: impl Fn(&Keys),
) -> Result<String, Failure> {
    let (level, text) = match options.read() {
        Ok(Some(keys)) => {
            options.warn_of_own(log, &keys);
            set(&keys);
            match keys.ensure_somebody() {
                Ok(()) => {
                    (Level::Info, format!("keys read again: {}", options.describe(Some(&keys))))
                }
                Err(_) => (Level::Warn, "keys read again: no peer is accepted any more".to_owned()),
            }
        }
        Ok(None) => (Level::Info, "nothing to read again: there are no keys".to_owned()),
        Err(failure) => {
            let text = format!("the keys are not read again, and the earlier ones stay: {failure}");
            log.warn("keys_not_read", text, failure.excerpt_field().as_slice());
            log.below(failure.excerpt.as_deref());
            return Err(failure);
        }
    };
    log.say(level, "keys_read", &text, &[]);
    Ok(text)
}

/// The keys of now. Clones are the same.
#[derive(Clone)]
pub(crate) struct Reading(Rc<RefCell<Option<Keys>>>);

/// Keys that were read again, and not yet taken.
pub(crate) struct Read {
    pub keys: Option<Keys>,
    /// The news about them, in words.
    pub news: Option<String>,
    pub level: Level,
}

impl Reading {
    pub(crate) fn new(keys: Option<&Keys>) -> Reading {
        Reading(Rc::new(RefCell::new(keys.cloned())))
    }

    /// Reads the files. A list without a peer is allowed: it shuts all of them out.
    pub(crate) fn read(&self, log: &Log, options: &KeyOptions) -> Result<Read, Failure> {
        let keys = options.read()?;
        let is_new = *self.0.borrow() != keys;
        let Some(of) = keys.as_ref().filter(|_| is_new) else {
            return Ok(Read { keys, news: None, level: Level::Info });
        };
        options.warn_of_own(log, of);
        let (news, level) = match of.ensure_somebody() {
            Ok(()) => (format!("keys ({})", options.describe(Some(of))), Level::Info),
            Err(_) => ("keys (no peer is accepted any more)".to_owned(), Level::Warn),
        };
        Ok(Read { keys, news: Some(news), level })
    }

    pub(crate) fn keep(&self, keys: Option<Keys>) {
        *self.0.borrow_mut() = keys;
    }
}

/// Warns if the stripes of a client are not encrypted, unless they stay on this machine or
/// `--plain` is given.
fn is_elsewhere(server: &HostPort) -> bool {
    match server.host.parse() {
        Ok(address) => events::is_public(address),
        Err(_) => !matches!(server.host.to_ascii_lowercase().as_str(), "localhost" | "localhost."),
    }
}

pub(crate) fn warn_of_plain(log: &Log, options: &KeyOptions, servers: &[HostPort]) {
    if let Some(server) = servers.iter().find(|server| is_elsewhere(server))
        && options.files.is_empty()
        && !options.plain
    {
        let text = format!(
            "there is no key: stripes to {server} are not encrypted, and any program that answers \
             there passes for the server; {CURE}"
        );
        log.warn("no_key", text, &[("peer", server.to_string().into())]);
    }
}

/// The failure if targets that a client names would go to servers on other machines without a key.
pub(crate) fn ensure_key(options: &KeyOptions, servers: &[HostPort]) -> Result<(), Failure> {
    match servers.iter().find(|server| is_elsewhere(server)) {
        Some(server) if options.files.is_empty() && !options.plain => Err(Failure::usage(
            format!("targets that this side chooses need a key: {server} may not be the server"),
            CURE,
        )),
        _ => Ok(()),
    }
}

/// The failure if any machine could name targets for this server to reach.
pub(crate) fn ensure_key_for_rules(
    options: &KeyOptions,
    listen: SocketAddr,
) -> Result<(), Failure> {
    if options.files.is_empty() && !options.plain {
        let cause = format!("--allow needs a key: any machine can reach {listen}");
        return Err(Failure::usage(cause, CURE));
    }
    Ok(())
}

pub(crate) const CURE: &str = "make a key with striper-cli keygen, copy the file to \
    the other machine, and give it to both sides with -k; if you want no key, say --plain";

/// The failure if a key can't be read. Its cure makes a key at the end of symbolic links.
fn unread(path: &Path, error: &KeyError) -> Failure {
    match error {
        KeyError::File(FileUse::Key, ErrorKind::NotFound, _) => {
            elsewhere(path, &end_of_links(path), error, &error.cure())
        }
        _ => Failure::key(path, error),
    }
}

/// The failure if a list of peers can't be read, with its wrong line.
fn bad_list(path: &Path, error: &KeyError) -> Failure {
    let failure = Failure::key(path, error);
    let KeyError::Line(bad) = error else { return failure };
    let near = match &bad.error {
        KeyError::NoKeyword(word) => did_you_mean(word, &keywords()),
        _ => None,
    };
    let cure = near.map(|near| format!("did you mean {near}?")).or(failure.cure);
    let excerpt = bad.line.as_ref().map(|(line, wrong)| excerpt(line, wrong.clone()));
    Failure { cure, excerpt, ..failure }
}

fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Looks a name without a folder up among systemd's credentials first. Also returns whether other
/// users can't read that folder.
fn find(file: &Path, credentials: Option<PathBuf>) -> (PathBuf, bool) {
    let bare = file.components().count() == 1 && !file.is_absolute();
    match credentials.map(|folder| folder.join(file)) {
        Some(path) if bare && path.exists() => {
            let private = path.parent().is_some_and(is_closed_to_others);
            (path, private)
        }
        _ => (file.to_owned(), false),
    }
}

/// Whether users that are neither the owner nor in the group can't enter a folder.
fn is_closed_to_others(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 == 0)
}

/// The name of a key in logs: its file's name, without `.key`.
fn name_of(path: &Path) -> PeerName {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-@".contains(c) { c } else { '_' };
    let name: String = stem.chars().map(plain).take(64).collect();
    peer_name(&name).unwrap_or_else(|_| "key".into())
}

pub(crate) fn keygen(file: &Path, kind: KeyKind, quiet: bool) -> Result<(), Failure> {
    files::check_size(KEY_FILE)?;
    let key = Key::generate(kind).and_then(|key| write_key(file, &key));
    key.map_err(|error| not_made(file, kind, &error))?;
    let word = shell_word(file);
    let next = match kind {
        KeyKind::Shared => {
            format!("copy it safely to the peer's machine (scp), and give it to both: -k {word}")
        }
        KeyKind::Private => {
            format!("keep it on this machine; striper-cli pubkey {word} prints its public half")
        }
    };
    if !quiet {
        // The key exists, even if nobody can read this line.
        let file = printable(&file.display().to_string());
        let _ = writeln!(std::io::stderr(), "{file} is written\n  {}", printable(&next));
    }
    Ok(())
}

/// The largest key file, in bytes.
const KEY_FILE: u64 = 100;

/// The failure if no key was made, with a cure that makes one.
fn not_made(file: &Path, kind: KeyKind, error: &KeyError) -> Failure {
    let keygen = match kind {
        KeyKind::Shared => "striper-cli keygen FILE",
        KeyKind::Private => "striper-cli keygen --pair FILE",
    };
    let end = end_of_links(file);
    let is_folder = file.as_os_str().as_encoded_bytes().ends_with(b"/");
    let (place, cure) = match error {
        KeyError::File(FileUse::NewKey, ..) if end != file && !file.exists() => {
            (end, "name the file that the link leads to: ")
        }
        KeyError::File(FileUse::NewKey, ErrorKind::IsADirectory, _) => {
            (file.join("striper.key"), "name a file in that folder: ")
        }
        KeyError::File(FileUse::NewKey, ErrorKind::NotFound, _) if is_folder => {
            (file.join("striper.key"), "name a file in that folder: ")
        }
        KeyError::File(FileUse::NewKey, ErrorKind::NotFound, _) if has_folder(file) => {
            (file.to_owned(), "make its folder first: ")
        }
        KeyError::File(FileUse::NewKey, ErrorKind::NotFound, _) => {
            let cure = "this folder has been removed: go to another one, such as cd ~";
            return Failure { cure: Some(cure.into()), ..Failure::key(file, error) };
        }
        _ => return Failure::key(file, error),
    };
    elsewhere(file, &place, error, &(cure.to_owned() + keygen))
}

/// A failure with `file` whose cure makes a key at `place`, and the folder for it if need be.
fn elsewhere(file: &Path, place: &Path, error: &KeyError, cure: &str) -> Failure {
    let keygen = "striper-cli keygen";
    let is_there = place.parent().is_none_or(|folder| folder == Path::new("") || folder.is_dir());
    let cure = match is_there {
        true => cure.to_owned(),
        false => cure.replace(keygen, &format!("mkdir -p FOLDER && {keygen}")),
    };
    Failure { cause: Failure::key(file, error).cause, ..Failure::key_with(place, error, &cure) }
}

fn has_folder(file: &Path) -> bool {
    file.parent().is_some_and(|folder| !folder.as_os_str().is_empty())
}

/// The file that a symbolic link leads to, whether it exists or not. Other paths stay as they are.
fn end_of_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        let Ok(next) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    path
}

pub(crate) fn pubkey(file: &Path) -> Result<(), Failure> {
    let key = read_key(file, false).map_err(|error| {
        let cure = match error {
            KeyError::File(_, ErrorKind::NotFound, _) => {
                let cure = "make one: striper-cli keygen --pair FILE";
                return elsewhere(file, &end_of_links(file), &error, cure);
            }
            KeyError::Empty => {
                "remove the file and make a key: \
                 rm FILE && striper-cli keygen --pair FILE"
            }
            _ => return Failure::key(file, &error),
        };
        Failure::key_with(file, &error, cure)
    })?;
    let public = key.public().ok_or_else(|| Failure::key(file, &KeyError::NoPublicHalf))?;
    output::print(&format!("{public} {}\n", name_of(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn a_key_has_the_name_of_its_file_without_characters_that_harm_a_log() {
        for (path, name) in [
            ("/etc/striper/site-a.key", "site-a"),
            ("laptop", "laptop"),
            ("x/über key\u{1b}[31m.key", "_ber_key__31m"),
            ("/", "key"),
            ("", "key"),
        ] {
            assert_eq!(&*name_of(Path::new(path)), name, "{path}");
        }
    }

    #[test]
    fn a_bare_name_is_looked_up_among_credentials_first() {
        let folder =
            std::env::temp_dir().join(format!("striper-credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let there = folder.join("striper.key");
        std::fs::write(&there, "").unwrap();
        let mode = |bits| std::fs::set_permissions(&folder, Permissions::from_mode(bits)).unwrap();
        mode(0o700);
        let look = |file: &str| find(Path::new(file), Some(folder.clone()));
        assert_eq!(look("striper.key"), (there.clone(), true));
        mode(0o755);
        assert_eq!(look("striper.key"), (there, false));
        assert_eq!(look("other.key"), ("other.key".into(), false));
        assert_eq!(look("./striper.key"), ("./striper.key".into(), false));
        assert_eq!(look("/striper.key"), ("/striper.key".into(), false));
        assert_eq!(find(Path::new("striper.key"), None), ("striper.key".into(), false));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_list_of_peers_in_the_environment_without_a_key_is_an_error() {
        let env = |name: &str| (name == "STRIPER_PEERS_FILE").then(|| "/nowhere/peers".into());
        assert!(KeyOptions::default().complete(&env).unwrap().read().is_err());
        let plain = KeyOptions { plain: true, ..KeyOptions::default() };
        assert!(plain.complete(&env).unwrap().read().is_ok_and(|keys| keys.is_none()));
    }
}
