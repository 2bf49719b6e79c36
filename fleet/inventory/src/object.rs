//! From an object as the API writes it to what is told of it. Managed fields and annotations are never kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tunnel_protocol::inventory::Object;

use crate::discovery::Served;

/// Whose containers' images are read. Of all other kinds the metadata alone is asked for.
const RUN_IMAGES: [(&str, &str); 7] = [
    ("", "pods"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
];

impl Served {
    pub(crate) fn runs_images(&self) -> bool {
        RUN_IMAGES.contains(&(&*self.group, &*self.resource))
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) version: String,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    pub(crate) objects: Vec<Object>,
}

impl Page {
    pub(crate) fn read(bytes: &[u8], kind: u16, runs_images: bool) -> Result<Self, serde_json::Error> {
        match runs_images {
            true => Self::of::<Spec>(bytes, kind),
            false => Self::of::<IgnoredAny>(bytes, kind),
        }
    }

    fn of<'a, S: Deserialize<'a> + Images>(bytes: &'a [u8], kind: u16) -> Result<Self, serde_json::Error> {
        let list: List<S> = serde_json::from_slice(bytes)?;
        let objects = list.items.unwrap_or_default().into_iter().map(|item| item.told(kind)).collect();
        let Position { resource_version, next, .. } = list.metadata;
        Ok(Self { version: resource_version.unwrap_or_default(), next: next.filter(|next| !next.is_empty()), objects })
    }
}

/// An event of a watch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An object is there, as of this version.
    Put(Object, String),
    /// An object is gone, as of this version.
    Gone(Object, String),
    /// Nothing has happened until this version.
    Bookmark(String),
    /// The watch is over, with this status.
    Error(u16),
}

impl Event {
    pub(crate) fn read(bytes: &[u8], kind: u16, runs_images: bool) -> Result<Self, serde_json::Error> {
        let Raw { r#type, object } = serde_json::from_slice(bytes)?;
        let object = object.get();
        match &*r#type {
            "BOOKMARK" => Ok(Self::Bookmark(
                serde_json::from_str::<Marked>(object)?.metadata.resource_version.unwrap_or_default(),
            )),
            "ERROR" => Ok(Self::Error(serde_json::from_str::<Code>(object)?.code)),
            r#type => {
                let (object, version) = match runs_images {
                    true => serde_json::from_str::<Item<Spec>>(object)?.versioned(kind),
                    false => serde_json::from_str::<Item<IgnoredAny>>(object)?.versioned(kind),
                };
                Ok(if r#type == "DELETED" { Self::Gone(object, version) } else { Self::Put(object, version) })
            }
        }
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize)]
struct Marked {
    metadata: Position,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
struct List<S> {
    #[serde(default)]
    metadata: Position,
    items: Option<Vec<Item<S>>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
struct Item<S> {
    metadata: Metadata,
    spec: Option<S>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    namespace: Option<String>,
    creation_timestamp: Option<Timestamp>,
    labels: Option<BTreeMap<String, String>>,
    resource_version: Option<String>,
}

impl<S: Images> Item<S> {
    fn told(self, kind: u16) -> Object {
        self.versioned(kind).0
    }

    fn versioned(self, kind: u16) -> (Object, String) {
        let Metadata { name, namespace, creation_timestamp, labels, resource_version } = self.metadata;
        let created = creation_timestamp.and_then(|at| u32::try_from(at.as_second()).ok()).unwrap_or_default();
        let mut images = Vec::new();
        if let Some(spec) = self.spec {
            spec.images(&mut images);
        }
        let namespace = namespace.unwrap_or_default();
        let object = Object { kind, namespace, name, created, labels: labels.unwrap_or_default(), images };
        (object, resource_version.unwrap_or_default())
    }
}

/// What may hold images.
trait Images {
    fn images(self, found: &mut Vec<String>);
}

impl Images for IgnoredAny {
    fn images(self, _: &mut Vec<String>) {}
}

/// A Pod's, and that of whatever makes Pods.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    init_containers: Option<Vec<Container>>,
    containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
    template: Option<Box<Template>>,
    job_template: Option<Box<Template>>,
}

#[derive(Deserialize)]
struct Container {
    image: Option<String>,
}

#[derive(Deserialize)]
struct Template {
    spec: Option<Spec>,
}

impl Images for Spec {
    fn images(self, found: &mut Vec<String>) {
        let lists = [self.init_containers, self.containers, self.ephemeral_containers];
        for image in lists.into_iter().flatten().flatten().filter_map(|container| container.image) {
            if !found.contains(&image) {
                found.push(image);
            }
        }
        for spec in [self.template, self.job_template].into_iter().flatten().filter_map(|template| template.spec) {
            spec.images(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(object: &str, runs_images: bool, labels: &[(&str, &str)], images: &[&str]) {
        let event = format!(r#"{{"type":"ADDED","object":{object}}}"#);
        let Event::Put(object, version) = Event::read(event.as_bytes(), 7, runs_images).unwrap() else {
            panic!("an object")
        };
        assert_eq!((object.kind, &*object.name, &*version), (7, "a", "12"));
        let found: Vec<_> = object.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!((found.as_slice(), object.images), (labels, images.iter().map(|&image| image.to_owned()).collect()));
    }

    #[test]
    fn what_is_told_of_an_object() {
        let metadata = r#""metadata":{"name":"a","resourceVersion":"12","labels":{"k":"v"},"managedFields":[{"x":1}]}"#;
        let containers = r#""initContainers":[{"image":"i"}],"containers":[{"image":"c"},{"image":"c"},{}]"#;
        let pod = format!(r#"{{{metadata},"spec":{{{containers},"ephemeralContainers":null}}}}"#);
        check(&pod, true, &[("k", "v")], &["i", "c"]);
        check(&pod, false, &[("k", "v")], &[]);
        let template = format!(r#"{{"spec":{{{containers}}}}}"#);
        check(&format!(r#"{{{metadata},"spec":{{"template":{template}}}}}"#), true, &[("k", "v")], &["i", "c"]);
        let cron = format!(r#"{{{metadata},"spec":{{"jobTemplate":{{"spec":{{"template":{template}}}}}}}}}"#);
        check(&cron, true, &[("k", "v")], &["i", "c"]);
        check(r#"{"metadata":{"name":"a","resourceVersion":"12","labels":null},"spec":"text"}"#, false, &[], &[]);
    }

    #[test]
    fn other_events() {
        let read = |text: &str| Event::read(text.as_bytes(), 1, false).unwrap();
        assert_eq!(
            read(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#),
            Event::Bookmark("9".into())
        );
        assert_eq!(read(r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#), Event::Error(410));
        let gone =
            read(r#"{"type":"DELETED","object":{"metadata":{"name":"a","namespace":"n","resourceVersion":"3"}}}"#);
        let object = Object { kind: 1, namespace: "n".into(), name: "a".into(), ..Object::default() };
        assert_eq!(gone, Event::Gone(object, "3".into()));
    }

    #[test]
    fn a_page() {
        let text = br#"{"metadata":{"resourceVersion":"5","continue":"x"},"items":[{"metadata":{"name":"a","creationTimestamp":"2026-01-01T00:00:00Z"}}]}"#;
        let page = Page::read(text, 1, false).unwrap();
        assert_eq!((&*page.version, page.next.as_deref(), page.objects[0].created), ("5", Some("x"), 1_767_225_600));
        assert!(Page::read(br#"{"items":null}"#, 1, false).unwrap().objects.is_empty());
        assert!(Page::read(b"<html>", 1, false).is_err());
    }
}
