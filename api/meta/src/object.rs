//! One object as JSON, with names for the parts of `metadata` that every kind shares.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{GroupVersion, GroupVersionKind};

/// An object of any kind. Always a JSON object; nothing else is promised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(Map<String, Value>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not a JSON object")]
pub struct NotAnObject;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    #[serde(default)]
    pub api_version: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub uid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

impl TryFrom<Value> for Object {
    type Error = NotAnObject;

    fn try_from(value: Value) -> Result<Self, NotAnObject> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(NotAnObject),
        }
    }
}

impl From<Map<String, Value>> for Object {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Value::Object(object.0)
    }
}

impl std::ops::Deref for Object {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for Object {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Object {
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The value at a path of keys, e.g. `at(&["spec", "replicas"])`.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, key| value.get(key))
    }

    /// The value at a path of keys; objects missing on the way are made.
    ///
    /// A value of another type on the way is replaced by an object: callers
    /// use this on objects whose shape the schema has checked.
    pub fn at_mut(&mut self, path: &[&str]) -> &mut Value {
        let Some((first, rest)) = path.split_first() else { unreachable!("callers name at least one key") };
        let mut value = self.0.entry(*first).or_insert(Value::Null);
        for key in rest {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let Value::Object(fields) = value else { unreachable!("made an object above") };
            value = fields.entry(*key).or_insert(Value::Null);
        }
        value
    }

    pub fn remove_at(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        let mut fields = &mut self.0;
        for key in parents {
            fields = fields.get_mut(*key)?.as_object_mut()?;
        }
        fields.remove(*last)
    }

    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }

    pub fn api_version(&self) -> &str {
        self.str_at(&["apiVersion"]).unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.str_at(&["kind"]).unwrap_or_default()
    }

    /// `None` where `apiVersion` does not parse.
    pub fn group_version_kind(&self) -> Option<GroupVersionKind> {
        Some(self.api_version().parse::<GroupVersion>().ok()?.kind(self.kind()))
    }

    pub fn set_type(&mut self, gvk: &GroupVersionKind) {
        self.0.insert("apiVersion".into(), gvk.group_version().to_string().into());
        self.0.insert("kind".into(), gvk.kind.clone().into());
    }

    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.0.get("metadata")?.as_object()
    }

    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        let value = self.0.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        let Value::Object(fields) = value else { unreachable!("made an object above") };
        fields
    }

    fn meta_str(&self, key: &str) -> &str {
        self.metadata().and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default()
    }

    /// Sets a string of `metadata`; an empty one is left out, as Go's `omitempty` does.
    pub fn set_meta_str(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            self.metadata_mut().remove(key);
        } else {
            self.metadata_mut().insert(key.into(), value.into());
        }
    }

    pub fn name(&self) -> &str {
        self.meta_str("name")
    }

    pub fn generate_name(&self) -> &str {
        self.meta_str("generateName")
    }

    pub fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }

    pub fn uid(&self) -> &str {
        self.meta_str("uid")
    }

    pub fn resource_version(&self) -> &str {
        self.meta_str("resourceVersion")
    }

    pub fn creation_timestamp(&self) -> &str {
        self.meta_str("creationTimestamp")
    }

    pub fn deletion_timestamp(&self) -> Option<&str> {
        Some(self.meta_str("deletionTimestamp")).filter(|t| !t.is_empty())
    }

    pub fn deletion_grace_period_seconds(&self) -> Option<i64> {
        self.metadata()?.get("deletionGracePeriodSeconds")?.as_i64()
    }

    pub fn generation(&self) -> i64 {
        self.metadata().and_then(|m| m.get("generation")).and_then(Value::as_i64).unwrap_or_default()
    }

    pub fn set_generation(&mut self, generation: i64) {
        self.metadata_mut().insert("generation".into(), generation.into());
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels()?.get(key)?.as_str()
    }

    pub fn labels(&self) -> Option<&Map<String, Value>> {
        self.metadata()?.get("labels")?.as_object()
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata()?.get("annotations")?.as_object()?.get(key)?.as_str()
    }

    pub fn finalizers(&self) -> Vec<&str> {
        self.metadata()
            .and_then(|m| m.get("finalizers"))
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }

    pub fn set_finalizers(&mut self, finalizers: Vec<String>) {
        if finalizers.is_empty() {
            self.metadata_mut().remove("finalizers");
        } else {
            self.metadata_mut().insert("finalizers".into(), finalizers.into());
        }
    }

    /// Entries that do not decode are left out: validation has refused them on the way in.
    pub fn owner_references(&self) -> Vec<OwnerReference> {
        self.metadata()
            .and_then(|m| m.get("ownerReferences"))
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(|v| OwnerReference::deserialize(v).ok()).collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::try_from(value).unwrap()
    }

    #[test]
    fn reads_metadata_of_any_shape() {
        let o = object(json!({"metadata": "odd"}));
        assert_eq!(o.name(), "");
        assert!(o.finalizers().is_empty());
    }

    #[test]
    fn makes_the_way_to_a_value() {
        let mut o = object(json!({}));
        *o.at_mut(&["spec", "template", "replicas"]) = 3.into();
        assert_eq!(o.at(&["spec", "template", "replicas"]), Some(&json!(3)));
        assert_eq!(o.remove_at(&["spec", "template"]), Some(json!({"replicas": 3})));
        assert_eq!(o.to_value(), json!({"spec": {}}));
    }
}
