//! `acp manifests`: what an administrator applies to a cluster, on standard output.
//!
//! The same arguments print the same bytes, so that it can be kept beside other manifests and compared.

mod chart;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use agent::{HubAddress, ProxyUrl};
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use fleet::{Egress, HubManifest, Invitation};
use lib_names::ClusterName;
use lib_tls::Trust;
use serde_json::Value;
use tenancy::guard::identity as identity_of_tenancy;

#[derive(Subcommand)]
pub(crate) enum Manifests {
    /// For the cluster that carries the hub: namespace, kinds, roles and the hub itself, which holds no right to install any.
    Hub(HubFlags),
    /// For a cluster that joins: what a registration gives. Holds the registration token.
    Agent(AgentFlags),
    /// What `hub` prints as a Helm chart, which leaves open what the options of `hub` say.
    Chart(ChartFlags),
}

#[derive(Args)]
pub(crate) struct HubFlags {
    /// The image to run, which holds the binary `acp`.
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    image: String,
    /// Under which host and port agents and people reach the hub.
    #[arg(long, value_name = "HOST:PORT")]
    public_address: HubAddress,
    /// How many of the hub run, on nodes of their own where there are any.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    replicas: u32,
}

#[derive(Args)]
pub(crate) struct ChartFlags {
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Args)]
pub(crate) struct AgentFlags {
    /// The image to run, which holds the binary `acp-agent`.
    #[arg(long, value_name = "IMAGE", value_parser = image)]
    image: String,
    /// Where the hub is: host:port.
    #[arg(long, value_name = "HOST:PORT")]
    hub: HubAddress,
    /// The name of the cluster on the hub.
    #[arg(long, value_name = "NAME")]
    cluster: ClusterName,
    /// A file that holds the registration token.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The hub's authority, as a PEM file.
    #[arg(long, value_name = "FILE")]
    ca_file: PathBuf,
    /// The proxy on the agent's way to the hub: http://, https://, socks5:// or socks5h://HOST:PORT.
    #[arg(long, value_name = "URL", conflicts_with = "proxy_file")]
    proxy: Option<String>,
    /// A file that holds the proxy's URL, for one with a user and a password.
    #[arg(long, value_name = "FILE")]
    proxy_file: Option<PathBuf>,
    /// Hosts, domains, addresses and networks to which the proxy does not lead, separated by commas.
    #[arg(long, value_name = "LIST")]
    no_proxy: Option<String>,
    /// The authority of an https:// proxy, as a PEM file.
    #[arg(long, value_name = "FILE")]
    proxy_ca_file: Option<PathBuf>,
}

impl Manifests {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let objects = match self {
            Self::Hub(flags) => flags.objects(),
            Self::Agent(flags) => flags.objects()?,
            Self::Chart(flags) => return chart::write(&flags.output),
        };
        std::io::stdout().lock().write_all(stream(&objects).as_bytes()).context("could not write to standard output")
    }
}

impl HubFlags {
    fn objects(&self) -> Vec<Value> {
        let (address, rights) = (self.public_address.to_string(), identity_of_tenancy(true));
        HubManifest { image: &self.image, address: &address, replicas: self.replicas, rights: &rights }.objects()
    }
}

impl AgentFlags {
    fn objects(&self) -> anyhow::Result<Vec<Value>> {
        let token = read(&self.token_file)?;
        let token = token.trim();
        ensure!(
            !token.is_empty(),
            "--token-file: {} is empty; a registration gives the token",
            self.token_file.display()
        );
        let authority = read(&self.ca_file)?;
        Trust::bundle(&authority)
            .with_context(|| format!("--ca-file: could not use the authority in {}", self.ca_file.display()))?;
        let (proxy, proxy_authority) = (self.proxy()?, self.proxy_authority()?);
        ensure!(
            proxy.is_some() || (proxy_authority.is_none() && self.no_proxy.is_none()),
            "--no-proxy and --proxy-ca-file say something of a proxy: name it with --proxy or --proxy-file"
        );
        let egress = proxy.as_deref().map(|proxy| Egress {
            proxy,
            no_proxy: self.no_proxy.as_deref(),
            authority_pem: proxy_authority.as_deref(),
        });
        let (hub, rights) = (self.hub.to_string(), identity_of_tenancy(false));
        let invitation = Invitation {
            cluster: &self.cluster,
            token,
            hub: &hub,
            authority_pem: &authority,
            image: &self.image,
            rights: &rights,
            egress,
        };
        Ok(invitation.objects())
    }

    fn proxy(&self) -> anyhow::Result<Option<String>> {
        let (name, url) = match (&self.proxy, &self.proxy_file) {
            (Some(url), _) => ("--proxy", url.clone()),
            (None, Some(path)) => ("--proxy-file", read(path)?),
            (None, None) => return Ok(None),
        };
        let url = url.trim();
        url.parse::<ProxyUrl>().with_context(|| format!("could not use {name}"))?;
        Ok(Some(url.to_owned()))
    }

    fn proxy_authority(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.proxy_ca_file else { return Ok(None) };
        let authority = read(path)?;
        Trust::bundle(&authority)
            .with_context(|| format!("--proxy-ca-file: could not use the authority in {}", path.display()))?;
        Ok(Some(authority))
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

/// What can be an image's name. Which ones there are, registries know.
fn image(text: &str) -> anyhow::Result<String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(fits, "an image is named as in registry.example.com/acp:1.0, without spaces");
    Ok(text.to_owned())
}

fn stream(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{}", lib_yaml::to_string(object))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(subcommand)]
        manifests: Manifests,
    }

    fn hub(words: &[&str]) -> Result<HubFlags, clap::Error> {
        match CommandLine::try_parse_from(["acp", "hub"].iter().chain(words))?.manifests {
            Manifests::Hub(flags) => Ok(flags),
            Manifests::Agent(_) | Manifests::Chart(_) => unreachable!("it is the hub's"),
        }
    }

    #[test]
    fn the_manifest_of_the_hub_is_yaml_that_reads_as_it_was_meant() {
        let words = ["--image", "registry.example.com/acp:1", "--public-address", "hub.example.com:443"];
        let objects = hub(&words).unwrap().objects();
        let text = stream(&objects);
        assert_eq!(lib_yaml::parse_all(&text).unwrap(), objects);
        assert_eq!(text, stream(&hub(&words).unwrap().objects()), "the same every time");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_the_name_of_its_flag() {
        let good = [("--image", "acp:1"), ("--public-address", "hub.example.com:443"), ("--replicas", "2")];
        for (flag, value) in [("--image", "acp 1"), ("--image", ""), ("--public-address", "hub"), ("--replicas", "0")] {
            let words = good.map(|(name, fine)| format!("{name}={}", if name == flag { value } else { fine }));
            let refused = hub(&words.each_ref().map(String::as_str)).err().unwrap().to_string();
            assert!(refused.contains(flag), "{flag}={value}: {refused}");
        }
    }

    #[test]
    fn an_agent_without_a_token_or_an_authority_is_refused_before_anything_is_printed() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let authority = lib_tls::Authority::generate("hub", std::time::SystemTime::now()).unwrap();
        let (token, ca) = (file("token", "tok\n"), file("ca.crt", authority.certificate_pem()));
        let objects = |token_file: &Path, ca_file: &Path, words: &[&str]| {
            let files = [format!("--token-file={}", token_file.display()), format!("--ca-file={}", ca_file.display())];
            let all = ["acp", "agent", "--image=acp:1", "--hub=hub.example.com:443", "--cluster=eu-1"];
            let all = all.into_iter().chain(files.iter().map(String::as_str)).chain(words.iter().copied());
            match CommandLine::try_parse_from(all).unwrap().manifests {
                Manifests::Agent(flags) => flags.objects().map_err(|error| format!("{error:#}")),
                Manifests::Hub(_) | Manifests::Chart(_) => unreachable!("it is an agent's"),
            }
        };
        let all = objects(&token, &ca, &[]).unwrap();
        assert!(stream(&all).contains("token: dG9r\n"), "the token is in its Secret, without the line's end");
        let proxied = objects(&token, &ca, &["--proxy=http://proxy:3128", "--no-proxy=.svc"]).unwrap();
        assert_eq!(proxied.len(), all.len() + 1, "the proxy is in a Secret of its own");
        let secret = file("proxy", "http://me:t0k@proxy:b");
        for (refused, words) in [
            (objects(&dir.path().join("none"), &ca, &[]), "none"),
            (objects(&file("empty", " \n"), &ca, &[]), "--token-file"),
            (objects(&token, &file("other", "tok"), &[]), "--ca-file"),
            (objects(&token, &ca, &["--proxy=ftp://me:t0k@proxy"]), "--proxy"),
            (objects(&token, &ca, &[&format!("--proxy-file={}", secret.display())]), "--proxy-file"),
            (objects(&token, &ca, &["--no-proxy=.svc"]), "--proxy"),
            (objects(&token, &ca, &["--proxy=https://proxy", "--proxy-ca-file=/none"]), "/none"),
        ] {
            let said = refused.unwrap_err();
            assert!(said.contains(words) && !said.contains("tok\n") && !said.contains("t0k"), "{words}: {said}");
        }
    }
}
