//! What becomes known of one request, and the events that are written about it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api_meta::{Object, Status, Value, json};
use apiserver_access::User;
use bytes::Bytes;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde_json::value::RawValue;

use crate::event::{Event, ObjectReference, Recorded, Request, failure};
use crate::policy::{Level, Policy, Stage, Verdict};
use crate::redact;
use crate::sink::{Lost, Mode, Sink};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabel {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabel {
    plugin: &'static str,
}

const PLUGIN: PluginLabel = PluginLabel { plugin: "log" };

struct Shared {
    policy: Policy,
    sink: Sink,
    mode: Mode,
    events: Counter,
    errors: Family<PluginLabel, Counter>,
    levels: Family<LevelLabel, Counter>,
    rejected: Counter,
}

/// Opens records.
#[derive(Clone)]
pub struct Auditor(Arc<Shared>);

impl Auditor {
    pub fn new(policy: Policy, sink: Sink, mode: Mode, registry: &mut Registry) -> Self {
        let shared = Shared {
            policy,
            sink,
            mode,
            events: Counter::default(),
            errors: Family::default(),
            levels: Family::default(),
            rejected: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("apiserver_audit");
        registry.register("event", "Audit events written or lost", shared.events.clone());
        registry.register("error", "Audit events lost, by backend", shared.errors.clone());
        registry.register("level", "Requests, by the level at which they are recorded", shared.levels.clone());
        registry.register("requests_rejected", "Requests refused for a lost audit event", shared.rejected.clone());
        Self(Arc::new(shared))
    }

    /// `None` when the policy does not want the request recorded.
    pub fn begin(&self, request: &Request<'_>) -> Option<Record> {
        let verdict = self.0.policy.evaluate(request.attributes);
        self.0.levels.get_or_create(&LevelLabel { level: verdict.level.name() }).inc();
        if verdict.level == Level::None {
            return None;
        }
        let resource = request.attributes.resource.as_ref();
        let inner = Inner {
            hides_tokens: resource.is_some_and(|r| redact::carries_tokens(&r.resource, &r.subresource)),
            of_resource: resource.is_some(),
            event: Mutex::new(Event::new(verdict.level, request)),
            verdict,
            shared: self.0.clone(),
        };
        Some(Record(Arc::new(inner)))
    }

    /// Returns when all events are written.
    pub async fn close(&self) {
        self.0.sink.close().await;
    }
}

struct Inner {
    shared: Arc<Shared>,
    verdict: Verdict,
    hides_tokens: bool,
    of_resource: bool,
    event: Mutex<Event>,
}

/// The record of one request.
#[derive(Clone)]
pub struct Record(Arc<Inner>);

impl Record {
    fn event(&self) -> MutexGuard<'_, Event> {
        self.0.event.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the answer's body is to be recorded.
    pub fn wants_response(&self) -> bool {
        self.0.of_resource && self.0.verdict.level >= Level::RequestResponse
    }

    pub fn impersonated(&self, user: &User) {
        self.event().impersonated_user = Some(user.clone());
    }

    pub fn annotate(&self, key: &str, value: impl Into<String>) {
        self.event().annotations.insert(key.to_owned(), value.into());
    }

    /// The object of the request, as the client wrote it.
    pub fn request_object(&self, object: &Object) {
        let mut event = self.event();
        let reference = event.object_ref.get_or_insert_default();
        let fill = |field: &mut String, value: &str| {
            if field.is_empty() {
                value.clone_into(field);
            }
        };
        let ObjectReference { namespace, name, uid, resource_version, .. } = reference;
        fill(namespace, object.namespace());
        fill(name, object.name());
        fill(uid, object.uid());
        fill(resource_version, object.resource_version());
        if event.level >= Level::Request {
            event.request_object = Some(Recorded::Value(self.cleaned(object.to_value())));
        }
    }

    /// The patch of the request, as the client wrote it.
    pub fn request_patch(&self, patch: impl FnOnce() -> Value) {
        let mut event = self.event();
        if event.level >= Level::Request {
            event.request_object = Some(Recorded::Value(self.cleaned(patch())));
        }
    }

    fn cleaned(&self, mut value: Value) -> Value {
        if self.0.hides_tokens {
            redact::tokens(&mut value);
        }
        if self.0.verdict.omit_managed_fields {
            redact::managed_fields(&mut value);
        }
        value
    }

    /// How the request was answered. `body` is JSON, when it is at hand.
    pub fn response(&self, code: u16, body: Option<&Bytes>) {
        let status = body.filter(|_| code >= 400).and_then(|body| serde_json::from_slice::<Status>(body).ok());
        let object = body.filter(|_| self.wants_response()).and_then(|body| self.recorded(body));
        let mut event = self.event();
        event.response_status = Some(match status.filter(|s| s.kind == "Status") {
            Some(status) => failure(&status),
            None => json!({"metadata": {}, "code": code}),
        });
        event.response_object = object;
    }

    /// The answer in words, where there is no `Status` to take them from.
    pub fn response_message(&self, code: u16, status: &str, message: &str) {
        let mut value = json!({"metadata": {}, "status": status, "message": message, "code": code});
        if let Some(fields) = value.as_object_mut()
            && status.is_empty()
        {
            fields.remove("status");
        }
        self.event().response_status = Some(value);
    }

    /// The server's own JSON goes as it is where nothing has to be taken out of it.
    fn recorded(&self, body: &Bytes) -> Option<Recorded> {
        let text = std::str::from_utf8(body).ok()?.trim_end();
        if !self.0.hides_tokens && !self.0.verdict.omit_managed_fields && !text.contains(['\n', '\r']) {
            return RawValue::from_string(text.to_owned()).ok().map(Recorded::Text);
        }
        serde_json::from_str(text).ok().map(|value| Recorded::Value(self.cleaned(value)))
    }

    /// The event of the first stage. A request that must not go on without is to be refused.
    pub async fn received(&self) -> Result<(), Lost> {
        let lost = self.emit(Stage::RequestReceived).await;
        if lost.is_err() && self.0.shared.mode == Mode::BlockingStrict {
            self.0.shared.rejected.inc();
            return lost;
        }
        Ok(())
    }

    /// Writes the event of a stage, unless the policy leaves it out.
    pub async fn emit(&self, stage: Stage) -> Result<(), Lost> {
        if self.0.verdict.omit_stages.contains(&stage) {
            return Ok(());
        }
        let line = self.event().line(stage, Timestamp::now());
        let shared = &self.0.shared;
        shared.events.inc();
        let written = shared.sink.write(line).await;
        if written.is_err() {
            shared.errors.get_or_create(&PLUGIN).inc();
        }
        written
    }

    /// As [`Record::emit`], when nobody is there to wait.
    pub fn emit_later(&self, stage: Stage) {
        let record = self.clone();
        self.0.shared.sink.later(async move {
            // Counted and logged there.
            let _ = record.emit(stage).await;
        });
    }
}

#[cfg(test)]
mod tests;
