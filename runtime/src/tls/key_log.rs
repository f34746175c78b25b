//! A file of TLS secrets, by which Wireshark decrypts what stripes carry.
//!
//! A line for each secret: its label, the random of the ClientHello, and the secret, as in the file
//! that other programs write for `SSLKEYLOGFILE`.

use crate::files;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Readers of the format skip a line that begins with `#`.
const BEGINS: &[u8] = b"# TLS secrets of striper\n";

/// Such a file, open for writing. Anyone who has the file can read the traffic of the stripes.
#[derive(Debug)]
pub struct KeyLog(Mutex<State>);

#[derive(Debug)]
struct State {
    file: File,
    /// The first error of a write. Nothing is written after it.
    failure: Option<io::Error>,
}

impl KeyLog {
    /// Creates the file, which only this user can read ([`files::create`]). It replaces an earlier
    /// one.
    pub fn create(path: &Path) -> io::Result<KeyLog> {
        let mut file = files::create(path, BEGINS)?;
        file.write_all(BEGINS)?;
        Ok(KeyLog(Mutex::new(State { file, failure: None })))
    }

    /// The error that has ended the log, if there was one. Connections go on without it.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.as_ref().map(ToString::to_string)
    }

    /// No invariant spans a panic, so a poisoned lock can be used.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = base16ct::lower::encode_string;
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        let mut state = self.state();
        if state.failure.is_none() {
            state.failure = state.file.write_all(line.as_bytes()).err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::Folder;
    use crate::tls::keys::{Key, Keys};
    use crate::tls::{ClientTls, ServerTls};
    use rustls::KeyLog as _;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::Arc;

    #[test]
    fn each_secret_has_a_line_in_a_file_for_this_user_alone() {
        let folder = Folder::new("key-log");
        let path = folder.0.join("secrets");
        for secret in [[1, 0xab], [2, 0xcd]] {
            let log = KeyLog::create(&path).unwrap();
            log.log("CLIENT_TRAFFIC_SECRET_0", &[0xff; 2], &secret);
            assert_eq!(log.failure(), None);
        }
        let text = fs::read_to_string(&path).unwrap();
        let expected = "# TLS secrets of striper\nCLIENT_TRAFFIC_SECRET_0 ffff 02cd\n";
        assert_eq!(text, expected, "the later log has replaced the earlier one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn links_and_files_of_others_stay_as_they_are() {
        let folder = Folder::new("key-log-links");
        let [other, link] = ["other", "link"].map(|name| folder.0.join(name));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &link).unwrap();
        for path in [&other, &link] {
            assert!(KeyLog::create(path).is_err(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn a_log_that_takes_no_line_has_a_failure_and_no_further_lines() {
        let Ok(log) = KeyLog::create(Path::new("/dev/full")) else { return };
        log.log("CLIENT_TRAFFIC_SECRET_0", &[1], &[2]);
        assert!(log.failure().is_some());
    }

    #[test]
    fn settings_with_other_keys_go_on_with_the_same_log() {
        let folder = Folder::new("key-log-keys");
        let log = Arc::new(KeyLog::create(&folder.0.join("secrets")).unwrap());
        let keys = |digit: &str| {
            let key = format!("striper-shared-key:{}", digit.repeat(64)).parse::<Key>().unwrap();
            Keys::shared("key", key).unwrap()
        };
        let client = ClientTls::new(&keys("1")).logging(log.clone()).with_keys(&keys("2"));
        let server = ServerTls::new(&keys("1")).logging(log.clone()).with_keys(&keys("2"));
        assert_eq!(Arc::strong_count(&log), 3, "{client:?} {server:?}");
    }
}
