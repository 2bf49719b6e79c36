//! The store on a real etcd, one of its own for each test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access;
mod conformance;
mod endurance;
mod sharing;

use bytes::Bytes;
use store_core::{Op, Revision, Store, Txn};

async fn put(store: &impl Store, key: &str, value: impl Into<Bytes>) -> Revision {
    store.txn(Txn::default().then(Op::put(key, value.into()))).await.unwrap().revision
}
