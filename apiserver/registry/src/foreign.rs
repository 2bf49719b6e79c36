//! Stored bytes that are no object: something other than this API server wrote them.
//!
//! Whoever shares an etcd can put anything there. What it is not, is known when it is read from the store, so that it is
//! told wherever the object is asked for, by its key, and never handed on as if it were JSON.

use std::fmt;

use serde_json::error::Category;

/// Why stored bytes are not an object. Says nothing of their content, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Kubernetes' own encoding, which begins with these bytes.
    Protobuf,
    /// Encrypted at rest: `k8s:enc:` and the provider's name.
    Encrypted,
    /// Not UTF-8.
    NoText,
    /// Not JSON from this place on.
    Syntax { line: usize, column: usize },
    /// JSON that ends too soon.
    CutShort,
    /// JSON that is something else.
    NoObject,
}

const PROTOBUF: &[u8] = b"k8s\0";
const ENCRYPTED: &[u8] = b"k8s:enc:";

impl Fault {
    /// The bytes as text, which JSON is.
    pub(crate) fn text(value: &[u8]) -> Result<&str, Self> {
        if value.starts_with(PROTOBUF) {
            return Err(Self::Protobuf);
        }
        if value.starts_with(ENCRYPTED) {
            return Err(Self::Encrypted);
        }
        std::str::from_utf8(value).map_err(|_| Self::NoText)
    }

    /// The fault that made a decoder refuse.
    pub(crate) fn of(error: &serde_json::Error) -> Self {
        match error.classify() {
            Category::Eof => Self::CutShort,
            Category::Data => Self::NoObject,
            Category::Syntax | Category::Io => Self::Syntax { line: error.line(), column: error.column() },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protobuf => f.write_str(
                "it is Kubernetes' protobuf, and this API server reads JSON; a kube-apiserver on the same etcd has to \
                 run with --storage-media-type=application/json",
            ),
            Self::Encrypted => f.write_str("it is encrypted at rest, and this API server has no key"),
            Self::NoText => f.write_str("it is not text"),
            Self::Syntax { line, column } => write!(f, "it is not JSON from line {line}, column {column} on"),
            Self::CutShort => f.write_str("it is JSON that ends too soon"),
            Self::NoObject => f.write_str("it is JSON, but not an object with metadata"),
        }
    }
}
