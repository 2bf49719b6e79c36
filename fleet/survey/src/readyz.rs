//! Which checks of an API server fail, by its answer at `/readyz`.

/// The most checks that are named.
const NAMED: usize = 8;
/// The most of an answer that is no list of checks.
const CHARS: usize = 256;

/// What an API server that is not ready says of itself: `[-]etcd failed: reason withheld` among others.
pub fn unready(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let failed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("[-]")?.split_whitespace().next())
        .filter(|name| name.len() <= 64 && !name.chars().any(char::is_control))
        .collect();
    let more = failed.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match (&*failed, text.trim()) {
        ([], "") => "The API server is not ready, and does not say why.".into(),
        ([], text) => {
            let plain = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
            format!("The API server is not ready: {}", plain.take(CHARS).collect::<String>())
        }
        ([one], _) => format!("The API server is not ready: its check {one} fails."),
        (some, _) => {
            format!("The API server is not ready: its checks {}{more} fail.", some[..some.len().min(NAMED)].join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expect: &str) {
        assert_eq!(unready(answer.as_bytes()), expect);
    }

    #[test]
    fn failing_checks_are_named() {
        let head = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n";
        check(&format!("{head}readyz check failed\n"), "The API server is not ready: its check etcd fails.");
        check(
            &format!("{head}[-]poststarthook/crd failed: reason withheld\n"),
            "The API server is not ready: its checks etcd, poststarthook/crd fail.",
        );
    }

    #[test]
    fn other_answers_are_told() {
        check("shutting down\n", "The API server is not ready: shutting down");
        check("", "The API server is not ready, and does not say why.");
    }

    #[test]
    fn case_28_answers_without_end_are_cut() {
        let many: String = (0..1000).map(|number| format!("[-]c{number} failed\n")).collect();
        assert!(unready(many.as_bytes()).ends_with("c7 and 992 more fail."));
        assert!(unready("\u{1b}[2Jx".repeat(1000).as_bytes()).chars().all(|c| !c.is_control()));
        assert!(unready("x".repeat(10_000).as_bytes()).len() < 300);
    }
}
