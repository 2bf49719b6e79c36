//! Prometheus' text format, version 0.0.4, with the time of each sample: what kubelets write.
//!
//! The format that `prometheus-client` writes has no such times, and its registry wants counters that are kept; here
//! they are worked out.

use std::fmt::Write;

use jiff::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// Families of samples, one after the other.
#[derive(Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { name, text: &mut self.0 }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

pub(super) struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.write(labels, value);
        self.text.push('\n');
    }

    pub(super) fn sample_at(&mut self, labels: &[(&str, &str)], value: f64, at: Timestamp) {
        self.write(labels, value);
        let _ = writeln!(self.text, " {}", at.as_millisecond());
    }

    fn write(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        for (index, (label, content)) in labels.iter().enumerate() {
            let content = content.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{content}\"", if index == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = write!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_scrapers_read_them() {
        let mut text = Exposition::default();
        let mut family = text.family("a_total", Kind::Counter, "What there is.");
        family.sample_at(&[("x", "1"), ("y", "say \"no\"\n")], 2.5, Timestamp::from_millisecond(1234).unwrap());
        family.sample(&[], 3.0);
        let expect = "# HELP a_total What there is.\n# TYPE a_total counter\na_total{x=\"1\",y=\"say \\\"no\\\"\\n\"} 2.5 1234\na_total 3\n";
        assert_eq!(text.finish(), expect);
    }
}
