//! What a person types and CI runs.
//!
//! Each command says what it does before it does it, installs what it needs and finds missing, and stops at the first
//! thing that fails, by its name. Nothing here asks a question, so all of it works without a terminal.

mod bench;
mod codegen;
mod dependencies;
mod image;
mod process;
mod report;
mod test;
mod tidy;
mod tools;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Build, run, test and measure the platform.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build what is missing and run a hub with two member clusters on this machine
    Up {
        /// Passed on to `acp up`, after `--`: see `cargo xtask up -- --help`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run everything that a change has to pass; what CI runs
    Test,
    /// Fetch what the tests need and is missing, which `test` does itself
    Tools,
    /// Measure, and print each figure beside a reference of the same run
    Bench {
        /// Which to run: start, apiserver, gateway, store; all of them if absent
        name: Option<String>,
        /// A server to compare the API server with: a kubeconfig of its administrator
        #[arg(long, value_name = "KUBECONFIG")]
        reference: Option<std::path::PathBuf>,
    },
    /// Build the programs of the platform's images, and say how images are made of them
    Image,
    /// Check what no compiler checks: dependency direction, headers, links, licences, generated files
    Tidy,
    /// Write the files that are generated from the platform's types
    Codegen {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Up { arguments } => up::run(&workspace, &arguments),
        Command::Test => test::run(&workspace),
        Command::Tools => tools::for_building(&workspace).and_then(|()| tools::for_testing(&workspace)),
        Command::Bench { name, reference } => bench::run(&workspace, name.as_deref(), reference.as_deref()),
        Command::Image => image::run(&workspace),
        Command::Tidy => dependencies::run(&workspace).and(tidy::run(&workspace)),
        Command::Codegen { check } => codegen::run(&workspace, check),
    }
}
