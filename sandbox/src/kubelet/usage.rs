//! How much a simulated container uses, as a function of what it is and of the time; no IO, no state.
//!
//! A rate is a steady part, which follows from what the container asks for and from the name of its workload, with a
//! daily wave and noise upon it: sines, whose integral is known. So a counter is the integral of its rate since the
//! container started: it never goes back, and whoever asks at the same time is told the same.

use std::{
    f64::consts::TAU,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;

const DAY: f64 = 86_400.0;
/// The waves of every rate: how strong, and how long. Together they stay below one, so that a rate is never negative.
const WAVES: [(f64, f64); 4] = [(0.35, DAY), (0.12, 5_820.0), (0.08, 1_380.0), (0.05, 420.0)];
/// How far waves lift a rate at the most.
const CREST: f64 = 1.6;

/// How long a container's memory takes to be mostly in use.
const WARMING: f64 = 120.0;

const MEBIBYTE: f64 = 1_048_576.0;

/// What a container asks for and may have, in processors and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reserved {
    pub(super) cpu_request: Option<f64>,
    pub(super) cpu_limit: Option<f64>,
    pub(super) memory_request: Option<f64>,
    pub(super) memory_limit: Option<f64>,
}

/// One run of a container. `workload` is what its replicas share, `instance` what they do not.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) workload: u64,
    pub(super) instance: u64,
    pub(super) reserved: Reserved,
    pub(super) since: Timestamp,
}

/// What a run has used, and uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Processors, at the moment.
    pub(super) cpu: f64,
    /// Seconds of a processor, since the start.
    pub(super) cpu_seconds: f64,
    /// Seconds of them when the processor was taken away.
    pub(super) throttled_seconds: f64,
    /// Bytes of memory that cannot be taken away.
    pub(super) working_set: f64,
    /// Bytes of memory of its own.
    pub(super) rss: f64,
    /// Bytes of memory for files.
    pub(super) cache: f64,
    /// Bytes written where no volume is, and to the log.
    pub(super) root_bytes: f64,
    pub(super) log_bytes: f64,
}

/// Bytes that came and went, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub(super) received: f64,
    pub(super) sent: f64,
}

pub(super) fn seed(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A number from 0 to 1 that depends on nothing but the seed and what it is for.
fn share(seed: u64, purpose: &str) -> f64 {
    let high = u32::try_from(self::seed(&(seed, purpose)) >> 32).unwrap_or(0);
    f64::from(high) / f64::from(u32::MAX)
}

fn between(low: f64, high: f64, share: f64) -> f64 {
    low + (high - low) * share
}

fn seconds(at: Timestamp) -> f64 {
    // Microseconds of this century fit into a double.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
    let micros = at.as_microsecond() as f64;
    micros / 1e6
}

/// A rate that waves about `mean`.
struct Rate {
    mean: f64,
    phases: [f64; WAVES.len()],
}

impl Rate {
    fn new(mean: f64, seed: u64) -> Self {
        let mut phases = [0.0; WAVES.len()];
        for (index, phase) in phases.iter_mut().enumerate() {
            *phase = TAU * share(seed, ["day", "hours", "minutes", "noise"][index]);
        }
        Self { mean, phases }
    }

    fn waves(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        WAVES.into_iter().zip(self.phases).map(|((strength, period), phase)| (strength, period, phase))
    }

    fn at(&self, now: f64) -> f64 {
        let lifted: f64 =
            self.waves().map(|(strength, period, phase)| strength * (TAU * now / period + phase).sin()).sum();
        self.mean * (1.0 + lifted)
    }

    /// The integral of the rate.
    fn total(&self, from: f64, to: f64) -> f64 {
        if to <= from {
            return 0.0;
        }
        let lifted: f64 = self
            .waves()
            .map(|(strength, period, phase)| {
                let angle = |at: f64| (TAU * at / period + phase).cos();
                strength * period / TAU * (angle(from) - angle(to))
            })
            .sum();
        self.mean * (to - from + lifted)
    }
}

impl Run {
    pub(super) fn at(&self, now: Timestamp) -> Usage {
        let (from, to) = (seconds(self.since), seconds(now));
        let (wanted, given) = self.cpu();
        let age = (to - from).max(0.0);
        let memory = self.memory(age, to);
        // What the process writes to disk and to its log goes with what it does.
        let worked = given.total(from, to);
        Usage {
            cpu: given.at(to),
            cpu_seconds: worked,
            throttled_seconds: wanted.total(from, to) - worked,
            working_set: memory,
            rss: memory * 0.82,
            cache: memory * 0.35,
            root_bytes: between(40.0, 4_000.0, share(self.workload, "root")) * 1024.0 + worked * 64.0,
            log_bytes: 512.0 + worked * between(200.0, 2_000.0, share(self.workload, "log")),
        }
    }

    /// What the run would use, and what its limit leaves of that.
    fn cpu(&self) -> (Rate, Rate) {
        let (share, own) = (share(self.workload, "cpu"), between(0.9, 1.1, share(self.instance, "cpu")));
        let mean = match (self.reserved.cpu_request, self.reserved.cpu_limit) {
            (Some(request), _) if request > 0.0 => request * between(0.2, 0.7, share),
            (_, Some(limit)) => limit * between(0.1, 0.4, share),
            _ => between(0.001, 0.02, share * share),
        } * own;
        let most = self.reserved.cpu_limit.map_or(f64::INFINITY, |limit| limit / CREST);
        (Rate::new(mean, self.instance), Rate::new(mean.min(most), self.instance))
    }

    fn memory(&self, age: f64, now: f64) -> f64 {
        let (share, own) = (share(self.workload, "memory"), between(0.97, 1.03, share(self.instance, "memory")));
        let full = match (self.reserved.memory_request, self.reserved.memory_limit) {
            (Some(request), _) if request > 0.0 => request * between(0.5, 0.85, share),
            (_, Some(limit)) => limit * between(0.3, 0.6, share),
            _ => between(8.0, 96.0, share * share) * MEBIBYTE,
        };
        let warm = 0.55 + 0.45 * (1.0 - (-age / WARMING).exp());
        let lifted = 1.0 + 0.08 * (Rate::new(1.0, self.instance).at(now) - 1.0);
        let most = self.reserved.memory_limit.map_or(f64::INFINITY, |limit| limit * 0.95);
        (full * own * warm * lifted).min(most)
    }
}

/// What a pod receives and sends, over one interface.
pub(super) fn traffic(workload: u64, instance: u64, since: Timestamp, now: Timestamp) -> Traffic {
    let (from, to) = (seconds(since), seconds(now));
    let busy = share(workload, "network");
    let rate = |purpose: &str, low: f64, high: f64| {
        let mean = between(low, high, busy * busy) * between(0.9, 1.1, share(instance, purpose));
        Rate::new(mean, instance).total(from, to)
    };
    Traffic { received: rate("received", 200.0, 60_000.0), sent: rate("sent", 150.0, 90_000.0) }
}

/// How much of a volume is in use, as a part of it: it fills in a day to what its user needs.
pub(super) fn filled(volume: u64, since: Timestamp, now: Timestamp) -> f64 {
    let age = (seconds(now) - seconds(since)).max(0.0);
    between(0.1, 0.6, share(volume, "filled")) * (0.2 + 0.8 * (1.0 - (-age / DAY).exp()))
}

/// Over how long a rate is taken.
pub(super) const WINDOW: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn run(workload: &str, instance: &str, reserved: Reserved) -> Run {
        Run { workload: seed(&workload), instance: seed(&instance), reserved, since: at(0) }
    }

    fn small() -> Reserved {
        let (cpu, memory) = (0.1, 128.0 * MEBIBYTE);
        Reserved {
            cpu_request: Some(cpu),
            cpu_limit: Some(2.0 * cpu),
            memory_request: Some(memory),
            memory_limit: Some(2.0 * memory),
        }
    }

    #[test]
    fn counters_only_grow_and_rates_are_their_slope() {
        for reserved in [Reserved::default(), small()] {
            let run = run("web", "web-1", reserved);
            let mut before = run.at(at(0));
            assert_eq!(before.cpu_seconds, 0.0);
            for second in (7..3 * 86_400).step_by(7) {
                let after = run.at(at(second));
                assert!(after.cpu_seconds > before.cpu_seconds && after.log_bytes > before.log_bytes);
                let slope = (after.cpu_seconds - before.cpu_seconds) / 7.0;
                assert!((slope - after.cpu).abs() < 0.1 * after.cpu, "{slope} {}", after.cpu);
                before = after;
            }
        }
    }

    #[test]
    fn nobody_uses_more_than_allowed() {
        for name in 0..200 {
            let run = run(&format!("w{name}"), "i", small());
            for hour in 0..48 {
                let usage = run.at(at(hour * 3600));
                assert!(usage.cpu > 0.0 && usage.cpu <= 0.2, "{usage:?}");
                assert!(usage.working_set > 20.0 * MEBIBYTE && usage.working_set < 256.0 * MEBIBYTE, "{usage:?}");
                assert!(usage.rss < usage.working_set && usage.throttled_seconds >= -1e-6);
            }
        }
    }

    #[test]
    fn who_asks_for_little_and_may_have_less_is_throttled() {
        let tight = Reserved { cpu_request: Some(1.0), cpu_limit: Some(0.1), ..Reserved::default() };
        let usage = run("web", "web-1", tight).at(at(3600));
        assert!(usage.cpu <= 0.1 && usage.throttled_seconds > 0.0);
    }

    #[test]
    fn replicas_are_alike_and_workloads_are_not() {
        let cpu = |workload: &str, instance: &str| run(workload, instance, small()).at(at(86_400)).cpu_seconds;
        let (one, two) = (cpu("web", "web-1"), cpu("web", "web-2"));
        assert!(one != two && (one / two - 1.0).abs() < 0.3, "{one} {two}");
        assert_eq!(cpu("web", "web-1"), one);
        let spread: Vec<_> = (0..50).map(|name| cpu(&format!("w{name}"), "i")).collect();
        let (least, most) = spread.iter().fold((f64::MAX, 0.0_f64), |(l, m), v| (l.min(*v), m.max(*v)));
        assert!(most > 2.0 * least, "{least} {most}");
    }

    #[test]
    fn a_day_has_a_wave() {
        let run = run("web", "web-1", small());
        let hours: Vec<_> = (24..48).map(|hour| run.at(at(hour * 3600)).cpu).collect();
        let (least, most) = hours.iter().fold((f64::MAX, 0.0_f64), |(l, m), v| (l.min(*v), m.max(*v)));
        assert!(most > 1.4 * least, "{hours:?}");
    }

    #[test]
    fn traffic_grows_and_volumes_fill() {
        let mut before = Traffic::default();
        for minute in 1..2000 {
            let after = traffic(1, 2, at(0), at(minute * 60));
            assert!(after.received > before.received && after.sent > before.sent);
            before = after;
        }
        let (young, old) = (filled(7, at(0), at(60)), filled(7, at(0), at(10 * 86_400)));
        assert!(young > 0.0 && young < old && old < 0.7, "{young} {old}");
    }
}
