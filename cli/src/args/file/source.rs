//! The text of a configuration file, and errors at places in it.

use crate::args::secrets;
use crate::excerpt::excerpt;
use crate::failure::{Failure, code, shell_word};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The largest file in bytes. A list of the most peers that are possible has 400 KiB.
const MAX_FILE: u64 = 1 << 20;

pub(super) struct Source {
    path: PathBuf,
    /// Absolute, so that a path from there does not look like a name without a folder.
    folder: PathBuf,
    text: String,
    /// The first byte of each line.
    lines: Vec<usize>,
}

impl Source {
    /// Reads a regular file. Something else, such as a FIFO, could keep us waiting for ever, and
    /// could not be read again after a signal.
    pub(super) fn read(path: &Path) -> Result<Source, Failure> {
        let failed = |error: io::Error| unread(path, &error);
        let wrong = |why: &str, cure: &str| wrong(path, why, cure);
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(wrong("this is a folder", "name a file in it"));
        }
        if !metadata.is_file() {
            return Err(wrong("this is no regular file", "name a file that can be read again"));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE {
            let why = "it has more than 1 MiB";
            return Err(wrong(why, "make sure that this is the configuration file"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
            let cure = "save it as UTF-8 in the editor, or name another file";
            wrong(&format!("line {line}: this is not UTF-8"), cure)
        })?;
        // Some editors begin a text with a byte order mark.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        if text.trim().is_empty() {
            let cure = format!("begin with an example: {}", example(path));
            return Err(wrong("it is empty", &cure));
        }
        let absolute = std::path::absolute(path).map_err(failed)?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        Ok(Source::new(path, folder, text))
    }

    pub(super) fn new(path: &Path, folder: &Path, text: String) -> Source {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = [0].into_iter().chain(ends.map(|(end, _)| end + 1)).collect();
        Source { path: path.to_owned(), folder: folder.to_owned(), text, lines }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The folder from which relative paths in the file go.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of the file, and the number of the line with this byte.
    pub(super) fn place(&self, byte: usize) -> String {
        format!("{}:{}", self.path.display(), self.line(byte).0)
    }

    /// The failure if these bytes are wrong: with the number of their line, and carets below them.
    /// A line that may have a secret in it is not shown, and what else is said of it neither.
    pub(super) fn failure(&self, wrong: Range<usize>, failure: Failure) -> Failure {
        let (_, begin, _) = self.line(wrong.start);
        let lines = self.text.get(begin..wrong.end).unwrap_or_default().lines();
        let last = self.line(wrong.end).2;
        let failure = match lines.chain([last]).any(secrets::are_in) {
            true => secrets::hidden(failure),
            // The value that it is about may stand elsewhere.
            false => {
                self.text.lines().filter(|line| secrets::are_in(line)).fold(failure, secrets::hide)
            }
        };
        self.fixed_failure(wrong, failure)
    }

    /// The same for a failure that says nothing of the file's content.
    pub(super) fn fixed_failure(&self, wrong: Range<usize>, failure: Failure) -> Failure {
        let (number, begin, line) = self.line(wrong.start);
        let wrong = wrong.start - begin..(wrong.end - begin).min(line.len());
        let excerpt = (!secrets::are_in(line)).then(|| excerpt(line, wrong));
        let cause = format!("{}: line {number}: {}", self.path.display(), failure.cause);
        Failure { code: code::CONFIG, cause, excerpt, ..failure }
    }

    /// The failure if something is wrong with the file as a whole.
    pub(super) fn wrong(&self, why: &str, cure: &str) -> Failure {
        wrong(&self.path, why, cure)
    }

    /// The line with this byte: its number, its first byte, and its text.
    fn line(&self, byte: usize) -> (usize, usize, &str) {
        let number = self.lines.partition_point(|begin| *begin <= byte);
        let begin = self.lines[number - 1];
        (number, begin, self.text[begin..].lines().next().unwrap_or_default())
    }
}

fn wrong(path: &Path, why: &str, cure: &str) -> Failure {
    Failure::config(format!("{}: {why}", path.display()), cure)
}

/// The command that makes a file to begin with.
fn example(path: &Path) -> String {
    format!("striper-cli config example server > {}", shell_word(path))
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    let cure = match error.kind() {
        ErrorKind::NotFound => format!("name a file that exists, or make one: {}", example(path)),
        ErrorKind::PermissionDenied => {
            format!("let this user read it: ls -l {} shows whose it is", shell_word(path))
        }
        _ => "name a file that can be read".to_owned(),
    };
    wrong(path, &error.to_string(), &cure)
}
