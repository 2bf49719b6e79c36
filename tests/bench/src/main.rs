//! Benchmarks of the built binaries, over their real interfaces; of identity, also without them; of rights, without.
//!
//! Each figure stands beside a reference that was measured in the same run with the same client: machines and their
//! neighbours differ more than code does, so only the ratio says something about us.

mod apiserver;
mod echo;
mod fleet;
mod gateway;
mod identity;
mod index;
mod measure;
mod process;
mod rbac;
mod revoke;
mod rights;
mod sandbox;
mod start;
mod streams;
mod tunnel;

use std::path::Path;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let done = match name.as_str() {
        "start" => start::run().await,
        "apiserver" => apiserver::run(std::env::args_os().nth(2).as_deref().map(Path::new)).await,
        "gateway" => gateway::run().await,
        "sandbox" => sandbox::run().await,
        "identity" => identity::run().await,
        "revoke" => revoke::run().await,
        "rbac" => rbac::run(std::env::args().nth(2).as_deref()).await,
        "rights" => rights::run(),
        "index" => index::run().await,
        "fleet" => fleet::run(std::env::args().nth(2).as_deref()).await,
        "tunnel" => tunnel::run().await,
        other => Err(anyhow::anyhow!(
            "there is no benchmark {other:?}; there are start, apiserver, gateway, sandbox, identity, revoke, rbac, index, rights, tunnel, fleet"
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
