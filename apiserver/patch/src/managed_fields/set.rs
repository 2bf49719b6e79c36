//! A set of fields of an object (upstream: `fieldpath.Set`), and its form in `fieldsV1`.

use std::collections::BTreeMap;

use api_meta::{Map, Value};

use super::path::{InvalidPathElement, PathElement};

/// A tree of path elements. No node is empty: each is a member, or has members below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set(BTreeMap<PathElement, Node>);

/// What a set says of one path: whether it is a member, and the members below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) member: bool,
    pub(super) below: Set,
}

/// What is wrong with a `fieldsV1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSet {
    #[error("fields are not an object")]
    NotAnObject,
    #[error(transparent)]
    Element(#[from] InvalidPathElement),
}

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    fn union_with(&mut self, other: Self) {
        self.member |= other.member;
        self.below.union_with(other.below);
    }

    fn from_json(value: &Value) -> Result<Self, InvalidSet> {
        let below = Set::from_json(value)?;
        let dot = value.get(".").is_some();
        Ok(Self { member: dot || below.is_empty(), below })
    }

    fn to_json(&self) -> Value {
        let mut fields = self.below.to_json_fields();
        if self.member && !fields.is_empty() {
            fields.insert(".".into(), Value::Object(Map::new()));
        }
        Value::Object(fields)
    }
}

impl Set {
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The set of some fields reached through plain names: `&[&["metadata", "name"], &["status"]]`.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            let path: Vec<_> = path.iter().map(|name| PathElement::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one path, without those on the way to it. Nobody owns the whole object, so the empty path adds nothing.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.0.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    pub(super) fn insert_node(&mut self, element: PathElement, node: Node) {
        if !node.is_empty() {
            self.0.entry(element).or_default().union_with(node);
        }
    }

    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.0.get(first).is_some_and(|node| node.below.has(rest)),
        }
    }

    pub(super) fn has_member(&self, element: &PathElement) -> bool {
        self.0.get(element).is_some_and(|node| node.member)
    }

    pub(super) fn get(&self, element: &PathElement) -> Option<&Node> {
        self.0.get(element)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&PathElement, &Node)> {
        self.0.iter()
    }

    /// Calls `visit` for each member: at each level the members themselves first, then what is below.
    pub fn for_each(&self, mut visit: impl FnMut(&[PathElement])) {
        self.walk(&mut Vec::new(), &mut visit);
    }

    fn walk(&self, path: &mut Vec<PathElement>, visit: &mut impl FnMut(&[PathElement])) {
        for (element, _) in self.0.iter().filter(|(_, node)| node.member) {
            path.push(element.clone());
            visit(path);
            path.pop();
        }
        for (element, node) in self.0.iter().filter(|(_, node)| !node.below.is_empty()) {
            path.push(element.clone());
            node.below.walk(path, visit);
            path.pop();
        }
    }

    pub fn union_with(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for (element, node) in other.0 {
            self.0.entry(element).or_default().union_with(node);
        }
    }

    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for (element, node) in &self.0 {
            if let Some(there) = other.0.get(element) {
                let below = node.below.intersection(&there.below);
                both.insert_node(element.clone(), Node { member: node.member && there.member, below });
            }
        }
        both
    }

    /// Takes out the members of `other`. What is below a member stays.
    pub fn subtract(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.0.retain(|element, node| {
            if let Some(there) = other.0.get(element) {
                node.member &= !there.member;
                node.below.subtract(&there.below);
            }
            !node.is_empty()
        });
    }

    /// Takes out the members of `other` and all that is below them.
    pub fn subtract_all_below(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.0.retain(|element, node| match other.0.get(element) {
            None => true,
            Some(there) if there.member => false,
            Some(there) => {
                node.below.subtract_all_below(&there.below);
                !node.is_empty()
            }
        });
    }

    pub fn from_json(value: &Value) -> Result<Self, InvalidSet> {
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => return Ok(Self::new()),
            _ => return Err(InvalidSet::NotAnObject),
        };
        let mut set = Self::new();
        for (key, value) in fields.iter().filter(|(key, _)| *key != ".") {
            if let Some(element) = PathElement::parse(key)? {
                set.insert_node(element, Node::from_json(value)?);
            }
        }
        Ok(set)
    }

    pub fn to_json(&self) -> Value {
        Value::Object(self.to_json_fields())
    }

    fn to_json_fields(&self) -> Map<String, Value> {
        self.0.iter().map(|(element, node)| (element.serialize(), node.to_json())).collect()
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;
    use proptest::prelude::*;

    use super::*;

    fn set(fields: Value) -> Set {
        Set::from_json(&fields).unwrap()
    }

    #[track_caller]
    fn check_round_trip(fields: Value) {
        assert_eq!(set(fields.clone()).to_json(), fields);
    }

    #[test]
    fn fields() {
        check_round_trip(json!({"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {"f:a": {}}}}));
    }

    #[test]
    fn keys_values_indices() {
        check_round_trip(json!({"f:l": {"k:{\"name\":\"a\",\"port\":80}": {".": {}, "f:name": {}},
            "v:\"x\"": {}, "v:1": {}, "i:3": {}}}));
    }

    #[test]
    fn html_is_escaped() {
        check_round_trip(json!({"v:\"\\u003ca\\u003e\\u0026\"": {}}));
    }

    #[test]
    fn unknown_elements_are_dropped() {
        assert_eq!(set(json!({"x:later": {}, "f:a": {}})).to_json(), json!({"f:a": {}}));
    }

    #[track_caller]
    fn check_error(fields: Value, expect: &str) {
        assert_eq!(Set::from_json(&fields).unwrap_err().to_string(), expect);
    }

    #[test]
    fn no_colon() {
        check_error(json!({"field": {}}), "missing colon: field");
    }

    #[test]
    fn too_short() {
        check_error(json!({"f": {}}), "key must be 2 characters long: f");
    }

    #[test]
    fn bad_key() {
        check_error(json!({"k:[]": {}}), "k:[] does not end in a JSON value");
    }

    #[test]
    fn not_an_object() {
        check_error(json!({"f:a": 1}), "fields are not an object");
    }

    #[test]
    fn members_come_before_what_is_below() {
        let mut seen = Vec::new();
        set(json!({"f:a": {"f:b": {}}, "f:c": {}, "f:d": {".": {}, "v:1": {}}}))
            .for_each(|p| seen.push(p.iter().map(ToString::to_string).collect::<String>()));
        assert_eq!(seen, [".c", ".d", ".a.b", ".d[=1]"]);
    }

    #[test]
    fn a_parent_minus_its_child_is_the_parent() {
        let mut parent = set(json!({"f:a": {}}));
        parent.subtract(&set(json!({"f:a": {"f:b": {}}})));
        assert_eq!(parent.to_json(), json!({"f:a": {}}));
    }

    #[test]
    fn a_child_minus_its_parent_is_the_child() {
        let mut child = set(json!({"f:a": {"f:b": {}}}));
        child.subtract(&set(json!({"f:a": {}})));
        assert_eq!(child.to_json(), json!({"f:a": {"f:b": {}}}));
    }

    #[test]
    fn a_child_minus_all_below_its_parent_is_nothing() {
        let mut child = set(json!({"f:a": {"f:b": {}}, "f:c": {}}));
        child.subtract_all_below(&set(json!({"f:a": {}})));
        assert_eq!(child.to_json(), json!({"f:c": {}}));
    }

    fn sets() -> impl Strategy<Value = Set> {
        let element = prop_oneof![
            "[ab]".prop_map(PathElement::Field),
            (0..2i64).prop_map(|n| PathElement::Value(n.into())),
            (0..2i64).prop_map(|n| PathElement::Key(vec![("k".into(), n.into())])),
        ];
        let path = prop::collection::vec(element, 1..4);
        prop::collection::vec(path, 0..8).prop_map(|paths| {
            let mut set = Set::new();
            paths.iter().for_each(|path| set.insert(path));
            set
        })
    }

    fn union(a: &Set, b: &Set) -> Set {
        let mut union = a.clone();
        union.union_with(b.clone());
        union
    }

    fn difference(a: &Set, b: &Set) -> Set {
        let mut difference = a.clone();
        difference.subtract(b);
        difference
    }

    proptest! {
        #[test]
        fn json_keeps_all(a in sets()) {
            prop_assert_eq!(Set::from_json(&a.to_json()), Ok(a));
        }

        #[test]
        fn difference_and_intersection_make_the_whole(a in sets(), b in sets()) {
            prop_assert_eq!(union(&difference(&a, &b), &a.intersection(&b)), a);
        }

        #[test]
        fn nothing_is_in_both_the_difference_and_the_other(a in sets(), b in sets()) {
            prop_assert!(difference(&a, &b).intersection(&b).is_empty());
        }

        #[test]
        fn union_and_intersection_do_not_care_for_order(a in sets(), b in sets()) {
            prop_assert_eq!(union(&a, &b), union(&b, &a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        }

        #[test]
        fn every_member_is_found(a in sets()) {
            let mut again = Set::new();
            a.for_each(|path| { assert!(a.has(path)); again.insert(path); });
            prop_assert_eq!(again, a);
        }
    }
}
