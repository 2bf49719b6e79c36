//! Whether a container's image is there, and what is told while it is not (upstream: `EnsureImageExists`).

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use crate::{duration::Printed, fault::FaultKind};

use super::{Turn, after, back_off::BackOff, left};

/// The pull of one container's image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pull {
    #[default]
    None,
    Going {
        since: Timestamp,
    },
    Failed {
        at: Timestamp,
        told: bool,
    },
}

impl Turn<'_> {
    /// Says whether the container can be created now.
    pub(super) fn pull(&mut self, container: &Container) -> bool {
        let image = container.image.clone().unwrap_or_default();
        let broken = self.has_fault(container, FaultKind::ImagePullError) || unresolved(&image).is_some();
        let present = self.world.inside.has_image(&image);
        let now = self.world.now;
        let since = match self.memory(container).pull {
            Pull::Failed { at, told } if broken => {
                if self.stays_back(container, &image, at, told) {
                    return false;
                }
                self.begin_pull(container, &image)
            }
            Pull::Going { since } => since,
            Pull::None | Pull::Failed { .. } => {
                // Images that are never pulled were loaded by whoever says so.
                let wanted = match container.image_pull_policy.as_deref() {
                    Some("Always") => true,
                    Some("Never") => false,
                    _ => !present,
                };
                if !wanted && !broken {
                    self.memory(container).pull = Pull::None;
                    let text = format!("Container image {image:?} already present on machine");
                    self.tell_of(container, "Pulled", text);
                    return true;
                }
                self.begin_pull(container, &image)
            }
        };
        // What the node has already is only looked up.
        let takes = if present { Duration::ZERO } else { self.world.timings.pull };
        if let Some(rest) = left(since, takes, now) {
            self.look_again(rest);
            return false;
        }
        if broken {
            self.fail_to_pull(container, &image);
            return false;
        }
        let run = self.memory(container);
        (run.pull, run.pull_back_off) = (Pull::None, None);
        let took = Printed(takes);
        let bytes = size(&image);
        let text = format!(
            "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {bytes} bytes."
        );
        self.tell_of(container, "Pulled", text);
        self.step.pulled.push(image);
        true
    }

    fn begin_pull(&mut self, container: &Container, image: &str) -> Timestamp {
        self.tell_of(container, "Pulling", format!("Pulling image {image:?}"));
        let since = self.world.now;
        self.memory(container).pull = Pull::Going { since };
        since
    }

    fn fail_to_pull(&mut self, container: &Container, image: &str) {
        let (now, first) = (self.world.now, self.world.timings.restart);
        let run = self.memory(container);
        run.pull_back_off = Some(BackOff::next(run.pull_back_off, first, now, now));
        run.pull = Pull::Failed { at: now, told: false };
        let why = why_not(image);
        self.warn_of(container, "Failed", format!("Failed to pull image {image:?}: {why}"));
        self.warn_of(container, "Failed", "Error: ErrImagePull".to_owned());
        self.builder.wait(&container.name, "ErrImagePull", why);
        self.look_again(shown(first));
    }

    /// Says whether the next attempt is still to come.
    fn stays_back(&mut self, container: &Container, image: &str, failed: Timestamp, told: bool) -> bool {
        let now = self.world.now;
        let wait = self.memory(container).pull_back_off.and_then(|back_off| back_off.wait(failed));
        let Some(rest) = left(failed, wait.unwrap_or_default(), now) else { return false };
        let shown = after(failed, shown(self.world.timings.restart));
        if now < shown {
            self.look_again(super::passed(now, shown));
            return true;
        }
        if !told {
            self.memory(container).pull = Pull::Failed { at: failed, told: true };
            self.tell_of(container, "BackOff", format!("Back-off pulling image {image:?}"));
            self.warn_of(container, "Failed", "Error: ImagePullBackOff".to_owned());
            let text = format!("Back-off pulling image {image:?}: ErrImagePull: {}", why_not(image));
            self.builder.wait(&container.name, "ImagePullBackOff", text);
        }
        self.look_again(rest);
        true
    }
}

/// How long a failed pull is shown before the wait for the next one.
fn shown(first: Duration) -> Duration {
    first / 10
}

/// The host of an image whose registry nobody has: a name that is never given away (RFC 2606).
fn unresolved(image: &str) -> Option<&str> {
    let (host, _) = image.split_once('/')?;
    let name = host.split(':').next().unwrap_or(host);
    name.ends_with(".invalid").then_some(name)
}

/// What containerd says of an image that the registry does not know, or whose registry is not there.
fn why_not(image: &str) -> String {
    let full = normalized(image);
    let (code, why) = match unresolved(image) {
        None => ("NotFound", format!("{full}: not found")),
        Some(host) => ("Unknown", format!("failed to do request: dial tcp: lookup {host}: no such host")),
    };
    format!(
        "rpc error: code = {code} desc = failed to pull and unpack image {full:?}: failed to resolve reference {full:?}: {why}"
    )
}

/// An image's whole name, with what is left out when it comes from Docker's registry or has no tag.
pub(in crate::kubelet) fn normalized(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let is_host = first.contains(['.', ':']) || first == "localhost";
    let named = match (is_host, first.is_empty()) {
        (true, _) => image.to_owned(),
        (false, true) => format!("docker.io/library/{rest}"),
        (false, false) => format!("docker.io/{image}"),
    };
    let last = named.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { named } else { format!("{named}:latest") }
}

/// Plausible, and the same every time.
fn size(image: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    20_000_000 + hasher.finish() % 180_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let check = |image: &str, expect: &str| assert_eq!(normalized(image), expect);
        check("nginx", "docker.io/library/nginx:latest");
        check("nginx:1.25", "docker.io/library/nginx:1.25");
        check("library/nginx@sha256:0", "docker.io/library/nginx@sha256:0");
        check("acme/app:1", "docker.io/acme/app:1");
        check("registry.example/app:1", "registry.example/app:1");
        check("localhost:5000/app", "localhost:5000/app:latest");
    }
}
