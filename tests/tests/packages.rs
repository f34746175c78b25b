//! The parts of a package: completions, man pages, units and scripts.

use striper_tests::{Program, TempDir, run};

/// A script of completions in a file, and the shell that reads it.
fn completions(shell: &str) -> Option<(Program, TempDir)> {
    let [program] = Program::find([shell])?;
    let folder = TempDir::create();
    folder.write("script", run(&["completions", shell], &[]).success());
    Some((program, folder))
}

#[test]
fn bash_completes_commands_and_the_options_of_a_command() {
    let Some((bash, folder)) = completions("bash") else { return };
    let complete = |words: &str| {
        let script = format!(
            "set -- {words}; . {}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
             named=$(complete -p striper-cli); named=${{named#*-F }}
             ${{named%% *}} striper-cli \"${{@: -1}}\" \"${{@: -2:1}}\"; echo ${{COMPREPLY[@]}}",
            folder.text("script")
        );
        bash.run(["-c", &script])
    };
    assert_eq!(complete("striper-cli c"), "client completions\n");
    assert_eq!(complete("striper-cli server --allow-"), "--allow-private --allow-listen\n");
    assert_eq!(complete("striper-cli demo --allow-"), "\n");
}

#[test]
fn fish_completes_the_options_of_a_command() {
    let Some((fish, folder)) = completions("fish") else { return };
    let script =
        format!("source {}; complete -C 'striper-cli server --allow-'", folder.text("script"));
    let found = fish.run(["--no-config", "-c", &script]);
    let names: Vec<&str> = found.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["--allow-listen", "--allow-private"], "{found}");
}

#[test]
fn zsh_reads_its_completions() {
    let Some((zsh, folder)) = completions("zsh") else { return };
    assert!(folder.read("script").starts_with(b"#compdef striper-cli\n"));
    zsh.run(["-n", &folder.text("script")]);
}

#[test]
fn man_shows_a_page_without_a_warning() {
    let Some([man]) = Program::find(["man"]) else { return };
    let folder = TempDir::create();
    let program = run(&["man"], &[]).success();
    let listed = program.lines().filter_map(|line| line.split("cli\\-").nth(1)?.split('(').next());
    let mut pages: Vec<&str> = listed.collect();
    pages.dedup();
    assert!(pages.len() >= 8, "{program}");
    for page in pages {
        let name = folder.write("page.1", run(&["man", page], &[]).success());
        let shown = striper_tests::Finished::of(man.command().env("MANWIDTH", "80").args([
            "--warnings",
            "-l",
            &name,
        ]));
        assert_eq!(shown.stderr, "", "{page}");
        assert!(shown.success().contains("EXAMPLES"), "{page}");
    }
}
