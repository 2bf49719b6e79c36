//! Terminal sessions as text: what somebody types, and what must come out.
//!
//! ```text
//! # a remark
//! $ kubectl create namespace shop
//! namespace/shop created
//! $ kubectl get namespace lost
//! Error from server (NotFound): namespaces "lost" not found
//! [1]
//! ```
//!
//! A command is for `sh`; lines that start with `> ` continue it. What follows is its whole output, errors included, and
//! the exit code in brackets unless that is 0. In an expected line `*` is any text, and a line `...` is any number of
//! lines. How wide a gap between words is does not count: columns are as wide as what stands in them. Instead of `$ ` a command may start with
//!
//! - `until$ `: it is run again until it prints that;
//! - `beside$ `: it goes on beside all that follow, which start once it has printed that. `PORT` is the last port of
//!   127.0.0.1 that such a command named.
//!
//! All commands run in one folder and share nothing else. A command that differs does not hide the others: all are run,
//! and the failure shows each that differs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

/// Nothing takes this long on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// A folder to run transcripts in, and the environment that their commands see.
pub struct Session {
    folder: PathBuf,
    variables: Vec<(String, String)>,
    beside: Vec<Child>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Once,
    Until,
    Beside,
}

#[derive(Debug, PartialEq, Eq)]
struct Step<'a> {
    line: usize,
    run: Run,
    command: String,
    expected: Vec<&'a str>,
    code: i32,
}

struct Seen {
    output: String,
    code: Option<i32>,
}

impl Session {
    /// A session in `folder` whose commands find programs in `programs` first.
    ///
    /// # Panics
    /// When a path is not text.
    pub fn new(folder: &Path, programs: &[PathBuf], kubeconfig: &Path) -> Self {
        let mut path: Vec<PathBuf> = programs.to_vec();
        path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from));
        let path = std::env::join_paths(path).expect("folders have no colons");
        let text = |path: &Path| path.to_str().expect("paths are text").to_owned();
        let variables = [
            ("PATH", path.into_string().expect("paths are text")),
            ("HOME", text(folder)),
            ("KUBECONFIG", text(kubeconfig)),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { folder: folder.to_owned(), variables, beside: Vec::new() }
    }

    /// Runs all commands of these transcripts.
    ///
    /// # Panics
    /// When one of them does not do what is written there, or when a file cannot be read.
    pub async fn play(&mut self, transcripts: &[PathBuf]) {
        let (mut commands, mut differing) = (0, Vec::new());
        for transcript in transcripts {
            let text = std::fs::read_to_string(transcript).expect("the transcript can be read");
            for step in parse(&text) {
                commands += 1;
                if let Err(seen) = self.perform(&step).await {
                    differing.push(format!("{}:{}\n{}", transcript.display(), step.line, difference(&step, &seen)));
                }
            }
            self.beside.clear();
        }
        assert!(commands > 0, "there is no command in {transcripts:?}");
        assert!(differing.is_empty(), "{} of {commands} commands differ\n\n{}", differing.len(), differing.join("\n"));
    }

    async fn perform(&mut self, step: &Step<'_>) -> Result<(), Seen> {
        match step.run {
            Run::Once => self.attempt(step).await,
            Run::Until => until(|| self.attempt(step)).await,
            Run::Beside => self.start(step).await,
        }
    }

    async fn attempt(&self, step: &Step<'_>) -> Result<(), Seen> {
        let child = self.shell(&format!("exec 2>&1\n{}", step.command)).stdout(Stdio::piped()).spawn();
        let child = child.expect("sh can be started");
        let seen = match tokio::time::timeout(LONGEST, child.wait_with_output()).await {
            Err(_) => Seen { output: format!("it did not end within {LONGEST:?}\n"), code: None },
            Ok(output) => {
                let output = output.expect("output can be read");
                Seen { output: String::from_utf8_lossy(&output.stdout).into_owned(), code: output.status.code() }
            }
        };
        let lines: Vec<&str> = seen.output.lines().collect();
        if seen.code == Some(step.code) && lines_match(&step.expected, &lines) { Ok(()) } else { Err(seen) }
    }

    async fn start(&mut self, step: &Step<'_>) -> Result<(), Seen> {
        let printed = self.folder.join(format!("beside-{}", self.beside.len()));
        let file = std::fs::File::create(&printed).expect("a file can be made");
        // `exec`, so that ending the child ends the command and not a shell around it.
        let child = self.shell(&format!("exec 2>&1\nexec {}", step.command)).stdout(file).spawn();
        self.beside.push(child.expect("sh can be started"));
        let expected = [&step.expected[..], &["..."]].concat();
        let text = until(|| async {
            let output = std::fs::read_to_string(&printed).expect("the output can be read");
            let met = lines_match(&expected, &output.lines().collect::<Vec<_>>());
            if met { Ok(output) } else { Err(Seen { output, code: None }) }
        })
        .await?;
        if let Some(port) = last_port(&text) {
            self.variables.retain(|(name, _)| name != "PORT");
            self.variables.push(("PORT".to_owned(), port));
        }
        Ok(())
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(&self.folder).env_clear();
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        shell.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        shell
    }
}

/// Asks again until it is well, and gives the last answer when the time is over.
async fn until<T, F: Future<Output = Result<T, Seen>>>(mut ask: impl FnMut() -> F) -> Result<T, Seen> {
    let started = Instant::now();
    loop {
        match ask().await {
            Err(_) if started.elapsed() < LONGEST => tokio::time::sleep(Duration::from_millis(100)).await,
            outcome => return outcome,
        }
    }
}

fn difference(step: &Step<'_>, seen: &Seen) -> String {
    let code = seen.code.map_or("no exit code".to_owned(), |code| format!("[{code}]"));
    let (expected, printed) = (step.expected.join("\n"), seen.output.trim_end());
    format!("$ {}\n--- expected\n{expected}\n[{}]\n+++ seen\n{printed}\n{code}\n", step.command, step.code)
}

fn parse(text: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut in_command = false;
    for (at, line) in text.lines().enumerate() {
        let start = [("$ ", Run::Once), ("until$ ", Run::Until), ("beside$ ", Run::Beside)];
        let start = start.iter().find_map(|(mark, run)| Some((line.strip_prefix(mark)?, *run)));
        if let Some((command, run)) = start {
            steps.push(Step { line: at + 1, run, command: command.to_owned(), expected: Vec::new(), code: 0 });
            in_command = true;
            continue;
        }
        let Some(step) = steps.last_mut() else { continue };
        if in_command && let Some(more) = line.strip_prefix("> ") {
            step.command.push('\n');
            step.command.push_str(more);
            continue;
        }
        in_command = false;
        let code = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).and_then(|code| code.parse().ok());
        match code {
            Some(code) => step.code = code,
            None if line.starts_with("# ") => {}
            None => step.expected.push(line),
        }
    }
    for step in &mut steps {
        // An empty line before the next command is for the reader.
        while step.expected.last().is_some_and(|line| line.is_empty()) {
            step.expected.pop();
        }
    }
    steps
}

fn lines_match(expected: &[&str], seen: &[&str]) -> bool {
    let seen = match seen.iter().rposition(|line| !line.trim().is_empty()) {
        Some(last) => &seen[..=last],
        None => &[],
    };
    sequence(expected, seen, &|line| *line == "...", &|pattern, line| text_matches(pattern, line))
}

/// Whether `text` is `pattern` with something in the place of each `*`.
fn text_matches(pattern: &str, text: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect::<Vec<_>>();
    let (pattern, text) = (words(pattern), words(text));
    sequence(&pattern, &text, &|c| *c == '*', &|a, b| a == b)
}

/// Whether `pattern` describes all of `seen`, where a gap stands for any number of items.
fn sequence<P, T>(pattern: &[P], seen: &[T], gap: &impl Fn(&P) -> bool, same: &impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut item) = (0, 0);
    // Where to go on when the guess at how much the last gap spans was too short.
    let mut retry: Option<(usize, usize)> = None;
    while item < seen.len() {
        if at < pattern.len() && gap(&pattern[at]) {
            retry = Some((at + 1, item));
            at += 1;
        } else if at < pattern.len() && same(&pattern[at], &seen[item]) {
            at += 1;
            item += 1;
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            at = after;
            item = from + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(gap)
}

fn last_port(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once("127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, seen: &str, matches: bool) {
        let (expected, seen): (Vec<_>, Vec<_>) = (expected.lines().collect(), seen.lines().collect());
        assert_eq!(lines_match(&expected, &seen), matches);
    }

    #[test]
    fn what_is_written_is_what_must_come() {
        check("a\nb", "a\nb\n", true);
        check("a\nb", "a\nc", false);
        check("a", "a\nb", false);
        check("a\nb", "a", false);
        check("", "a", false);
        check("", "", true);
        check("NAME AGE", "NAME   AGE ", true);
    }

    #[test]
    fn a_star_is_any_text_of_a_line() {
        check("pod/* created", "pod/web-1 created", true);
        check("pod/* created", "pod/web-1 deleted", false);
        check("*b", "abab", true);
        check("a*", "a\nb", false);
    }

    #[test]
    fn dots_are_any_lines() {
        check("...\nb\n...", "a\nb\nc", true);
        check("...", "", true);
        check("a\n...\nc", "a\nc", true);
        check("a\n...\nc", "a\nb", false);
    }

    #[test]
    fn a_transcript_is_read_as_it_looks() {
        let text = "# why\n$ cat <<E\n> a\n> E\na\n[3]\n\nuntil$ true\nbeside$ sleep 1\n";
        let expect = [
            Step { line: 2, run: Run::Once, command: "cat <<E\na\nE".to_owned(), expected: vec!["a"], code: 3 },
            Step { line: 8, run: Run::Until, command: "true".to_owned(), expected: vec![], code: 0 },
            Step { line: 9, run: Run::Beside, command: "sleep 1".to_owned(), expected: vec![], code: 0 },
        ];
        assert_eq!(parse(text), expect);
    }

    #[test]
    fn ports_are_taken_from_what_was_printed() {
        let text = "Forwarding from 127.0.0.1:40123 -> 80\nForwarding from [::1]:40123 -> 80";
        assert_eq!(last_port(text).as_deref(), Some("40123"));
        assert_eq!(last_port("nothing"), None);
    }

    #[tokio::test]
    #[should_panic(expected = "1 of 2 commands differ")]
    async fn a_difference_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let transcript = folder.path().join("t");
        std::fs::write(&transcript, "$ echo a\na\n$ echo a; exit 2\na\n").unwrap();
        Session::new(folder.path(), &[], Path::new("/none")).play(&[transcript]).await;
    }
}
