//! One object under several writers. The expected owners, conflicts and texts are a real v1.34 API server's.

use std::sync::LazyLock;

use api_meta::json;
use apiserver_model::schema::{ListType, Type, builtin};
use proptest::prelude::*;

use super::*;

mod history;
mod kinds;
mod ownership;
mod widget;

static STATUS: LazyLock<Set> = LazyLock::new(|| Set::of_fields(&[&["status"]]));
static ALL_BUT_STATUS: LazyLock<Set> = LazyLock::new(|| Set::of_fields(&[&["spec"], &["metadata"]]));

/// A live object, and the time, which moves on with each write.
#[derive(Clone)]
struct World {
    kind: GroupVersionKind,
    schema: Arc<Schema>,
    live: Object,
    second: i64,
}

impl World {
    fn new(kind: GroupVersionKind, schema: Arc<Schema>) -> Self {
        Self { kind, schema, live: Object::default(), second: 1_000_000_000 }
    }

    fn builtin(group: &str, version: &str, kind: &str) -> Self {
        let schema = builtin(group, version, kind).unwrap();
        Self::new(GroupVersionKind::new(group, version, kind), schema)
    }

    fn config_map() -> Self {
        Self::builtin("", "v1", "ConfigMap")
    }

    fn now(&mut self) -> Timestamp {
        self.second += 1;
        Timestamp::from_second(self.second).unwrap()
    }

    fn object(&self, fields: Value) -> Object {
        let mut object = Object::try_from(fields).unwrap();
        object.set_type(&self.kind);
        object.set_meta_str("name", "a");
        object
    }

    fn stored(&mut self, mut object: Object) {
        object.set_meta_str("uid", "u");
        self.live = object;
    }

    fn manager<'a>(kind: &'a GroupVersionKind, schema: &Arc<Schema>, subresource: &'a str) -> FieldManager<'a> {
        let reset: &Set = if subresource == "status" { &ALL_BUT_STATUS } else { &STATUS };
        FieldManager::new(kind, Arc::clone(schema)).subresource(subresource).reset_fields(reset)
    }

    fn try_apply(&mut self, manager: &str, fields: Value, force: bool) -> Result<(), Error> {
        let now = self.now();
        let applied =
            Self::manager(&self.kind, &self.schema, "").apply(&self.live, self.object(fields), manager, force, now)?;
        self.stored(applied);
        Ok(())
    }

    #[track_caller]
    fn apply(&mut self, manager: &str, fields: Value) -> &mut Self {
        self.try_apply(manager, fields, false).unwrap();
        self
    }

    #[track_caller]
    fn force(&mut self, manager: &str, fields: Value) -> &mut Self {
        self.try_apply(manager, fields, true).unwrap();
        self
    }

    fn update_at(&mut self, subresource: &str, manager: &str, new: Object) -> &mut Self {
        let now = self.now();
        let mut new = new;
        Self::manager(&self.kind, &self.schema, subresource).update(&self.live, &mut new, manager, now).unwrap();
        self.stored(new);
        self
    }

    fn update(&mut self, manager: &str, fields: Value) -> &mut Self {
        let new = self.object(fields);
        self.update_at("", manager, new)
    }

    #[track_caller]
    fn refuses(&mut self, manager: &str, fields: Value, code: u16, message: &str) -> &mut Self {
        let before = self.live.clone();
        let status = Status::from(self.try_apply(manager, fields, false).unwrap_err());
        assert_eq!((status.code, status.message.as_str()), (code, message));
        assert_eq!(self.live, before);
        self
    }

    /// The entries, each as `manager operation [subresource]` and its fields.
    fn owners(&self) -> Value {
        let entries = self.live.at(&["metadata", "managedFields"]).and_then(Value::as_array).cloned();
        let entry = |entry: Value| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let name = format!("{} {} {}", text("manager"), text("operation"), text("subresource"));
            json!([name.trim_end(), entry["fieldsV1"]])
        };
        entries.unwrap_or_default().into_iter().map(entry).collect()
    }

    #[track_caller]
    fn owned(&mut self, expect: Value) -> &mut Self {
        assert_eq!(self.owners(), expect);
        self
    }

    #[track_caller]
    fn has(&mut self, path: &[&str], expect: Value) -> &mut Self {
        assert_eq!(self.live.at(path).cloned().unwrap_or_default(), expect);
        self
    }
}
