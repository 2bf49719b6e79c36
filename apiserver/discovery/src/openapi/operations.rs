//! What can be done at which path, in a form from which both versions of OpenAPI are written.

use api_meta::GroupVersionKind;
use apiserver_model::{Resource, ResourceInfo, Verb};

/// Where a parameter stands and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) type_: &'static str,
    pub(super) description: &'static str,
}

const fn parameter(name: &'static str, type_: &'static str, description: &'static str) -> Parameter {
    Parameter { name, type_, description }
}

const DRY_RUN: Parameter = parameter(
    "dryRun",
    "string",
    "When present, indicates that modifications should not be persisted. An invalid or unrecognized dryRun directive will result in an error response and no further processing of the request. Valid values are: - All: all dry run stages will be processed",
);
const FIELD_MANAGER: Parameter = parameter(
    "fieldManager",
    "string",
    "fieldManager is a name associated with the actor or entity that is making these changes. The value must be less than or 128 characters long, and only contain printable characters, as defined by https://golang.org/pkg/unicode/#IsPrint.",
);
const FIELD_VALIDATION: Parameter = parameter(
    "fieldValidation",
    "string",
    "fieldValidation instructs the server on how to handle objects in the request (POST/PUT/PATCH) containing unknown or duplicate fields. Valid values are: - Ignore: This will ignore any unknown fields that are silently dropped from the object, and will ignore all but the last duplicate field that the decoder encounters. - Warn: This will send a warning via the standard warning response header for each unknown field that is dropped from the object, and for each duplicate field that is encountered. The request will still succeed if there are no other errors, and will only persist the last of any duplicate fields. This is the default. - Strict: This will fail the request with a BadRequest error if any unknown fields would be dropped from the object, or if any duplicate fields are present.",
);
const FORCE: Parameter = parameter(
    "force",
    "boolean",
    "Force is going to \"force\" Apply requests. It means user will re-acquire conflicting fields owned by other people. Force flag must be unset for non-apply patch requests.",
);
const WRITE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const GRACE: Parameter = parameter(
    "gracePeriodSeconds",
    "integer",
    "The duration in seconds before the object should be deleted. Value must be non-negative integer. The value zero indicates delete immediately. If this value is nil, the default grace period for the specified type will be used.",
);
const PROPAGATION: Parameter = parameter(
    "propagationPolicy",
    "string",
    "Whether and how garbage collection will be performed. Acceptable values are: 'Orphan' - orphan the dependents; 'Background' - allow the garbage collector to delete the dependents in the background; 'Foreground' - a cascading policy that deletes all dependents in the foreground.",
);
const DELETE: &[Parameter] = &[DRY_RUN, GRACE, PROPAGATION];
const LIST: &[Parameter] = &[
    parameter("allowWatchBookmarks", "boolean", "allowWatchBookmarks requests watch events with type \"BOOKMARK\"."),
    parameter("continue", "string", "The continue option should be set when retrieving more results from the server."),
    parameter(
        "fieldSelector",
        "string",
        "A selector to restrict the list of returned objects by their fields. Defaults to everything.",
    ),
    parameter(
        "labelSelector",
        "string",
        "A selector to restrict the list of returned objects by their labels. Defaults to everything.",
    ),
    parameter("limit", "integer", "limit is a maximum number of responses to return for a list call."),
    parameter(
        "resourceVersion",
        "string",
        "resourceVersion sets a constraint on what resource versions a request may be served from.",
    ),
    parameter(
        "resourceVersionMatch",
        "string",
        "resourceVersionMatch determines how resourceVersion is applied to list calls.",
    ),
    parameter("sendInitialEvents", "boolean", "`sendInitialEvents=true` may be set together with `watch=true`."),
    parameter(
        "timeoutSeconds",
        "integer",
        "Timeout for the list/watch call. This limits the duration of the call, regardless of any activity or inactivity.",
    ),
    parameter(
        "watch",
        "boolean",
        "Watch for changes to the described resources and return them as a stream of add, update, and remove notifications.",
    ),
];

/// What is in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Kind(GroupVersionKind),
    ListOf(GroupVersionKind),
    Status,
    DeleteOptions,
    Patch,
    /// Streams and proxied answers.
    Text,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) path: String,
    pub(super) method: &'static str,
    /// `x-kubernetes-action`
    pub(super) action: &'static str,
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) description: String,
    pub(super) kind: GroupVersionKind,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<Content>,
    pub(super) consumes: Vec<&'static str>,
    pub(super) answers: Vec<u16>,
    pub(super) answer: Content,
}

pub(super) const PRODUCES: [&str; 2] = ["application/json", "application/yaml"];
pub(super) const STREAMS: [&str; 1] = ["application/json;stream=watch"];

/// All operations on a resource and its subresources.
pub(super) fn of(resource: &Resource) -> Vec<Operation> {
    let info = &*resource.info;
    let maker = Maker { info, custom: resource.schema.is_structural() };
    let mut operations = maker.main();
    for sub in &info.subresources {
        operations.extend(maker.sub(&sub.name, &sub.kind, &sub.verbs));
    }
    operations
}

struct Maker<'a> {
    info: &'a ResourceInfo,
    custom: bool,
}

/// `rbac.authorization.k8s.io` as `rbacAuthorization`
fn camel(group: &str) -> String {
    let group = group.strip_suffix(".k8s.io").unwrap_or(group);
    let mut words = if group.is_empty() { "core" } else { group }.split(['.', '-']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capital(word))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn with_article(kind: &str) -> String {
    let vowel = kind.starts_with(['A', 'E', 'I', 'O', 'U']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

impl Maker<'_> {
    fn root(&self) -> String {
        let info = self.info;
        if info.group.is_empty() {
            format!("/api/{}", info.version)
        } else {
            format!("/apis/{}/{}", info.group, info.version)
        }
    }

    fn collection(&self) -> String {
        let namespace = if self.info.namespaced() { "/namespaces/{namespace}" } else { "" };
        format!("{}{namespace}/{}", self.root(), self.info.plural)
    }

    /// `createAppsV1NamespacedDeployment`
    fn id(&self, verb: &str, part: &str) -> String {
        let scope = if self.info.namespaced() { "Namespaced" } else { "" };
        self.id_with_scope(verb, scope, part)
    }

    fn id_with_scope(&self, verb: &str, scope: &str, part: &str) -> String {
        let (group, version) = (capital(&camel(&self.info.group)), capital(&self.info.version));
        format!("{verb}{group}{version}{scope}{}{part}", self.info.kind)
    }

    fn operation(
        &self,
        path: String,
        method: &'static str,
        action: &'static str,
        id: String,
        text: String,
    ) -> Operation {
        Operation {
            path,
            method,
            action,
            id,
            tag: format!("{}_{}", camel(&self.info.group), self.info.version),
            description: text,
            kind: self.info.group_version_kind(),
            parameters: &[],
            body: None,
            consumes: vec!["*/*"],
            answers: vec![200],
            answer: Content::Kind(self.info.group_version_kind()),
        }
    }

    fn patch_types(&self) -> Vec<&'static str> {
        let mut types = vec!["application/json-patch+json", "application/merge-patch+json"];
        if !self.custom {
            types.push("application/strategic-merge-patch+json");
        }
        types.push("application/apply-patch+yaml");
        types
    }

    fn main(&self) -> Vec<Operation> {
        let kind = &self.info.kind;
        let own = || Content::Kind(self.info.group_version_kind());
        let (all, one) = (self.collection(), format!("{}/{{name}}", self.collection()));
        let mut made = Vec::new();
        for verb in &self.info.verbs {
            let operation = match verb {
                Verb::List => {
                    let text = format!("list or watch objects of kind {kind}");
                    let list = |path, id| Operation {
                        parameters: LIST,
                        answer: Content::ListOf(self.info.group_version_kind()),
                        ..self.operation(path, "get", "list", id, text.clone())
                    };
                    if self.info.namespaced() {
                        let id = self.id_with_scope("list", "", "ForAllNamespaces");
                        made.push(list(format!("{}/{}", self.root(), self.info.plural), id));
                    }
                    list(all.clone(), self.id("list", ""))
                }
                Verb::Create => Operation {
                    parameters: WRITE,
                    body: Some(own()),
                    answers: vec![200, 201, 202],
                    ..self.operation(
                        all.clone(),
                        "post",
                        "post",
                        self.id("create", ""),
                        format!("create {}", with_article(kind)),
                    )
                },
                Verb::DeleteCollection => Operation {
                    parameters: DELETE,
                    body: Some(Content::DeleteOptions),
                    answer: Content::Status,
                    ..self.operation(
                        all.clone(),
                        "delete",
                        "deletecollection",
                        self.id_with_scope(
                            "delete",
                            if self.info.namespaced() { "CollectionNamespaced" } else { "Collection" },
                            "",
                        ),
                        format!("delete collection of {kind}"),
                    )
                },
                Verb::Get => {
                    self.operation(one.clone(), "get", "get", self.id("read", ""), format!("read the specified {kind}"))
                }
                Verb::Update => Operation {
                    parameters: WRITE,
                    body: Some(own()),
                    answers: vec![200, 201],
                    ..self.operation(
                        one.clone(),
                        "put",
                        "put",
                        self.id("replace", ""),
                        format!("replace the specified {kind}"),
                    )
                },
                Verb::Patch => Operation {
                    parameters: PATCH,
                    body: Some(Content::Patch),
                    consumes: self.patch_types(),
                    answers: vec![200, 201],
                    ..self.operation(
                        one.clone(),
                        "patch",
                        "patch",
                        self.id("patch", ""),
                        format!("partially update the specified {kind}"),
                    )
                },
                Verb::Delete => Operation {
                    parameters: DELETE,
                    body: Some(Content::DeleteOptions),
                    answers: vec![200, 202],
                    answer: Content::Status,
                    ..self.operation(
                        one.clone(),
                        "delete",
                        "delete",
                        self.id("delete", ""),
                        format!("delete {}", with_article(kind)),
                    )
                },
                // A watch is a list with a parameter.
                Verb::Watch => continue,
            };
            made.push(operation);
        }
        made
    }

    fn sub(&self, name: &str, kind: &GroupVersionKind, verbs: &[Verb]) -> Vec<Operation> {
        let path = format!("{}/{{name}}/{name}", self.collection());
        let part = capital(name);
        let owner = &self.info.kind;
        let connects = kind.kind.ends_with("Options");
        let content = || if connects { Content::Text } else { Content::Kind(kind.clone()) };
        let make = |method, action: &'static str, id: &str, text: String| Operation {
            kind: kind.clone(),
            answer: if action == "get" && name == "log" { Content::Text } else { content() },
            ..self.operation(path.clone(), method, action, self.id(id, &part), text)
        };
        let method = |verb: &Verb| match verb {
            Verb::Get => Some("get"),
            Verb::Create => Some("post"),
            Verb::Update => Some("put"),
            Verb::Patch => Some("patch"),
            Verb::Delete => Some("delete"),
            _ => None,
        };
        let operation = |verb: &Verb| {
            let method = method(verb)?;
            if connects {
                let id = format!("connect{}", capital(method));
                return Some(make(
                    method,
                    "connect",
                    &id,
                    format!("connect {} requests to {name} of {owner}", method.to_uppercase()),
                ));
            }
            let of = format!("{name} of the specified {owner}");
            Some(match verb {
                Verb::Get => make("get", "get", "read", format!("read {of}")),
                Verb::Create => Operation {
                    parameters: WRITE,
                    body: Some(content()),
                    answers: vec![200, 201, 202],
                    ..make("post", "post", "create", format!("create {name} of {}", with_article(owner)))
                },
                Verb::Update => Operation {
                    parameters: WRITE,
                    body: Some(content()),
                    answers: vec![200, 201],
                    ..make("put", "put", "replace", format!("replace {of}"))
                },
                Verb::Patch => Operation {
                    parameters: PATCH,
                    body: Some(Content::Patch),
                    consumes: self.patch_types(),
                    answers: vec![200, 201],
                    ..make("patch", "patch", "patch", format!("partially update {of}"))
                },
                _ => return None,
            })
        };
        verbs.iter().filter_map(operation).collect()
    }
}

/// The parameters of a path itself.
pub(super) fn path_parameters(path: &str, kind: &str) -> Vec<(&'static str, String)> {
    let mut parameters = Vec::new();
    if path.contains("{name}") {
        parameters.push(("name", format!("name of the {kind}")));
    }
    if path.contains("{namespace}") {
        parameters.push(("namespace", "object name and auth scope, such as for teams and projects".to_owned()));
    }
    parameters
}
