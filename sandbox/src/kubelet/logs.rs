//! Container logs of simulated nodes.
//!
//! Most of a log is not stored at all: it follows from the container's start, command and the passing of time, so it is
//! worked out when somebody reads it. Stored are only the lines that in-process programs and port-forwarded requests
//! add, in a bounded buffer per container.

mod chatter;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    clock::Clock,
    meta::{name, namespace},
};

use super::{
    after,
    behaviour::{self, Course},
    by_container::ByContainer,
    lock, node_name,
};

pub(super) const LINES: usize = 1000;
const LINE_LENGTH: usize = 8 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) text: String,
}

#[derive(Default)]
pub(super) struct Logs {
    clock: Clock,
    buffers: Mutex<ByContainer<Arc<Buffer>>>,
}

struct Buffer {
    clock: Clock,
    lines: Mutex<VecDeque<Line>>,
    changed: watch::Sender<u64>,
}

/// Adds lines to one container's log; cheap to clone.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<Buffer>);

impl LogWriter {
    pub(super) fn line(&self, text: &str) {
        let text: String = text.chars().take(LINE_LENGTH).collect();
        let mut lines = lock(&self.0.lines);
        // Never earlier than the line before, whatever the clock does.
        let now = self.0.clock.now();
        let at = lines.back().map_or(now, |last| last.at.max(now));
        lines.extend(text.lines().map(|line| Line { at, text: line.to_owned() }));
        while lines.len() > LINES {
            lines.pop_front();
        }
        drop(lines);
        self.0.changed.send_modify(|version| *version += 1);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn lines(&self) -> Vec<Line> {
        lock(&self.0.lines).iter().cloned().collect()
    }
}

impl Logs {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), buffers: Mutex::default() }
    }

    pub(super) fn writer(&self, pod: &str, container: &str) -> LogWriter {
        let mut buffers = lock(&self.buffers);
        let buffer = buffers.entry(pod, container, || {
            Arc::new(Buffer { clock: self.clock.clone(), lines: Mutex::default(), changed: watch::Sender::new(0) })
        });
        LogWriter(buffer.clone())
    }

    pub(super) fn forget(&self, pod: &str) {
        lock(&self.buffers).forget(pod);
    }
}

/// When one run of a container began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    /// When it ended, and with which code.
    pub(super) end: Option<(Timestamp, i32)>,
}

/// The run that a reader asks for: the present one, or the one before it.
pub(super) fn span(status: &ContainerStatus, previous: bool) -> Option<Span> {
    let current = status.state.as_ref().and_then(of_state);
    let last = status.last_state.as_ref().and_then(of_state);
    if previous { last } else { current.or(last) }
}

/// The number of the run that [`span`] tells of. Runs are counted by the restarts before them.
pub(super) fn run(status: &ContainerStatus, previous: bool) -> i32 {
    let shows_last = status.state.as_ref().and_then(of_state).is_some();
    status.restart_count - i32::from(previous && shows_last)
}

fn of_state(state: &ContainerState) -> Option<Span> {
    if let Some(running) = &state.running {
        return Some(Span { start: running.started_at.as_ref()?.0, end: None });
    }
    let ended = state.terminated.as_ref()?;
    Some(Span { start: ended.started_at.as_ref()?.0, end: Some((ended.finished_at.as_ref()?.0, ended.exit_code)) })
}

/// The whole log of one run, oldest first, at most [`LINES`] lines after the first ones.
pub(super) fn compose(
    pod: &Pod,
    container: &Container,
    span: Span,
    writer: &LogWriter,
    now: Timestamp,
    course: Option<&Course>,
    is_program: &dyn Fn(&str) -> bool,
) -> Vec<Line> {
    let end = span.end.map(|(end, _)| end);
    let until = end.unwrap_or(now);
    let mut lines = vec![opening(pod, container, span.start)];
    match behaviour::of(container, Duration::ZERO, is_program, course) {
        behaviour::Behaviour::Exit { code, .. } => {
            let printed = course.map(|course| course.lines.as_slice()).unwrap_or_default();
            lines.extend(printed.iter().filter_map(|(passed, text)| {
                let (at, text) = (after(span.start, *passed), text.clone());
                // Statuses have whole seconds only, so a run may seem too short for what it printed.
                match end {
                    Some(end) => Some(Line { at: at.min(end), text }),
                    None => (at <= now).then_some(Line { at, text }),
                }
            }));
            lines.extend(last_words(span, Some(code)));
        }
        behaviour::Behaviour::Serve => {
            lines.extend(chatter::lines(pod, container, span.start, until));
            if behaviour::session(container).is_none() {
                lines.extend(last_words(span, None));
            }
        }
        behaviour::Behaviour::Program => {}
    }
    let recorded = writer
        .lines()
        .into_iter()
        .filter(|line| line.at >= span.start && end.is_none_or(|end| line.at <= after(end, Duration::from_secs(1))));
    lines.extend(recorded);
    lines[1..].sort_by_key(|line| line.at);
    lines
}

fn opening(pod: &Pod, container: &Container, at: Timestamp) -> Line {
    let text = json!({
        "level": "info",
        "msg": "started by a simulated kubelet: no container is running, this log is made up",
        "node": node_name(pod),
        "namespace": namespace(pod),
        "pod": name(pod),
        "container": container.name,
        "image": container.image,
    });
    Line { at, text: text.to_string() }
}

/// Why a run ended that would have gone on, or would have ended otherwise (`own`). What is killed says nothing.
fn last_words(span: Span, own: Option<i32>) -> Option<Line> {
    let (at, code) = span.end.filter(|(_, code)| own != Some(*code))?;
    let text = match code {
        0 => json!({"level": "info", "msg": "asked to stop, stopping"}),
        // The one way for a simulated server to fail.
        1 => json!({"level": "fatal", "msg": "cannot go on: told to crash by the fault crash-loop", "exitCode": 1}),
        _ => return None,
    };
    Some(Line { at, text: text.to_string() })
}

/// What a reader may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) follow: bool,
    pub(super) previous: bool,
    pub(super) timestamps: bool,
    pub(super) tail: Option<usize>,
    pub(super) since: Option<Timestamp>,
    pub(super) limit: Option<usize>,
}

/// The lines a reader wants of those there are.
pub(super) fn select(mut lines: Vec<Line>, options: &Options) -> Vec<Line> {
    if let Some(since) = options.since {
        lines.retain(|line| line.at >= since);
    }
    if let Some(tail) = options.tail {
        let surplus = lines.len().saturating_sub(tail);
        lines.drain(..surplus);
    }
    lines
}

pub(super) fn print(line: &Line, options: &Options) -> String {
    match options.timestamps {
        // Upstream's runtimes write nanoseconds, always nine digits.
        true => format!("{} {}\n", line.at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ"), line.text),
        false => format!("{}\n", line.text),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::shell::Environment;

    fn pod() -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "node-1",
            "containers": [{"name": "main", "image": "registry.example/app:1"}]}}))
        .unwrap()
    }

    fn container(command: &[&str]) -> Container {
        serde_json::from_value(json!({"name": "main", "image": "registry.example/app:1", "command": command})).unwrap()
    }

    fn course(container: &Container) -> Option<Course> {
        behaviour::course(&pod(), container, &behaviour::argv(container), Environment::default())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn log(command: &[&str], seconds: i64) -> Vec<Line> {
        let start = at("2024-01-01T00:00:00Z");
        let writer = Logs::default().writer("u", "main");
        let now = start + SignedDuration::from_secs(seconds);
        let container = container(command);
        let course = course(&container);
        compose(&pod(), &container, Span { start, end: None }, &writer, now, course.as_ref(), &|_| false)
    }

    #[test]
    fn the_first_line_says_that_this_is_a_simulation() {
        let lines = log(&[], 35);
        assert!(lines[0].text.contains("simulated kubelet"), "{}", lines[0].text);
        assert!(lines[1..].iter().all(|line| line.text.starts_with('{')));
    }

    #[test]
    fn the_output_of_a_command_is_its_log() {
        assert_eq!(
            log(&["sh", "-c", "echo one; echo two"], 1).iter().map(|line| line.text.as_str()).collect::<Vec<_>>()[1..],
            ["one", "two"]
        );
    }

    #[test]
    fn a_running_command_has_printed_only_so_much() {
        let script = ["sh", "-c", "echo one; sleep 5; echo two"];
        let texts = |seconds| log(&script, seconds).into_iter().skip(1).map(|line| line.text).collect::<Vec<_>>();
        assert_eq!(texts(4), ["one"]);
        assert_eq!(texts(5), ["one", "two"]);
        assert_eq!(log(&script, 60), log(&script, 5));
    }

    #[test]
    fn readers_get_what_they_ask_for() {
        let lines = log(&[], 100);
        let tail = select(lines.clone(), &Options { tail: Some(2), ..Options::default() });
        assert_eq!(tail.len(), 2);
        let begin = at("2024-01-01T00:01:30Z");
        let since = select(lines.clone(), &Options { since: Some(begin), ..Options::default() });
        assert!(since.len() < lines.len() && since.iter().all(|line| line.at >= begin));
        let stamped = print(&lines[0], &Options { timestamps: true, ..Options::default() });
        assert!(stamped.starts_with("2024-01-01T00:00:00.000000000Z {"), "{stamped}");
    }

    #[test]
    fn old_lines_are_not_made_up_for_ever() {
        assert!((LINES..=LINES + 2).contains(&log(&[], 1_000_000).len()));
    }

    #[test]
    fn a_status_may_lie_at_the_end_of_time() {
        let (start, end) = (Timestamp::MAX, Some((Timestamp::MAX, 0)));
        for command in [&["sleep", "60"][..], &["sh", "-c", "sleep 60; echo done"], &[]] {
            for span in
                [Span { start, end: None }, Span { start, end }, Span { start: at("2024-01-01T00:00:00Z"), end }]
            {
                let writer = Logs::default().writer("u", "main");
                writer.line("recorded");
                let container = container(command);
                let course = course(&container);
                let log = compose(&pod(), &container, span, &writer, Timestamp::MAX, course.as_ref(), &|_| false);
                assert!(!log.is_empty());
            }
        }
    }

    #[test]
    fn runs_are_counted() {
        let running = json!({"running": {"startedAt": "2024-01-01T00:00:00Z"}});
        let ended = json!({"terminated": {"startedAt": "2024-01-01T00:00:00Z", "finishedAt": "2024-01-01T00:00:01Z",
            "exitCode": 1}});
        let check = |state: &serde_json::Value, expect| {
            let status = json!({"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 3,
                "state": state, "lastState": ended});
            let status: ContainerStatus = serde_json::from_value(status).unwrap();
            assert_eq!((run(&status, false), run(&status, true)), expect);
        };
        check(&running, (3, 2));
        check(&ended, (3, 2));
        // There is no other run to show than the last one.
        check(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), (3, 3));
    }

    #[test]
    fn the_end_says_why() {
        let last = |command: &[&str], code| {
            let start = at("2024-01-01T00:00:00Z");
            let writer = Logs::default().writer("u", "main");
            let span = Span { start, end: Some((start + SignedDuration::from_secs(5), code)) };
            let container = container(command);
            let lines = compose(&pod(), &container, span, &writer, start, course(&container).as_ref(), &|_| false);
            lines.last().unwrap().text.clone()
        };
        assert!(last(&[], 1).contains("fault crash-loop"));
        assert!(last(&[], 0).contains("asked to stop"));
        assert!(last(&["sleep", "60"], 1).contains("fault crash-loop"));
        assert_eq!(last(&["sh", "-c", "echo oops; exit 1"], 1), "oops");
        assert!(!last(&[], 137).contains("stop"), "what is killed says nothing");
    }
}
