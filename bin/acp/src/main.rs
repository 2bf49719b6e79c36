//! One binary for every process of the platform.
//!
//! Here arguments and environment become configuration, configuration becomes
//! running parts, and a signal becomes their orderly end. Nothing else reads
//! the environment or exits the process.

mod apiserver;
mod assets;
mod audit;
mod data_dir;
mod embedded;
mod hub;
mod kubeconfig;
mod manifests;
mod members;
mod programs;
mod sandbox;
mod snapshot;
mod storage;
mod up;

use std::process::ExitCode;

use acp_agent::{Agent, process};
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
    Agent(Agent),
    /// Runs the embedded Kubernetes-compatible API server.
    Apiserver(Box<apiserver::Apiserver>),
    /// Prints what an administrator applies to a cluster, for the hub or for an agent.
    #[command(subcommand)]
    Manifests(manifests::Manifests),
    /// Makes things go wrong in a sandbox, and heals them.
    Sandbox(sandbox::SandboxCommand),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    process::run(&arguments.log, runtime, async {
        match arguments.command {
            Command::Up(command) => command.run().await,
            Command::Members(command) => command.run().await,
            Command::Hub(command) => command.run().await,
            Command::Agent(command) => command.run().await,
            Command::Apiserver(command) => command.run().await,
            Command::Manifests(command) => command.run(),
            Command::Sandbox(command) => command.run().await,
        }
    })
}
