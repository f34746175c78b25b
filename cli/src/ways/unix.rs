//! Connections to a Unix socket of this machine.

use crate::failure::Failure;
use async_net::unix::UnixListener;
use rustix::fs::{FileType, lstat, unlink};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use striper_runtime::{Pipe, StreamPipe};

/// Before the next try when the system can't accept.
const PAUSE: Duration = Duration::from_millis(100);

/// A Unix socket that only this user can connect to. It is removed when this is dropped.
pub(crate) struct UnixDoor {
    listener: UnixListener,
    path: PathBuf,
}

impl UnixDoor {
    /// Listens. A socket that a program left behind is replaced; one with a listener is not.
    pub(crate) fn bind(path: &Path) -> Result<UnixDoor, Failure> {
        let failed = |error: io::Error| Failure::bind_unix(path, &error);
        if is_left_behind(path) {
            unlink(path).map_err(|error| failed(error.into()))?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let door = UnixDoor { listener, path: path.to_owned() };
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        Ok(door)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn accept(&self) -> Box<dyn Pipe> {
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => return Box::new(StreamPipe::new(socket.clone(), socket)),
                Err(_) => {
                    smol::Timer::after(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        let _ = unlink(&self.path);
    }
}

/// Whether a socket is there to which nobody listens.
fn is_left_behind(path: &Path) -> bool {
    let is_socket =
        lstat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && std::os::unix::net::UnixStream::connect(path).is_err_and(|error| refused(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        smol::block_on(async {
            let folder = std::env::temp_dir().join(format!("striper-door-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("x.sock");
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let door = UnixDoor::bind(&path).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let failure = UnixDoor::bind(&path).err().unwrap();
            assert!(failure.to_string().contains("in use"), "{failure}");
            drop(door);
            assert!(!path.exists(), "it is removed at the end");
            std::fs::write(&path, "a file").unwrap();
            assert!(UnixDoor::bind(&path).is_err() && path.exists(), "it is no socket");
            std::fs::remove_dir_all(&folder).unwrap();
        });
    }
}
