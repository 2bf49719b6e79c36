//! Password hashes: argon2id, off the runtime's threads and a few at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::throttle::Throttled;
use crate::{Error, LoginError};

/// Each takes 19 MiB and a core for a while.
const AT_ONCE: usize = 2;
/// How long an attempt may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer ones are refused before they are hashed.
const MAX_LEN: usize = 1024;

pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Of a password that nobody has: an unknown user costs as much as a known one.
    decoy: String,
}

impl Passwords {
    pub(crate) async fn new() -> Result<Self, Error> {
        let decoy = hash(crate::token::password()?).await?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), decoy })
    }

    pub(crate) async fn hash(&self, password: String) -> Result<String, Error> {
        hash(password).await
    }

    /// Whether the password is the stored one. Nobody's password is right.
    pub(crate) async fn verify(&self, stored: Option<String>, password: String) -> Result<bool, LoginError> {
        if password.len() > MAX_LEN {
            return Ok(false);
        }
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Throttled { retry_after: PATIENCE }.into()) };
        let right = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let Ok(parsed) = PasswordHash::new(&stored) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
        })
        .await
        .unwrap_or(false);
        Ok(right && known)
    }
}

async fn hash(password: String) -> Result<String, Error> {
    tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(Error::Hash)
    })
    .await
    .map_err(Error::Stopped)?
}
