//! The questions that a store asks of itself: how far etcd has come, and what it has forgotten.

use store_core::{Error, Revision};

use crate::client::{Call, Client, ClientError};
use crate::keyspace::Keyspace;
use crate::message::{RangeRequest, RangeResponse, ResponseHeader, revision};
use crate::refusal::Refusal;

pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";

/// The revision of etcd's last change, of any key.
pub(crate) async fn current(client: &Client, keyspace: &Keyspace) -> Result<Revision, Error> {
    match at(client, keyspace, Revision::ZERO).await {
        Ok(header) => Ok(header),
        Err(error) => Err(unanswered("ask etcd for its revision")(error)),
    }
}

/// The oldest revision that can be read, given one that is not newer; zero when nothing was ever compacted.
///
/// etcd tells it to nobody who does not fall behind it, so it is searched for: a question for each bit.
pub(crate) async fn compacted(client: &Client, keyspace: &Keyspace, known: Revision) -> Result<Revision, Error> {
    let doing = "ask etcd what it has compacted";
    let readable = async |revision: u64| match at(client, keyspace, Revision(revision)).await {
        Ok(_) => Ok(true),
        Err(error) if error.refusal() == Some(Refusal::Compacted) => Ok(false),
        Err(error) => Err(unanswered(doing)(error)),
    };
    let (mut gone, mut there) = (known.0.max(1), current(client, keyspace).await?.0);
    if readable(gone).await? {
        return Ok(known);
    }
    while there - gone > 1 {
        let middle = gone + (there - gone) / 2;
        if readable(middle).await? {
            there = middle;
        } else {
            gone = middle;
        }
    }
    Ok(Revision(there))
}

/// Looks at a key at a revision, for the answer's header. Zero is now.
async fn at(client: &Client, keyspace: &Keyspace, revision: Revision) -> Result<Revision, ClientError> {
    let key = keyspace.probe();
    let question = RangeRequest { key, revision: revision.0 as i64, count_only: true, ..RangeRequest::default() };
    let answer: RangeResponse = client.call(Call::Read, RANGE, &question).await?;
    Ok(revision_of(answer.header))
}

pub(crate) fn revision_of(header: Option<ResponseHeader>) -> Revision {
    header.map(|header| revision(header.revision)).unwrap_or_default()
}

pub(crate) fn unanswered(doing: &'static str) -> impl FnOnce(ClientError) -> Error {
    move |error| match error.refusal() {
        Some(Refusal::NoSpace) => Error::Full {
            reason: "etcd's quota is used up; compact and defragment it, then disarm its alarm (etcdctl alarm disarm)",
        },
        _ => Error::Backend { doing, source: error.into() },
    }
}
