//! Looks at the heads of HTTP/1 requests before hyper does.
//!
//! Where a request states its length twice, hyper believes one statement and drops the other, as RFC 9112 allows. Another
//! server in front of this one, or behind, may believe the other one, and then two requests are three. So bytes are
//! watched on their way to hyper, and a connection on which such a head was seen is marked; whoever answers requests
//! asks for the mark first.
//!
//! Only heads are read, with hyper's own parser, and bodies of a stated length are skipped. Behind chunks or an upgrade
//! nothing is watched: the listener ends the connection after either.
//!
//! A connection that ends before its request has wholly arrived is not dropped at once: TCP would answer what still
//! comes with a reset, and that can overtake the answer, so that the client never learns why it was refused.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use httparse::{EMPTY_HEADER, Request, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// As many as hyper takes.
const HEADERS: usize = 100;
/// For how long, and how much, what a client still sends is read and thrown away.
const LINGER: (Duration, u64) = (Duration::from_secs(2), 64 << 20);

/// What is known of a connection. Clones tell of the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framing(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    ambiguous: AtomicBool,
    switched: AtomicBool,
}

impl Framing {
    /// Whether a request on this connection can be read in more than one way.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.0.ambiguous.load(Ordering::Acquire)
    }

    /// From here on, the connection carries a stream.
    pub(crate) fn switch(&self) {
        self.0.switched.store(true, Ordering::Release);
    }
}

/// A connection whose incoming bytes are watched.
pub(crate) struct Watched<S> {
    stream: S,
    next: Next,
    framing: Framing,
    /// The most that a head may take.
    limit: usize,
    /// What may still be thrown away of what comes, once our own end is closed.
    lingering: Option<(Pin<Box<Sleep>>, u64)>,
}

/// What the next byte belongs to.
enum Next {
    /// A head, of which this is there.
    Head(Vec<u8>),
    /// A body with so much to come.
    Body(u64),
    /// Something that is not watched.
    Unknown,
}

/// How the body behind a head ends.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Stated(u64),
    /// By its own form, or with the connection.
    Other,
    Ambiguous,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, limit: usize) -> Self {
        Self { stream, next: Next::Head(Vec::new()), framing: Framing::default(), limit, lingering: None }
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing.clone()
    }

    /// Whether the client may be in the middle of something.
    fn is_unfinished(&self) -> bool {
        let whole = matches!(&self.next, Next::Head(head) if head.is_empty());
        !whole && !self.framing.0.switched.load(Ordering::Acquire)
    }

    fn watch(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.next {
                Next::Unknown => return,
                Next::Body(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= here as u64;
                    bytes = &bytes[here..];
                    if *left == 0 {
                        self.next = Next::Head(Vec::new());
                    }
                }
                Next::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let Some((length, end)) = read_head(head, before, self.limit) else { return };
                    // What was there before was no whole head.
                    bytes = &bytes[end.saturating_sub(before).min(bytes.len())..];
                    self.next = match length {
                        Length::Stated(0) => Next::Head(Vec::new()),
                        Length::Stated(length) => Next::Body(length),
                        Length::Other => Next::Unknown,
                        Length::Ambiguous => {
                            self.framing.0.ambiguous.store(true, Ordering::Release);
                            Next::Unknown
                        }
                    };
                }
            }
        }
    }
}

/// The head at the beginning of `bytes`, and where it ends; `None` while more is to come. What cannot be read, or is
/// longer than anybody reads, is as bad as what can be read twice.
fn read_head(bytes: &[u8], before: usize, limit: usize) -> Option<(Length, usize)> {
    let too_long = || (bytes.len() > limit).then_some((Length::Ambiguous, bytes.len()));
    // A head that comes byte by byte is parsed when its end is there, and not at every byte. Blank lines before it are no
    // end (RFC 9112, section 2.2).
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(bytes.len());
    if !has_end(&bytes[before.saturating_sub(2).max(start)..]) {
        return too_long();
    }
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(end)) => Some((length(&request), end)),
        Ok(Status::Partial) => too_long(),
        Err(_) => Some((Length::Ambiguous, bytes.len())),
    }
}

fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

fn length(request: &Request<'_, '_>) -> Length {
    let values = |name: &'static str| {
        request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    };
    let mut lengths = values("content-length");
    let chunked = values("transfer-encoding").next().is_some();
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => Length::Ambiguous,
        (Some(_), None) if chunked => Length::Ambiguous,
        _ if chunked || values("upgrade").next().is_some() || request.method == Some("CONNECT") => Length::Other,
        (None, None) => Length::Stated(0),
        (Some(value), None) => number(value).map_or(Length::Ambiguous, Length::Stated),
    }
}

/// Digits, and nothing else.
fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.watch(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.is_unfinished() {
                return Poll::Ready(Ok(()));
            }
        }
        let (until, left) = this.lingering.get_or_insert_with(|| (Box::pin(sleep(LINGER.0)), LINGER.1));
        let mut scratch = [0; 8192];
        while *left > 0 && until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *left = left.saturating_sub(buf.filled().len() as u64),
                // The client has finished, or is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether the bytes are found ambiguous when they arrive in pieces of this size.
    fn is_ambiguous(bytes: &[u8], piece: usize) -> bool {
        let mut watched = Watched::new((), 1024);
        bytes.chunks(piece).for_each(|bytes| watched.watch(bytes));
        watched.framing().is_ambiguous()
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        for piece in 1..=text.len() {
            assert_eq!(is_ambiguous(text.as_bytes(), piece), expected, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn case_08_two_lengths() {
        for headers in [
            "content-length: 5\r\ntransfer-encoding: chunked",
            "Transfer-Encoding: chunked\r\nCONTENT-LENGTH: 5",
            "transfer-encoding: identity\r\ncontent-length: 0",
            "content-length: 5\r\nx: y\r\ncontent-length: 6",
            "content-length: 5\r\ncontent-length: 5",
            "content-length: 5, 5",
            "content-length: +5",
            "content-length: 0x5",
            "content-length: 99999999999999999999999",
            "content-length: \r\n",
        ] {
            check(&format!("POST / HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n"), true);
        }
        check("POST / HTTP/1.1\ncontent-length: 1\ntransfer-encoding: chunked\n\n", true);
    }

    #[test]
    fn one_length_or_none() {
        let bad = "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n";
        for head in ["GET / HTTP/1.1\r\nhost: a", "POST / HTTP/1.1\r\ncontent-length: 0"] {
            check(&format!("{head}\r\n\r\n"), false);
            // The one behind is looked at too.
            check(&format!("{head}\r\n\r\n\r\n{bad}"), true);
        }
        // What looks like a head in a body is none.
        check(&format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{bad}", bad.len()), false);
        check(&format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{bad}{bad}", bad.len()), true);
        // The connection ends behind these.
        check(&format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{bad}"), false);
        check(&format!("GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n{bad}"), false);
    }

    #[test]
    fn heads_that_nobody_reads() {
        check("no request\r\n\r\n", true);
        check("GET / HTTP/1.1\r\n\r\n\n\naa\r", false);
        check("GET / HTTP/1.1\r\n\r\n\n\naa\r\n\r\n", true);
        check("GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n", true);
        check(&format!("GET / HTTP/1.1\r\na: {}", "b".repeat(1024)), true);
        check(&"\r\n".repeat(600), true);
        check(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1)), true);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "((GET|POST) / HTTP/1.1\r\n(content-length: [0-9]\r\n|a: b\r\n){0,2}\r\n[a\r\n]{0,9}){0,3}", piece in 1usize..40) {
            let whole = is_ambiguous(text.as_bytes(), text.len().max(1));
            prop_assert_eq!(is_ambiguous(text.as_bytes(), piece), whole);
        }
    }
}
