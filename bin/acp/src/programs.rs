//! What simulated kubelets really run: the agent, when its manifest is applied to a sandbox member.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acp_agent::{Agent, serve};
use agent::quota::{self, Reach};
use agent::{ClusterApi, SecretStore};
use apiserver_access::User;
use apiserver_server::Running;
use clap::Parser;
use sandbox::{Program, ProgramContext, Programs};
use tokio::sync::watch;
use tokio::time::sleep;

/// How long streams may take to finish when the pod is stopped.
const DRAIN: Duration = Duration::from_secs(2);
/// How long what is under way may take before the network is cut.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The image that registration manifests name.
pub(crate) const AGENT_IMAGE: &str = "acp/agent";

/// The member's own API server. Programs may be started a moment before it is known, and wait for it.
pub(crate) type Member = watch::Sender<Option<Running>>;

/// The agent as a program of a member's simulated nodes.
pub(crate) fn agent_program(member: &Member) -> Arc<dyn Programs> {
    let member = member.clone();
    let program: Program = Arc::new(move |context: ProgramContext| {
        let member = member.clone();
        Box::pin(async move {
            match run(&member, &context).await {
                Ok(()) => 0,
                Err(error) => {
                    context.log(&format!("error: {error:#}"));
                    1
                }
            }
        })
    });
    Arc::new(AgentImages(program))
}

/// The agent by any tag and digest: what runs is this very program.
struct AgentImages(Program);

impl Programs for AgentImages {
    fn find(&self, image: &str) -> Option<Program> {
        is_agent(image).then(|| self.0.clone())
    }
}

fn is_agent(image: &str) -> bool {
    let rest = image.strip_prefix(AGENT_IMAGE);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
}

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    agent: Agent,
}

async fn run(member: &Member, context: &ProgramContext) -> anyhow::Result<()> {
    // `acp-agent --hub=...`, or `acp agent --hub=...` by manifests of earlier versions.
    let words = context.argv.iter().skip(usize::from(context.argv.first().is_some_and(|word| word == "acp")));
    let arguments = CommandLine::try_parse_from(words)?.agent;
    let read = |path: &Path| {
        let found = context.files.get(&*path.to_string_lossy()).cloned();
        found.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
    };
    let mut config = arguments.config(read, |name| context.env.get(name).cloned())?;
    config.network = config.network.simulated();
    let network = config.network.clone();
    let server = member.subscribe().wait_for(Option::is_some).await?.clone();
    let Some(server) = server else { anyhow::bail!("the API server is gone") };
    // The pod's service account and nothing more, as with the token that a real pod would read.
    let (namespace, account) = (&context.identity.namespace, &context.identity.service_account);
    let user = User::new(
        format!("system:serviceaccount:{namespace}:{account}"),
        ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
    );
    let store = |(namespace, name)| Arc::new(SecretStore::new(server.client(user.clone()), namespace, name));
    // A simulated pod has no address of its own, and the API server is in this process.
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let quotas = quota::Config::new(listen, Reach::Listener, store(SecretStore::ADMISSION));
    let member = ClusterApi::in_process(server.service_as(user.clone()));
    let agent = config.build(member, store(SecretStore::DEFAULT)).enforcing(quotas);
    context.log("the agent runs in this process, for a simulated kubelet");
    tokio::select! {
        served = serve(agent, context.token.cancelled(), DRAIN) => Ok(served?),
        never = follow_partition(context.partitioned.clone(), |is_cut| match is_cut {
            true => network.cut(),
            false => network.heal(),
        }) => match never {},
    }
}

/// Cuts the agent's network and heals it, as the simulated kubelet is told. What is cut may be the way by which it was told
/// to cut it: the answer to that gets through first.
async fn follow_partition(mut partitioned: watch::Receiver<bool>, set: impl Fn(bool)) -> Infallible {
    loop {
        set(*partitioned.borrow_and_update());
        if partitioned.changed().await.is_err() {
            // The container is gone, and the agent about to end.
            std::future::pending::<()>().await;
        }
        if *partitioned.borrow() {
            sleep(LAST_WORDS).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    /// When the network is cut and healed, in milliseconds, if that is told then.
    async fn follow(tell: &[(u64, bool)]) -> Vec<(u64, bool)> {
        let (sender, told) = watch::channel(tell[0].1);
        let (seen, began) = (Mutex::new(Vec::new()), Instant::now());
        let at = |millis: u64| tokio::time::sleep_until(began + Duration::from_millis(millis));
        let set = |is_cut| {
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap();
            seen.lock().unwrap().push((millis, is_cut));
        };
        let telling = async {
            for (millis, is_cut) in &tell[1..] {
                at(*millis).await;
                sender.send_replace(*is_cut);
            }
            at(60_000).await;
        };
        tokio::select! {
            never = follow_partition(told, set) => match never {},
            () = telling => {}
        }
        seen.into_inner().unwrap()
    }

    #[test]
    fn the_agent_runs_by_any_tag_and_nothing_else_does() {
        for image in ["acp/agent", "acp/agent:0.4.0", "acp/agent@sha256:00", "acp/agent:0.4.0@sha256:00"] {
            assert!(is_agent(image), "{image}");
        }
        for image in ["acp/agents", "acp/agent/tools:1", "example/acp/agent", "acp-agent:1", ""] {
            assert!(!is_agent(image), "{image}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_cuts_the_agent_off_through_the_agent_gets_an_answer() {
        assert_eq!(follow(&[(0, false), (1000, true), (9000, false)]).await, [(0, false), (1500, true), (9000, false)]);
        // One that starts while it is cut off says nothing.
        assert_eq!(follow(&[(0, true), (9000, false)]).await, [(0, true), (9000, false)]);
        // Healed before it was cut.
        assert_eq!(follow(&[(0, false), (1000, true), (1200, false)]).await, [(0, false), (1500, false)]);
    }
}
