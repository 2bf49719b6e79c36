//! Passwords: the rules for new ones, and hashes (argon2id) off the runtime's threads and a few at a time.

use std::sync::Arc;
use std::time::Duration;

use api_types::auth::PasswordPolicy;
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
/// One of these has to be in a password, as published.
const SPECIAL: &str = "~!@#$%^&*() -_=+?";

/// What a new password lacks, or has too much of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Its length.
    #[error("must be of {0} to {1} characters")]
    Length(i32, i32),
    /// A letter.
    #[error("must contain a letter")]
    Letter,
    /// A digit.
    #[error("must contain a digit")]
    Digit,
    /// Something else.
    #[error("must contain one of {SPECIAL:?}")]
    Special,
    /// The user's own name.
    #[error("must not contain the user name")]
    Name,
    /// It was the password already.
    #[error("must not be one of the last {0} passwords")]
    Used(i32),
}

/// What is wrong with a password, all at once.
pub(crate) fn weaknesses(password: &str, username: &str, policy: &PasswordPolicy) -> Vec<Weakness> {
    let length = i32::try_from(password.chars().count()).unwrap_or(i32::MAX);
    let name = username.split('@').next().unwrap_or_default().to_lowercase();
    let rules = [
        (
            (policy.min_length..=policy.max_length).contains(&length),
            Weakness::Length(policy.min_length, policy.max_length),
        ),
        (password.chars().any(char::is_alphabetic), Weakness::Letter),
        (password.chars().any(|c| c.is_ascii_digit()), Weakness::Digit),
        (password.contains(|c| SPECIAL.contains(c)), Weakness::Special),
        (name.len() < 3 || !password.to_lowercase().contains(&name), Weakness::Name),
    ];
    rules.into_iter().filter(|(met, _)| !met).map(|(_, weakness)| weakness).collect()
}

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
        let right = self.in_turn(move || {
            let Ok(parsed) = PasswordHash::new(&stored) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
        });
        Ok(right.await? && known)
    }

    /// Work that takes a core for a while, off the runtime's threads and when it is its turn.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoginError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Throttled::busy(PATIENCE).into()) };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        Ok(done.await.map_err(Error::Stopped)?)
    }
}

async fn hash(password: String) -> Result<String, Error> {
    tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(Error::Hash)
    })
    .await
    .map_err(Error::Stopped)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(password: &str, expect: &[Weakness]) {
        assert_eq!(weaknesses(password, "annette@corp.io", &PasswordPolicy::default()), expect, "{password}");
    }

    #[test]
    fn good_ones() {
        check("correct-horse7", &[]);
        check("pässword 12", &[]);
    }

    #[test]
    fn what_is_missing_is_said_at_once() {
        check("short1!", &[Weakness::Length(8, 32)]);
        check(&"a1!".repeat(20), &[Weakness::Length(8, 32)]);
        check("12345678!", &[Weakness::Letter]);
        check("abcdefgh!", &[Weakness::Digit]);
        check("abcdefgh1", &[Weakness::Special]);
        check("", &[Weakness::Length(8, 32), Weakness::Letter, Weakness::Digit, Weakness::Special]);
        check("ANNETTE-1!", &[Weakness::Name]);
    }
}
