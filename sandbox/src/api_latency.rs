//! A slow API server, on demand: `api-latency=DURATION` on the namespace `kube-system`.
//!
//! Whoever runs the server gives the sandbox the sending end of what the server waits for. All requests wait, those of
//! the cluster's own controllers too, as with a server or a store that is overloaded.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use tokio::sync::watch;

use crate::{
    cluster::Cluster,
    fault::{self, InvalidFault},
    meta::{annotation, name},
};

const WORD: &str = "api-latency";
/// A request that waits longer is given up by the server (upstream: `RequestTimeout`), also the one that would end this.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn start(cluster: &Cluster, latency: watch::Sender<Duration>) {
    let events = cluster.events.for_component("sandbox");
    cluster.namespaces.on_change(move |old: Option<&Arc<Namespace>>, new: Option<&Arc<Namespace>>| {
        let Some(namespace) = new.filter(|namespace| name(&***namespace) == "kube-system") else { return };
        let text = annotation(&**namespace, fault::ANNOTATION).unwrap_or_default();
        if old.is_some_and(|old| annotation(&**old, fault::ANNOTATION).unwrap_or_default() == text) {
            return;
        }
        match wanted(text) {
            Ok(wait) => drop(latency.send_replace(wait)),
            Err(error) => {
                latency.send_replace(Duration::ZERO);
                events.warning(&**namespace, "InvalidFault", error.to_string());
            }
        }
    });
}

pub(crate) fn wanted(text: &str) -> Result<Duration, InvalidFault> {
    let mut wanted = Duration::ZERO;
    for word in fault::words(text) {
        let word = word?;
        wanted = match (word.name, word.target, word.duration) {
            (WORD, None, Some(wait)) if wait <= LIMIT => wait,
            (WORD, None, Some(_)) => return Err(InvalidFault::new(WORD, "no more than 30s; write api-latency=2s")),
            (WORD, ..) => return Err(InvalidFault::new(WORD, "how long? write api-latency=500ms")),
            (other, ..) => {
                return Err(InvalidFault::new(other, "unknown; on kube-system there is api-latency=DURATION"));
            }
        };
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<u64, &str>) {
        let seen = wanted(text).map(|wait| wait.as_millis()).map_err(|error| error.to_string());
        assert_eq!(seen, expect.map(u128::from).map_err(str::to_owned));
    }

    #[test]
    fn the_annotation_is_read() {
        check("", Ok(0));
        check("api-latency=500ms", Ok(500));
        check("api-latency", Err("fault \"api-latency\": how long? write api-latency=500ms"));
        check("api-latency=5m", Err("fault \"api-latency\": no more than 30s; write api-latency=2s"));
        check("crash-loop", Err("fault \"crash-loop\": unknown; on kube-system there is api-latency=DURATION"));
    }
}
