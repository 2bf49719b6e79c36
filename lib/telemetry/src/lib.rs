//! Logs and error chains, the same way in every process.
