//! Schemas of built-in kinds, made from k8s-openapi's and the table of facts those lack.
//!
//! All kinds are made at once, the first time one is asked for, and live as
//! long as the process: an API server needs them all, and several servers in
//! one process share them. Definitions that many kinds use exist once, equal
//! scalar fields too, and descriptions are left out: the whole takes about a
//! megabyte.
//!
//! k8s-openapi's schemas are code, and descriptions in code: megabytes that are
//! resident once they ran. So they run when somebody asks for an OpenAPI
//! document ([`definitions`]), and not at each start: what schemas need of them
//! stands in `shapes.json`, which `cargo xtask codegen` writes.

mod kinds;
mod options;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use api_meta::{Map, Value};
use schemars::generate::SchemaSettings;
use serde_json::value::RawValue;

use super::facts::{self, Definition, Facts, Field};
use super::{GoStruct, Schema, Type};

/// How deep `JSONSchemaProps` is unrolled; deeper schemas in a CRD are kept unread.
pub const MAX_RECURSION: usize = 24;

const RECURSIVE: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const REFERENCE: &str = "#/components/schemas/";

type KindKey = (&'static str, &'static str, &'static str);

/// The schema of a built-in kind, of a kind that only subresources use, or of an options kind.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
    // Every group registers these for its versions.
    let (group, version) = match kind {
        "DeleteOptions" => ("", "v1"),
        _ => (group, version),
    };
    registry().kinds.get(&(group, version, kind)).cloned()
}

/// The schema of `metadata`.
pub fn object_meta() -> Arc<Schema> {
    Arc::clone(&registry().object_meta)
}

/// Group, version and kind of everything [`builtin`] knows.
pub fn all() -> impl Iterator<Item = KindKey> {
    registry().kinds.keys().copied()
}

/// The name of a kind's definition in OpenAPI: `io.k8s.api.apps.v1.Deployment`.
pub fn definition_name(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    let key = (group, version, kind);
    kinds::KINDS.iter().find(|k| k.key == key).map(|k| k.definition)
}

/// The Go package of a group's internal types, as error texts name it.
pub(crate) fn internal_package(group: &str) -> &str {
    match group {
        "" | "events.k8s.io" => "core",
        "meta.k8s.io" => "internalversion",
        "internal.apiserver.k8s.io" => "apiserverinternal",
        _ => group.split('.').next().unwrap_or_default(),
    }
}

/// The OpenAPI v3 definitions of all built-in kinds, with descriptions. Made anew for each call.
pub fn definitions() -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    for kind in kinds::KINDS {
        (kind.generate)(&mut generator);
    }
    let mut definitions = generator.take_definitions(false);
    let facts = facts::all();
    for (name, definition) in &mut definitions {
        annotate(name, definition, facts.get(name.as_str()));
    }
    definitions
}

/// The text of `shapes.json`: what schemas need of [`definitions`], a definition a line.
pub fn shapes() -> String {
    let definitions = definitions();
    let lines: Vec<_> = definitions.iter().map(|(name, schema)| format!("\"{name}\":{}", shape(schema))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// A JSON Schema without the keywords that [`Builder`] does not read.
fn shape(schema: &Value) -> Value {
    let Value::Object(keywords) = schema else { return schema.clone() };
    let kept = keywords.iter().filter_map(|(keyword, value)| {
        let value = match (keyword.as_str(), value) {
            ("$ref" | "type" | "format" | "required", value) => value.clone(),
            ("items" | "additionalProperties", schema) => shape(schema),
            ("oneOf", Value::Array(choices)) => choices.iter().map(shape).collect(),
            ("properties", Value::Object(fields)) => fields.iter().map(|(n, s)| (n.clone(), shape(s))).collect(),
            _ => return None,
        };
        Some((keyword.clone(), value))
    });
    Value::Object(kept.collect())
}

/// Adds what OpenAPI says as `x-kubernetes-*` and k8s-openapi leaves out, and takes away what only k8s-openapi says.
fn annotate(name: &str, definition: &mut Value, facts: Option<&Definition>) {
    let Value::Object(definition) = definition else { return };
    // k8s-openapi requires `metadata` of every kind; in upstream's definitions only core/v1 Event does.
    if name != "io.k8s.api.core.v1.Event"
        && let Some(Value::Array(required)) = definition.get_mut("required")
    {
        required.retain(|field| field != "metadata");
        if required.is_empty() {
            definition.remove("required");
        }
    }
    let Some(facts) = facts else { return };
    if facts.atomic {
        definition.insert("x-kubernetes-map-type".into(), "atomic".into());
    }
    let Some(Value::Object(properties)) = definition.get_mut("properties") else { return };
    for (field, property) in properties {
        let Value::Object(property) = property else { continue };
        if property.get("type").is_some_and(|t| t == "array") && !is_recursive(property) {
            property.insert("x-kubernetes-list-type".into(), "atomic".into());
        }
        if let Some(facts) = facts.fields.get(field.as_str()) {
            annotate_field(facts, property);
        }
    }
}

/// Upstream's own `JSONSchemaProps` carries no list types where it contains itself.
fn is_recursive(property: &Map<String, Value>) -> bool {
    property.get("items").and_then(reference) == Some(RECURSIVE)
}

fn annotate_field(facts: &Field, property: &mut Map<String, Value>) {
    match &facts.list_type {
        super::ListType::Atomic => {}
        super::ListType::Set => {
            property.insert("x-kubernetes-list-type".into(), "set".into());
        }
        super::ListType::Map(keys) => {
            property.insert("x-kubernetes-list-type".into(), "map".into());
            property.insert("x-kubernetes-list-map-keys".into(), keys.clone().into());
        }
    }
    if let Some(atomic) = facts.atomic {
        property.insert("x-kubernetes-map-type".into(), if atomic { "atomic" } else { "granular" }.into());
    }
    let patch = &facts.patch;
    let strategies: Vec<&str> = [(patch.merge, "merge"), (patch.replace, "replace"), (patch.retain_keys, "retainKeys")]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect();
    if !strategies.is_empty() {
        property.insert("x-kubernetes-patch-strategy".into(), strategies.join(",").into());
    }
    if let Some(key) = &patch.merge_key {
        property.insert("x-kubernetes-patch-merge-key".into(), key.clone().into());
    }
    if let Some(default) = &facts.default {
        property.insert("default".into(), default.clone());
    }
}

struct Registry {
    kinds: HashMap<KindKey, Arc<Schema>>,
    object_meta: Arc<Schema>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let (facts, shapes) = (facts::all(), include_str!("builtin/shapes.json"));
        let mut builder = Builder {
            definitions: serde_json::from_str(shapes).expect("the generated shapes are a JSON object"),
            facts: &facts,
            done: HashMap::new(),
            leaves: HashMap::new(),
        };
        let mut kinds: HashMap<_, _> =
            kinds::KINDS.iter().map(|kind| (kind.key, builder.definition(kind.definition))).collect();
        kinds.extend(options::schemas());
        Registry { kinds, object_meta: builder.definition(OBJECT_META) }
    })
}

struct Builder<'a> {
    /// Each is parsed when it is its turn, so that they are never all there at once.
    definitions: HashMap<&'static str, &'static RawValue>,
    facts: &'a Facts,
    done: HashMap<String, Arc<Schema>>,
    /// Scalars, lists and maps seen so far, by all that tells them apart.
    leaves: HashMap<String, Arc<Schema>>,
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(REFERENCE)
}

impl Builder<'_> {
    fn definition(&mut self, name: &str) -> Arc<Schema> {
        if let Some(done) = self.done.get(name) {
            return Arc::clone(done);
        }
        if name == RECURSIVE {
            return self.recursive();
        }
        let schema = self.build(name);
        self.done.insert(name.to_owned(), Arc::clone(&schema));
        schema
    }

    /// Builds from the innermost level out, each level with the one before as its content.
    fn recursive(&mut self) -> Arc<Schema> {
        self.done.insert(RECURSIVE.to_owned(), Arc::new(Schema::any()));
        for _ in 0..MAX_RECURSION {
            // What contains the recursive definition differs at each level as well.
            self.done.retain(|name, _| !name.starts_with(RECURSIVE) || name == RECURSIVE);
            let level = self.build(RECURSIVE);
            self.done.insert(RECURSIVE.to_owned(), level);
        }
        self.definition(RECURSIVE)
    }

    fn build(&mut self, name: &str) -> Arc<Schema> {
        let short = name.rsplit('.').next().unwrap_or(name);
        match short {
            "IntOrString" => return self.leaf(Schema::of(Type::IntOrString)),
            "Quantity" => return self.leaf(Schema::of(Type::Quantity)),
            "RawExtension" | "JSON" | "FieldsV1" => return self.leaf(Schema::any()),
            "Time" | "MicroTime" => {
                let type_name = Some(format!("v1.{short}"));
                return self.leaf(Schema { format: Some("date-time".into()), type_name, ..Schema::of(Type::String) });
            }
            _ => {}
        }
        let Some(definition) = self.definitions.get(name) else { return Arc::new(Schema::any()) };
        let definition: Value = serde_json::from_str(definition.get()).expect("what was parsed once is JSON");
        if let Some(Value::Array(choices)) = definition.get("oneOf") {
            return self.choice(choices);
        }
        let mut schema = self.inline(&definition);
        if schema.properties.is_empty() && schema.type_ != Type::Object {
            return self.leaf(schema);
        }
        let package = name.rsplit('.').nth(1).unwrap_or_default();
        schema.type_name = Some(format!("{package}.{short}"));
        let facts = self.facts.get(name);
        if let Some(facts) = facts {
            schema.atomic = facts.atomic;
            self.apply(&mut schema.properties, facts);
        }
        schema.go = Some(Arc::new(go_struct(short, &schema.properties, facts)));
        Arc::new(schema)
    }

    /// `JSONSchemaPropsOrArray` and its like: an object, or something else.
    fn choice(&mut self, choices: &[Value]) -> Arc<Schema> {
        let mut schema = Schema::any();
        for choice in choices {
            match reference(choice) {
                Some(name) => {
                    let object = self.definition(name);
                    schema.properties = object.properties.clone();
                    schema.go = object.go.clone();
                }
                None => schema.items = schema.items.or(self.inline(choice).items),
            }
        }
        Arc::new(schema)
    }

    fn property(&mut self, schema: &Value) -> Arc<Schema> {
        match reference(schema) {
            Some(name) => self.definition(name),
            None => {
                let schema = self.inline(schema);
                self.leaf(schema)
            }
        }
    }

    fn inline(&mut self, schema: &Value) -> Schema {
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        let type_ = match text("type") {
            Some("object") => Type::Object,
            Some("array") => Type::Array,
            Some("string") => Type::String,
            Some("integer") => Type::Integer,
            Some("number") => Type::Number,
            Some("boolean") => Type::Boolean,
            _ => Type::Any,
        };
        let properties = match schema.get("properties") {
            Some(Value::Object(fields)) => fields.iter().map(|(n, s)| (n.clone(), self.property(s))).collect(),
            _ => BTreeMap::new(),
        };
        let strings = |value: &Value| value.as_str().map(str::to_owned);
        Schema {
            format: text("format").map(str::to_owned),
            properties,
            additional_properties: schema.get("additionalProperties").map(|s| self.property(s)),
            items: schema.get("items").map(|s| self.property(s)),
            required: schema
                .get("required")
                .and_then(Value::as_array)
                .map(|r| r.iter().filter_map(strings).collect())
                .unwrap_or_default(),
            preserve_unknown_fields: type_ == Type::Any,
            ..Schema::of(type_)
        }
    }

    fn apply(&mut self, properties: &mut BTreeMap<String, Arc<Schema>>, facts: &Definition) {
        for (name, fact) in &facts.fields {
            let Some(property) = properties.get_mut(*name) else { continue };
            let mut schema = Schema::clone(property);
            schema.list_type = fact.list_type.clone();
            schema.atomic = fact.atomic.unwrap_or(schema.atomic);
            schema.patch = fact.patch.clone();
            schema.default = fact.default.clone();
            if let Some(go) = fact.go {
                schema.type_name = Some(go.to_owned());
            }
            *property = self.leaf(schema);
        }
    }

    /// One of the equal schemas seen before, or this one.
    fn leaf(&mut self, schema: Schema) -> Arc<Schema> {
        if !schema.properties.is_empty() || schema.go.is_some() {
            return Arc::new(schema);
        }
        let address = |s: &Option<Arc<Schema>>| s.as_ref().map(Arc::as_ptr);
        let key = format!(
            "{:?}",
            (
                (schema.type_, &schema.format, &schema.type_name, &schema.required, schema.preserve_unknown_fields),
                (&schema.list_type, &schema.patch, schema.atomic, &schema.default),
                (address(&schema.items), address(&schema.additional_properties)),
            )
        );
        Arc::clone(self.leaves.entry(key).or_insert_with(|| Arc::new(schema)))
    }
}

fn go_struct(name: &str, properties: &BTreeMap<String, Arc<Schema>>, facts: Option<&Definition>) -> GoStruct {
    let Some(facts) = facts else { return GoStruct { name: name.to_owned(), ..GoStruct::default() } };
    let zero = |(field, pointer): &(&str, bool)| {
        let zero = match properties.get(*field) {
            Some(schema) if !pointer => schema.zero(),
            _ => Value::Null,
        };
        ((*field).to_owned(), zero)
    };
    let mut pointers: Vec<_> = facts.pointers.iter().map(|p| (*p).to_owned()).collect();
    pointers.sort_unstable();
    GoStruct { name: name.to_owned(), always: facts.always.iter().map(zero).collect(), pointers }
}

#[cfg(test)]
mod tests;
