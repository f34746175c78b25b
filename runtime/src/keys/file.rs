//! Key files and lists of peers on disk.

use super::{Key, KeyError, MAX_PEERS, PeerName, PublicKey, peer_name};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Longer files are not keys: somebody has named the wrong one.
const MAX_KEY_FILE: u64 = 4 << 10;

/// The longest list of peers in bytes.
const MAX_LIST: u64 = 1 << 20;

/// Permission bits that let others than the owner read or change a file.
const OTHERS: u32 = 0o077;

/// Permission bits that let others than the owner change a file.
const CHANGED_BY_OTHERS: u32 = 0o022;

/// Writes a new key file that only its owner can read. An existing file stays as it is.
pub fn write_key(path: &Path, key: &Key) -> Result<(), KeyError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists,
        _ => failed(error),
    })?;
    file.write_all(format!("{}\n", key.to_line()).as_bytes()).and_then(|()| file.sync_all()).map_err(
        |error| {
            // Half a key is worse than none: it would be in the way of the next attempt.
            let _ = std::fs::remove_file(path);
            failed(error)
        },
    )
}

/// Reads a key file. `private_folder` says that nobody else can reach the folder it is in; the file's group may then be allowed to read it,
/// as is the case with systemd's credentials.
pub fn read_key(path: &Path, private_folder: bool) -> Result<Key, KeyError> {
    let mut file = open(path)?;
    #[cfg(unix)]
    {
        let mode = owned_mode(&file)?;
        let forbidden = if private_folder { OTHERS & 0o007 } else { OTHERS };
        if mode & forbidden != 0 {
            return Err(KeyError::Exposed(mode & 0o777));
        }
    }
    let text = read(&mut file, MAX_KEY_FILE)?;
    let mut lines = meaningful(&text);
    match (lines.next(), lines.next()) {
        (Some((_, line)), None) => line.parse(),
        (Some((_, line)), Some(_)) => line.parse::<Key>().and(Err(KeyError::ManyLines)),
        (None, _) => Err(KeyError::Unknown),
    }
}

/// Reads a list of peers.
pub fn read_peers(path: &Path) -> Result<Vec<(PeerName, PublicKey)>, KeyError> {
    let mut file = open(path)?;
    #[cfg(unix)]
    {
        let mode = owned_mode(&file)?;
        if mode & CHANGED_BY_OTHERS != 0 {
            return Err(KeyError::Writable(mode & 0o777));
        }
    }
    let text = read(&mut file, MAX_LIST).map_err(|error| match error {
        KeyError::Unknown => KeyError::NoList,
        error => error,
    })?;
    peers(&text)
}

/// The permission bits of a file that is ours or the system administrator's. Anybody else could change them at will.
#[cfg(unix)]
fn owned_mode(file: &File) -> Result<u32, KeyError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().map_err(failed)?;
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == us || owner == 0 { Ok(metadata.mode()) } else { Err(KeyError::Foreign(owner)) }
}

pub(super) fn peers(text: &str) -> Result<Vec<(PeerName, PublicKey)>, KeyError> {
    let mut peers: Vec<(PeerName, PublicKey)> = Vec::new();
    // Some editors begin a file with a byte order mark.
    for (number, line) in meaningful(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let peer = peer(line).and_then(|(name, key)| match peers.iter().any(|(_, known)| *known == key) {
            true => Err(KeyError::Twice),
            false => Ok((name, key)),
        });
        peers.push(peer.map_err(|error| KeyError::Line(number, Box::new(error)))?);
        if peers.len() > MAX_PEERS {
            return Err(KeyError::TooMany);
        }
    }
    Ok(peers)
}

fn peer(line: &str) -> Result<(PeerName, PublicKey), KeyError> {
    let (key, name) = line.split_once([' ', '\t']).ok_or_else(|| match line.parse::<PublicKey>() {
        Ok(_) => KeyError::NoName,
        Err(error) => error,
    })?;
    let key = key.parse()?;
    Ok((peer_name(name.trim())?, key))
}

/// Lines that say something, counted from 1.
fn meaningful(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| (index + 1, line))
}

/// Opens a file; something else, such as a FIFO, could keep us waiting for ever.
fn open(path: &Path) -> Result<File, KeyError> {
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(KeyError::NoFile);
    }
    File::open(path).map_err(failed)
}

fn read(file: &mut File, limit: u64) -> Result<String, KeyError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(KeyError::Unknown);
    }
    String::from_utf8(bytes).map_err(|_| KeyError::Unknown)
}

fn failed(error: io::Error) -> KeyError {
    KeyError::File(error.to_string())
}
