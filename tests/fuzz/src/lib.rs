//! What no input may do to the parts of the API server that read what others wrote.
//!
//! A target is one function over bytes. It may refuse them, but it does not panic, it ends soon, and what it says obeys
//! a law: what was read reads the same when it is written again, a bound holds, doing a thing twice is doing it once.
//!
//! Every target has a corpus, `corpus/TARGET`: small inputs that reach far, some of them hostile. An ordinary test run
//! gives each target its corpus and mutations of it that follow from a seed. `README.md` says how to look for longer.

mod mutation;
mod run;
mod targets;

pub use run::{Options, run};
pub use targets::{TARGETS, Target};
