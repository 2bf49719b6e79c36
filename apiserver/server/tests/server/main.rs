//! A whole server, by its requests and answers.

mod admission;
mod audit;
mod bootstrap;
mod credentials;
mod expiry;
mod fairness;
mod foreign_bytes;
mod hostile_bodies;
mod hostile_connections;
mod idle_watches;
mod kubelet;
mod lagging_mirror;
mod local_groups;
mod pages;
mod paths;
mod policies;
mod rules;
mod services;
mod slow_watchers;
mod stop;
mod support;
mod webhooks;
