//! What handlers of a container's lifecycle do: `postStart` and `preStop`.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use super::{Inside, seconds};

/// How a handler ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) takes: Duration,
    pub(super) fails: bool,
}

/// A command that the simulated shell does not know succeeds at once, and so do requests: what they ask serves.
pub(super) fn run(
    handler: Option<&LifecycleHandler>,
    container: &Container,
    ran: Duration,
    inside: &dyn Inside,
) -> Hook {
    let Some(handler) = handler else { return Hook::default() };
    if let Some(sleep) = &handler.sleep {
        return Hook { takes: seconds(Some(sleep.seconds), 0), fails: false };
    }
    let argv = handler.exec.as_ref().and_then(|exec| exec.command.as_deref()).unwrap_or_default();
    match inside.evaluate(container, argv, ran) {
        Some(done) => Hook { takes: done.slept, fails: done.code != 0 },
        None => Hook::default(),
    }
}

pub(super) fn post_start(container: &Container) -> Option<&LifecycleHandler> {
    container.lifecycle.as_ref()?.post_start.as_ref()
}

pub(super) fn pre_stop(container: &Container) -> Option<&LifecycleHandler> {
    container.lifecycle.as_ref()?.pre_stop.as_ref()
}
