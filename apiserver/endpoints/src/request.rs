//! What a request asks for, read from its method, path and query (upstream: `RequestInfoFactory`).

use api_meta::FieldSelector;
use api_meta::validation::is_path_segment;
use apiserver_access::ResourceAttributes;
use http::Method;
use percent_encoding::percent_decode_str;

/// A query string, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: Option<&str>) -> Self {
        let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.unwrap_or_default().split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Self(pairs.collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, key: &str) -> Vec<&str> {
        self.0.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect()
    }

    /// As Go reads a boolean parameter: present without a value is true.
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some("" | "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Resource {
        attributes: ResourceAttributes,
        /// Segments after the subresource: the path of a proxied request.
        rest: Vec<String>,
    },
    /// `/version`, `/healthz`, discovery, ...
    Path,
}

/// One request, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Authorisation's verb.
    pub verb: String,
    /// Decoded, once: what authorisation, routing and error texts all go by.
    pub path: String,
    pub target: Target,
    pub query: Query,
}

impl Info {
    pub fn new(method: &Method, path: &str, query: Option<&str>) -> Self {
        let mut query = Query::parse(query);
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        let (target, watch_path) = target(&path);
        let verb = match &target {
            Target::Path => method.as_str().to_lowercase(),
            Target::Resource { attributes, .. } if watch_path => {
                if !attributes.name.is_empty() {
                    // The path alone says which object: nothing else has been authorised.
                    query.0.retain(|(key, _)| key != "fieldSelector");
                    query.0.push(("fieldSelector".into(), format!("metadata.name={}", escaped(&attributes.name))));
                }
                "watch".to_owned()
            }
            Target::Resource { attributes, .. } => verb(method, attributes, &query).to_owned(),
        };
        Self { verb, path, target, query }
    }

    /// What authorisation is asked about. A list or watch of the one object that its field selector names is
    /// allowed to those who may list that one.
    pub fn attributes(&self) -> Option<ResourceAttributes> {
        let Target::Resource { attributes, .. } = &self.target else { return None };
        let mut attributes = attributes.clone();
        if attributes.name.is_empty()
            && ["list", "watch"].contains(&&*self.verb)
            && let Ok(selector) = FieldSelector::parse(self.query.get("fieldSelector").unwrap_or_default())
            && let Some(name) = selector.required("metadata.name")
            && is_path_segment(name).is_empty()
        {
            attributes.name = name.to_owned();
        }
        Some(attributes)
    }

    pub fn is_watch(&self) -> bool {
        self.verb == "watch"
    }

    /// Streams that end when their parties say so, not by a deadline.
    pub fn is_long_running(&self) -> bool {
        self.is_watch()
            || matches!(&self.target, Target::Resource { attributes, .. }
                if matches!(&*attributes.subresource, "log" | "exec" | "attach" | "portforward" | "proxy"))
    }
}

/// A value as it stands in a field selector.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=")
}

fn verb(method: &Method, attributes: &ResourceAttributes, query: &Query) -> &'static str {
    let named = !attributes.name.is_empty();
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if named => "delete",
        "DELETE" => "deletecollection",
        "GET" | "HEAD" if named => "get",
        "GET" | "HEAD" if query.flag("watch") => "watch",
        "GET" | "HEAD" => "list",
        _ => "",
    }
}

/// Resources that have namespaces in their path but belong to the namespace itself.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// And whether the path is of the form `/api/v1/watch/...`, deprecated but served.
fn target(path: &str) -> (Target, bool) {
    let trimmed = path.trim_matches('/');
    let segments: Vec<&str> = trimmed.split('/').collect();
    let (group, version, rest) = match segments[..] {
        ["api", version, ref rest @ ..] if !rest.is_empty() => ("", version, rest),
        ["apis", group, version, ref rest @ ..] if !rest.is_empty() => (group, version, rest),
        _ => return (Target::Path, false),
    };
    let (rest, watch_path) = match rest {
        ["watch", below @ ..] if !below.is_empty() => (below, true),
        rest => (rest, false),
    };
    let mut attributes =
        ResourceAttributes { group: group.into(), version: version.into(), ..ResourceAttributes::default() };
    let rest = match rest {
        ["namespaces", namespace, below @ ..] => {
            attributes.namespace = (*namespace).into();
            match below {
                [] => rest,
                [sub, ..] if NAMESPACE_SUBRESOURCES.contains(sub) => rest,
                below => below,
            }
        }
        rest => rest,
    };
    let [resource, tail @ ..] = rest else { return (Target::Path, false) };
    attributes.resource = (*resource).into();
    if let [name, ..] = tail {
        attributes.name = (*name).into();
    }
    if let [_, subresource, ..] = tail {
        attributes.subresource = (*subresource).into();
    }
    let rest = tail.iter().skip(2).map(|s| (*s).to_owned()).collect();
    (Target::Resource { attributes, rest }, watch_path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(method: &str, path_and_query: &str, expect: &str) {
        let (path, query) = path_and_query.split_once('?').map_or((path_and_query, None), |(p, q)| (p, Some(q)));
        let info = Info::new(&Method::from_bytes(method.as_bytes()).unwrap(), path, query);
        let got = match &info.target {
            Target::Path => format!("{} {}", info.verb, info.path),
            Target::Resource { attributes: a, .. } => format!(
                "{} {}/{} {}/{}:{} {}",
                info.verb, a.group, a.version, a.resource, a.subresource, a.name, a.namespace
            ),
        };
        assert_eq!(got, expect);
    }

    #[test]
    fn resources() {
        check("GET", "/api/v1/namespaces/a/pods", "list /v1 pods/: a");
        check("GET", "/api/v1/namespaces/a/pods?watch", "watch /v1 pods/: a");
        check("GET", "/api/v1/namespaces/a/pods/p?watch=true", "get /v1 pods/:p a");
        check("POST", "/api/v1/namespaces/a/pods/p/exec", "create /v1 pods/exec:p a");
        check("DELETE", "/apis/apps/v1/deployments", "deletecollection apps/v1 deployments/: ");
        check("GET", "/api/v1/namespaces/a", "get /v1 namespaces/:a a");
        check("GET", "/api/v1/namespaces/a/", "get /v1 namespaces/:a a");
        check("PUT", "/api/v1/namespaces/a/finalize", "update /v1 namespaces/finalize:a a");
        check("GET", "/api/v1/namespaces/a/configmaps/x%2Fy", "get /v1 configmaps/y:x a");
    }

    #[test]
    fn watches_by_path() {
        check("GET", "/api/v1/watch/namespaces/a/pods", "watch /v1 pods/: a");
        check("GET", "/apis/apps/v1/watch/deployments", "watch apps/v1 deployments/: ");
        check("GET", "/api/v1/watch/namespaces/a", "watch /v1 namespaces/:a a");
        let one = Info::new(&Method::GET, "/api/v1/watch/namespaces/a/pods/p", None);
        assert_eq!(one.query.get("fieldSelector"), Some("metadata.name=p"));
        let other =
            Info::new(&Method::GET, "/api/v1/watch/namespaces/a/pods/p", Some("fieldSelector=metadata.name%3Dq"));
        assert_eq!(other.query.all("fieldSelector"), ["metadata.name=p"]);
    }

    #[test]
    fn a_selected_name_is_asked_about() {
        let asked =
            |query| Info::new(&Method::GET, "/api/v1/namespaces/a/pods", Some(query)).attributes().unwrap().name;
        assert_eq!(asked("fieldSelector=metadata.name%3Dp"), "p");
        assert_eq!(asked("watch=1&fieldSelector=metadata.name%3Dp,spec.nodeName%3Dn"), "p");
        assert_eq!(asked("fieldSelector=metadata.name!%3Dp"), "");
        assert_eq!(asked("fieldSelector=a%3D%3D%3D"), "");
    }

    #[test]
    fn a_name_of_a_watched_path_is_only_a_name() {
        let one = Info::new(&Method::GET, "/api/v1/watch/namespaces/a/pods/%3Dp,metadata.name!%3Dq", None);
        let selector = FieldSelector::parse(one.query.get("fieldSelector").unwrap()).unwrap();
        assert_eq!(selector.terms, [("metadata.name".to_owned(), true, "=p,metadata.name!=q".to_owned())]);
    }

    /// Text of the parts that paths are made of, and of what those who attack paths put between them.
    fn arbitrary_path() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            6 => prop::sample::select(vec![
                "api", "apis", "v1", "apps", "watch", "proxy", "namespaces", "a", "pods", "status", "finalize", "log", "",
                ".", "..", "%2e%2e", "%2F", "a%2Fpods", "%25", "%zz", "%ff", "*", "a?b", "a;b", "=", ",", "\\",
            ]).prop_map(str::to_owned),
            1 => ".{0,8}",
        ];
        prop::collection::vec(segment, 0..10).prop_map(|parts| format!("/{}", parts.join("/")))
    }

    fn arbitrary_method() -> impl Strategy<Value = Method> {
        prop::sample::select(vec![
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::from_bytes(b"PROPFIND").unwrap(),
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn any_request_is_understood(method in arbitrary_method(), path in arbitrary_path(), query in ".{0,40}") {
            let info = Info::new(&method, &path, Some(&query));
            prop_assert_eq!(info.attributes().is_some(), matches!(info.target, Target::Resource { .. }));
        }

        /// However the same path is spelt, it is the same request.
        #[test]
        fn spelling_does_not_matter(method in arbitrary_method(), path in arbitrary_path(), mask in any::<u64>()) {
            let plain = Info::new(&method, &path, None);
            let respelt: String = plain
                .path
                .bytes()
                .enumerate()
                .map(|(at, byte)| match byte {
                    b'%' | 0x80.. => format!("%{byte:02X}"),
                    _ if mask >> (at % 64) & 1 == 1 => format!("%{byte:02x}"),
                    _ => char::from(byte).to_string(),
                })
                .collect();
            prop_assert_eq!(Info::new(&method, &respelt, None), plain);
        }

        /// Authorisation is asked about one object only where no more than that one is selected.
        #[test]
        fn what_is_asked_about_is_what_is_selected(path in arbitrary_path(), selector in "(metadata\\.name|a)(=|!=|==)[a-c=,\\\\]{0,4}") {
            for query in [None, Some(format!("fieldSelector={selector}")), Some(format!("fieldSelector={selector}&watch"))] {
                let info = Info::new(&Method::GET, &path, query.as_deref());
                let (Some(asked), Target::Resource { attributes, .. }) = (info.attributes(), &info.target) else { continue };
                prop_assert_eq!((&asked.group, &asked.version, &asked.resource), (&attributes.group, &attributes.version, &attributes.resource));
                prop_assert_eq!((&asked.namespace, &asked.subresource), (&attributes.namespace, &attributes.subresource));
                if asked.name.is_empty() || info.verb == "get" {
                    continue;
                }
                let selected = FieldSelector::parse(info.query.get("fieldSelector").unwrap_or_default()).unwrap();
                prop_assert_eq!(selected.required("metadata.name"), Some(&*asked.name));
            }
        }
    }

    #[test]
    fn paths() {
        check("GET", "/api/v1", "get /api/v1");
        check("GET", "/healthz", "get /healthz");
        check("POST", "/version", "post /version");
    }
}
