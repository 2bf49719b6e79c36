//! Where the browser brings the code: a listener on this machine that takes one answer (RFC 8252, section 7.3).
//!
//! Everything on the machine can reach it, and so can every page in the browser. So it takes nothing but our own path
//! under our own address, an answer must know `state`, and there is one. Whatever else comes gets a page and changes
//! nothing: a stranger can neither answer nor end a sign-in.
//!
//! The browser waits while the code becomes a token, so the page tells what really came of it.

mod page;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use ring::hmac;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::{Error, Exit, Result};
use crate::output::table::harmless;
use crate::text::Text;

use page::Page;

/// How long a person may take.
pub const DEADLINE: Duration = Duration::from_secs(300);
/// How long a browser may take to send a request, and to take its page.
const REQUEST: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be taken in.
const RESPITE: Duration = Duration::from_millis(100);
/// How long we stay for the page to be delivered.
const DELIVERY: Duration = Duration::from_secs(2);
/// A code and a state need no more.
const MAX_HEAD: usize = 16 * 1024;
/// Browsers open a few connections ahead; more is somebody else.
const MAX_CONNECTIONS: usize = 32;
/// What an issuer says about a refusal fits on a line.
const MAX_WORDS: usize = 200;

const PATH: &str = "/callback";

/// What an answer must say.
pub struct Expected {
    key: hmac::Key,
    state: hmac::Tag,
    issuer: String,
    names_itself: bool,
}

impl Expected {
    /// An answer to `state`, by `issuer`, which `names_itself` when it always says so (RFC 9207).
    pub fn new(state: &str, issuer: &str, names_itself: bool) -> Result<Self> {
        let random = ring::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| Error::told(Text::NoRandomness {}))?;
        let state = hmac::sign(&key, state.as_bytes());
        Ok(Self { key, state, issuer: issuer.to_owned(), names_itself })
    }

    /// Compares in constant time: what is compared are codes under a key that nobody knows.
    fn is_state(&self, given: &str) -> bool {
        hmac::verify(&self.key, given.as_bytes(), self.state.as_ref()).is_ok()
    }

    /// What a request is to us.
    fn judge(&self, host: &str, method: &Method, uri: &Uri, headers: &HeaderMap) -> Verdict {
        // A name of somebody else's that leads here is an attack (DNS rebinding).
        let hosts: Vec<_> = headers.get_all(header::HOST).iter().collect();
        let absolute = uri.authority().is_some_and(|authority| authority.as_str() != host);
        if hosts.len() != 1 || hosts[0] != host || absolute {
            return Verdict::Stray(StatusCode::MISDIRECTED_REQUEST);
        }
        if uri.path() != PATH {
            return Verdict::Stray(StatusCode::NOT_FOUND);
        }
        if method != Method::GET {
            return Verdict::Stray(StatusCode::METHOD_NOT_ALLOWED);
        }
        let mut given = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned() {
            // No parameter comes twice (RFC 6749, section 3.1).
            if given.insert(name, value).is_some() {
                return Verdict::Stray(StatusCode::BAD_REQUEST);
            }
        }
        let value = |name: &str| given.get(name).map(String::as_str);
        if !self.is_state(value("state").unwrap_or_default()) {
            return Verdict::Stray(StatusCode::BAD_REQUEST);
        }
        match value("iss") {
            None if !self.names_itself => {}
            Some(issuer) if issuer == self.issuer => {}
            _ => return Verdict::OtherIssuer,
        }
        match (value("code").filter(|code| !code.is_empty()), value("error")) {
            (Some(code), None) => Verdict::Code(code.to_owned()),
            (None, Some(error)) => Verdict::Refused {
                error: shown(error),
                description: shown(value("error_description").unwrap_or_default()),
            },
            _ => Verdict::Stray(StatusCode::BAD_REQUEST),
        }
    }
}

fn shown(text: &str) -> String {
    harmless(&text.chars().take(MAX_WORDS).collect::<String>())
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The answer: a code.
    Code(String),
    /// The answer: no.
    Refused { error: String, description: String },
    /// The answer to our `state` by another issuer: a mix-up that must not go on.
    OtherIssuer,
    /// Not an answer.
    Stray(StatusCode),
}

type Pending = (Verdict, oneshot::Sender<bool>);

/// What all connections share.
struct Desk {
    host: String,
    expected: Expected,
    answer: Mutex<Option<oneshot::Sender<Pending>>>,
}

impl Desk {
    async fn page(&self, request: Request<hyper::body::Incoming>) -> Page {
        let verdict = self.expected.judge(&self.host, request.method(), request.uri(), request.headers());
        if let Verdict::Stray(status) = verdict {
            return Page::stray(status);
        }
        let taken = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (done, outcome) = oneshot::channel();
        match taken.map(|answer| answer.send((verdict, done))) {
            Some(Ok(())) => Page::of_outcome(outcome.await.unwrap_or(false)),
            _ => Page::stray(StatusCode::GONE),
        }
    }
}

/// A place for one answer.
pub struct Loopback {
    listener: TcpListener,
    host: String,
}

impl Loopback {
    /// Opens it, on a port that the system picks.
    pub async fn open() -> Result<Self> {
        let failed = |error: std::io::Error| Error::told(Text::NoListener {}).because(error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let host = listener.local_addr().map_err(failed)?.to_string();
        Ok(Self { listener, host })
    }

    /// Where the browser is to go.
    pub fn redirect_uri(&self) -> String {
        format!("http://{}{PATH}", self.host)
    }

    /// Waits for the one answer. The listener is closed when it has come.
    pub async fn answer(self, expected: Expected, deadline: Duration) -> Result<Answer> {
        let (sender, mut receiver) = oneshot::channel();
        let desk = Arc::new(Desk { host: self.host, expected, answer: Mutex::new(Some(sender)) });
        let mut connections = JoinSet::new();
        let too_late = tokio::time::sleep(deadline);
        tokio::pin!(too_late);
        let (verdict, done) = loop {
            tokio::select! {
                answered = &mut receiver => match answered {
                    Ok(answered) => break answered,
                    Err(_) => return Err(Error::told(Text::NoListener {})),
                },
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, desk.clone()));
                    }
                    // Out of descriptors, perhaps; trying again at once would only burn.
                    Err(_) => tokio::time::sleep(RESPITE).await,
                },
                Some(_) = connections.join_next() => {}
                () = &mut too_late => {
                    return Err(Error::told(Text::SignInTimedOut {}).exit(Exit::NeedsLogin));
                }
            }
        };
        Ok(Answer { verdict, browser: Waiting { done, connections } })
    }
}

/// What the browser brought.
pub struct Answer {
    verdict: Verdict,
    browser: Waiting,
}

impl Answer {
    /// The code, beside the browser that waits to hear what came of it.
    pub async fn code(self) -> Result<(String, Waiting)> {
        let error = match self.verdict {
            Verdict::Code(code) => return Ok((code, self.browser)),
            Verdict::Refused { error, .. } if error == "access_denied" => {
                Error::told(Text::SignInDenied {}).exit(Exit::NeedsLogin)
            }
            Verdict::Refused { error, description } => {
                Error::told(Text::SignInRefused { error, description }).exit(Exit::NeedsLogin)
            }
            Verdict::OtherIssuer | Verdict::Stray(_) => Error::told(Text::OtherIssuerAnswered {}),
        };
        self.browser.tell(false).await;
        Err(error)
    }
}

/// A browser that waits for its page.
pub struct Waiting {
    done: oneshot::Sender<bool>,
    connections: JoinSet<bool>,
}

impl Waiting {
    /// Tells whether somebody is signed in now, and stays until the page is out.
    pub async fn tell(mut self, signed_in: bool) {
        // A browser that was closed needs no page.
        let _ = self.done.send(signed_in);
        let delivered = async {
            while let Some(ended) = self.connections.join_next().await {
                if ended.unwrap_or(false) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DELIVERY, delivered).await;
    }
}

/// Serves one request; answers whether it was the one that mattered.
async fn serve(stream: TcpStream, desk: Arc<Desk>) -> bool {
    let mattered = Arc::new(AtomicBool::new(false));
    let noted = mattered.clone();
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let (desk, noted) = (desk.clone(), noted.clone());
        async move {
            let lang = page::language(request.headers());
            let page = desk.page(request).await;
            noted.store(page.is_outcome(), Ordering::Relaxed);
            Ok::<Response<Full<Bytes>>, Infallible>(page.response(lang))
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(REQUEST).max_buf_size(MAX_HEAD).keep_alive(false);
    // Who hangs up early loses the page and nothing else.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
    mattered.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
