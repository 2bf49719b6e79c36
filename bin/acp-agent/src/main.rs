//! The agent alone. A member has this and nothing else of the platform: a sixth of what `acp` is, in its image and in its
//! memory.

use std::process::ExitCode;

use acp_agent::{Agent, process};
use clap::Parser;
use tokio::runtime::Builder;

#[derive(Parser)]
#[command(name = "acp-agent", version, about)]
struct Arguments {
    #[command(flatten)]
    agent: Agent,
    /// What to log: a level, or directives such as `info,tunnel_agent=debug`.
    #[arg(long, env = "ACP_LOG", default_value = "warn")]
    log: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread carries some hundred megabytes a second. With another, each piece would wait for one to wake the other, and
    // both would hold memory.
    let runtime = Builder::new_current_thread().enable_all().build();
    process::run(&arguments.log, runtime, arguments.agent.run())
}
