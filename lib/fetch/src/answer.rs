//! What came back.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::Error;

/// A status and a body, whatever they say.
pub struct Answer {
    pub(crate) from: String,
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body, if it is JSON, whatever the status.
    ///
    /// # Errors
    ///
    /// [`Error::Json`].
    pub fn json(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Json(self.from.clone(), error))
    }

    /// This answer, if it is 200.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`].
    pub fn ok(self) -> Result<Self, Error> {
        match self.status {
            StatusCode::OK => Ok(self),
            status => Err(Error::Answer(self.from, status)),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, status, body } = self;
        let mut it = f.debug_struct("Answer");
        it.field("from", from).field("status", status).field("bytes", &body.len()).finish_non_exhaustive()
    }
}
