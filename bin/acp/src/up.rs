//! `acp up`: a hub and sandbox members in one process, joined as real ones are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use acp_agent::process;
use anyhow::Context;
use api_types::Cluster;
use apiserver_access::MASTERS;
use clap::Args;
use fleet::{Caller, RegistrationRequest};
use http::{Request, StatusCode};
use tokio::time::timeout;

use crate::embedded::listen;
use crate::hub::{Hub, HubConfig};
use crate::members::{Joined, MemberFlags, Members};
use crate::programs;
use crate::storage::EtcdFlags;

/// How long one question to a member may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// Who asks.
const PROBER: &str = "acp:up";

#[derive(Args)]
pub(crate) struct Up {
    /// Where everything is kept; a second start resumes from it.
    #[arg(long, value_name = "DIR", default_value = ".acp")]
    data_dir: PathBuf,
    /// Where the hub's door listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// How many sandbox members there are.
    #[arg(long, value_name = "N", default_value_t = 2)]
    members: usize,
    #[command(flatten)]
    each: MemberFlags,
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.each.check(self.members)?;
        let listener = listen(self.listen).await?;
        let hub = Hub::start(HubConfig {
            data_dir: Some(self.data_dir.clone()),
            listener,
            public_address: None,
            foreign: None,
            etcd: EtcdFlags::default(),
            allow_loopback: true,
            admission: None,
            agent_image: programs::AGENT_IMAGE.into(),
            replica: None,
        });
        let names = (1..=self.members).map(|number| format!("member-{number}"));
        let folder = self.data_dir.join("members");
        let members = Members::start(names, &folder, &self.each);
        let (hub, members) = tokio::try_join!(hub, members)?;
        members.join(&hub).await?;
        let late = members.late(&hub).await;
        hub.announce();
        members.announce(&late);
        process::asked_to_stop().await.context("could not wait for signals")?;
        eprintln!("stopping");
        members.stop().await;
        hub.stop().await;
        Ok(())
    }
}

/// The hub of this process.
impl Joined for Hub {
    /// It answers from memory.
    const PAUSE: Duration = Duration::from_millis(20);

    fn address(&self) -> &str {
        &self.address
    }

    async fn clusters(&self) -> anyhow::Result<Vec<Arc<Cluster>>> {
        Ok(self.fleet.clusters())
    }

    async fn register(&self, name: &str) -> anyhow::Result<String> {
        let administrator = Caller::certificate("kubernetes-admin", &[MASTERS.to_owned()])?;
        let request = RegistrationRequest { name: name.to_owned(), ..RegistrationRequest::default() };
        Ok(self.fleet.register(&administrator, request).await?.manifest)
    }

    /// What it answers at `/readyz`, which everybody may ask, through its tunnel: what is said of it may be from before
    /// the hub stopped.
    async fn answers(&self, name: &str) -> bool {
        let asking = async {
            let caller = Caller::certificate(PROBER, &[])?;
            let request = Request::get("/readyz").body(fleet::full(""))?;
            let answer = timeout(ANSWER_DEADLINE, self.fleet.send(&name.parse()?, &caller, request)).await??;
            anyhow::Ok(answer.status())
        };
        matches!(asking.await, Ok(StatusCode::OK))
    }
}
