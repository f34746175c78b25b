//! Connections to a Unix socket of this machine.

use crate::failure::Failure;
use async_net::unix::UnixListener;
use rustix::fs::{FileType, Mode, lstat, unlink};
use rustix::process::umask;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use striper_runtime::{Event, Pipe, StreamPipe, ensure_spare};

/// Before the next try when the system can't accept.
const PAUSE: Duration = Duration::from_millis(100);

/// A Unix socket that only this user can connect to. It is removed when this is dropped.
pub(crate) struct UnixDoor {
    listener: UnixListener,
    path: PathBuf,
    /// The device and the inode of the socket.
    place: (u64, u64),
    /// File descriptors that it leaves to others.
    spare: u64,
}

impl UnixDoor {
    /// Listens. A socket that a program left behind is replaced; one with a listener is not.
    pub(crate) fn bind(path: &Path, spare: u64) -> Result<UnixDoor, Failure> {
        let failed = |error: io::Error| Failure::bind_unix(path, &error);
        if is_left_behind(path) {
            unlink(path).map_err(|error| failed(error.into()))?;
        }
        // Other users must not even connect before its mode could be changed.
        let before = umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.map_err(failed)?;
        let stat = lstat(path).map_err(|error| failed(error.into()))?;
        Ok(UnixDoor { listener, path: path.to_owned(), place: (stat.st_dev, stat.st_ino), spare })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection. `told` hears of the first failure until it works again.
    pub(crate) async fn accept(&self, told: &dyn Fn(Event)) -> Box<dyn Pipe> {
        let mut failed = false;
        loop {
            let accept = async {
                ensure_spare(self.spare)?;
                Ok(self.listener.accept().await?.0)
            };
            match accept.await {
                Ok(socket) => return Box::new(StreamPipe::new(socket.clone(), socket)),
                Err(error) => {
                    if !std::mem::replace(&mut failed, true) {
                        told(Event::AcceptFailed { error });
                    }
                    smol::Timer::after(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        // Another program may have put its own there.
        if lstat(&self.path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.place) {
            let _ = unlink(&self.path);
        }
    }
}

/// Whether a socket is there to which nobody listens.
fn is_left_behind(path: &Path) -> bool {
    let is_socket =
        lstat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && try_connect(path).is_err_and(|error| refused(&error))
}

/// Connects if that takes no time: a listener with a full queue could keep us waiting for ever.
fn try_connect(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket)
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
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let door = UnixDoor::bind(&path, 0).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let failure = UnixDoor::bind(&path, 0).err().unwrap();
            assert!(failure.to_string().contains("in use"), "{failure}");
            drop(door);
            assert!(!path.exists(), "it is removed at the end");
            std::fs::write(&path, "a file").unwrap();
            assert!(UnixDoor::bind(&path, 0).is_err() && path.exists(), "it is no socket");
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
        let queue: Vec<_> = std::iter::from_fn(|| try_connect(&path).ok()).collect();
        assert!(!queue.is_empty());
        let failure = UnixDoor::bind(&path, 0).err().unwrap();
        assert!(failure.to_string().contains("in use"), "{failure}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
