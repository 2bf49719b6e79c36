//! What a request has to be allowed, read from its method, path and query as an API server reads them (upstream:
//! `RequestInfoFactory`). Pure.

use std::borrow::Cow;

use api_meta::FieldSelector;
use api_meta::validation::is_path_segment;
use http::Method;
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SelfSubjectAccessReviewSpec,
};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::headers::Kind;

/// What is asked of an authoriser. Many streams of one person have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Attributes {
    Resource(Resource),
    /// `/version`, `/healthz`, discovery, ...
    Path {
        verb: Box<str>,
        path: Box<str>,
    },
}

/// Empty is what the request does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    pub(crate) verb: &'static str,
    group: Box<str>,
    version: Box<str>,
    namespace: Box<str>,
    pub(crate) resource: Box<str>,
    pub(crate) subresource: Box<str>,
    name: Box<str>,
    fields: Box<str>,
    labels: Box<str>,
}

/// Resources that have namespaces in their path but belong to the namespace itself.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl Attributes {
    /// Of a request that may last, as upstream's long-running check sees it: a watch, a stream, whatever a proxy leads to,
    /// and a log that is followed. `path` is the cluster's.
    pub(crate) fn of_lasting(method: &Method, path: &str, query: Option<&str>, kind: Kind) -> Option<Self> {
        let query = Query(query.unwrap_or_default());
        let attributes = Self::of(method, path, query);
        let lasts = kind == Kind::Upgrade
            || match &attributes {
                Self::Path { .. } => false,
                Self::Resource(Resource { verb, subresource, .. }) => match &**subresource {
                    "proxy" => true,
                    "log" => query.flag("follow"),
                    _ => matches!(*verb, "watch" | "proxy"),
                },
            };
        lasts.then_some(attributes)
    }

    /// Whether a request is passed on to a program or a node. `path` is the cluster's.
    pub(crate) fn lead_to_programs(method: &Method, path: &str) -> bool {
        match Self::of(method, path, Query("")) {
            Self::Path { .. } => false,
            Self::Resource(Resource { verb, subresource, .. }) => {
                verb == "proxy" || matches!(&*subresource, "proxy" | "exec" | "attach" | "portforward")
            }
        }
    }

    fn of(method: &Method, path: &str, query: Query<'_>) -> Self {
        let path = percent_decode_str(path).decode_utf8_lossy();
        Resource::of(method, &path, query).map_or_else(
            || Self::Path {
                verb: method.as_str().to_ascii_lowercase().into(),
                path: format!("/{}", path.trim_start_matches('/')).into(),
            },
            Self::Resource,
        )
    }

    /// The question, as its API has it.
    pub(crate) fn to_spec(&self) -> SelfSubjectAccessReviewSpec {
        match self {
            Self::Resource(resource) => SelfSubjectAccessReviewSpec {
                resource_attributes: Some(resource.to_attributes()),
                ..Default::default()
            },
            Self::Path { verb, path } => SelfSubjectAccessReviewSpec {
                non_resource_attributes: Some(NonResourceAttributes { verb: said(verb), path: said(path) }),
                ..Default::default()
            },
        }
    }
}

impl Resource {
    fn of(method: &Method, path: &str, query: Query<'_>) -> Option<Self> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match segments[..] {
            ["api", version, ref rest @ ..] if !rest.is_empty() => ("", version, rest),
            ["apis", group, version, ref rest @ ..] if !rest.is_empty() => (group, version, rest),
            _ => return None,
        };
        // Deprecated, and still served: the verb is in the path.
        let (in_path, rest) = match rest {
            ["watch", below @ ..] if !below.is_empty() => (Some("watch"), below),
            ["proxy", below @ ..] if !below.is_empty() => (Some("proxy"), below),
            rest => (None, rest),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace] => (*namespace, rest),
            ["namespaces", namespace, sub, ..] if NAMESPACE_SUBRESOURCES.contains(sub) => (*namespace, rest),
            ["namespaces", namespace, below @ ..] => (*namespace, below),
            rest => ("", rest),
        };
        let part = |at: usize| rest.get(at).copied().unwrap_or_default();
        let mut name = Cow::Borrowed(part(1));
        let verb = in_path.unwrap_or_else(|| verb(method, !name.is_empty(), query));
        let selects = in_path.is_none() && matches!(verb, "list" | "watch" | "deletecollection");
        let selector = |key: &str| query.get(key).filter(|_| selects).unwrap_or_default();
        let (fields, labels) = (selector("fieldSelector"), selector("labelSelector"));
        // To list the one object that a selector names is allowed to whoever may list that one.
        if name.is_empty()
            && verb != "deletecollection"
            && let Ok(parsed) = FieldSelector::parse(&fields)
            && let Some(selected) = parsed.required("metadata.name")
            && is_path_segment(selected).is_empty()
        {
            name = Cow::Owned(selected.to_owned());
        }
        Some(Self {
            verb,
            group: group.into(),
            version: version.into(),
            namespace: namespace.into(),
            resource: part(0).into(),
            subresource: if verb == "proxy" { Box::default() } else { part(2).into() },
            name: name.into(),
            fields: fields.into(),
            labels: labels.into(),
        })
    }

    fn to_attributes(&self) -> ResourceAttributes {
        ResourceAttributes {
            verb: said(self.verb),
            group: said(&self.group),
            version: said(&self.version),
            namespace: said(&self.namespace),
            resource: said(&self.resource),
            subresource: said(&self.subresource),
            name: said(&self.name),
            // Authorisers other than RBAC may allow only what is selected.
            field_selector: said(&self.fields)
                .map(|raw| FieldSelectorAttributes { raw_selector: Some(raw), ..Default::default() }),
            label_selector: said(&self.labels)
                .map(|raw| LabelSelectorAttributes { raw_selector: Some(raw), ..Default::default() }),
        }
    }
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn verb(method: &Method, is_named: bool, query: Query<'_>) -> &'static str {
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if is_named => "delete",
        "DELETE" => "deletecollection",
        "GET" | "HEAD" if is_named => "get",
        "GET" | "HEAD" if query.flag("watch") => "watch",
        "GET" | "HEAD" => "list",
        _ => "",
    }
}

/// A query string, as it was sent.
#[derive(Clone, Copy)]
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The first of that name.
    fn get(self, key: &str) -> Option<Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes()).find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Upstream: `Convert_Slice_string_To_bool`.
    fn flag(self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !matches!(&*value.to_ascii_lowercase(), "false" | "0"))
    }
}

#[cfg(test)]
mod tests {
    use apiserver_endpoints::{Info, Target};
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> (&str, Option<&str>) {
        text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
    }

    #[track_caller]
    fn check(method: &str, text: &str, expect: &str) {
        let (path, query) = split(text);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let got = match Attributes::of(&method, path, Query(query.unwrap_or_default())) {
            Attributes::Path { verb, path } => format!("{verb} {path}"),
            Attributes::Resource(r) => format!(
                "{} {}/{} {}/{}:{} {}",
                r.verb, r.group, r.version, r.resource, r.subresource, r.name, r.namespace
            ),
        };
        assert_eq!(got, expect, "{method} {text}");
    }

    /// Upstream's own cases are in `requestinfo_test.go`.
    #[test]
    fn requests_are_read_as_upstream_reads_them() {
        for (method, path, expect) in [
            ("GET", "api/v1/namespaces", "list /v1 namespaces/: "),
            ("GET", "api/v1/namespaces/a", "get /v1 namespaces/:a a"),
            ("GET", "api/v1/namespaces/a/", "get /v1 namespaces/:a a"),
            ("GET", "api/v1/namespaces/a/pods", "list /v1 pods/: a"),
            ("GET", "api/v1/namespaces/a/pods?watch=true", "watch /v1 pods/: a"),
            ("GET", "api/v1/namespaces/a/pods?watch", "watch /v1 pods/: a"),
            ("GET", "api/v1/namespaces/a/pods?watch=False", "list /v1 pods/: a"),
            ("GET", "api/v1/namespaces/a/pods?watch=0&watch=1", "list /v1 pods/: a"),
            ("GET", "api/v1/namespaces/a/pods/p?watch=true", "get /v1 pods/:p a"),
            ("HEAD", "apis/apps/v1/deployments?watch=1", "watch apps/v1 deployments/: "),
            ("POST", "api/v1/namespaces/a/pods/p/exec?command=sh", "create /v1 pods/exec:p a"),
            ("GET", "api/v1/namespaces/a/pods/p/exec?command=sh", "get /v1 pods/exec:p a"),
            ("GET", "api/v1/namespaces/a/services/s:80/proxy/x/y", "get /v1 services/proxy:s:80 a"),
            ("GET", "api/v1/nodes/n/proxy/logs", "get /v1 nodes/proxy:n "),
            ("PUT", "api/v1/namespaces/a/finalize", "update /v1 namespaces/finalize:a a"),
            ("PATCH", "api/v1/namespaces/a/status", "patch /v1 namespaces/status:a a"),
            ("DELETE", "apis/apps/v1/namespaces/a/deployments", "deletecollection apps/v1 deployments/: a"),
            ("DELETE", "apis/apps/v1/namespaces/a/deployments/d", "delete apps/v1 deployments/:d a"),
            ("GET", "api/v1/watch/namespaces/a/pods", "watch /v1 pods/: a"),
            ("GET", "api/v1/watch/namespaces/a/pods/p", "watch /v1 pods/:p a"),
            ("GET", "api/v1/watch/namespaces/a", "watch /v1 namespaces/:a a"),
            ("GET", "api/v1/proxy/namespaces/a/pods/p/x", "proxy /v1 pods/:p a"),
            ("OPTIONS", "api/v1/pods", " /v1 pods/: "),
            ("GET", "api/v1/nodes/a%20b", "get /v1 nodes/:a b "),
            ("GET", "api/v1/pods?fieldSelector=metadata.name%3Dp", "list /v1 pods/:p "),
            ("GET", "api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dn,metadata.name%3D%3Dp", "watch /v1 pods/:p "),
            ("GET", "api/v1/pods?fieldSelector=metadata.name!%3Dp", "list /v1 pods/: "),
            ("GET", "api/v1/pods?fieldSelector=metadata.name%3Da/b", "list /v1 pods/: "),
            ("DELETE", "api/v1/pods?fieldSelector=metadata.name%3Dp", "deletecollection /v1 pods/: "),
            ("GET", "api/v1", "get /api/v1"),
            ("GET", "apis/apps/v1", "get /apis/apps/v1"),
            ("GET", "healthz", "get /healthz"),
            ("POST", "version/", "post /version/"),
            ("GET", "", "get /"),
        ] {
            check(method, path, expect);
        }
    }

    #[track_caller]
    fn check_lasts(text: &str, kind: Kind, expect: bool) {
        let (path, query) = split(text);
        assert_eq!(Attributes::of_lasting(&Method::GET, path, query, kind).is_some(), expect, "{text}");
    }

    #[test]
    fn what_lasts() {
        check_lasts("api/v1/pods", Kind::Plain, false);
        check_lasts("api/v1/pods?watch=true", Kind::Plain, true);
        check_lasts("api/v1/pods?watch=false", Kind::Plain, false);
        check_lasts("api/v1/watch/pods", Kind::Plain, true);
        check_lasts("api/v1/namespaces/a/pods/p/log", Kind::Plain, false);
        check_lasts("api/v1/namespaces/a/pods/p/log?follow=true", Kind::Plain, true);
        check_lasts("api/v1/namespaces/a/pods/p/exec", Kind::Plain, false);
        check_lasts("api/v1/namespaces/a/pods/p/exec", Kind::Upgrade, true);
        check_lasts("api/v1/namespaces/a/services/s/proxy/events", Kind::Plain, true);
        check_lasts("version?watch=true", Kind::Plain, false);
        check_lasts("version", Kind::Upgrade, true);
    }

    #[test]
    fn the_question_has_the_selectors_of_a_collection_only() {
        let spec = |path: &str| {
            let (path, query) = split(path);
            Attributes::of(&Method::GET, path, Query(query.unwrap_or_default())).to_spec().resource_attributes.unwrap()
        };
        let one = spec("api/v1/pods?watch&labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn");
        assert_eq!(one.label_selector.unwrap().raw_selector.as_deref(), Some("a=b"));
        assert_eq!(one.field_selector.unwrap().raw_selector.as_deref(), Some("spec.nodeName=n"));
        let other = spec("api/v1/namespaces/a/pods/p?labelSelector=a%3Db");
        assert_eq!((other.label_selector, other.name.as_deref()), (None, Some("p")));
    }

    fn arbitrary_path() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec![
            "api",
            "apis",
            "v1",
            "apps",
            "watch",
            "namespaces",
            "a",
            "pods",
            "status",
            "finalize",
            "log",
            "exec",
            "a%20b",
        ]);
        prop::collection::vec(segment, 0..9).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        /// What the door asks about is what the hub's own API server has allowed.
        #[test]
        fn both_read_alike(
            path in arbitrary_path(),
            method in prop::sample::select(vec![Method::GET, Method::POST, Method::DELETE]),
            query in prop::sample::select(vec!["", "watch=true", "watch", "watch=0", "fieldSelector=metadata.name%3Dp", "follow=true"]),
        ) {
            let info = Info::new(&method, &format!("/{path}"), Some(query));
            let expect = match &info.target {
                Target::Path => Attributes::Path { verb: info.verb.clone().into(), path: info.path.clone().into() },
                Target::Resource { .. } => {
                    let asked = info.attributes().unwrap();
                    let ours = match Attributes::of(&method, &path, Query(query)) {
                        Attributes::Resource(ours) => ours,
                        Attributes::Path { .. } => Resource::default(),
                    };
                    prop_assert_eq!(ours.verb, &*info.verb);
                    // Where the verb is in the path, upstream does not look at selectors, and asks for more than we do.
                    let name = if path.contains("watch") { ours.name.clone() } else { asked.name.into() };
                    Attributes::Resource(Resource {
                        verb: ours.verb,
                        group: asked.group.into(),
                        version: asked.version.into(),
                        namespace: asked.namespace.into(),
                        resource: asked.resource.into(),
                        subresource: asked.subresource.into(),
                        name,
                        ..ours
                    })
                }
            };
            prop_assert_eq!(Attributes::of(&method, &path, Query(query)), expect);
        }
    }
}
