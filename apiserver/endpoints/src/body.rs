//! Request and response bodies.

use api_meta::Status;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The largest request body (upstream: `MaxRequestBodyBytes`).
pub const REQUEST_LIMIT: usize = 3 * 1024 * 1024;

pub fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    boxed(Full::new(bytes.into()))
}

pub fn empty() -> Body {
    full(Bytes::new())
}

/// The whole body, up to the limit; more is refused without being read, at once where the client says how much it is.
pub async fn read(mut body: Body) -> Result<Bytes, Status> {
    let too_large = || Status::too_large(format!("Request entity too large: limit is {REQUEST_LIMIT}"));
    if body.size_hint().lower() > REQUEST_LIMIT as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::bad_request(format!("the body could not be read: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len() + data.len() > REQUEST_LIMIT {
            return Err(too_large());
        }
        whole.extend_from_slice(data);
    }
    Ok(whole.freeze())
}

/// The beginning of a body that is only to be shown; what cannot be read is left out.
pub(crate) async fn beginning(mut body: Body, limit: usize) -> Bytes {
    let mut start = BytesMut::new();
    while start.len() < limit
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            start.extend_from_slice(&data[..data.len().min(limit - start.len())]);
        }
    }
    start.freeze()
}
