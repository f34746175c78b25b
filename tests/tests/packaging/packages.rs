//! The parts of a package: completions, man pages, units and scripts.

use std::path::{Path, PathBuf};
use std::process::Command;
use striper_tests::{Finished, Origin, Program, Proxy, TempDir, binary, run, skip};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/packaging").join(name)
}

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
    assert_eq!(complete("striper-cli co"), "config completions\n");
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
        let shown =
            Finished::of(man.command().env("MANWIDTH", "80").args(["--warnings", "-l", &name]));
        assert_eq!(shown.stderr, "", "{page}");
        assert!(shown.success().contains("EXAMPLES"), "{page}");
    }
}

/// A unit that runs the program under test, without what this systemd does not know.
fn unit(name: &str, version: u32, folder: &TempDir) -> String {
    let unit = std::fs::read_to_string(packaging("systemd").join(name)).expect("a unit");
    let unit = unit.replace("/usr/bin/striper-cli", &binary::path().display().to_string());
    let is_known = |line: &&str| version >= 253 || *line != "Type=notify-reload";
    let lines: Vec<&str> = unit.lines().filter(is_known).collect();
    folder.write(name, lines.join("\n"))
}

#[test]
fn systemd_finds_no_fault_with_the_units_and_little_exposure() {
    let Some([analyze]) = Program::find(["systemd-analyze"]) else { return };
    let version = analyze.run(["--version"]);
    let version = version.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let folder = TempDir::create();
    for name in ["striper-server.service", "striper-client@.service"] {
        let file = unit(name, version.unwrap_or(0), &folder);
        let verified = Finished::of(analyze.command().args(["verify", "--man=no", &file]));
        if verified.stderr.contains("Failed to initialize manager") {
            return skip("systemd-analyze can't verify units here");
        }
        let faults = verified.stderr.lines().filter(|line| line.contains("striper"));
        assert_eq!(faults.count(), 0, "{}", verified.stderr);
        // Of 100: docs/INSTALL.md has the figure.
        analyze.run(["security", "--offline=true", "--threshold=11", &file]);
    }
}

#[test]
fn the_scripts_of_packages_are_right_for_a_plain_shell() {
    let Some([sh]) = Program::find(["sh"]) else { return };
    for name in [
        "debian/postinst",
        "debian/prerm",
        "debian/postrm",
        "container/rootfs",
        "openwrt/files/striper.init",
    ] {
        let file = packaging(name).display().to_string();
        sh.run(["-n", &file]);
        if let Some([shellcheck]) = Program::find(["shellcheck"]) {
            // OpenWrt's rc.common reads the variables, and its shell has local.
            shellcheck.run(["-s", "sh", "-e", "SC2034,SC3043,SC2154,SC2012", &file]);
        }
    }
}

/// Stand-ins for UCI and procd. A setting is a variable: cfg_SECTION_OPTION.
const OPENWRT: &str = r#"
config_load() { :; }
config_foreach() {
    for found in $SECTIONS; do [ "${found%%:*}" != "$2" ] || "$1" "${found#*:}"; done
}
config_get() { eval "$1=\${cfg_$2_$3:-\${4-}}"; }
config_get_bool() { config_get "$@"; }
config_list_foreach() {
    eval "list=\${cfg_$1_$2-}"
    call=$3
    shift 3
    for value in $list; do "$call" "$value" "$@"; done
}
procd_open_instance() { echo "instance $1"; }
procd_set_param() { echo "$@"; }
procd_append_param() { echo "$@"; }
procd_close_instance() { :; }
"#;

/// The words with which the init script starts the program.
fn words_on_openwrt(settings: &str) -> Vec<String> {
    let init = packaging("openwrt/files/striper.init").display().to_string();
    let script = format!("{OPENWRT}\n{settings}\n. {init}\nstart_service");
    let said = Finished::of(Command::new("sh").args(["-c", &script])).success();
    let commands = said.lines().filter_map(|line| line.strip_prefix("command "));
    commands.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn the_init_script_of_openwrt_starts_each_enabled_section_as_it_says() {
    let (origin, folder) = (Origin::start(), TempDir::create());
    let key = folder.text("striper.key");
    run(&["keygen", &key], &[]).success();
    assert_eq!(words_on_openwrt("SECTIONS=server:ssh"), [""; 0], "it is not enabled");
    let words = words_on_openwrt(&format!(
        "SECTIONS=server:ssh cfg_ssh_enabled=1 cfg_ssh_key={key} cfg_ssh_listen=127.0.0.1:0 \
         cfg_ssh_target={} cfg_ssh_allow='localhost:1 localhost:2'",
        origin.addr()
    ));
    assert_eq!(words[0], "/usr/bin/striper-cli");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let server = Proxy::start(&words);
    let words = words_on_openwrt(&format!(
        "SECTIONS='server:ssh client:home' cfg_home_enabled=1 cfg_home_server={} \
         cfg_home_key={key} cfg_home_stripes=2 cfg_home_forward='127.0.0.1:0'",
        server.addr()
    ));
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let client = Proxy::start(&words);
    client.assert_works(&origin);
    assert!(words.contains(&"--stripes"), "{words:?}");
}

#[test]
fn an_image_without_libraries_takes_no_program_that_needs_some() {
    let folder = TempDir::create();
    let mut rootfs = Command::new("sh");
    rootfs.arg(packaging("container/rootfs")).arg(binary::path()).arg(folder.join("image"));
    let refused = Finished::of(&mut rootfs);
    if refused.code == Some(0) {
        return skip("the program under test is static");
    }
    assert!(refused.stderr.contains("is no static program"), "{refused:?}");
    let recipe = std::fs::read_to_string(packaging("container/Dockerfile")).expect("a recipe");
    assert!(recipe.contains("COPY rootfs/ /") && recipe.contains("HEALTHCHECK"), "{recipe}");
}
