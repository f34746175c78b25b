//! The man pages and the completions of shells, from clap's definition. They have the texts of the
//! help.

use crate::args::{self, Cli};
use crate::failure::Failure;
use clap::{Command, CommandFactory};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io;

/// The page of a command for man, or else that of the program.
pub(crate) fn man(topic: Option<&str>) -> Result<String, Failure> {
    let root = Cli::command();
    let source = format!("striper {}", args::VERSION);
    let written = match topic.and_then(|topic| root.find_subcommand(topic)) {
        Some(command) => of_command(&root, command, source),
        None => of_program(root, source),
    };
    text(written)
}

pub(crate) fn completions(shell: Shell) -> Result<String, Failure> {
    let mut root = Cli::command();
    root.set_bin_name("striper-cli");
    root.build();
    let mut script = Vec::new();
    let script = text(shell.try_generate(&root, &mut script).map(|()| script))?;
    // clap_complete 4.6 spells a name with a hyphen in two ways: bash would know no command.
    Ok(script.replace("striper__subcmd__cli", "striper__cli"))
}

fn text(written: io::Result<Vec<u8>>) -> Result<String, Failure> {
    let text = written.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    text.map_err(|error| Failure::unexpected(format!("cannot write the text: {error}")))
}

fn of_program(root: Command, source: String) -> io::Result<Vec<u8>> {
    let [before, after] = [root.get_long_about(), root.get_after_help()].map(shown);
    // The options are those of the commands, whose pages have them.
    let pages: Vec<String> = root.get_subcommands().map(page).collect();
    let man = Man::new(root).source(source).manual("striper");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    section("DESCRIPTION", &before).to_writer(&mut out)?;
    man.render_subcommands_section(&mut out)?;
    for (heading, lines) in sections(&after) {
        section(heading, &lines).to_writer(&mut out)?;
    }
    section("SEE ALSO", &pages.join(", ")).to_writer(&mut out)?;
    Ok(out)
}

fn of_command(root: &Command, command: &Command, source: String) -> io::Result<Vec<u8>> {
    let (title, examples) = (page_name(command), shown(command.get_after_help()));
    let about = shown(command.get_long_about());
    // The first paragraph is for lists of commands.
    let about = about.split_once("\n\n").map_or(about.clone(), |(_, about)| about.to_owned());
    let shared = root.get_arguments().filter(|arg| arg.is_global_set()).cloned();
    let command = command.clone().display_name(&title).long_about(about).args(shared);
    // The two flags are among the arguments now.
    let command = command.disable_help_flag(true).disable_version_flag(true);
    let command = command.bin_name("striper-cli").version(args::VERSION);
    // The texts of the options have them.
    let command = command.mut_args(|arg| {
        let takes_values = arg.get_action().takes_values();
        arg.hide_possible_values(takes_values)
    });
    let man = Man::new(command).source(source).manual("striper");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    for (heading, lines) in sections(&examples) {
        section(heading, &lines).to_writer(&mut out)?;
    }
    section("SEE ALSO", "striper-cli(1)").to_writer(&mut out)?;
    Ok(out)
}

fn page_name(command: &Command) -> String {
    format!("striper-cli-{}", command.get_name())
}

fn page(command: &Command) -> String {
    page_name(command) + "(1)"
}

fn shown(styled: Option<&impl ToString>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

/// The parts of a text: each begins with a line at the margin, its heading.
fn sections(text: &str) -> Vec<(&str, String)> {
    let mut sections: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        match sections.last_mut() {
            Some((_, lines)) if line.is_empty() || line.starts_with(' ') => {
                *lines += line;
                lines.push('\n');
            }
            _ => sections.push((line, String::new())),
        }
    }
    sections
}

/// Lines that stay as they are: their columns have a meaning.
fn section(heading: &str, lines: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    roff.control("nf", []);
    for line in lines.trim_end().lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::options;

    #[test]
    fn the_pages_of_the_program_and_its_commands_have_the_texts_of_the_help() {
        let root = Cli::command();
        let program = man(None).unwrap();
        for heading in ["NAME", "DESCRIPTION", "WORDS", "ENVIRONMENT", "EXIT CODES", "SEE ALSO"] {
            let has_it = |line: &str| {
                let named = line.strip_prefix(".SH ");
                named.is_some_and(|name| name.trim_matches('"').starts_with(heading))
            };
            assert!(program.lines().any(has_it), "{heading}: {program}");
        }
        for command in root.get_subcommands() {
            let name = command.get_name();
            let page = man(Some(name)).unwrap();
            let page = page.replace("\\-", "-");
            assert!(page.starts_with(".ie") && page.contains(".SH EXAMPLES"), "{page}");
            assert!(program.contains(&name.replace('-', "\\-")), "{name}");
            for option in options(&root) {
                let takes = command.get_arguments().chain(root.get_arguments());
                let mut takes = takes.filter(|arg| !arg.is_hide_set());
                if takes.any(|arg| arg.get_id() == option.arg.get_id()) {
                    assert!(page.contains(&option.name()), "{} in {name}", option.name());
                }
            }
        }
    }

    #[test]
    fn completions_have_every_command_and_option() {
        let root = Cli::command();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell).unwrap();
            for option in options(&root).iter().filter_map(|known| known.arg.get_long()) {
                assert!(script.contains(option), "{option}: {shell}");
            }
            for command in root.get_subcommands() {
                assert!(script.contains(command.get_name()), "{}: {shell}", command.get_name());
            }
        }
    }
}
