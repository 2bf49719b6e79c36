//! The chart of the hub, with a real Helm: it gives what `acp manifests hub` prints, and says what is wrong with a value.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::path::{Path, PathBuf};

use e2e::{ApiServer, binary, tool};
use serde_json::Value;
use tokio::process::Command;

const IMAGE: &str = "registry.example.com/acp:1";
const ADDRESS: &str = "hub.example.com:443";

async fn run(program: PathBuf, words: &[&str], kubeconfig: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(words).env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/nonexistent")));
    let done = command.output().await.expect("the program can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}

fn helm() -> PathBuf {
    tool("helm-4").join("helm")
}

async fn chart(folder: &Path) -> String {
    let chart = folder.join("chart").display().to_string();
    run(binary("acp"), &["manifests", "chart", "--output", &chart], None).await.unwrap();
    chart
}

/// The objects of a text, whatever their order; without what the chart alone says.
fn objects(text: &str) -> Vec<Value> {
    let mut objects = lib_yaml::parse_all(text).unwrap();
    objects.retain(|object| object["kind"] != "Namespace");
    for object in &mut objects {
        let metadata = object["metadata"].as_object_mut().unwrap();
        let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { continue };
        annotations.remove("helm.sh/resource-policy");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    let place = |object: &Value| ["namespace", "name"].map(|part| object["metadata"][part].to_string());
    objects.sort_by_key(|object| (object["kind"].to_string(), place(object)));
    objects
}

#[tokio::test]
async fn a_chart_gives_what_is_printed_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let chart = chart(folder.path()).await;
    let values = format!("image={IMAGE},publicAddress={ADDRESS},replicas=3");
    let here = ["--namespace", "cpaas-system", "--set", &values];
    let linted = run(helm(), &[&["lint", "--strict", &chart][..], &here].concat(), None).await.unwrap();
    assert!(linted.contains("0 chart(s) failed"), "{linted}");
    let rendered = run(helm(), &[&["template", "acp", &chart][..], &here].concat(), None).await.unwrap();
    let (image, address) = (format!("--image={IMAGE}"), format!("--public-address={ADDRESS}"));
    let printed = run(binary("acp"), &["manifests", "hub", &image, &address, "--replicas=3"], None).await.unwrap();
    let (rendered, printed) = (objects(&rendered), objects(&printed));
    assert_eq!(rendered.len(), printed.len());
    for (rendered, printed) in rendered.iter().zip(&printed) {
        assert_eq!(rendered, printed);
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_meant_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let chart = chart(folder.path()).await;
    let good = [("image", IMAGE), ("publicAddress", ADDRESS), ("replicas", "2")];
    for (name, value, namespace, words) in [
        ("image", "", "cpaas-system", "image"),
        ("image", "acp 1", "cpaas-system", "image"),
        ("publicAddress", "hub", "cpaas-system", "publicAddress"),
        ("replicas", "0", "cpaas-system", "replicas"),
        ("replica", "2", "cpaas-system", "replica"),
        ("replicas", "2", "default", "--namespace cpaas-system"),
    ] {
        let values: Vec<String> = good
            .iter()
            .filter(|(other, _)| *other != name)
            .chain([&(name, value)])
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let words_of_helm = ["template", "acp", &chart, "--namespace", namespace, "--set", &values.join(",")];
        let refused = run(helm(), &words_of_helm, None).await.expect_err(name);
        assert!(refused.contains(words), "{name}={value}: {refused}");
    }
}

/// As an administrator would, and away again: what people have made stays.
#[tokio::test]
async fn a_chart_is_installed_and_leaves_the_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let chart = chart(folder.path()).await;
    let cluster = ApiServer::start(&folder.path().join("cluster"), "127.0.0.1:0", 0).await;
    let (kubeconfig, values) = (cluster.kubeconfig(), format!("image={IMAGE},publicAddress={ADDRESS}"));
    let namespace = ["--namespace", "cpaas-system"];
    let install = ["upgrade", "--install", "acp", &chart, "--create-namespace", "--set", &values];
    let notes = run(helm(), &[&install[..], &namespace].concat(), Some(&kubeconfig)).await.unwrap();
    assert!(notes.contains(&format!("https://{ADDRESS}/")) && notes.contains("管理员"), "{notes}");
    let kubectl = cluster.kubectl();
    let args = "jsonpath={.spec.template.spec.containers[0].args}";
    let args = kubectl.ok(&["get", "deployment", "acp-hub", "-n", "cpaas-system", "-o", args]).await;
    assert!(args.contains(&format!("--public-address={ADDRESS}")), "{args}");
    // The same once more, and then it goes.
    run(helm(), &[&install[..], &namespace].concat(), Some(&kubeconfig)).await.unwrap();
    run(helm(), &[&["uninstall", "acp"][..], &namespace].concat(), Some(&kubeconfig)).await.unwrap();
    assert!(kubectl.ok(&["get", "crd", "-o", "name"]).await.contains("clusters.cluster.x-k8s.io"));
    let gone = kubectl.run(&["get", "deployment", "acp-hub", "-n", "cpaas-system"]).await;
    assert!(gone.err.contains("NotFound"), "{gone:?}");
}
