//! Content types: which form an answer takes, and how a body is to be read.

use api_meta::{Details, Reason, Status};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Json,
    Yaml,
}

impl Media {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// What is made of the object before it is written (`as=` in `Accept`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transform {
    None,
    Table { version: String },
    Metadata { version: String },
    MetadataList { version: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub media: Media,
    pub transform: Transform,
}

impl Form {
    pub const JSON: Self = Self { media: Media::Json, transform: Transform::None };
}

const PLAIN: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// One alternative of an `Accept` header.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts.filter_map(|p| p.split_once('=')).collect();
        let quality = parameters.iter().find(|(k, _)| *k == "q").and_then(|(_, v)| v.parse().ok()).unwrap_or(1.0);
        Self { media, parameters, quality }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(k, _)| *k == name).map(|(_, v)| *v)
    }
}

/// The first acceptable form, best quality first.
///
/// # Errors
///
/// 406 when nothing that is asked for can be given.
pub fn accept(headers: &HeaderMap) -> Result<Form, Status> {
    choose(headers, false)
}

/// The form of a watch, which is never YAML.
///
/// # Errors
///
/// As [`accept`].
pub fn accept_stream(headers: &HeaderMap) -> Result<Form, Status> {
    choose(headers, true)
}

fn choose(headers: &HeaderMap, watch: bool) -> Result<Form, Status> {
    let header = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    let mut clauses: Vec<_> = header.split(',').map(Clause::parse).filter(|c| !c.media.is_empty()).collect();
    if clauses.is_empty() {
        return Ok(Form::JSON);
    }
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    let mut known_media = false;
    for clause in &clauses {
        let media = match clause.media {
            "application/json" | "*/*" | "application/*" => Media::Json,
            "application/yaml" if !watch => Media::Yaml,
            "application/yaml" => {
                known_media = true;
                continue;
            }
            _ => continue,
        };
        known_media = true;
        if let Some(transform) = transform(clause) {
            return Ok(Form { media, transform });
        }
    }
    Err(if known_media { Status::not_acceptable(if watch { STREAMS } else { PLAIN }) } else { unavailable(watch) })
}

/// `None` when the transformation asked for does not exist.
fn transform(clause: &Clause<'_>) -> Option<Transform> {
    let Some(target) = clause.parameter("as") else { return Some(Transform::None) };
    let version = clause.parameter("v").filter(|v| ["v1", "v1beta1"].contains(v))?.to_owned();
    if clause.parameter("g") != Some("meta.k8s.io") {
        return None;
    }
    match target {
        "Table" => Some(Transform::Table { version }),
        "PartialObjectMetadata" => Some(Transform::Metadata { version }),
        "PartialObjectMetadataList" => Some(Transform::MetadataList { version }),
        _ => None,
    }
}

fn unavailable(watch: bool) -> Status {
    let streams = if watch { format!(", {STREAMS}") } else { String::new() };
    let message = format!("406: Not Acceptable\n\nAvailable representations: {PLAIN}{streams}");
    Status::failure(406, Reason::NotAcceptable, message).with_details(Details::default())
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// How the body is written; JSON when the client does not say.
///
/// # Errors
///
/// 415 for anything else than JSON, YAML and Kubernetes' protobuf.
pub fn content_type(headers: &HeaderMap) -> Result<Encoding, Status> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Encoding::Json) };
    let media = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match media {
        "" | "application/json" => Ok(Encoding::Json),
        "application/yaml" => Ok(Encoding::Yaml),
        apiserver_protobuf::MEDIA_TYPE => Ok(Encoding::Protobuf),
        _ => Err(Status::unsupported_media_type(PLAIN)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(accepted: &str, expect: Result<Form, u16>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accepted.parse().unwrap());
        assert_eq!(accept(&headers).map_err(|s| s.code), expect, "{accepted}");
    }

    #[test]
    fn forms() {
        let table = Form { media: Media::Json, transform: Transform::Table { version: "v1".into() } };
        check("application/json", Ok(Form::JSON));
        check("application/vnd.kubernetes.protobuf,application/json", Ok(Form::JSON));
        check("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Ok(table));
        check("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Ok(Form::JSON));
        check("application/json;as=Table;v=v2;g=meta.k8s.io", Err(406));
        check("application/yaml;q=0.1, application/json;q=0.9", Ok(Form::JSON));
        check("text/html", Err(406));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        /// Whatever the header, the answer is in a form it names or there is none.
        #[test]
        fn only_what_is_accepted_is_given(
            clauses in prop::collection::vec(
                (
                    prop_oneof![
                        Just("application/json".to_owned()), Just("application/yaml".to_owned()), Just("*/*".to_owned()),
                        Just("application/vnd.kubernetes.protobuf".to_owned()), "[ -~]{0,12}",
                    ],
                    prop_oneof![
                        Just(String::new()), Just(";q=0.5".to_owned()), Just(";q=nan".to_owned()),
                        Just(";as=Table;v=v1;g=meta.k8s.io".to_owned()), Just(";as=Table;v=v9".to_owned()), "[ -~]{0,12}",
                    ],
                ),
                0..5,
            ),
        ) {
            let text: Vec<String> = clauses.iter().map(|(media, parameters)| format!("{media}{parameters}")).collect();
            let text = text.join(",");
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, text.parse().unwrap());
            let named = |wanted: &str| text.split(',').any(|c| c.split(';').next().unwrap_or_default().trim() == wanted);
            let any = named("*/*") || named("application/*");
            let nothing = text.split(',').all(|c| c.split(';').next().unwrap_or_default().trim().is_empty());
            match accept(&headers) {
                Ok(form) => {
                    prop_assert!(nothing || any || named(form.media.content_type()), "{form:?} for {text:?}");
                    prop_assert_eq!(form.transform == Transform::None || text.contains("as="), true);
                }
                Err(status) => prop_assert_eq!(status.code, 406),
            }
            match accept_stream(&headers) {
                Ok(form) => prop_assert_eq!(form.media, Media::Json),
                Err(status) => prop_assert_eq!(status.code, 406),
            }
        }

        #[test]
        fn any_content_type_is_known_or_refused(text in "[ -~]{0,40}") {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().unwrap());
            if let Err(status) = content_type(&headers) {
                prop_assert_eq!(status.code, 415);
            }
        }
    }
}
