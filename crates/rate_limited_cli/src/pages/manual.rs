//! `rate-limited completions` and `rate-limited man`: what shells complete, and man pages, made of the command line.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::exit::Exit;
use crate::pages::reference;
use crate::telling::say::{self, complain};

/// Print what a shell needs to complete the command's options.
///
/// For bash: rate-limited completions bash > ~/.local/share/bash-completion/completions/rate-limited
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the man page, or write one for each command into a folder.
///
/// For a look: rate-limited man | man -l -
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write rate-limited.1, rate-limited-run.1, … there, such as ~/.local/share/man/man1
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Print one page of Markdown about all commands instead
    #[arg(long, conflicts_with = "folder")]
    markdown: bool,
}

/// Prints completions.
pub(crate) fn completions(args: &CompletionsArgs) -> Exit {
    let (mut command, mut script) = (Cli::command(), Vec::new());
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print(&script)
}

/// Prints the man page, or writes all of them.
pub(crate) fn man(args: &ManArgs) -> Exit {
    // What it would say is in each page.
    let command = Cli::command().disable_help_subcommand(true);
    if args.markdown {
        return print(reference::page(command).as_bytes());
    }
    let made = match &args.folder {
        None => page_of(command).map(|(_, page)| page),
        Some(folder) => fill(folder, command).map(|()| String::new()),
    };
    match made {
        Ok(page) => print(page.as_bytes()),
        Err(error) => {
            complain(format_args!("failed to write the man pages: {error}"));
            Exit::Refused
        }
    }
}

/// Writes the page of a command, and those of all commands below it.
fn fill(folder: &Path, mut command: Command) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    command.build();
    let below = command.get_subcommands().filter(|it| !it.is_hide_set());
    for command in below.cloned().chain([command.clone()]) {
        let (name, page) = page_of(command)?;
        std::fs::write(folder.join(name), page)?;
    }
    Ok(())
}

/// The name of the file of a command's page, and the page.
fn page_of(command: Command) -> io::Result<(String, String)> {
    let (man, mut page) = (Man::new(command), Vec::new());
    man.render(&mut page)?;
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    Ok((man.get_filename(), with_lines_kept(&page)))
}

/// A page on which what stands below the options keeps its lines: there are tables, and commands to be copied.
fn with_lines_kept(page: &str) -> String {
    let Some((options, rest)) = page.split_once(".SH EXTRA\n") else {
        return page.to_owned();
    };
    let end = rest.find("\n.SH ").map_or(rest.len(), |end| end + 1);
    let (notes, behind) = rest.split_at(end);
    let notes = notes.trim_end();
    format!("{options}.SH NOTES\n.nf\n.in 2\n{notes}\n.fi\n{behind}")
}

fn print(text: &[u8]) -> Exit {
    say::print(text);
    Exit::Success
}
