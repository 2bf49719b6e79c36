//! A whole server, by its requests and answers.

mod audit;
mod credentials;
mod expiry;
mod fairness;
mod hostile_bodies;
mod kubelet;
mod pages;
mod paths;
mod services;
mod slow_watchers;
mod stop;
mod support;
