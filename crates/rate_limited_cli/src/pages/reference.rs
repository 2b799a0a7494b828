//! The command line as a page of Markdown: each command, each option, as its help says it.

use std::fmt::Write;

use clap::builder::PossibleValue;
use clap::{Arg, Command};

const INTRO: &str = "\
# The command `rate-limited`

Every command and option, as `--help` says it. This page is made by `rate-limited man --markdown`; do not edit it.
";

/// The page about a command and all commands below it.
pub(crate) fn page(mut command: Command) -> String {
    // Usage and defaults are known only once it is built.
    command.build();
    let mut page = INTRO.to_owned();
    let commands: Vec<_> = command
        .get_subcommands()
        .filter(|command| command.get_name() != "help" && !command.is_hide_set())
        .collect();
    page += "\n| command | |\n|---|---|\n";
    for command in &commands {
        let (name, about) = (command.get_name(), command.get_about());
        let about = about.map_or_else(String::new, |about| marked_up(&about.to_string()));
        let _ = writeln!(page, "| [`{name}`](#rate-limited-{name}) | {about} |");
    }
    for command in commands {
        one_command(&mut page, command);
    }
    if let Some(codes) = command.get_after_long_help() {
        let codes = codes.to_string();
        let (_, codes) = codes.split_once("Exit codes:\n").unwrap_or_default();
        let _ = write!(page, "\n## Exit codes\n\n```text\n{codes}\n```\n");
    }
    page
}

fn one_command(page: &mut String, command: &Command) {
    let name = command.get_name();
    let _ = write!(page, "\n## rate-limited {name}\n\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = write!(page, "{}\n\n", marked_up(&about.to_string()));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(page, "```text\n{usage}\n```\n");
    if let Some(examples) = command.get_after_help() {
        let _ = write!(page, "\n```text\n{examples}\n```\n");
    }
    for heading in headings(command) {
        let _ = write!(page, "\n### {heading} of {name}\n\n");
        for arg in shown(command).filter(|arg| heading_of(arg) == heading) {
            one_arg(page, name, arg);
        }
    }
}

/// The arguments that a page shows: all but those that each command has.
fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
}

/// The headings of a command's arguments, in their order.
fn headings(command: &Command) -> Vec<&str> {
    let mut headings = Vec::new();
    for arg in shown(command) {
        if !headings.contains(&heading_of(arg)) {
            headings.push(heading_of(arg));
        }
    }
    headings
}

fn heading_of(arg: &Arg) -> &str {
    let usual = if arg.is_positional() {
        "Arguments"
    } else {
        "Options"
    };
    arg.get_help_heading().unwrap_or(usual)
}

fn one_arg(page: &mut String, command: &str, arg: &Arg) {
    let _ = write!(
        page,
        "- <a id=\"{command}-{}\"></a>`{}`",
        arg.get_long().unwrap_or(arg.get_id().as_str()),
        spelling(arg)
    );
    let help = arg.get_long_help().or(arg.get_help());
    let help = help.map_or_else(String::new, ToString::to_string);
    let mut notes: Vec<_> = help.split("\n\n").map(marked_up).collect();
    let (takes_values, values) = (arg.get_action().takes_values(), arg.get_possible_values());
    if takes_values && !values.is_empty() && !arg.is_hide_possible_values_set() {
        notes.push(values.iter().map(one_value).collect::<Vec<_>>().join("\n"));
    }
    let defaults = arg.get_default_values();
    if takes_values && !defaults.is_empty() && !arg.is_hide_default_value_set() {
        let defaults: Vec<_> = defaults
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        notes.push(format!("Default: `{}`", defaults.join(" ")));
    }
    for (place, note) in notes.iter().filter(|note| !note.is_empty()).enumerate() {
        let gap = if place == 0 { "  \n" } else { "\n\n" };
        let _ = write!(page, "{gap}  {}", note.replace('\n', "\n  "));
    }
    page.push_str("\n\n");
}

fn one_value(value: &PossibleValue) -> String {
    let help = value.get_help().map(|help| marked_up(&help.to_string()));
    let help = help.map_or_else(String::new, |help| format!(": {help}"));
    format!("- `{}`{help}", value.get_name())
}

/// How an argument is written: `-o, --output <OUTPUT>`.
fn spelling(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let values: Vec<_> = names.iter().map(|name| format!("<{name}>")).collect();
    let values = values.join(" ");
    if arg.is_positional() {
        return values;
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let name: Vec<_> = short.into_iter().chain(long).collect();
    let name = name.join(", ");
    if arg.get_action().takes_values() {
        format!("{name} {values}")
    } else {
        name
    }
}

/// A text of the help, so that Markdown shows it as it is. Options become code, and what is between backticks is
/// code already.
fn marked_up(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    for (place, part) in text.trim().split('`').enumerate() {
        if place % 2 == 1 {
            let _ = write!(marked, "`{part}`");
            continue;
        }
        for word in part.split_inclusive(char::is_whitespace) {
            let at = word.find("--").unwrap_or(word.len());
            let (before, option) = word.split_at(at);
            let name = option.trim_start_matches('-');
            let end = name.find(|char: char| !char.is_ascii_alphanumeric() && char != '-');
            let (name, behind) = name.split_at(end.unwrap_or(name.len()));
            marked += &escaped(before);
            if !name.is_empty() {
                let _ = write!(marked, "`--{name}`");
            }
            marked += &escaped(behind);
        }
    }
    marked
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if "\\*_<>[]#|{}".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_markdown_would_take_for_its_own_is_escaped_outside_of_code() {
        assert_eq!(marked_up("NAME=<a_b> | *"), r"NAME=\<a\_b\> \| \*");
        assert_eq!(marked_up("`a_b` c_d"), r"`a_b` c\_d");
        assert_eq!(
            marked_up("(see --max-cost), --a_b"),
            r"(see `--max-cost`), `--a`\_b"
        );
    }

    #[test]
    fn a_page_has_commands_their_options_values_and_defaults() {
        let colour = Arg::new("colour")
            .short('c')
            .long("colour")
            .value_name("COLOUR")
            .value_parser(["red", "blue"])
            .default_value("red")
            .help("Which one");
        let hidden = Arg::new("secret").long("secret").hide(true);
        let paint = Command::new("paint")
            .about("Paints")
            .arg(colour)
            .arg(hidden);
        let page = page(Command::new("tool").subcommand(paint));
        assert!(page.contains("| [`paint`](#rate-limited-paint) | Paints |"));
        assert!(page.contains(
            "- <a id=\"paint-colour\"></a>`-c, --colour <COLOUR>`  \n  Which one\n\n  - `red`\n  - `blue`\n\n  Default: `red`\n"
        ));
        assert!(!page.contains("secret"));
    }
}
