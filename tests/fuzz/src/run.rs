//! Gives a target its corpus, and mutations of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::mutation::mutated;
use crate::targets::Target;

/// No single input may take longer, in a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many mutated inputs.
    pub runs: u64,
    /// Which: the same seed and corpus make the same inputs.
    pub seed: u64,
}

impl Options {
    /// As `ACP_TEST_FUZZ_RUNS` and `ACP_TEST_FUZZ_SEED` say.
    pub fn from_env() -> Self {
        Self { runs: number("ACP_TEST_FUZZ_RUNS").unwrap_or(1000), seed: number("ACP_TEST_FUZZ_SEED").unwrap_or(0) }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Runs a target over its corpus and over mutations of it.
///
/// Each input is written into `folder` before it is tried, so that it is there even if it overflows the stack.
///
/// # Panics
///
/// The target does, or an input takes too long.
pub fn run(target: &Target, options: Options, folder: &Path) {
    let Options { runs, seed } = options;
    let file = folder.join(format!("fuzz-{}", target.name));
    eprintln!("target {}, seed {seed}: every input is written to {} before it is tried", target.name, file.display());
    let corpus = corpus(target.name);
    for (name, input) in &corpus {
        Trial { target, file: &file, about: name }.of(input);
    }
    let inputs: Vec<&[u8]> = corpus.iter().map(|(_, input)| input.as_slice()).collect();
    for number in 0..runs {
        // Each from a generator of its own: how many numbers one input took does not change the next.
        let mut rng = Rng::with_seed(seed.rotate_left(32) ^ number);
        let input = mutated(&inputs, target.tokens, &mut rng);
        Trial { target, file: &file, about: &format!("mutation {number} of seed {seed}") }.of(&input);
    }
    drop(fs::remove_file(&file));
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder that can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let read = |file: PathBuf| (file.display().to_string(), fs::read(&file).expect("a file that can be read"));
    files.into_iter().map(read).collect()
}

/// One input on its way through a target.
struct Trial<'a> {
    target: &'a Target,
    file: &'a Path,
    about: &'a str,
}

impl Trial<'_> {
    fn of(self, input: &[u8]) {
        fs::write(self.file, input).unwrap_or_else(|why| panic!("{}: {why}", self.file.display()));
        let start = Instant::now();
        (self.target.run)(input);
        let took = start.elapsed();
        assert!(took < LONGEST, "{took:?} for one input");
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let (target, file) = (self.target.name, self.file.display());
            eprintln!("target {target} fails on {}.", self.about);
            eprintln!(
                "The input is in {file}: copy it to tests/fuzz/corpus/{target}/ under a name that says what it is."
            );
        }
    }
}
