//! What this process takes of its machine, in the names that every Prometheus client library gives it.

use std::fmt::Write as _;
use std::fs;

/// `process_*` metrics in Prometheus' text format; empty where the kernel shows no `/proc`.
#[must_use]
pub fn metrics() -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, kind: &str, value: Option<f64>| {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        "gauge",
        kibibytes(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024.0),
    );
    let files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    gauge("process_open_fds", "Number of open file descriptors.", "gauge", files);
    gauge(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        "counter",
        fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat)),
    );
    text
}

fn kibibytes(status: &str, field: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(field))?.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Fields 14 and 15 of proc(5)'s `stat`, in hundredths of a second on every Linux; the second field, the program's name, may
/// hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_size() {
        let text = metrics();
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"] {
            let prefix = format!("{name} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&prefix)).expect(name);
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{text}");
        }
    }

    #[test]
    fn names_of_programs_may_hold_anything() {
        assert_eq!(cpu_seconds("7 (a) b) S 1 7 7 0 -1 0 1 0 0 0 150 50 0 0"), Some(2.0));
        assert_eq!(cpu_seconds("7 (a"), None);
    }
}
