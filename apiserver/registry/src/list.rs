//! Lists: `resourceVersion` semantics, selection, and pages pinned to one revision.

use std::sync::Arc;

use api_meta::{FieldSelector, LabelSelector, Object, Status};
use apiserver_model::schema::decode::json_error;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use store_core::{Range, Revision};

use crate::entry::Entry;
use crate::error::from_store;
use crate::{Registry, Served};

/// How fresh the answer must be (`resourceVersion` and `resourceVersionMatch` together).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionMatch {
    /// Everything acknowledged before the request.
    #[default]
    MostRecent,
    /// Whatever is at hand.
    Any,
    NotOlderThan(u64),
    Exact(u64),
}

#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    pub version: VersionMatch,
    /// 0 is no limit.
    pub limit: usize,
    pub continue_token: String,
}

pub struct Listed {
    pub entries: Vec<Arc<Entry>>,
    pub revision: u64,
    pub continue_token: String,
    pub remaining: Option<u64>,
}

/// Where the next page begins; opaque to clients, checked as upstream checks its own.
#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

/// As Go decodes: padding is optional, bits that say nothing are not looked at.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// In the place of a revision: whatever is current then.
const AS_OF_NOW: i64 = -1;

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

impl Registry {
    pub async fn list(&self, served: &Served, namespace: &str, options: &ListOptions) -> Result<Listed, Status> {
        let collection = served.stored()?;
        if !options.continue_token.is_empty() {
            let token = decode_token(&options.continue_token)?;
            let at = if token.rv > 0 { token.rv as u64 } else { self.mirror().wait_current().await? };
            let expired = || continue_expired(token.start.clone());
            return self.list_past(served, namespace, options, at, Some(&token.start), expired).await;
        }
        let revision = match options.version {
            VersionMatch::MostRecent => self.mirror().wait_current().await?,
            VersionMatch::Any => self.mirror().applied(),
            VersionMatch::NotOlderThan(revision) => {
                self.mirror().wait_for(revision).await?;
                self.mirror().applied()
            }
            VersionMatch::Exact(revision) => {
                self.mirror().wait_for(revision).await?;
                return self.list_past(served, namespace, options, revision, None, version_expired).await;
            }
        };
        // The walk may already see changes after `revision`; a watch from there repeats them, which clients allow.
        let mut selected = Vec::new();
        for entry in collection.list(namespace) {
            if selects(served, options, &entry)? {
                selected.push(entry);
            }
        }
        Ok(page(selected, 0, options, revision))
    }

    /// The state at one revision, read from the store; `expired` says that the store has forgotten it.
    async fn list_past(
        &self,
        served: &Served,
        namespace: &str,
        options: &ListOptions,
        revision: u64,
        after: Option<&str>,
        expired: impl Fn() -> Status,
    ) -> Result<Listed, Status> {
        let prefix = served.stored()?.prefix().to_owned();
        let span = if namespace.is_empty() { prefix.clone() } else { format!("{prefix}{namespace}/") };
        let everything = options.selects_everything();
        // The store counts what is behind each page: as few pages as there can be.
        let chunk = match options.limit {
            0 => CHUNK,
            limit if everything => limit.min(CHUNK),
            _ => SELECTED_CHUNK,
        };
        let mut range = Range::prefix(span).at(Revision(revision)).limit(chunk);
        if let Some(after) = after {
            range = range.after(format!("{prefix}{after}"));
        }
        let mut selected = Vec::new();
        loop {
            let found = self.mirror().store().range(range.clone()).await.map_err(|error| match error {
                store_core::Error::Compacted { .. } => expired(),
                other => from_store(&other),
            })?;
            for kv in &found.items {
                let entry = Arc::new(Entry::new(kv, prefix.len()));
                if selects(served, options, &entry)? {
                    selected.push(entry);
                }
            }
            // One more than is wanted tells that there is more; without a selection the store does.
            let full = options.limit > 0 && selected.len() >= options.limit.saturating_add(usize::from(!everything));
            match found.items.last() {
                Some(last) if found.more && !full => range = range.after(last.key.to_string()),
                _ => {
                    let behind = if everything { found.remaining } else { 0 };
                    return Ok(page(selected, behind, options, revision));
                }
            }
        }
    }
}

fn version_expired() -> Status {
    Status::expired("The resourceVersion for the provided list is too old.")
}

/// A list that cannot go on as of its first page may go on as of now (upstream: `handleCompactedErrorForPaging`).
fn continue_expired(start: String) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.metadata.insert("continue".into(), encode_token(AS_OF_NOW, start).into());
    status
}

/// How many objects are read from the store at a time, ...
const CHUNK: usize = 10_000;
/// ... and how many where most of them may not be wanted.
const SELECTED_CHUNK: usize = 2_000;

impl ListOptions {
    fn selects_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }
}

/// The first objects of those selected; `behind` says how many more there are than were looked at.
fn page(mut selected: Vec<Arc<Entry>>, behind: u64, options: &ListOptions, revision: u64) -> Listed {
    let total = selected.len() as u64 + behind;
    let (mut continue_token, mut remaining) = (String::new(), None);
    if options.limit > 0 && total > options.limit as u64 {
        selected.truncate(options.limit);
        let start = selected.last().map(|e| e.relative_key().to_owned()).unwrap_or_default();
        continue_token = encode_token(revision as i64, start);
        if options.selects_everything() {
            remaining = Some(total - options.limit as u64);
        }
    }
    Listed { entries: selected, revision, continue_token, remaining }
}

fn selects(served: &Served, options: &ListOptions, entry: &Entry) -> Result<bool, Status> {
    entry.check()?;
    if !options.labels.matches(entry.labels()) {
        return Ok(false);
    }
    fields_match(served, &options.fields, entry)
}

pub(crate) fn fields_match(served: &Served, fields: &FieldSelector, entry: &Entry) -> Result<bool, Status> {
    for (name, equal, wanted) in &fields.terms {
        let same = match &**name {
            "metadata.name" => entry.name() == wanted,
            "metadata.namespace" => entry.namespace() == wanted,
            other => entry.field(served, other)?.unwrap_or_default() == *wanted,
        };
        if same != *equal {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The object in the version that is served.
pub(crate) fn decoded(served: &Served, entry: &Entry) -> Result<Object, Status> {
    Ok(in_served_version(served, entry.object()?))
}

pub(crate) fn in_served_version(served: &Served, object: Object) -> Object {
    let info = served.info();
    if info.storage_version == info.group_version() {
        object
    } else {
        served.resource.strategy.convert(object, &info.group_version())
    }
}

fn encode_token(rv: i64, start: String) -> String {
    let token = Token { v: TOKEN_VERSION.into(), rv, start };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

fn decode_token(text: &str) -> Result<Token, Status> {
    let refuse = |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = LENIENT.decode(text).map_err(|e| refuse(e.to_string()))?;
    let token: Token =
        serde_json::from_slice(&bytes).map_err(|e| refuse(json_error(&bytes).unwrap_or_else(|| e.to_string())))?;
    if token.v != TOKEN_VERSION {
        return Err(refuse(format!("server does not recognize this encoded version {}", token.v)));
    }
    if token.start.is_empty() || token.start.split('/').any(|part| part == ".." || part == ".") {
        return Err(refuse(token.start));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let Err(status) = decode_token(text) else { panic!("{text:?} was taken") };
        assert_eq!(status.code, 400, "{text:?}");
        assert!(status.message.contains(why), "{text:?}: {}", status.message);
    }

    fn forged(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn broken_tokens_are_refused_and_say_why() {
        refused("???", "continue key is not valid");
        refused(&forged("no json"), "continue key is not valid");
        refused(&forged(r#"{"v":"v9","rv":1,"start":"a"}"#), "does not recognize this encoded version v9");
        refused(&forged(r#"{"v":"meta.k8s.io/v1","rv":1,"start":""}"#), "continue key is not valid");
        refused(&forged(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/../../secrets/b"}"#), "a/../../secrets/b");
        refused(&forged(&"[".repeat(100_000)), "continue key is not valid");
    }

    proptest! {
        #[test]
        fn a_token_comes_back_as_it_was_made(rv in any::<i64>(), start in "[a-z][a-z0-9./-]{0,20}") {
            let clean = !start.split('/').any(|part| part == ".." || part == ".");
            let read = decode_token(&encode_token(rv, start.clone()));
            prop_assert_eq!(read.ok().map(|token| (token.rv, token.start)), clean.then_some((rv, start)));
        }

        #[test]
        fn any_text_is_a_token_or_is_refused(text in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for text in [text, URL_SAFE_NO_PAD.encode(bytes)] {
                if let Err(status) = decode_token(&text) {
                    prop_assert_eq!(status.code, 400);
                }
            }
        }
    }
}
