//! Clusters in the test's own process.
