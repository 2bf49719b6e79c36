//! Which fields the messages of the built-in kinds have.
//!
//! The facts stand in `messages.txt`. Numbers and types were taken from the
//! crate k8s-pb 0.9.0, which is made from upstream's `generated.proto` files
//! (of 1.35, a superset of 1.34: numbers are never used twice). JSON's names,
//! and which fields exist, are those of the definitions of Kubernetes 1.34 in
//! k8s-openapi. A block for each message, named as its definition in OpenAPI without `io.k8s.`:
//!
//! ```text
//! api.core.v1.Pod kind=v1                         message, and of a kind its `apiVersion`
//!   2 spec api.core.v1.PodSpec                    number, name in JSON, type
//!   4 hostAliases []api.core.v1.HostAlias         a list
//!   7 nodeSelector {}string                       a map
//!   1 . api.core.v1.LocalObjectReference          its fields stand among the others in JSON
//! ```
//!
//! A message marked `choice` is one of its fields in JSON: the last that is there.

use std::collections::HashMap;
use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    String,
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    /// `metav1.Time`
    Time,
    /// `metav1.MicroTime`
    MicroTime,
    /// `resource.Quantity`
    Quantity,
    /// `intstr.IntOrString`
    IntOrString,
    /// `runtime.RawExtension`, `metav1.FieldsV1`, `apiextensions.JSON`: a message that holds JSON as bytes.
    Json,
    /// `authentication.ExtraValue` and its like: a message that is a list of strings in JSON.
    Strings,
    /// One of [`Table::message`].
    Message(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    One,
    List,
    /// Keys are strings.
    Map,
    /// A message whose fields stand in the message around it.
    Inline,
}

#[derive(Debug)]
pub(crate) struct Field {
    number: u32,
    pub(crate) name: &'static str,
    pub(crate) cardinality: Cardinality,
    pub(crate) type_: Type,
}

#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) choice: bool,
    /// By number.
    pub(crate) fields: Vec<Field>,
}

impl Message {
    pub(crate) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.binary_search_by_key(&number, |f| f.number).ok().map(|at| &self.fields[at])
    }
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    messages: Vec<Message>,
    /// By `apiVersion` and kind.
    kinds: HashMap<(&'static str, &'static str), usize>,
}

impl Table {
    pub(crate) fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    pub(crate) fn kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        // Every group registers these for its versions.
        let api_version = if kind == "DeleteOptions" { "v1" } else { api_version };
        self.kinds.get(&(api_version, kind)).map(|at| self.message(*at))
    }

    /// The table is part of the program and a test reads every line of it, so what does not parse is passed over here.
    fn parse(text: &'static str) -> Self {
        let heads = text.lines().filter(|line| !line.starts_with(' '));
        let names: HashMap<_, _> = heads.filter_map(|l| l.split(' ').next()).enumerate().map(|(i, n)| (n, i)).collect();
        let mut table = Self::default();
        for line in text.lines() {
            match (line.strip_prefix("  "), table.messages.last_mut()) {
                (Some(line), Some(message)) => message.fields.extend(parse_field(line, &names)),
                _ => table.begin(line),
            }
        }
        table
    }

    fn begin(&mut self, head: &'static str) {
        let mut words = head.split(' ');
        let name = words.next().unwrap_or_default();
        let mut message = Message::default();
        for word in words {
            match word.strip_prefix("kind=") {
                Some(api_version) => {
                    let kind = name.rsplit('.').next().unwrap_or_default();
                    self.kinds.insert((api_version, kind), self.messages.len());
                }
                None => message.choice = word == "choice",
            }
        }
        self.messages.push(message);
    }
}

fn parse_field(line: &'static str, names: &HashMap<&str, usize>) -> Option<Field> {
    let mut words = line.split(' ');
    let (number, name, type_) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let (cardinality, type_) = match (type_.strip_prefix("[]"), type_.strip_prefix("{}")) {
        (Some(item), _) => (Cardinality::List, item),
        (_, Some(value)) => (Cardinality::Map, value),
        _ if name == "." => (Cardinality::Inline, type_),
        _ => (Cardinality::One, type_),
    };
    let type_ = match type_ {
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "double" => Type::Double,
        "time" => Type::Time,
        "microTime" => Type::MicroTime,
        "quantity" => Type::Quantity,
        "intOrString" => Type::IntOrString,
        "json" => Type::Json,
        "strings" => Type::Strings,
        message => Type::Message(*names.get(message)?),
    };
    Some(Field { number, name, cardinality, type_ })
}

pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::parse(include_str!("messages.txt")))
}

#[cfg(test)]
mod tests;
