//! Key files and lists of peers on disk.

use super::list::{Listed, peers};
use super::{FileUse, Key, KeyError};
use crate::files;
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
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists if is_regular(path) => KeyError::Exists,
        io::ErrorKind::AlreadyExists => failed(FileUse::NewKey, files::irregular(path)),
        _ => failed(FileUse::NewKey, error),
    })?;
    fill(file, path, &format!("{}\n", key.to_line()))
}

/// Writes a new file. An error leaves no file: half a key would be in the next attempt's way.
pub(super) fn fill(mut file: File, path: &Path, text: &str) -> Result<(), KeyError> {
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        failed(FileUse::NewKey, error)
    })
}

fn is_regular(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Reads a key file. `private_folder` says that nobody else can reach its folder. Then the file's
/// group may be allowed to read it, as with systemd's credentials.
pub fn read_key(path: &Path, private_folder: bool) -> Result<Key, KeyError> {
    let mut file = open(path, FileUse::Key)?;
    #[cfg(unix)]
    let mode = owned_mode(&file, FileUse::Key)?;
    let text = read(&mut file, FileUse::Key, MAX_KEY_FILE)?;
    let mut lines = text.lines().filter(|line| says_something(line)).map(str::trim);
    let key = match (lines.next(), lines.next()) {
        (Some(line), None) => line.parse(),
        (Some(line), Some(_)) => line.parse::<Key>().and(Err(KeyError::ManyLines)),
        (None, _) => Err(KeyError::Empty),
    }?;
    // Only now: of a file that is no key, its mode is no fault.
    #[cfg(unix)]
    {
        let forbidden = if private_folder { OTHERS & 0o007 } else { OTHERS };
        if mode & forbidden != 0 {
            return Err(KeyError::Exposed(mode & 0o777));
        }
    }
    Ok(key)
}

/// Reads a list of peers.
pub fn read_peers(path: &Path) -> Result<Vec<Listed>, KeyError> {
    let mut file = open(path, FileUse::List)?;
    #[cfg(unix)]
    {
        let mode = owned_mode(&file, FileUse::List)?;
        if mode & CHANGED_BY_OTHERS != 0 {
            return Err(KeyError::Writable(mode & 0o777));
        }
    }
    let text = read(&mut file, FileUse::List, MAX_LIST).map_err(|error| match error {
        KeyError::Unknown | KeyError::NoText => KeyError::NoList,
        error => error,
    })?;
    peers(&text)
}

/// The permission bits of a file of ours or the administrator's; others could change them at will.
#[cfg(unix)]
fn owned_mode(file: &File, purpose: FileUse) -> Result<u32, KeyError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().map_err(|error| failed(purpose, error))?;
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == us || owner == 0 { Ok(metadata.mode()) } else { Err(KeyError::Foreign(owner)) }
}

/// Whether a line is neither blank nor a comment.
pub(super) fn says_something(line: &str) -> bool {
    let said = line.trim_start();
    !said.is_empty() && !said.starts_with('#')
}

/// Opens a file; something else, such as a FIFO, could keep us waiting for ever.
fn open(path: &Path, purpose: FileUse) -> Result<File, KeyError> {
    let failed = |error| failed(purpose, error);
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(KeyError::NoFile(purpose));
    }
    File::open(path).map_err(failed)
}

/// Reads a text. Some editors begin one with a byte order mark, which is left out.
fn read(file: &mut File, purpose: FileUse, limit: u64) -> Result<String, KeyError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed(purpose, error))?;
    if bytes.len() as u64 > limit {
        return Err(KeyError::Unknown);
    }
    let text = String::from_utf8(bytes).map_err(|_| KeyError::NoText)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn failed(purpose: FileUse, error: io::Error) -> KeyError {
    KeyError::File(purpose, error.kind(), error.to_string())
}
