//! A Helm chart of the hub, made of the very objects that are printed otherwise: what an operator decides is left open in them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use fleet::{HubManifest, NAMESPACE};
use serde_json::{Value, json};
use tenancy::guard::identity as identity_of_tenancy;

use super::stream;

/// What stands in the objects where a value belongs. Nothing else looks like it.
const IMAGE: &str = "acp-chart-value-image";
const ADDRESS: &str = "acp-chart-value-address";
const REPLICAS: u32 = 1_000_000_007;

/// Each, and what the template has in its place.
const VALUES: [(&str, &str); 2] = [(IMAGE, ".Values.image"), (ADDRESS, ".Values.publicAddress")];

/// Helm makes the namespace, or it is there; a chart that holds it too could not be installed into it.
fn guard() -> String {
    let says = format!("the hub lives in the namespace {NAMESPACE}: --namespace {NAMESPACE} --create-namespace");
    format!("{{{{- if ne .Release.Namespace {NAMESPACE:?} }}}}{{{{ fail {says:?} }}}}{{{{- end }}}}\n")
}

/// Writes the chart into a new folder, or nothing.
pub(super) fn write(folder: &Path) -> anyhow::Result<()> {
    ensure!(
        !folder.exists(),
        "--output: {} is there already; name a folder that is to be made, or remove it",
        folder.display()
    );
    let name = folder.file_name().with_context(|| format!("--output: {} names no folder", folder.display()))?;
    let half = folder.with_file_name(format!(".{}.half", name.to_string_lossy()));
    let written = fill(&half).and_then(|()| fs::rename(&half, folder));
    if written.is_err() {
        // What there is of it is of no use; that it cannot be removed either is no news.
        let _ = fs::remove_dir_all(&half);
    }
    written.with_context(|| format!("--output: could not write {}", folder.display()))
}

fn fill(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("templates"))?;
    for (path, text) in files() {
        fs::write(folder.join(path), text)?;
    }
    Ok(())
}

fn files() -> [(&'static str, String); 5] {
    let fixed = |text: &str| text.replace("VERSION", env!("CARGO_PKG_VERSION"));
    [
        ("Chart.yaml", fixed(include_str!("../../chart/Chart.yaml"))),
        ("values.yaml", fixed(include_str!("../../chart/values.yaml"))),
        ("values.schema.json", fixed(include_str!("../../chart/values.schema.json"))),
        ("templates/NOTES.txt", fixed(include_str!("../../chart/NOTES.txt"))),
        ("templates/hub.yaml", guard() + &template(&stream(&objects()))),
    ]
}

fn objects() -> Vec<Value> {
    let rights = identity_of_tenancy(true);
    let manifest = HubManifest { image: IMAGE, address: ADDRESS, replicas: REPLICAS, rights: &rights };
    let mut objects = manifest.objects();
    objects.retain(|object| object["kind"] != "Namespace");
    for kind in objects.iter_mut().filter(|object| object["kind"] == "CustomResourceDefinition") {
        // With a kind goes all that there is of it: the fleet, its people and their projects.
        kind["metadata"]["annotations"]["helm.sh/resource-policy"] = json!("keep");
    }
    objects
}

/// The text with expressions where values belong, and all else as it is.
fn template(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(&open(line));
        out.push('\n');
    }
    out
}

fn open(line: &str) -> String {
    if let Some(key) = line.strip_suffix(&REPLICAS.to_string()) {
        return format!("{key}{{{{ .Values.replicas }}}}");
    }
    if !VALUES.iter().any(|(mark, _)| line.contains(mark)) {
        return line.replace("{{", r#"{{ "{{" }}"#);
    }
    // Behind a key, or in a list.
    let begin = line.find(": ").map(|at| at + 2).or_else(|| line.find("- ").map(|at| at + 2)).unwrap_or(0);
    let (before, mut scalar) = (&line[..begin], line[begin..].replace('%', "%%"));
    let mut arguments: Vec<(usize, &str)> = Vec::new();
    for (mark, value) in VALUES {
        arguments.extend(line.match_indices(mark).map(|(at, _)| (at, value)));
        scalar = scalar.replace(mark, "%s");
    }
    arguments.sort_unstable();
    let arguments: Vec<&str> = arguments.into_iter().map(|(_, value)| value).collect();
    format!("{before}{{{{ printf {scalar:?} {} | quote }}}}", arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        assert_eq!(open(line), expect);
    }

    #[test]
    fn values_are_left_open_and_nothing_else_is() {
        check("image: acp-chart-value-image", r#"image: {{ printf "%s" .Values.image | quote }}"#);
        check(
            "  - --at=acp-chart-value-address,100%,acp-chart-value-image",
            r#"  - {{ printf "--at=%s,100%%,%s" .Values.publicAddress .Values.image | quote }}"#,
        );
        check("  replicas: 1000000007", "  replicas: {{ .Values.replicas }}");
        check("  rule: a {{ b }}", r#"  rule: a {{ "{{" }} b }}"#);
        check("  plain: 7", "  plain: 7");
    }

    #[test]
    fn the_template_has_every_value_and_no_mark() {
        let [.., (_, template)] = files();
        for value in [".Values.image", ".Values.publicAddress", ".Values.replicas"] {
            assert!(template.contains(value), "{value}");
        }
        for mark in [IMAGE, ADDRESS, "1000000007", "kind: Namespace\n"] {
            assert!(!template.contains(mark), "{mark}");
        }
    }

    #[test]
    fn a_chart_is_written_whole_into_a_new_folder_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("chart");
        write(&folder).unwrap();
        assert!(folder.join("templates/hub.yaml").is_file() && folder.join("values.schema.json").is_file());
        let again = write(&folder).unwrap_err().to_string();
        assert!(again.contains("--output") && again.contains("is there already"), "{again}");
        std::fs::write(dir.path().join("file"), "").unwrap();
        let nowhere = format!("{:#}", write(&dir.path().join("file/chart")).unwrap_err());
        assert!(nowhere.contains("--output: could not write"), "{nowhere}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }
}
