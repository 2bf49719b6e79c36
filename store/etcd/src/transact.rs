//! A transaction in etcd's words, and back.

use store_core::{Compare, Error, Expect, KeyValue, Op, Txn, TxnOutcome};

use crate::ask::{revision_of, unanswered};
use crate::client::ClientError;
use crate::keyspace::Keyspace;
use crate::message::{
    CompareResult, CompareTarget, Comparison, DeleteRangeRequest, Number, Operation, PutRequest, RangeRequest,
    RequestOp, TxnRequest, TxnResponse,
};
use crate::refusal::Refusal;
use crate::tail::key_value;

/// On failure, the compared keys are read before anything else is done.
pub(crate) fn request(keyspace: &Keyspace, txn: &Txn) -> Result<TxnRequest, Error> {
    let compare = txn.compare.iter().map(|compare| comparison(keyspace, compare));
    let reads = txn.compare.iter().map(|compare| {
        let key = keyspace.outer_key(&compare.key)?;
        Ok(Operation::Range(RangeRequest { key, ..RangeRequest::default() }).into())
    });
    let change = |op: &Op| operation(keyspace, op);
    Ok(TxnRequest {
        compare: compare.collect::<Result<_, _>>()?,
        success: txn.success.iter().map(change).collect::<Result<_, _>>()?,
        failure: reads.chain(txn.failure.iter().map(change)).collect::<Result<_, _>>()?,
    })
}

fn comparison(keyspace: &Keyspace, compare: &Compare) -> Result<Comparison, Error> {
    let (result, target, number) = match compare.expect {
        Expect::Absent => (CompareResult::Equal, CompareTarget::Mod, Number::ModRevision(0)),
        Expect::Present => (CompareResult::Greater, CompareTarget::Version, Number::Version(0)),
        // No key was last written at revision zero, but that is what etcd says of one that does not exist.
        Expect::ModRevision(revision) if revision.0 == 0 => {
            (CompareResult::Less, CompareTarget::Mod, Number::ModRevision(0))
        }
        Expect::ModRevision(revision) => {
            (CompareResult::Equal, CompareTarget::Mod, Number::ModRevision(revision.0 as i64))
        }
    };
    let key = keyspace.outer_key(&compare.key)?;
    Ok(Comparison { result: result as i32, target: target as i32, key, number: Some(number) })
}

fn operation(keyspace: &Keyspace, op: &Op) -> Result<RequestOp, Error> {
    let key = keyspace.outer_key(op.key())?;
    Ok(match op {
        Op::Put { value, .. } => Operation::Put(PutRequest { key, value: value.clone() }),
        Op::Delete { .. } => Operation::Delete(DeleteRangeRequest { key }),
    }
    .into())
}

pub(crate) fn outcome(keyspace: &Keyspace, txn: &Txn, response: TxnResponse) -> TxnOutcome {
    let revision = revision_of(response.header);
    let reads = if response.succeeded { 0 } else { txn.compare.len() };
    let found = |range: Option<crate::message::RangeResponse>| -> Option<KeyValue> {
        range.and_then(|range| range.kvs.into_iter().next()).and_then(|pair| key_value(keyspace, pair))
    };
    let current = response.responses.into_iter().take(reads).map(|response| found(response.range)).collect();
    TxnOutcome { succeeded: response.succeeded, revision, current }
}

/// What a transaction that etcd did not take means.
pub(crate) fn refused(txn: &Txn, error: ClientError) -> Error {
    let invalid = |reason| {
        let largest = txn.success.iter().chain(&txn.failure).max_by_key(|op| match op {
            Op::Put { value, .. } => value.len(),
            Op::Delete { .. } => 0,
        });
        let key = largest.map(Op::key).or_else(|| txn.compare.first().map(|compare| &compare.key));
        Error::Invalid { key: key.map(ToString::to_string).unwrap_or_default(), reason }
    };
    match error.refusal() {
        Some(Refusal::TooManyOps) => {
            invalid("more changes than etcd takes in one transaction (128, unless its --max-txn-ops says otherwise)")
        }
        Some(Refusal::TooLarge) => invalid(
            "larger than what etcd takes in one request (1.5 MiB, unless its --max-request-bytes says otherwise)",
        ),
        _ => unanswered("write to etcd")(error),
    }
}
