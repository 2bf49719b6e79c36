//! What a person names on the command line: `pods`, `pod a b`, `pod/a svc/b`, `pods,services`, `all`; and which of it
//! lives on the hub only.

use crate::error::{Error, Result};
use crate::text::Text;

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The word for the type.
    pub kind: String,
    /// One object, or all of them.
    pub name: Option<String>,
}

/// Reads the arguments of `get` and `delete`.
pub fn parse(arguments: &[String]) -> Result<Vec<Wanted>> {
    let (Some(first), rest) = (arguments.first(), arguments.get(1..).unwrap_or_default()) else {
        return Err(Error::told(Text::TypeMissing {}));
    };
    if arguments.iter().any(|argument| argument.contains('/')) {
        return arguments.iter().map(|argument| slashed(argument)).collect();
    }
    let kinds: Vec<&str> = first.split(',').collect();
    if kinds.iter().any(|kind| kind.is_empty()) {
        return Err(Error::told(Text::TypeMissing {}));
    }
    // A variable that is not set, perhaps; it must not come to mean all of them.
    if rest.iter().any(String::is_empty) {
        return Err(Error::told(Text::NameEmpty {}));
    }
    let wanted = |kind: &&str, name: Option<&String>| Wanted { kind: (*kind).to_owned(), name: name.cloned() };
    Ok(match rest {
        [] => kinds.iter().map(|kind| wanted(kind, None)).collect(),
        names => kinds.iter().flat_map(|kind| names.iter().map(move |name| wanted(kind, Some(name)))).collect(),
    })
}

fn slashed(argument: &str) -> Result<Wanted> {
    match argument.split_once('/') {
        None => Err(Error::told(Text::MixedForms { argument: argument.to_owned() })),
        Some((kind, name)) if kind.is_empty() || name.is_empty() || name.contains('/') => {
            Err(Error::told(Text::BadTypeName { argument: argument.to_owned() }))
        }
        Some((kind, name)) => Ok(Wanted { kind: kind.to_owned(), name: Some(name.to_owned()) }),
    }
}

/// A kind of object that exists on the hub only.
struct Global {
    names: &'static [&'static str],
    group: &'static str,
    namespace: Option<&'static str>,
}

const GLOBALS: &[Global] = &[
    Global { names: &["users", "user"], group: "auth.alauda.io", namespace: None },
    Global { names: &["groups", "group"], group: "auth.alauda.io", namespace: None },
    Global { names: &["projects", "project"], group: "auth.alauda.io", namespace: None },
    // A project's quotas are not here: each cluster has its own.
    Global { names: &["userbindings", "userbinding"], group: "auth.alauda.io", namespace: None },
    Global { names: &["groupbindings", "groupbinding"], group: "auth.alauda.io", namespace: None },
    Global { names: &["roletemplates", "roletemplate"], group: "auth.alauda.io", namespace: None },
    Global { names: &["clusters", "cluster"], group: "cluster.x-k8s.io", namespace: Some("cpaas-system") },
];

/// A resource that is sent to the hub, and where it lives there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The plural, as the note names it.
    pub plural: &'static str,
    /// The plural with its group, which on the hub leaves no doubt.
    pub qualified_group: &'static str,
    /// The namespace to use when none is given.
    pub namespace: Option<&'static str>,
}

/// Whether a word means a resource of the hub.
pub fn routed(word: &str) -> Option<Routed> {
    let lower = word.to_lowercase();
    let (name, group) = lower.split_once('.').map_or((lower.as_str(), None), |(name, group)| (name, Some(group)));
    let versioned = |group: &str, known: &str| group == known || group.split_once('.').is_some_and(|(_, g)| g == known);
    let known =
        GLOBALS.iter().find(|g| g.names.contains(&name) && group.is_none_or(|group| versioned(group, g.group)))?;
    Some(Routed { plural: known.names[0], qualified_group: known.group, namespace: known.namespace })
}

/// The routed resource that all of the words mean; words of both sorts go where the context says.
pub fn all_routed<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Routed> {
    let mut found = None;
    for word in words {
        found = Some(routed(word)?);
    }
    found
}

/// The published note.
pub fn routing_note(plural: &str) -> String {
    format!("(i) Note: Targeting global cluster for this command only, as '{plural}' is a global resource.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expect: Option<&[(&str, Option<&str>)]>) {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let parsed = parse(&arguments).ok();
        let expect = expect.map(|expect| {
            expect.iter().map(|(k, n)| Wanted { kind: (*k).to_owned(), name: n.map(str::to_owned) }).collect::<Vec<_>>()
        });
        assert_eq!(parsed, expect);
    }

    #[test]
    fn forms() {
        check(&["pods"], Some(&[("pods", None)]));
        check(&["pods", "a", "b"], Some(&[("pods", Some("a")), ("pods", Some("b"))]));
        check(&["po,svc"], Some(&[("po", None), ("svc", None)]));
        check(&["po,svc", "a"], Some(&[("po", Some("a")), ("svc", Some("a"))]));
        check(&["pod/a", "deploy.apps/b"], Some(&[("pod", Some("a")), ("deploy.apps", Some("b"))]));
    }

    #[test]
    fn mistakes() {
        check(&[], None);
        check(&["pod/a", "b"], None);
        check(&["pod", "svc/b"], None);
        check(&["pod/"], None);
        check(&["pod/a/b"], None);
        check(&["pods,"], None);
        check(&["pod", ""], None);
        check(&["pod", "a", ""], None);
    }

    #[test]
    fn hub_resources() {
        assert_eq!(routed("Projects").map(|r| r.plural), Some("projects"));
        assert_eq!(routed("clusters.cluster.x-k8s.io").map(|r| r.plural), Some("clusters"));
        assert_eq!(routed("cluster.v1beta1.cluster.x-k8s.io").and_then(|r| r.namespace), Some("cpaas-system"));
        assert_eq!(routed("clusters.example.com"), None);
        assert_eq!(routed("RoleTemplate").map(|r| r.plural), Some("roletemplates"));
        assert_eq!(routed("userbindings.auth.alauda.io").map(|r| r.plural), Some("userbindings"));
        assert_eq!(routed("groups").map(|r| r.qualified_group), Some("auth.alauda.io"));
        assert_eq!(routed("groups.example.com"), None);
        assert_eq!(routed("projectquotas"), None, "each cluster has its own");
        assert_eq!(routed("pods"), None);
        assert_eq!(all_routed(["users", "pods"]), None);
        assert_eq!(all_routed([]), None);
    }
}
