//! The users of `-D`: the file of `--proxy-users`, which SIGHUP reads again.

use crate::failure::{Failure, code, shell_word};
use crate::log::Log;
use crate::units;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use striper_runtime::ways::{Users, UsersError};

/// The largest file in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct ProxyUsers {
    file: PathBuf,
    users: Rc<RefCell<Arc<Users>>>,
}

impl ProxyUsers {
    pub(crate) fn read(file: &Path) -> Result<ProxyUsers, Failure> {
        let users = Rc::new(RefCell::new(Arc::new(read(file)?)));
        Ok(ProxyUsers { file: file.to_owned(), users })
    }

    /// Those of now. A handshake keeps them to its end.
    pub(super) fn now(&self) -> Arc<Users> {
        self.users.borrow().clone()
    }

    /// Reads a file while the program runs.
    pub(crate) fn read_again(file: &Path) -> Result<ProxyUsers, Failure> {
        // A pipe could keep us waiting for ever.
        if std::fs::metadata(file).is_ok_and(|file| !file.is_file()) {
            return Err(failed(file, "this is no file", "name a file that can be read again"));
        }
        ProxyUsers::read(file)
    }

    pub(crate) fn is_same(&self, other: &ProxyUsers) -> bool {
        self.now() == other.now()
    }

    /// Reads the file again after a signal. A file that can't be read changes nothing.
    pub(crate) fn reread(&self, log: &Log) -> Result<String, Failure> {
        match ProxyUsers::read_again(&self.file) {
            Ok(users) => {
                let users = users.now();
                let count = units::count(users.count(), "user");
                let text = format!("users of the proxy read again: {count}");
                log.info("users_read", &text, &[]);
                *self.users.borrow_mut() = users;
                Ok(text)
            }
            Err(failure) => {
                let text = format!(
                    "the users of the proxy are not read again, and the earlier ones stay: \
                     {failure}"
                );
                log.warn("users_not_read", text, &[]);
                Err(failure)
            }
        }
    }
}

fn failed(file: &Path, cause: &str, cure: &str) -> Failure {
    let cause = format!("{}: {cause}", file.display());
    Failure { code: code::KEY, ..Failure::usage(cause, cure) }
}

fn read(path: &Path) -> Result<Users, Failure> {
    let unread = |error: io::Error| {
        let cure = "name a readable file that has USER:PASSWORD in each line";
        failed(path, &error.to_string(), cure)
    };
    let file = File::open(path).map_err(unread)?;
    let mode = file.metadata().map_err(unread)?.permissions().mode();
    if mode & 0o077 != 0 {
        let cure = format!("chmod 600 {}", shell_word(path));
        return Err(failed(path, "other users can read it", &cure));
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > MAX_FILE {
        return Err(unread(io::ErrorKind::FileTooLarge.into()));
    }
    // The line is not shown: it may have a password.
    Users::parse(&text).map_err(|error| {
        let cure = match error {
            UsersError::Nobody => "add a line USER:PASSWORD for each user",
            _ => "correct that line",
        };
        failed(path, &error.to_string(), cure)
    })
}
