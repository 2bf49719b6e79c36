//! Through which proxy an agent gets to its hub, as it is told by options or by the environment.

use std::path::{Path, PathBuf};

use agent::{Network, Proxy, ProxyUrl};
use anyhow::Context;
use clap::Args;
use lib_tls::Trust;

/// Where everybody looks, in this order.
const PROXY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The way out.
#[derive(Args, Clone, Default)]
pub(crate) struct Egress {
    /// The proxy on the way to the hub: http://, https://, socks5:// or socks5h://HOST:PORT. By default HTTPS_PROXY or
    /// ALL_PROXY.
    // A text, for whatever cannot be read is not to be repeated: it may hold a password.
    #[arg(long, value_name = "URL", conflicts_with = "proxy_file")]
    proxy: Option<String>,
    /// A file that holds the proxy's URL, for one with a user and a password.
    #[arg(long, value_name = "FILE")]
    proxy_file: Option<PathBuf>,
    /// Hosts, domains, addresses and networks to which no proxy leads, separated by commas; by default NO_PROXY.
    #[arg(long, value_name = "LIST")]
    no_proxy: Option<String>,
    /// The authority of an https:// proxy, as a PEM file; by default those that this machine trusts.
    #[arg(long, value_name = "FILE")]
    proxy_ca_file: Option<PathBuf>,
}

impl Egress {
    /// The way to the hub, whichever its address is: through a proxy, if one is to be taken there.
    pub(crate) fn network(
        &self,
        text: impl Fn(&Path) -> anyhow::Result<String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Network> {
        let from = |names: &[&'static str]| {
            names.iter().find_map(|name| Some((*name, variable(name)?)).filter(|(_, value)| !value.trim().is_empty()))
        };
        let told = match (&self.proxy, &self.proxy_file) {
            (Some(url), _) => Some(("--proxy", url.clone())),
            (None, Some(path)) => Some(("--proxy-file", text(path)?)),
            (None, None) => from(&PROXY),
        };
        let Some((name, url)) = told else { return Ok(Network::default()) };
        let exempt = self.no_proxy.clone().or_else(|| from(&NO_PROXY).map(|(_, list)| list));
        let url: ProxyUrl = url.trim().parse().with_context(|| format!("could not use {name}"))?;
        let trust = match &self.proxy_ca_file {
            None => None,
            Some(path) => Some(
                Trust::bundle(&text(path)?)
                    .with_context(|| format!("--proxy-ca-file: could not use the authority in {}", path.display()))?,
            ),
        };
        let proxy = Proxy::new(url, trust.as_ref()).with_context(|| format!("{name}: see --proxy-ca-file"))?;
        let network = Network::default().through(proxy);
        Ok(match exempt {
            Some(list) => network.except(&list),
            None => network,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use anyhow::bail;

    use super::*;

    /// The proxy to that hub, by such options and such an environment; or why it cannot be used.
    fn choose(hub: &str, egress: &Egress, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let text = |path: &Path| match path.to_str() {
            Some("/proxy") => Ok("http://me:s3cret@filed:3128\n".to_owned()),
            Some("/empty") => Ok("\n".to_owned()),
            _ => bail!("could not read {}", path.display()),
        };
        let chosen = egress.network(text, |name| variables.get(name).map(|text| (*text).to_owned()));
        let hub = hub.parse().unwrap();
        chosen
            .map(|network| network.proxy_to(&hub).map(|proxy| proxy.to_string()))
            .map_err(|error| format!("{error:#}"))
    }

    #[track_caller]
    fn check(hub: &str, variables: &[(&str, &str)], expect: Option<&str>) {
        assert_eq!(choose(hub, &Egress::default(), variables), Ok(expect.map(str::to_owned)), "{variables:?}");
    }

    #[test]
    fn the_environment_names_the_proxy_as_for_others() {
        check("hub:443", &[], None);
        check("hub:443", &[("HTTPS_PROXY", "http://a:1")], Some("http://a:1"));
        check("hub:443", &[("https_proxy", "http://a:1")], Some("http://a:1"));
        check("hub:443", &[("ALL_PROXY", "socks5h://a")], Some("socks5h://a:1080"));
        check("hub:443", &[("all_proxy", "a:1")], Some("http://a:1"));
        check("hub:443", &[("ALL_PROXY", "http://b:1"), ("HTTPS_PROXY", "http://a:1")], Some("http://a:1"));
        check("hub:443", &[("HTTPS_PROXY", ""), ("ALL_PROXY", "http://b:1")], Some("http://b:1"));
        // Of HTTP without TLS, which an agent does not speak.
        check("hub:443", &[("HTTP_PROXY", "http://a:1")], None);
        check("[::1]:443", &[("HTTPS_PROXY", "http://a:1")], Some("http://a:1"));
        check("[::1]:443", &[("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", "::1,127.0.0.0/8")], None);
        check("hub.example.com:443", &[("HTTPS_PROXY", "a:1"), ("NO_PROXY", "example.com")], None);
        check("hub.example.com:443", &[("HTTPS_PROXY", "a:1"), ("no_proxy", "example.com")], None);
        check("hub.example.com:443", &[("HTTPS_PROXY", "a:1"), ("no_proxy", "example.org")], Some("http://a:1"));
    }

    #[test]
    fn options_come_before_the_environment() {
        let environment = [("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", "hub")];
        let told = Egress { proxy: Some("socks5://b:2".into()), no_proxy: Some("other".into()), ..Egress::default() };
        assert_eq!(choose("hub:443", &told, &environment), Ok(Some("socks5://b:2".into())));
        let filed = Egress { proxy_file: Some("/proxy".into()), ..Egress::default() };
        assert_eq!(choose("hub:443", &filed, &[]), Ok(Some("http://filed:3128".into())));
        assert_eq!(choose("hub:443", &filed, &environment), Ok(None), "NO_PROXY holds while nothing else is said");
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_repeated() {
        let environment = [("HTTPS_PROXY", "ftp://me:s3cret@a:1")];
        let told = |proxy: &str| Egress { proxy: Some(proxy.into()), ..Egress::default() };
        let file = |path: &str| Egress { proxy_file: Some(path.into()), ..Egress::default() };
        let authority = Egress { proxy_ca_file: Some("/proxy".into()), ..told("https://a:1") };
        for (egress, words) in [
            (Egress::default(), "HTTPS_PROXY"),
            (told("http://me:s3cret@a:b"), "--proxy"),
            (file("/empty"), "--proxy-file"),
            (file("/none"), "/none"),
            (authority, "--proxy-ca-file"),
        ] {
            let said = choose("hub:443", &egress, &environment).unwrap_err();
            assert!(said.contains(words) && !said.contains("s3cret"), "{words}: {said}");
        }
    }
}
