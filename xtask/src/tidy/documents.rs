//! Rules for Markdown: every relative link leads somewhere, and both READMEs have the same parts.

use super::{File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings: Vec<String> = tree.with_extension(&["md"]).flat_map(|file| dead_links(tree, file)).collect();
    findings.extend(translation(tree));
    findings
}

fn dead_links(tree: &Tree, file: &File) -> Vec<String> {
    let links = links(&file.text);
    let dead = links.into_iter().filter(|link| !is_alive(tree, file, link));
    dead.map(|link| format!("{}: the link to {link} leads nowhere", file.path)).collect()
}

fn is_alive(tree: &Tree, file: &File, link: &str) -> bool {
    if link.contains("://") || link.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) };
    let Some(target) = target else { return false };
    if !tree.has(&target) {
        return false;
    }
    match tree.files.iter().find(|file| file.path == target) {
        Some(page) if !anchor.is_empty() => anchors(&page.text).any(|known| known == anchor),
        _ => true,
    }
}

/// The path from the root that a link in the file at `from` means; nothing if it leads out of the tree.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What stands between `](` and `)`, outside code.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let (link, further) = after.split_once(')').unwrap_or((after, ""));
            found.push(link.split_whitespace().next().unwrap_or_default());
            rest = further;
        }
    }
    found
}

/// The lines that are not in a fenced block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn headings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).filter_map(|line| {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        (level > 0 && title.starts_with(' ')).then(|| (level, title.trim()))
    })
}

fn anchors(text: &str) -> impl Iterator<Item = String> + '_ {
    headings(text).map(|(_, title)| {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    })
}

/// A section that one language lacks has been forgotten there.
fn translation(tree: &Tree) -> Option<String> {
    let shape = |path: &str| {
        let file = tree.files.iter().find(|file| file.path == path)?;
        Some(headings(&file.text).map(|(level, _)| level).collect::<Vec<_>>())
    };
    let same = shape("README.md") == shape("README.zh.md");
    (!same).then(|| "README.zh.md: has other sections than README.md".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_code() {
        assert_eq!(links("See [a](b.md) and [c](d/e.md#f).\n```\n[x](y)\n```\n"), ["b.md", "d/e.md#f"]);
    }

    #[test]
    fn paths() {
        assert_eq!(resolve("docs/how-to/a.md", "../dependencies.md").as_deref(), Some("docs/dependencies.md"));
        assert_eq!(resolve("README.md", "../../etc/passwd"), None);
    }

    #[test]
    fn anchors_of_headings() {
        assert_eq!(
            anchors("# A bird's eye\n## `acp up`, twice\n").collect::<Vec<_>>(),
            ["a-birds-eye", "acp-up-twice"]
        );
    }

    #[test]
    fn a_dead_link() {
        let tree = Tree { root: env!("CARGO_MANIFEST_DIR").into(), files: Vec::new() };
        let file = File { path: "a.md".to_owned(), text: "[x](Cargo.toml) [y](absent.md)".to_owned() };
        assert_eq!(dead_links(&tree, &file), ["a.md: the link to absent.md leads nowhere"]);
    }
}
