//! Programs of the system, which may be missing.

use crate::process::Finished;
use crate::skip;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

pub struct Program(PathBuf);

impl Program {
    /// Looks these up, also in the folders of an administrator. If one is missing, skips the test.
    pub fn find<const N: usize>(names: [&str; N]) -> Option<[Program; N]> {
        let found = names.map(|name| (name, Self::look_up(name)));
        if let Some((name, _)) = found.iter().find(|(_, path)| path.is_none()) {
            skip(format!("{name} is not installed"));
            return None;
        }
        Some(found.map(|(_, path)| Program(path.unwrap_or_default())))
    }

    fn look_up(name: &str) -> Option<PathBuf> {
        let folders = env::var_os("PATH").unwrap_or_default();
        let extra = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        let folders = env::split_paths(&folders).chain(extra).chain(Self::of_postgresql());
        folders.map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// Debian keeps the programs of each version in a folder that is not on PATH.
    fn of_postgresql() -> impl Iterator<Item = PathBuf> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        versions.filter_map(Result::ok).map(|version| version.path().join("bin"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn command(&self) -> Command {
        Command::new(&self.0)
    }

    /// Runs it, which must go well, and returns its standard output.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        Finished::of(self.command().args(args)).success()
    }
}
