//! Frames on the wire, before header compression.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::SpdyError;

/// A frame larger than this is refused; spdystream sends at most 32 KiB of data at once.
const LIMIT: usize = 1 << 20;
const CONTROL: u32 = 0x8003_0000;
pub(super) const FIN: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    SynStream {
        id: u32,
        fin: bool,
        block: Bytes,
    },
    SynReply {
        id: u32,
        fin: bool,
        block: Bytes,
    },
    Reset {
        id: u32,
        status: u32,
    },
    Ping {
        id: u32,
    },
    GoAway {
        last: u32,
    },
    Headers {
        id: u32,
        fin: bool,
        block: Bytes,
    },
    Data {
        id: u32,
        fin: bool,
        bytes: Bytes,
    },
    /// Settings, window updates and what the draft does not know: read and passed over.
    Other,
}

/// The next whole frame of `input`, if it is there.
pub(super) fn decode(input: &mut BytesMut) -> Result<Option<Frame>, SpdyError> {
    let Some(head) = input.first_chunk::<8>() else { return Ok(None) };
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let flags = head[4];
    let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
    if length > LIMIT {
        return Err(SpdyError::Protocol("a frame is too large"));
    }
    if input.len() < 8 + length {
        input.reserve(8 + length - input.len());
        return Ok(None);
    }
    input.advance(8);
    let body = input.split_to(length).freeze();
    let fin = flags & FIN != 0;
    if first & 0x8000_0000 == 0 {
        return Ok(Some(Frame::Data { id: first, fin, bytes: body }));
    }
    if first & 0x7fff_0000 != 0x0003_0000 {
        return Err(SpdyError::Protocol("the version is not 3"));
    }
    control(first & 0xffff, fin, body).map(Some)
}

fn control(kind: u32, fin: bool, mut body: Bytes) -> Result<Frame, SpdyError> {
    Ok(match kind {
        1 => {
            let id = number(&mut body)?;
            if body.len() < 6 {
                return Err(SpdyError::Protocol("a SYN_STREAM is cut short"));
            }
            body.advance(6);
            Frame::SynStream { id, fin, block: body }
        }
        2 => Frame::SynReply { id: number(&mut body)?, fin, block: body },
        3 => Frame::Reset { id: number(&mut body)?, status: number(&mut body)? },
        6 => Frame::Ping { id: number(&mut body)? },
        7 => Frame::GoAway { last: number(&mut body)? },
        8 => Frame::Headers { id: number(&mut body)?, fin, block: body },
        _ => Frame::Other,
    })
}

fn number(body: &mut Bytes) -> Result<u32, SpdyError> {
    body.try_get_u32().map(|number| number & 0x7fff_ffff).map_err(|_| SpdyError::Protocol("a frame is cut short"))
}

pub(super) fn encode(frame: &Frame, out: &mut BytesMut) {
    let mut body = BytesMut::new();
    let (kind, fin) = match frame {
        Frame::Data { id, fin, bytes } => {
            out.put_u32(*id);
            put_size(out, *fin, bytes.len());
            out.extend_from_slice(bytes);
            return;
        }
        Frame::SynStream { id, fin, block } => {
            body.put_u32(*id);
            body.put_slice(&[0; 6]);
            body.extend_from_slice(block);
            (1, *fin)
        }
        Frame::SynReply { id, fin, block } => {
            body.put_u32(*id);
            body.extend_from_slice(block);
            (2, *fin)
        }
        Frame::Reset { id, status } => {
            body.put_u32(*id);
            body.put_u32(*status);
            (3, false)
        }
        Frame::Ping { id } => {
            body.put_u32(*id);
            (6, false)
        }
        Frame::GoAway { last } => {
            body.put_u32(*last);
            body.put_u32(0);
            (7, false)
        }
        Frame::Headers { id, fin, block } => {
            body.put_u32(*id);
            body.extend_from_slice(block);
            (8, *fin)
        }
        Frame::Other => return,
    };
    out.put_u32(CONTROL | kind);
    put_size(out, fin, body.len());
    out.extend_from_slice(&body);
}

fn put_size(out: &mut BytesMut, fin: bool, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff;
    out.put_u32(u32::from(if fin { FIN } else { 0 }) << 24 | length);
}
