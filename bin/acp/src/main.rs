//! One binary for every process of the platform.
//!
//! Here arguments and environment become configuration, configuration becomes
//! running parts, and a signal becomes their orderly end. Nothing else reads
//! the environment or exits the process.

mod agent;
mod apiserver;
mod assets;
mod audit;
mod data_dir;
mod embedded;
mod hub;
mod kubeconfig;
mod members;
mod programs;
mod sandbox;
mod snapshot;
mod storage;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "acp", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What to log: a level, or directives such as `info,fleet=debug`.
    #[arg(long, global = true, env = "ACP_LOG", default_value = "warn")]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a hub and sandbox member clusters in one process.
    Up(up::Up),
    /// Runs sandbox member clusters that join a hub elsewhere.
    Members(members::MembersCommand),
    /// Runs the hub: the door, identity, fleet, tunnels and the console.
    Hub(hub::HubCommand),
    /// Runs the agent of a member cluster.
    Agent(agent::Agent),
    /// Runs the embedded Kubernetes-compatible API server.
    Apiserver(Box<apiserver::Apiserver>),
    /// Makes things go wrong in a sandbox, and heals them.
    Sandbox(sandbox::SandboxCommand),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = lib_telemetry::init(&arguments.log, lib_telemetry::Format::Text) {
        eprintln!("error: --log: {error}");
        return ExitCode::from(3);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Up(command) => command.run().await,
            Command::Members(command) => command.run().await,
            Command::Hub(command) => command.run().await,
            Command::Agent(command) => command.run().await,
            Command::Apiserver(command) => command.run().await,
            Command::Sandbox(command) => command.run().await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns when the process is asked to stop: Ctrl-C or SIGTERM.
async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
