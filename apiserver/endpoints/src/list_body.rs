//! The body of a list: the stored bytes of its items, copied piece by piece as the client takes them.
//!
//! A list of all there is may be as large as everything that is stored; however large, and however many ask for it, only
//! the next piece is made. The objects themselves are shared with the mirror and stay as they were when the list was made.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apiserver_registry::Entry;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// How much is made at once; a single object may be larger.
const PIECE: usize = 64 * 1024;
const END: &[u8] = b"]}\n";

pub(crate) struct ListBody {
    /// What comes first, until it is written.
    head: Option<Vec<u8>>,
    items: std::vec::IntoIter<Arc<Entry>>,
    /// Whether items leave out their `apiVersion` and `kind`.
    untyped: bool,
    remaining: u64,
}

impl ListBody {
    /// `head` is the list up to and with the bracket that opens its items.
    pub(crate) fn new(head: Vec<u8>, items: Vec<Arc<Entry>>, untyped: bool) -> Self {
        let commas = items.len().saturating_sub(1);
        let objects: usize = items.iter().map(|entry| entry.written_size(untyped)).sum();
        let remaining = (head.len() + objects + commas + END.len()) as u64;
        Self { head: Some(head), items: items.into_iter(), untyped, remaining }
    }

    fn piece(&mut self) -> Vec<u8> {
        let expected = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let mut piece = Vec::with_capacity(expected.min(PIECE + PIECE / 4));
        if let Some(head) = self.head.take() {
            piece.extend_from_slice(&head);
        }
        while piece.len() < PIECE {
            let Some(entry) = self.items.next() else {
                piece.extend_from_slice(END);
                break;
            };
            match self.untyped {
                true => entry.write_item(&mut piece),
                false => entry.write_to(&mut piece),
            }
            if self.items.len() > 0 {
                piece.push(b',');
            }
        }
        piece
    }
}

impl http_body::Body for ListBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let piece = self.piece();
        self.remaining -= piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
