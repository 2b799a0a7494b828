//! `rate-limited completions` and `rate-limited man`: what shells complete, and man pages, made of the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
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
    let mut page = Vec::new();
    let made = match &args.folder {
        None => Man::new(command).render(&mut page),
        Some(folder) => {
            std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder))
        }
    };
    match made {
        Ok(()) => print(&page),
        Err(error) => {
            complain(format_args!("failed to write the man pages: {error}"));
            Exit::Refused
        }
    }
}

fn print(text: &[u8]) -> Exit {
    say::print(text);
    Exit::Success
}
