//! Containers of which there may be one at a time: they notice when there are two.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::FutureExt;
use sandbox::{Identity, Program, ProgramContext, Programs};

const IMAGE: &str = "registry.example/unique:";

#[derive(Clone, Default)]
pub(crate) struct Unique(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Who runs, with the revision it runs.
    running: HashMap<String, Vec<(Identity, String)>>,
    clashes: Vec<String>,
}

impl Unique {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    pub(crate) fn clashes(&self) -> Vec<String> {
        self.lock().clashes.clone()
    }

    /// The names of the pods that run.
    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.lock();
        let mut names: Vec<String> =
            state.running.values().flatten().map(|(identity, _)| identity.pod.clone()).collect();
        names.sort();
        names
    }

    /// The pods of a StatefulSet are one of their name; those of the Deployment may be several, of one revision.
    fn enter(&self, key: &str, identity: &Identity, revision: &str) {
        let mut state = self.lock();
        let beside = state.running.entry(key.to_owned()).or_default();
        let is_shared = key == "single";
        let clash = beside.iter().find(|(_, other)| !is_shared || other != revision).cloned();
        beside.push((identity.clone(), revision.to_owned()));
        if let Some((other, _)) = clash {
            state.clashes.push(format!("{key} runs twice: {other:?} and {identity:?}"));
        }
    }

    fn leave(&self, key: &str, identity: &Identity) {
        if let Some(running) = self.lock().running.get_mut(key) {
            let place = running.iter().position(|(other, _)| other == identity);
            place.map(|place| running.swap_remove(place));
        }
    }

    async fn run(self, context: ProgramContext, key: String) -> i32 {
        let revision = context.env.get("REVISION").cloned().unwrap_or_default();
        self.enter(&key, &context.identity, &revision);
        context.token.cancelled().await;
        self.leave(&key, &context.identity);
        143
    }
}

impl Programs for Unique {
    fn find(&self, image: &str) -> Option<Program> {
        let app = image.strip_prefix(IMAGE)?.to_owned();
        let this = self.clone();
        Some(Arc::new(move |context: ProgramContext| {
            let key = if app == "single" { app.clone() } else { context.identity.pod.clone() };
            this.clone().run(context, key).boxed()
        }))
    }
}
