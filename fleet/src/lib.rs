//! Clusters: import, register, health, version policy, removal.
