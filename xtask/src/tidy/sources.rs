//! Rules for source files.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, Tree};

/// Longer files are two files.
const MOST_LINES: usize = 1000;

/// Shorter ones may be a shelf of a few types that needs no introduction.
const NEEDS_HEADER: usize = 40;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "stuff"];

/// Endings that tell a file's history and not its content.
const HISTORY: &[&str] = &["_new", "_old", "_v2", "_final", "_fixed", "_copy", "_backup", "_tmp"];

/// What reads the surroundings of the process or ends it.
const PROCESS_WIDE: &[&str] = &["env::var", "env::args", "process::exit", "process::abort"];

/// Who may: the two programs, at their edge.
const MAY_BE_PROCESS_WIDE: &[&str] =
    &["bin/acp/", "bin/acp-agent/", "cli/ac/src/main.rs", "cli/ac/src/env.rs", "xtask/", "tests/"];

/// Tasks are spawned through an owner that can drain them.
const SPAWN: &str = "tokio::spawn(";

/// What ends with its command anyway, and what is only ever run by tests.
const MAY_SPAWN: &[&str] = &["cli/ac/", "store/core/src/conformance/", "tests/", "xtask/"];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.with_extension(&["rs", "ts", "tsx", "mjs", "js", "css"]) {
        findings.extend(name(file));
        findings.extend(length(file));
    }
    for file in tree.with_extension(&["rs"]) {
        findings.extend(header(file));
        findings.extend(process_wide(file));
        findings.extend(tasks(file));
    }
    findings.extend(tree.files.iter().flat_map(origin));
    findings.extend(tree.files.iter().flat_map(unlocked));
    findings
}

fn name(file: &File) -> Option<String> {
    let parts: Vec<&str> = file.path.split('/').collect();
    let stem = parts.last()?.split('.').next()?;
    let says_nothing = parts.iter().chain([&stem]).any(|part| EMPTY_NAMES.contains(part));
    if says_nothing {
        return Some(format!("{}: a name should say what is inside", file.path));
    }
    HISTORY.iter().any(|end| stem.ends_with(end)).then(|| format!("{}: a name does not tell history", file.path))
}

fn length(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > MOST_LINES).then(|| format!("{}: has {lines} lines; more than {MOST_LINES} are two files", file.path))
}

fn header(file: &File) -> Option<String> {
    let first = file.text.lines().find(|line| !line.trim().is_empty())?;
    let is_test = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    let short = file.text.lines().count() <= NEEDS_HEADER;
    let fine = first.starts_with("//!") || short || is_test;
    (!fine).then(|| format!("{}: does not open with a `//!` line that says what it is", file.path))
}

fn process_wide(file: &File) -> Vec<String> {
    if is_test(file) || MAY_BE_PROCESS_WIDE.iter().any(|allowed| file.path.starts_with(allowed)) {
        return Vec::new();
    }
    findings(file, PROCESS_WIDE, "only the programs read the environment or end the process")
}

fn tasks(file: &File) -> Vec<String> {
    if is_test(file) || MAY_SPAWN.iter().any(|allowed| file.path.starts_with(allowed)) {
        return Vec::new();
    }
    findings(file, &[SPAWN], "a task needs an owner that can drain it: a Drain, a JoinSet or a TaskTracker")
}

/// Lines of code, outside comments and unit tests, that hold one of the words.
fn findings(file: &File, words: &[&str], why: &str) -> Vec<String> {
    let code = file.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().lines().enumerate();
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
        .flat_map(|(number, line)| words.iter().filter(|word| line.contains(**word)).map(move |word| (number, *word)))
        .map(|(number, word)| format!("{}:{}: `{word}`; {why}", file.path, number + 1))
        .collect()
}

fn is_test(file: &File) -> bool {
    ["/tests/", "/benches/", "/examples/"].iter().any(|folder| file.path.contains(folder))
        || file.path.ends_with("/tests.rs")
}

/// Lock files and settings name the public registries, so that a clone builds everywhere.
fn origin(file: &File) -> Vec<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let strange = |line: &&str| match name {
        "Cargo.lock" => {
            line.starts_with("source = ")
                && *line != r#"source = "registry+https://github.com/rust-lang/crates.io-index""#
        }
        // Packages come from wherever npm is set up to look; the lock file names what, never where.
        "package-lock.json" => line.trim_start().starts_with(r#""resolved":"#),
        ".npmrc" => line.trim_start().starts_with("registry") || line.contains(":registry"),
        "config.toml" if file.path.starts_with(".cargo/") => line.contains("registry") || line.contains("replace-with"),
        _ => false,
    };
    let lines = file.text.lines().filter(strange);
    lines.map(|line| format!("{}: names another registry than the public one: {}", file.path, line.trim())).collect()
}

/// Optional packages that the lock file of npm leaves out, as it does when the registry at hand lacks one of them.
///
/// `npm ci` refuses such a file, and a native tool lacks its binary on the platforms that are left out.
fn unlocked(file: &File) -> Vec<String> {
    if file.path.rsplit('/').next() != Some("package-lock.json") {
        return Vec::new();
    }
    let Ok(lock) = serde_json::from_str::<serde_json::Value>(&file.text) else {
        return vec![format!("{}: is not JSON", file.path)];
    };
    let packages: BTreeMap<&str, &serde_json::Value> =
        lock["packages"].as_object().into_iter().flatten().map(|(path, package)| (path.as_str(), package)).collect();
    let names: BTreeSet<&str> = packages.keys().filter_map(|path| path.rsplit("node_modules/").next()).collect();
    packages
        .iter()
        .flat_map(|(path, package)| {
            package["optionalDependencies"].as_object().into_iter().flatten().map(move |(name, _)| (path, name))
        })
        .filter(|(_, name)| !names.contains(name.as_str()))
        .map(|(path, name)| {
            format!(
                "{}: {path} may need {name}, which is not locked; lock a version that exists for every platform",
                file.path
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn environment_in_a_library() {
        let text = "//! Header.\nfn home() { std::env::var(\"HOME\"); }\n";
        assert_eq!(process_wide(&file("fleet/src/lib.rs", text)).len(), 1);
        assert!(process_wide(&file("bin/acp/src/main.rs", text)).is_empty());
    }

    #[test]
    fn environment_in_comments_and_tests() {
        let text = "// std::env::var\n#[cfg(test)]\nmod tests { fn a() { std::env::var(\"A\"); } }\n";
        assert!(process_wide(&file("fleet/src/lib.rs", text)).is_empty());
    }

    #[test]
    fn long_file_without_header() {
        let text = "fn a() {}\n".repeat(NEEDS_HEADER + 1);
        assert!(header(&file("fleet/src/lib.rs", &text)).is_some());
        assert!(header(&file("fleet/src/plan/tests.rs", &text)).is_none());
    }

    #[test]
    fn names() {
        assert!(name(&file("fleet/src/utils.rs", "")).is_some());
        assert!(name(&file("fleet/src/plan_v2.rs", "")).is_some());
        assert!(name(&file("fleet/src/plan.rs", "")).is_none());
    }

    #[test]
    fn lock_without_an_optional_package() {
        let whole = r#"{"packages": {"": {}, "node_modules/a": {"optionalDependencies": {"@b/c": "1"}}, "node_modules/@b/c": {}}}"#;
        assert!(unlocked(&file("console/package-lock.json", whole)).is_empty());
        let cut = whole.replace(r#", "node_modules/@b/c": {}"#, "");
        assert!(unlocked(&file("console/package-lock.json", &cut))[0].contains("@b/c"));
    }

    #[test]
    fn registries() {
        let lock = "source = \"registry+https://mirror.example/index\"\n";
        assert_eq!(origin(&file("Cargo.lock", lock)).len(), 1);
        let lock = "      \"resolved\": \"https://mirror.example/a/-/a-1.0.0.tgz\",\n";
        assert_eq!(origin(&file("console/package-lock.json", lock)).len(), 1);
        let lock = "      \"version\": \"1.0.0\",\n";
        assert!(origin(&file("console/package-lock.json", lock)).is_empty());
    }
}
