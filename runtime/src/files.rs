//! Files that this user alone can read, created without harm to any other file.
//!
//! A name may be mistyped, or be that of another option's file. So an existing file is replaced
//! only if it is empty or begins as the new one will. A rename replaces it: a program that has the
//! earlier file open keeps it as it is, and so does a hard link.
//!
//! A rename replaces any file, and a look before it is another step. So another program's file is
//! lost if it takes an earlier file's name between the two. Drafts do not lose each other's files.

use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock};
use rustix::io::Errno;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A new file without its name. Dropping this removes it unless it is [kept](Draft::keep).
#[derive(Debug)]
pub struct Draft<'a> {
    path: &'a Path,
    begins: &'a [u8],
    file: File,
    /// Where it is until then. `None` if it is a device, which has its name already.
    temporary: Option<Temporary>,
    /// The file that it replaces. No other draft replaces that meanwhile.
    earlier: Option<File>,
}

impl<'a> Draft<'a> {
    /// Creates a file beside the one that it shall become. Only this user can read it. `begins` is
    /// how the caller's files begin: such a file may be replaced, and so may an empty one.
    ///
    /// Symbolic links are not followed. A character device such as /dev/null is opened as it is,
    /// since it keeps nothing. Anything else that is no regular file is an error. So is a file that
    /// another open draft replaces or has become (`flock`), and the file of standard output or
    /// standard error.
    pub fn new(path: &'a Path, begins: &'a [u8]) -> io::Result<Draft<'a>> {
        if fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_char_device()) {
            let file = open_device(path)?;
            return Ok(Draft { path, begins, file, temporary: None, earlier: None });
        }
        let earlier = open_earlier(path, begins)?;
        let (file, temporary) = Temporary::create(path)?;
        Ok(Draft { path, begins, file, temporary: Some(temporary), earlier })
    }

    /// The file, to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name.
    pub fn keep(mut self) -> io::Result<File> {
        let Some(temporary) = self.temporary else { return Ok(self.file) };
        if self.earlier.is_none() {
            // A link, unlike a rename, replaces nothing.
            if fs::hard_link(&temporary.0, self.path).is_ok() {
                return Ok(self.file);
            }
            // The name was free and is taken, or the file system has no links.
            self.earlier = open_earlier(self.path, self.begins)?;
        }
        if let Some(earlier) = &self.earlier
            && identity(&fs::symlink_metadata(self.path)?) != identity(&earlier.metadata()?)
        {
            return Err(busy());
        }
        fs::rename(&temporary.0, self.path)?;
        Ok(self.file)
    }
}

/// Creates a file and gives it its name at once, as a [`Draft`] does.
pub fn create(path: &Path, begins: &[u8]) -> io::Result<File> {
    Draft::new(path, begins)?.keep()
}

/// The cure when a file could not be created; `FILE` stands for its name, `FOLDER` for its folder.
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

/// A name that goes with this value. A file that has been renamed no longer has it.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn create(beside: &Path) -> io::Result<(File, Temporary)> {
        // A short name: a long one may have no room for an ending.
        let path = beside.with_file_name(format!(".striper-{:016x}", rand::random::<u64>()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let temporary = Temporary(path);
        hold(&file)?;
        Ok((file, temporary))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens what has the name, whatever it is by now: it must not make us wait.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed()).open(path)
}

fn open_device(path: &Path) -> io::Result<File> {
    let device = open(path, OpenOptions::new().write(true))?;
    if !device.metadata()?.file_type().is_char_device() {
        return Err(irregular(path));
    }
    // A terminal that is slow makes the writer wait.
    fcntl_setfl(&device, fcntl_getfl(&device)? - OFlags::NONBLOCK)?;
    Ok(device)
}

/// Opens and holds the file of this name, if there is one. An error if it is not to be replaced.
fn open_earlier(path: &Path, begins: &[u8]) -> io::Result<Option<File>> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => {}
        Ok(_) => return Err(irregular(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let earlier = open(path, OpenOptions::new().read(true))?;
    if !earlier.metadata()?.is_file() {
        return Err(irregular(path));
    }
    let mut beginning = Vec::new();
    (&earlier).take(begins.len() as u64).read_to_end(&mut beginning)?;
    if !beginning.is_empty() && beginning != begins {
        let text = "it exists already, and something else is in it";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    // A rename needs no right to write to the file. A user takes that right away to keep the file.
    if earlier.metadata()?.permissions().readonly() {
        let text = "it exists already, and is write-protected";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    if is_output(&earlier) {
        let text = "this program's output goes there already";
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    hold(&earlier)?;
    Ok(Some(earlier))
}

/// Keeps others from replacing a file for as long as it is open.
fn hold(file: &File) -> io::Result<()> {
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
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let same = |stream: BorrowedFd<'_>| {
        let stream = stream.try_clone_to_owned().and_then(|stream| File::from(stream).metadata());
        let same = stream.and_then(|stream| Ok(identity(&stream) == identity(&file.metadata()?)));
        same.unwrap_or(false)
    };
    same(stdout.as_fd()) || same(stderr.as_fd())
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
pub(crate) mod tests;
