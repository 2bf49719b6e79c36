//! Which objects a cluster has, told as they come and go.
//!
//! The answer to `GET` of [`PATH`] on [`Target::Inventory`](crate::Target::Inventory) is one JSON object on each line, and
//! has no end. For each kind there is a listing first, from [`Line::Begin`] to [`Line::End`], and then what changes. A
//! listing that broke off begins again; nothing is gone by that. [`Line::Kinds`] says which kinds there are, and a
//! [`Line::Beat`] that all is well, when there is nothing else to say.
//!
//! What comes is the word of a machine that somebody else runs. So every line has a bound, and its texts are plain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plain::tame;

/// Where the agent serves it.
pub const PATH: &str = "/acp/v1/inventory";
/// In whose name a cluster is read: its own rules decide, and the hub lays a role of that name.
pub const USER: &str = "acp:hub:inventory";
/// Between two beats, at most. Who hears nothing for three of them takes the other for dead.
pub const BEAT: std::time::Duration = std::time::Duration::from_secs(10);

/// The longest line, with its end.
pub const MAX_LINE: usize = 256 * 1024;
/// Kinds of one cluster: their numbers are smaller.
pub const MAX_KINDS: usize = 8192;
const MAX_NAME: usize = 1024;
const MAX_LABELS: usize = 512;
const MAX_IMAGES: usize = 128;
const MAX_IMAGE: usize = 512;
/// For what people read, in characters.
const MAX_MESSAGE: usize = 512;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A kind has this number from now on, and all its objects will be put.
    Begin(Kind),
    /// An object is there, as it is now.
    Put(Object),
    /// An object is gone.
    Drop(Gone),
    /// All objects of a kind have been put.
    End(Listed),
    /// These kinds there are, and no others.
    Kinds(Kinds),
    /// The objects of a kind cannot be listed now; what was told of them may be old.
    Lost(Lost),
    /// All is well.
    Beat {},
}

/// A kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// Its number in this feed.
    #[serde(rename = "k")]
    pub number: u16,
    /// The API group; empty for the first one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The version that the cluster prefers.
    pub version: String,
    /// The plural in paths.
    pub resource: String,
    /// The name of the type.
    pub kind: String,
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The number of its kind.
    #[serde(rename = "k")]
    pub kind: u16,
    /// Empty for objects of the whole cluster.
    #[serde(rename = "ns", default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(rename = "n")]
    pub name: String,
    /// When it was created: seconds since 1970.
    #[serde(rename = "c", default)]
    pub created: u32,
    /// Its labels.
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The images that its containers run, or would.
    #[serde(rename = "i", default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// An object that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The number of its kind.
    #[serde(rename = "k")]
    pub kind: u16,
    /// Empty for objects of the whole cluster.
    #[serde(rename = "ns", default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(rename = "n")]
    pub name: String,
}

/// A kind whose listing is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its number.
    #[serde(rename = "k")]
    pub kind: u16,
}

/// The kinds that are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kinds {
    /// Their numbers.
    #[serde(rename = "k")]
    pub kinds: Vec<u16>,
}

/// A kind that cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Its number.
    #[serde(rename = "k")]
    pub kind: u16,
    /// Why, for people.
    pub why: String,
}

/// A line that nobody should have sent. What follows it is not believed either.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// It is too long.
    #[error("a line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// It is something else.
    #[error("could not decode a line")]
    Decode(#[source] serde_json::Error),
    /// Something in it is too long, or there is too much of it.
    #[error("{what} of a line exceeds {limit}")]
    Exceeds {
        /// What.
        what: &'static str,
        /// Bytes, or how many.
        limit: usize,
    },
    /// An object or kind without a name.
    #[error("{0} of a line is empty")]
    Empty(&'static str),
}

impl Line {
    /// Decodes a line without its end, and makes its texts harmless.
    ///
    /// # Errors
    /// When it is no line, or too much of one.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadLine> {
        if bytes.len() >= MAX_LINE {
            return Err(BadLine::TooLong);
        }
        let mut line: Self = serde_json::from_slice(bytes).map_err(BadLine::Decode)?;
        line.tame();
        line.check()?;
        Ok(line)
    }

    /// Writes a line, and its end. What nobody would take is cut: an object keeps as many of its labels and images as
    /// there may be. Says whether there is a line at all: what has a name that is too long has none.
    pub fn write(mut self, out: &mut Vec<u8>) -> bool {
        self.tame();
        if let Self::Put(object) = &mut self {
            object.cut();
        }
        if self.check().is_err() {
            return false;
        }
        let start = out.len();
        if self.write_whole(out) {
            return true;
        }
        // Only texts that are mostly escapes are that long.
        if let Self::Put(object) = &mut self {
            (object.labels, object.images) = Default::default();
        }
        out.truncate(start);
        let fits = self.write_whole(out);
        if !fits {
            out.truncate(start);
        }
        fits
    }

    fn write_whole(&self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let written = serde_json::to_writer(&mut *out, self).is_ok();
        out.push(b'\n');
        written && out.len() - start <= MAX_LINE
    }

    fn tame(&mut self) {
        let plain = |texts: &mut [&mut String]| texts.iter_mut().for_each(|text| tame(text, usize::MAX));
        match self {
            Self::Begin(Kind { group, version, resource, kind, .. }) => plain(&mut [group, version, resource, kind]),
            Self::Put(object) => object.tame(),
            Self::Drop(Gone { namespace, name, .. }) => plain(&mut [namespace, name]),
            Self::Lost(lost) => tame(&mut lost.why, MAX_MESSAGE),
            Self::End(_) | Self::Kinds(_) | Self::Beat {} => {}
        }
    }

    fn check(&self) -> Result<(), BadLine> {
        match self {
            Self::Begin(kind) => {
                number(kind.number)?;
                at_most("a group", kind.group.len(), MAX_NAME)?;
                [("a version", &kind.version), ("a resource", &kind.resource), ("a kind", &kind.kind)]
                    .into_iter()
                    .try_for_each(|(what, text)| named(what, text))
            }
            Self::Put(object) => object.check(),
            Self::Drop(Gone { kind, namespace, name }) => {
                number(*kind)?;
                at_most("a namespace", namespace.len(), MAX_NAME)?;
                named("a name", name)
            }
            Self::End(Listed { kind }) | Self::Lost(Lost { kind, .. }) => number(*kind),
            Self::Kinds(Kinds { kinds }) => {
                at_most("the number of kinds", kinds.len(), MAX_KINDS)?;
                kinds.iter().try_for_each(|kind| number(*kind))
            }
            Self::Beat {} => Ok(()),
        }
    }
}

impl Object {
    fn tame(&mut self) {
        let Self { namespace, name, labels, images, .. } = self;
        [namespace, name].into_iter().chain(images).for_each(|text| tame(text, usize::MAX));
        labels.values_mut().for_each(|value| tame(value, usize::MAX));
        // A key that was tamed may be another's; then there is one of them.
        let mut tamed = BTreeMap::new();
        for (mut key, value) in std::mem::take(labels) {
            tame(&mut key, usize::MAX);
            tamed.insert(key, value);
        }
        *labels = tamed;
    }

    fn cut(&mut self) {
        self.labels.retain(|key, value| key.len() <= MAX_NAME && value.len() <= MAX_NAME);
        while self.labels.len() > MAX_LABELS {
            self.labels.pop_last();
        }
        self.images.truncate(MAX_IMAGES);
        self.images.iter_mut().for_each(|image| image.truncate(image.floor_char_boundary(MAX_IMAGE)));
    }

    fn check(&self) -> Result<(), BadLine> {
        number(self.kind)?;
        at_most("a namespace", self.namespace.len(), MAX_NAME)?;
        named("a name", &self.name)?;
        at_most("the number of labels", self.labels.len(), MAX_LABELS)?;
        for (key, value) in &self.labels {
            at_most("a label", key.len().max(value.len()), MAX_NAME)?;
        }
        at_most("the number of images", self.images.len(), MAX_IMAGES)?;
        self.images.iter().try_for_each(|image| at_most("an image", image.len(), MAX_IMAGE))
    }
}

fn named(what: &'static str, text: &str) -> Result<(), BadLine> {
    match text.len() {
        0 => Err(BadLine::Empty(what)),
        len => at_most(what, len, MAX_NAME),
    }
}

fn number(kind: u16) -> Result<(), BadLine> {
    at_most("the number of a kind", usize::from(kind), MAX_KINDS - 1)
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), BadLine> {
    if found <= limit { Ok(()) } else { Err(BadLine::Exceeds { what, limit }) }
}

/// Lines out of pieces as they arrive. Holds no more than one line that is not whole.
#[derive(Debug, Default)]
pub struct Decoder {
    begun: Vec<u8>,
}

impl Decoder {
    /// The lines that these bytes complete.
    ///
    /// # Errors
    /// When one of them is bad; the feed is of no more use.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Line>, BadLine> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (piece, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            let line = if self.begun.is_empty() {
                Line::decode(piece)
            } else if self.begun.len() + piece.len() >= MAX_LINE {
                Err(BadLine::TooLong)
            } else {
                self.begun.extend_from_slice(piece);
                let line = Line::decode(&self.begun);
                self.begun.clear();
                line
            };
            lines.push(line?);
        }
        if self.begun.len() + bytes.len() >= MAX_LINE {
            return Err(BadLine::TooLong);
        }
        self.begun.extend_from_slice(bytes);
        Ok(lines)
    }
}

#[cfg(test)]
mod tests;
