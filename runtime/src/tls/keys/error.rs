//! Errors of keys and their files, with cures.

use super::{KeyKind, MAX_PEERS};
use crate::files;
use crate::rules::RuleError;
use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;

/// The use of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FileUse {
    /// The file of a key, to be read.
    Key,
    /// A list of peers, to be read.
    List,
    /// The file of a new key, to be written.
    NewKey,
}

/// The error of a key, a list of peers, or their files.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The file can't be read or written: of what kind the error is, and what the system says.
    File(FileUse, ErrorKind, String),
    /// A folder, a pipe or the like, where a file is to be read.
    NoFile(FileUse),
    /// The file exists already; a key is never overwritten.
    Exists,
    /// Others than its owner may read the file; its permission bits.
    Exposed(u32),
    /// Others than its owner may change the list; its permission bits.
    Writable(u32),
    /// The file belongs to somebody else, who may change it; that user's number.
    Foreign(u32),
    /// Not a key of any kind.
    Unknown,
    /// A file without anything but blank lines and comments.
    Empty,
    /// A file that is no UTF-8.
    NoText,
    /// A key of ssh or of a certificate.
    OtherProgram,
    /// A key whose kind is in capital letters.
    Capitals,
    /// A key that has not 64 hexadecimal digits.
    BadDigits,
    /// A public key where a secret one is needed.
    PublicHalf,
    /// A shared key where a private one, which has a public half, is needed.
    NoPublicHalf,
    /// A secret key of this kind where a public one is needed.
    Secret(KeyKind),
    /// More than one line.
    ManyLines,
    /// A line of a list of peers.
    Line(Box<BadLine>),
    /// This word begins no rule of a peer.
    NoKeyword(String),
    /// A rule of a peer whose targets are wrong.
    Rule(RuleError),
    /// Something behind a word that is a rule by itself.
    TakesNothing,
    /// A rule that is not indented.
    NotIndented,
    /// A rule above the first key.
    NobodysRule,
    /// A rule whose key is a comment, in the line of this number.
    HiddenKeysRule(usize),
    /// A line with a rule has over 1024 bytes.
    LongRule,
    /// A line of a list of peers without a name.
    NoName,
    /// A name with other characters than letters, digits, `.`, `_`, `-` and `@`, or over 64 bytes.
    BadName,
    /// A public key that is in the list already.
    Twice,
    /// Not a list of peers: not text, or over 1 MiB.
    NoList,
    /// More than [`MAX_PEERS`] peers.
    TooMany,
    /// No key is given.
    NoKey,
    /// Only private keys, and no peer is listed.
    NobodyAccepted,
    /// Peers are listed, but there is no private key that they could know.
    NothingToShow,
    /// The operating system has no random numbers.
    NoRandom,
}

/// A line of a list of peers that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine {
    /// Its number, counted from 1.
    pub number: usize,
    /// The line, and the range of its bytes that are wrong. The range is empty where something is
    /// missing. There is none if the line may have a secret in it.
    pub line: Option<(String, Range<usize>)>,
    /// Its mistake.
    pub error: KeyError,
}

const LINE_CURE: &str = "a line is PUBLIC-KEY NAME, as striper-cli pubkey KEY prints it";

const KEY_CURE: &str = "name a file that striper-cli keygen has written, or copy it here again as \
                        it is; striper-cli keygen NEW.key writes a new key for both sides";

const OWNER_CURE: &str = "make it yours: sudo chown \"$(id -u)\" FILE && sudo chmod 600 FILE; its \
                          folder must let you in too";

impl KeyError {
    /// The cure. `FILE` stands for the file's name and `FOLDER` for that of its folder.
    pub fn cure(&self) -> Cow<'static, str> {
        match self {
            KeyError::Rule(error) => Cow::Owned(error.cure().to_owned()),
            KeyError::Line(line) => match &line.error {
                KeyError::Unknown | KeyError::BadDigits => LINE_CURE.into(),
                KeyError::OtherProgram | KeyError::Capitals => LINE_CURE.into(),
                error => error.cure(),
            },
            error => error.plain_cure().into(),
        }
    }

    /// The cure of an error that is not about a line or a rule.
    fn plain_cure(&self) -> &'static str {
        match self {
            KeyError::Line(_) | KeyError::Rule(_) => LINE_CURE,
            KeyError::NoKeyword(_) => {
                "a rule begins with allow, deny, allow-listen or allow-private"
            }
            KeyError::TakesNothing => "leave it out",
            KeyError::NotIndented => "indent it: rules stand below their key, behind blanks",
            KeyError::NobodysRule => "put it below the key that it is for",
            KeyError::HiddenKeysRule(_) => "begin its line with # as well, or put it below its key",
            KeyError::LongRule => "make several rules of it, each in a line of its own",
            KeyError::File(of, kind, _) => file_cure(*of, *kind),
            KeyError::NoFile(FileUse::List) => file_cure(FileUse::List, ErrorKind::Other),
            KeyError::NoFile(_) => file_cure(FileUse::Key, ErrorKind::Other),
            KeyError::Foreign(_) => "make it yours: sudo chown \"$(id -u)\" FILE",
            KeyError::Exists => {
                "name another file, or remove that one first if nobody needs it any more: rm FILE"
            }
            KeyError::Writable(_) => {
                "let only its owner change it: chmod go-w FILE; then look whose keys are in it"
            }
            KeyError::Exposed(_) => {
                "let only its owner read it: chmod 600 FILE; make a new key if others may have \
                 read it"
            }
            KeyError::Empty => {
                "copy the key here again, or remove the file and make a key: \
                 rm FILE && striper-cli keygen FILE"
            }
            KeyError::NoText | KeyError::Capitals => {
                "copy the file here again as striper-cli keygen wrote it"
            }
            KeyError::Unknown | KeyError::BadDigits | KeyError::OtherProgram => KEY_CURE,
            KeyError::ManyLines => "put each key into a file of its own, and give -k for each",
            KeyError::PublicHalf => {
                "name the file that keygen --pair wrote; the public half belongs into the other \
                 side's --peers"
            }
            KeyError::NoPublicHalf => {
                "give the file itself to both sides, or make a private key: \
                 striper-cli keygen --pair NEW.key && striper-cli pubkey NEW.key"
            }
            KeyError::Secret(KeyKind::Private) => {
                "list its public half alone: striper-cli pubkey KEY prints it from the key's file; \
                 better replace a secret that has been listed"
            }
            KeyError::Secret(KeyKind::Shared) => {
                "give a shared key to both sides with -k, and take it out of the list"
            }
            KeyError::NoList => LINE_CURE,
            KeyError::NoName | KeyError::BadName => {
                "write PUBLIC-KEY NAME, and rules in lines of their own below it; a name has 1 to \
                 64 letters, digits, \".\", \"_\", \"-\" or \"@\""
            }
            KeyError::Twice => "remove one of the two lines",
            KeyError::TooMany => "shorten the list",
            KeyError::NoKey => {
                "name this side's private key too: -k KEY (striper-cli keygen --pair KEY makes one)"
            }
            KeyError::NobodyAccepted => {
                "list the other side's public keys with --peers LIST; striper-cli pubkey KEY \
                 prints its line there"
            }
            KeyError::NothingToShow => {
                "add a private key with -k KEY (striper-cli keygen --pair KEY makes one), or do \
                 without --peers"
            }
            KeyError::NoRandom => "check the operating system",
        }
    }
}

fn file_cure(of: FileUse, kind: ErrorKind) -> &'static str {
    match (of, kind) {
        (FileUse::NewKey, _) => files::cure(kind),
        (_, ErrorKind::PermissionDenied) => OWNER_CURE,
        (FileUse::Key, ErrorKind::NotFound) => {
            "copy it from the other side, or make one: striper-cli keygen FILE"
        }
        (FileUse::Key, _) => "name a file that striper-cli keygen has written",
        (FileUse::List, _) => {
            "name a file with the other side's public keys; striper-cli pubkey KEY prints its \
             line there"
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::File(_, _, cause) => return f.write_str(cause),
            KeyError::NoFile(_) => "this is a folder, a pipe or a device, and no file",
            KeyError::Exists => "the file exists already",
            KeyError::Exposed(mode) => {
                return write!(f, "others than its owner may read the file (mode {mode:03o})");
            }
            KeyError::Unknown => "this is no key",
            KeyError::Empty => "there is no key in the file",
            KeyError::NoText => "this is no plain text (UTF-8)",
            KeyError::OtherProgram => "this is a key of another program, such as ssh",
            KeyError::Capitals => "this is a key in capital letters, which are not understood",
            KeyError::BadDigits => "a key has 64 hexadecimal digits, and this has not",
            KeyError::Writable(mode) => {
                return write!(f, "others than its owner may change the list (mode {mode:03o})");
            }
            KeyError::Foreign(user) => {
                return write!(f, "the file belongs to another user ({user})");
            }
            KeyError::PublicHalf => "this is the public half of a key",
            KeyError::NoPublicHalf => "this is a shared key, which has no public half",
            KeyError::Secret(KeyKind::Private) => "this is a private key, not its public half",
            KeyError::Secret(KeyKind::Shared) => "this is a shared key, and no public one",
            KeyError::ManyLines => "a key file has one line, and this has more",
            KeyError::Line(line) => return write!(f, "line {}: {}", line.number, line.error),
            KeyError::NoKeyword(word) => return write!(f, "there is no rule {word:?}"),
            KeyError::Rule(error) => error.cause(),
            KeyError::TakesNothing => "nothing comes behind this word",
            KeyError::NotIndented => "this rule is not indented",
            KeyError::NobodysRule => "there is no key above this rule",
            KeyError::HiddenKeysRule(n) => return write!(f, "its key, in line {n}, is a comment"),
            KeyError::LongRule => "this line is longer than 1024 bytes",
            KeyError::NoName => "the name is missing",
            KeyError::BadName => "this name can't stand in a log",
            KeyError::Twice => "this key is listed twice",
            KeyError::NoList => "this is no list of peers",
            KeyError::TooMany => return write!(f, "more than {MAX_PEERS} peers"),
            KeyError::NoKey => "a list of peers is of no use without a key of this side",
            KeyError::NobodyAccepted => "no key of the other side is listed, so nobody is accepted",
            KeyError::NothingToShow => {
                "peers are listed, but there is no private key that they could know"
            }
            KeyError::NoRandom => "no random numbers to make a key of",
        })
    }
}

impl std::error::Error for KeyError {}
