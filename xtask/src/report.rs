//! Announces steps and remembers how long each took.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// The steps of one command, in order.
#[derive(Default)]
pub(crate) struct Report {
    done: Vec<(&'static str, Duration)>,
}

impl Report {
    /// Runs one step. What fails fails under the step's name.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        println!("\n==> {name}");
        let started = Instant::now();
        let result = run();
        let took = started.elapsed();
        println!("<== {name}: {} in {}", if result.is_ok() { "done" } else { "FAILED" }, shown(took));
        self.done.push((name, took));
        if result.is_err() {
            self.print();
        }
        result.with_context(|| format!("{name} failed"))
    }

    /// Prints what every step took.
    pub(crate) fn print(&self) {
        println!();
        for (name, took) in &self.done {
            println!("{:>9}  {name}", shown(*took));
        }
        println!("{:>9}  together", shown(self.done.iter().map(|(_, took)| *took).sum()));
    }
}

fn shown(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}
