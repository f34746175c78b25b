//! Unix sockets that only this user can connect to.

use crate::failure::Failure;
use crate::sockets::{Open, Opener, Sockets};
use async_net::unix::{UnixListener, UnixStream};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, Mode, lstat, unlink};
use rustix::process::umask;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use striper_runtime::ensure_spare;

/// A socket that listens. It is removed when this is dropped.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The device and the inode of the socket.
    place: (u64, u64),
    opener: Opener,
    /// The sockets among which another process may take it over.
    sockets: Option<Sockets>,
}

impl UnixSocket {
    /// Listens. A socket that a program left behind is replaced; one with a listener is not.
    /// It may be open already among `sockets`.
    pub(crate) fn bind(path: &Path, sockets: Option<&Sockets>) -> Result<UnixSocket, Failure> {
        let failed = |error: io::Error| Failure::bind_unix(path, &error);
        let (listener, opener) = match sockets.and_then(|sockets| sockets.unix(path)) {
            Some((listener, opener)) => (UnixListener::try_from(listener).map_err(failed)?, opener),
            None => (Self::listen(path)?, Opener::This),
        };
        let stat = lstat(path).map_err(|error| failed(error.into()))?;
        let (path, place) = (path.to_owned(), (stat.st_dev, stat.st_ino));
        Ok(UnixSocket { listener, path, place, opener, sockets: sockets.cloned() })
    }

    fn listen(path: &Path) -> Result<UnixListener, Failure> {
        let failed = |error: io::Error| Failure::bind_unix(path, &error);
        if is_left_behind(path) {
            unlink(path).map_err(|error| failed(error.into()))?;
        }
        // Other users must not even connect before its mode could be changed.
        let before = umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        listener.map_err(failed)
    }

    /// Whether another process may take it over.
    pub(crate) fn is_shared(&self) -> bool {
        self.sockets.is_some()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection, which leaves so many file descriptors to others.
    pub(crate) async fn accept(&self, spare: u64) -> io::Result<UnixStream> {
        ensure_spare(spare)?;
        Ok(self.listener.accept().await?.0)
    }
}

impl Open for UnixSocket {
    fn socket(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn opener(&self) -> Opener {
        self.opener
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Another program may have put its own there.
        let stays = self.sockets.as_ref().is_some_and(|sockets| !sockets.owns(self.opener));
        if !stays && lstat(&self.path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.place) {
            let _ = unlink(&self.path);
        }
    }
}

/// Whether a socket is there to which nobody listens.
pub(crate) fn is_left_behind(path: &Path) -> bool {
    let is_socket =
        lstat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && connect(path).is_err_and(|error| refused(&error))
}

/// Connects if that takes no time: a listener with a full queue could keep us waiting for ever.
pub(crate) fn connect(path: &Path) -> io::Result<net::UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        smol::block_on(async {
            let folder = std::env::temp_dir().join(format!("striper-door-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("x.sock");
            drop(net::UnixListener::bind(&path).unwrap());
            let socket = UnixSocket::bind(&path, None).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let failure = UnixSocket::bind(&path, None).err().unwrap();
            assert!(failure.to_string().contains("in use"), "{failure}");
            drop(socket);
            assert!(!path.exists(), "it is removed at the end");
            std::fs::write(&path, "a file").unwrap();
            assert!(UnixSocket::bind(&path, None).is_err() && path.exists(), "it is no socket");
            std::fs::remove_dir_all(&folder).unwrap();
        });
    }

    #[test]
    fn a_socket_with_a_full_queue_is_in_use_and_makes_nobody_wait() {
        let folder = std::env::temp_dir().join(format!("striper-full-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.sock");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let queue: Vec<_> = std::iter::from_fn(|| connect(&path).ok()).collect();
        assert!(!queue.is_empty());
        let failure = UnixSocket::bind(&path, None).err().unwrap();
        assert!(failure.to_string().contains("in use"), "{failure}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
