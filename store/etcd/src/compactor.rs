//! Compacts etcd as a kube-apiserver does, and together with those that use the same etcd.
//!
//! Upstream: `etcd3/compact.go`. Whoever first writes `compact_rev_key` in a round compacts to the revision of the round
//! before; the others see that it was written and wait for the next. So history is kept for one to two intervals,
//! however many servers there are. The key lies outside of any prefix.

use std::sync::Arc;
use std::time::Duration;

use store_core::fanout::Fanout;

use crate::ask::revision_of;
use crate::client::{Call, Client, ClientError};
use crate::feed::chain;
use crate::message::{
    CompactionRequest, CompactionResponse, CompareResult, CompareTarget, Comparison, Number, Operation, PutRequest,
    RangeRequest, TxnRequest, TxnResponse,
};
use crate::refusal::Refusal;

const KEY: &[u8] = b"compact_rev_key";
pub(crate) const COMPACT: &str = "/etcdserverpb.KV/Compact";
pub(crate) const TXN: &str = "/etcdserverpb.KV/Txn";

/// How often the key was written, and etcd's revision, when we last looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Round {
    writes: i64,
    revision: i64,
}

/// Compacts at each interval until the task is ended.
pub(crate) async fn keep(client: Arc<Client>, fanout: Arc<Fanout>, interval: Duration) {
    let mut round = Round::default();
    loop {
        tokio::time::sleep(interval).await;
        round = match compact(&client, &fanout, round).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "etcd could not be compacted; its history is kept for longer");
                round
            }
        };
    }
}

async fn compact(client: &Client, fanout: &Fanout, round: Round) -> Result<Round, ClientError> {
    let answer: TxnResponse = client.call(Call::Write, TXN, &claim(round)).await?;
    let (next, ours) = judge(round, answer);
    if let Some(revision) = ours {
        let question = CompactionRequest { revision };
        match client.call::<CompactionResponse>(Call::Write, COMPACT, &question).await {
            Ok(_) => {
                tracing::debug!(revision, "etcd compacted");
                fanout.forget(crate::message::revision(revision));
            }
            // Somebody compacted by hand.
            Err(error) if error.refusal() == Some(Refusal::Compacted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(next)
}

fn claim(round: Round) -> TxnRequest {
    let unwritten = Comparison {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Version as i32,
        key: KEY.to_vec(),
        number: Some(Number::Version(round.writes)),
    };
    let put = PutRequest { key: KEY.to_vec(), value: round.revision.to_string().into() };
    let get = RangeRequest { key: KEY.to_vec(), ..RangeRequest::default() };
    TxnRequest {
        compare: vec![unwritten],
        success: vec![Operation::Put(put).into()],
        failure: vec![Operation::Range(get).into()],
    }
}

/// The next round, and the revision to compact to when this one is ours.
fn judge(round: Round, answer: TxnResponse) -> (Round, Option<i64>) {
    let revision = revision_of(answer.header).0 as i64;
    if answer.succeeded {
        let ours = (round.revision > 0).then_some(round.revision);
        return (Round { writes: round.writes + 1, revision }, ours);
    }
    let key = answer.responses.into_iter().find_map(|response| response.range?.kvs.into_iter().next());
    (Round { writes: key.map(|pair| pair.version).unwrap_or_default(), revision }, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Pair, RangeResponse, ResponseHeader, ResponseOp};

    fn answer(succeeded: bool, revision: i64, writes: i64) -> TxnResponse {
        let key = Pair { version: writes, ..Pair::default() };
        let range = Some(RangeResponse { kvs: vec![key], ..RangeResponse::default() });
        let responses = if succeeded { Vec::new() } else { vec![ResponseOp { range }] };
        TxnResponse { header: Some(ResponseHeader { cluster_id: 1, revision }), succeeded, responses }
    }

    #[test]
    fn the_first_round_only_looks() {
        let (next, ours) = judge(Round::default(), answer(true, 100, 1));
        assert_eq!((next, ours), (Round { writes: 1, revision: 100 }, None));
    }

    #[test]
    fn whoever_writes_first_compacts_to_the_round_before() {
        let (next, ours) = judge(Round { writes: 1, revision: 100 }, answer(true, 300, 2));
        assert_eq!((next, ours), (Round { writes: 2, revision: 300 }, Some(100)));
    }

    #[test]
    fn whoever_comes_second_waits() {
        let (next, ours) = judge(Round { writes: 1, revision: 100 }, answer(false, 300, 7));
        assert_eq!((next, ours), (Round { writes: 7, revision: 300 }, None));
    }
}
