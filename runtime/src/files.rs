//! Files that this user alone can read, created without harm to any other file.
//!
//! A name may be mistyped, or be that of another option's file. So an existing file is replaced
//! only if it is empty or the caller knows it as its own. A rename replaces it: whoever has the
//! earlier file open, or a hard link to it, keeps that file as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// So much of an existing file's beginning is shown to the caller, in bytes.
const BEGINNING: u64 = 64;

/// Creates a file that only this user can read. `is_ours` is shown the first 64 bytes of an
/// existing regular file and says whether it may be replaced; an empty one always may.
///
/// Symbolic links are not followed. A character device such as /dev/null is opened as it is, since
/// it keeps nothing. Anything else that is no regular file is an error. So is a file that another
/// caller of this function still has open (`flock`), and one that standard output or standard error
/// goes to.
pub fn create(path: &Path, is_ours: impl Fn(&[u8]) -> bool) -> io::Result<File> {
    match create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => replace(path, is_ours),
        created => created,
    }
}

/// What to do when a file could not be created. `FILE` stands for its name and `FOLDER` for that of
/// its folder.
pub fn cure(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "make its folder first: mkdir -p FOLDER",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "name a file in a folder that you may write to"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space there, or name a file on another disk"
        }
        ErrorKind::IsADirectory => "name a file in that folder",
        _ => "name another file",
    }
}

/// Creates a file that was not there, and holds it.
fn create_new(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    hold(&file)?;
    Ok(file)
}

fn replace(path: &Path, is_ours: impl Fn(&[u8]) -> bool) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    let kind = fs::symlink_metadata(path)?.file_type();
    // Another file may have the name by now: it must not make us wait.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let open = |options: &mut OpenOptions| options.custom_flags(flags).open(path);
    if kind.is_char_device() {
        let device = open(OpenOptions::new().write(true))?;
        if !device.metadata()?.file_type().is_char_device() {
            return Err(irregular(path));
        }
        // A terminal that is slow makes the writer wait.
        fcntl_setfl(&device, fcntl_getfl(&device)? - OFlags::NONBLOCK)?;
        return Ok(device);
    }
    if !kind.is_file() {
        return Err(irregular(path));
    }
    let earlier = open(OpenOptions::new().read(true))?;
    if !earlier.metadata()?.is_file() {
        return Err(irregular(path));
    }
    let mut beginning = Vec::new();
    (&earlier).take(BEGINNING).read_to_end(&mut beginning)?;
    if !beginning.is_empty() && !is_ours(&beginning) {
        let text = "it exists already, and something else is in it";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    if is_output(&earlier) {
        let text = "this program's output goes there already";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    hold(&earlier)?;
    exchange(path, &earlier)
}

/// Puts a new file in the place of `earlier`.
fn exchange(path: &Path, earlier: &File) -> io::Result<File> {
    // A short name beside it: a long one may have no room for an ending.
    let temporary = path.with_file_name(format!(".striper-{:016x}", rand::random::<u64>()));
    let file = create_new(&temporary)?;
    let rename = || match identity(&fs::symlink_metadata(path)?) == identity(&earlier.metadata()?) {
        true => fs::rename(&temporary, path),
        false => Err(busy()),
    };
    rename().inspect_err(|_| _ = fs::remove_file(&temporary))?;
    Ok(file)
}

/// Keeps others from replacing a file for as long as it is open.
fn hold(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(busy()),
        // Some file systems have no locks. There the user keeps two processes apart.
        _ => Ok(()),
    }
}

fn busy() -> io::Error {
    io::Error::new(ErrorKind::ResourceBusy, "another process is writing to it")
}

/// Why a name that is taken by no regular file is of no use.
pub(crate) fn irregular(path: &Path) -> io::Error {
    if path.is_symlink() {
        io::Error::new(ErrorKind::InvalidInput, "it is a symbolic link")
    } else if path.is_dir() {
        io::Error::new(ErrorKind::IsADirectory, "it is a folder")
    } else {
        io::Error::new(ErrorKind::InvalidInput, "it exists already, and is no regular file")
    }
}

/// Whether standard output or standard error is this file: a shell has just made it for them.
fn is_output(file: &File) -> bool {
    use std::os::fd::AsFd;
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let same = |stream: std::os::fd::BorrowedFd<'_>| {
        let stream = stream.try_clone_to_owned().and_then(|stream| File::from(stream).metadata());
        let same = stream.and_then(|stream| Ok(identity(&stream) == identity(&file.metadata()?)));
        same.unwrap_or(false)
    };
    same(stdout.as_fd()) || same(stderr.as_fd())
}

/// Which file it is, whatever it is called.
fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests;
