//! A copy of the workspace with all bugs in it, and the simulator that is built there.

use super::patch::{Bug, Sources};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PARTS: [&str; 7] = ["Cargo.toml", "Cargo.lock", "core", "runtime", "sim", "cli", "tests"];

/// Before this module the switch is declared: its macro is used by all that follow.
const FIRST_MODULE: &str = "mod bucket;\n";

/// The program with bugs: this one, or one that is built now. Building takes minutes the first time
/// and seconds when nothing has changed.
pub fn program() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    if cfg!(feature = "planted") {
        return Ok(here);
    }
    let target = here.ancestors().nth(2).ok_or("this program is in no target folder")?;
    let folder = target.join("planted");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace is gone")?;
    let mut sources = read(root)?;
    plant(&super::all()?, &mut sources)?;
    write(&folder.join("source"), &sources)?;
    // As quick to build, or as fast, as this program.
    let (profile, output) =
        if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    eprintln!("building the simulator with planted bugs in {}", folder.display());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The outer cargo's, if there is one. `ring` is built again whenever these change.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_PKG_") {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .args(["build", "--profile", profile, "--quiet", "--locked"])
        .args(["-p", "sim", "--features", "planted"])
        .args(["--config", "profile.release.lto=false"])
        .current_dir(folder.join("source"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        // The packages below ours are there already: cargo from 1.91 on takes them.
        .env("CARGO_BUILD_BUILD_DIR", target)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the simulator with planted bugs does not build".into());
    }
    Ok(folder.join("target").join(output).join("sim"))
}

pub fn plant(bugs: &[Bug], sources: &mut Sources) -> Result<(), String> {
    bugs.iter().try_for_each(|bug| bug.apply(sources))?;
    let names: String = bugs.iter().map(|bug| format!("    {},\n", bug.identifier())).collect();
    let switch = sources.get("sim/bugs/switch.rs").ok_or("the switch is gone")?;
    let switch = format!("{switch}\n/// A planted bug.\npub enum Bug {{\n{names}}}\n");
    sources.insert("core/src/planted.rs".to_owned(), switch);
    let lib = sources.get_mut("core/src/lib.rs").ok_or("core/src/lib.rs is gone")?;
    if !lib.contains(FIRST_MODULE) {
        return Err("core/src/lib.rs: no place for the switch of the bugs".into());
    }
    let first = format!("#[macro_use]\npub mod planted;\n{FIRST_MODULE}");
    *lib = lib.replacen(FIRST_MODULE, &first, 1);
    Ok(())
}

/// Reads the sources to copy, as far as they are there: a copy may have been interrupted. Files
/// that are no text are left out.
pub fn read(root: &Path) -> Result<Sources, String> {
    let mut sources = Sources::new();
    let mut paths: Vec<PathBuf> = PARTS.map(PathBuf::from).into();
    while let Some(path) = paths.pop() {
        let from = root.join(&path);
        let trouble = |error| format!("cannot read {}: {error}", from.display());
        if from.is_dir() {
            if path.ends_with("target") {
                continue;
            }
            for entry in fs::read_dir(&from).map_err(trouble)? {
                paths.push(path.join(entry.map_err(trouble)?.file_name()));
            }
        } else if from.exists()
            && let Ok(text) = String::from_utf8(fs::read(&from).map_err(trouble)?)
        {
            sources.insert(path.to_string_lossy().into_owned(), text);
        }
    }
    Ok(sources)
}

/// Writes the copy. Files that are right keep their time, so that cargo builds only the changes.
/// Other files of an earlier copy go.
fn write(folder: &Path, sources: &Sources) -> Result<(), String> {
    let earlier = if folder.exists() { read(folder)? } else { Sources::new() };
    for path in earlier.keys().filter(|path| !sources.contains_key(*path)) {
        let gone = folder.join(path);
        fs::remove_file(&gone)
            .map_err(|error| format!("cannot remove {}: {error}", gone.display()))?;
    }
    for (path, text) in sources {
        let to = folder.join(path);
        if fs::read_to_string(&to).is_ok_and(|there| there == *text) {
            continue;
        }
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&to, text))
            .map_err(|error| format!("cannot write {}: {error}", to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        read(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap()
    }

    #[test]
    fn all_bugs_apply_to_the_sources_each_at_one_site() {
        let (bugs, mut planted) = (super::super::all().unwrap(), sources());
        plant(&bugs, &mut planted).unwrap_or_else(|error| panic!("{error}"));
        let sites = |bug: &Bug| {
            let site = format!("planted!({})", bug.identifier());
            let core = planted.iter().filter(|(path, _)| path.starts_with("core/src/"));
            core.map(|(_, text)| text.matches(&site).count()).sum::<usize>()
        };
        bugs.iter().for_each(|bug| assert_eq!(sites(bug), 1, "{}", bug.name));
    }

    #[test]
    fn a_copy_has_nothing_of_an_earlier_copy() {
        let folder = std::env::temp_dir().join(format!("striper-copy-{}", std::process::id()));
        let copy = |names: &[&str]| -> Sources {
            let all = ["core/a.rs"].iter().chain(names);
            all.map(|name| (name.to_string(), format!("// {name}\n"))).collect()
        };
        for names in [&["sim/bugs/old.patch"][..], &["sim/bugs/new.patch"]] {
            write(&folder, &copy(names)).unwrap();
            assert_eq!(read(&folder).unwrap(), copy(names));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn there_are_bugs_of_each_kind_with_plain_names() {
        let bugs = super::super::all().unwrap();
        assert!(bugs.len() >= 80, "{} bugs", bugs.len());
        let count = |faults| bugs.iter().filter(|bug| bug.faults == faults).count();
        assert!(count(0) >= 10 && count(1) >= 10 && count(2) >= 10);
        assert!(bugs.iter().all(|bug| bug.faults <= 2));
        assert!(bugs.iter().filter(|bug| bug.origin != "chosen for this engine").count() >= 10);
        let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(bugs.iter().all(|bug| is_plain(&bug.name)));
    }

    #[test]
    fn no_bug_is_in_the_engine_itself() {
        for (path, text) in sources() {
            assert!(!path.starts_with("core/src/") || !text.contains("planted"), "{path}");
        }
    }
}
