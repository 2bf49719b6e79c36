//! One connection to a directory: a request, then its answers, then the next request.
//!
//! Nothing runs beside the caller: whoever waits for an answer reads it, and who gives up closes the connection. Reads
//! take exactly the bytes of one message, so nothing that was sent before TLS is taken for something sent within it
//! (RFC 4513 section 3.1.1). There are no deadlines here; the caller has one for all it does.

use std::io;
use std::sync::Arc;

use lib_fetch::Addresses;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::error::{Refusal, Unavailable};
use crate::protocol::ber::{Malformed, SEQUENCE, length, length_octets};
use crate::protocol::message::{Answer, Entry, Message, Outcome, Request, Search};

/// An entry with the attributes that are asked for is far shorter.
const LONGEST: usize = 1 << 20;

/// And so is all that one connection is used for: the entries of a hundred thousand people.
const BUDGET: usize = 256 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How a connection is kept private.
#[derive(Clone, Debug)]
pub(crate) enum Privacy {
    /// TLS from the first byte.
    Tls(Arc<ClientConfig>),
    /// TLS once both ends have agreed on it (RFC 4511 section 4.14).
    StartTls(Arc<ClientConfig>),
    /// Not at all.
    None,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Failure {
    Unavailable(Unavailable),
    Certificate(rustls::Error),
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// What a search gives next.
pub(crate) enum Found {
    Entry(Entry),
    Done(Outcome),
}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    last_id: u32,
    /// How many bytes may still be read.
    budget: usize,
}

impl Connection {
    pub(crate) async fn open(name: &str, port: u16, addresses: &Addresses, privacy: &Privacy) -> Result<Self, Failure> {
        let stream = addresses.connect(name, port).await.map_err(Unavailable::Connect)?;
        // Requests are small, and each waits for the answer to the one before.
        stream.set_nodelay(true).map_err(Unavailable::Broken)?;
        match privacy {
            Privacy::None => Ok(Self::over(stream)),
            Privacy::Tls(config) => Self::over(stream).secured(name, config).await,
            Privacy::StartTls(config) => {
                let mut plain = Self::over(stream);
                plain.start_tls().await?;
                plain.secured(name, config).await
            }
        }
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), last_id: 0, budget: BUDGET }
    }

    async fn start_tls(&mut self) -> Result<(), Unavailable> {
        let id = self.send(&Request::StartTls).await?;
        match self.receive(id).await? {
            Answer::Extended(Outcome { code: 0, .. }) => Ok(()),
            Answer::Extended(Outcome { code, said, .. }) => Err(Unavailable::StartTls(Refusal { code, said })),
            _ => Err(Unavailable::OutOfTurn),
        }
    }

    async fn secured(self, name: &str, config: &Arc<ClientConfig>) -> Result<Self, Failure> {
        let nameless = |_| Unavailable::Tls(io::Error::other("the host is neither a DNS name nor an address"));
        let name = ServerName::try_from(name.to_owned()).map_err(nameless)?;
        let connected = TlsConnector::from(config.clone()).connect(name, self.stream).await;
        connected.map(Self::over).map_err(|error| {
            let certificate = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match certificate {
                Some(error @ rustls::Error::InvalidCertificate(_)) => Failure::Certificate(error.clone()),
                _ => Failure::Unavailable(Unavailable::Tls(error)),
            }
        })
    }

    /// Says who asks from here on.
    pub(crate) async fn bind(&mut self, dn: &str, password: &str) -> Result<Outcome, Unavailable> {
        let id = self.send(&Request::Bind { dn, password }).await?;
        match self.receive(id).await? {
            Answer::Bound(outcome) => Ok(outcome),
            _ => Err(Unavailable::OutOfTurn),
        }
    }

    /// Asks for entries, which [`Connection::next`] then gives. Whoever does not want them all gives the connection up.
    pub(crate) async fn ask(&mut self, search: &Search<'_>) -> Result<(), Unavailable> {
        self.send(&Request::Search(*search)).await.map(drop)
    }

    pub(crate) async fn next(&mut self) -> Result<Found, Unavailable> {
        loop {
            match self.receive(self.last_id).await? {
                Answer::Entry(entry) => return Ok(Found::Entry(entry)),
                Answer::Done(outcome) => return Ok(Found::Done(outcome)),
                Answer::Reference | Answer::Other => {}
                Answer::Bound(_) | Answer::Extended(_) => return Err(Unavailable::OutOfTurn),
            }
        }
    }

    /// Says goodbye. The directory does not answer to that.
    pub(crate) async fn close(mut self) {
        // Whoever cannot be told notices by itself.
        drop(self.send(&Request::Unbind).await);
        drop(self.stream.shutdown().await);
    }

    async fn send(&mut self, request: &Request<'_>) -> Result<u32, Unavailable> {
        self.last_id += 1;
        let bytes = request.encode(self.last_id);
        self.stream.write_all(&bytes).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        Ok(self.last_id)
    }

    async fn receive(&mut self, id: u32) -> Result<Answer, Unavailable> {
        let message = Message::decode(&self.frame().await?)?;
        match message.id {
            // The only message that answers nothing says that this is the end (RFC 4511 section 4.4.1).
            0 => Err(Unavailable::Closed),
            answered if answered == id => Ok(message.answer),
            _ => Err(Unavailable::OutOfTurn),
        }
    }

    async fn frame(&mut self) -> Result<Vec<u8>, Unavailable> {
        let mut head = [0; 2];
        self.read(&mut head).await?;
        let [SEQUENCE, first] = head else { return Err(Malformed("a message is no sequence").into()) };
        let mut octets = [0; 4];
        let octets = &mut octets[..length_octets(first)?];
        self.read(octets).await?;
        let length = length(first, octets);
        if length > LONGEST {
            return Err(Unavailable::TooLong(LONGEST));
        }
        self.budget = self.budget.checked_sub(length).ok_or(Unavailable::TooMuch(BUDGET))?;
        let mut content = vec![0; length];
        self.read(&mut content).await?;
        Ok(content)
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<(), Unavailable> {
        self.stream.read_exact(into).await.map(drop).map_err(broken)
    }
}

fn broken(error: io::Error) -> Unavailable {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Unavailable::Closed
        }
        _ => Unavailable::Broken(error),
    }
}
