//! The pods of a Job: what is added to its template, and what can be read from them later.

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod},
};

use crate::{
    meta::{annotation, controller_reference, name, namespace},
    pods,
};

use super::plan::FINALIZER;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The API server adds five characters to a generated name, and the whole is a label.
const LONGEST_PREFIX: usize = 58;

pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

pub(super) fn index(pod: &Pod) -> Option<i32> {
    annotation(pod, INDEX)?.parse().ok().filter(|index| *index >= 0)
}

/// How often the index of a pod had failed before it: what counted, and what was ignored. Anybody can have written that.
pub(super) fn failures(pod: &Pod) -> (i32, i32) {
    let number = |key: &str| annotation(pod, key).and_then(|text| text.parse().ok()).unwrap_or(0).max(0);
    (number(FAILURES), number(IGNORED_FAILURES))
}

pub(super) fn pod(job: &Job, spec: &JobSpec) -> Pod {
    let mut pod = pods::from_template(&spec.template, namespace(job), controller_reference(job));
    pod.metadata.generate_name = Some(format!("{}-", name(job)));
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    pod
}

/// `failures` are said where each index has a limit of its own.
pub(super) fn pod_of_index(job: &Job, spec: &JobSpec, index: i32, failures: Option<(i32, i32)>) -> Pod {
    let mut pod = pod(job, spec);
    let suffix = format!("-{index}-");
    let kept: String = name(job).chars().take(LONGEST_PREFIX.saturating_sub(suffix.len())).collect();
    pod.metadata.generate_name = Some(format!("{kept}{suffix}"));
    pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    if let Some((counted, ignored)) = failures {
        annotations.insert(FAILURES.to_owned(), counted.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED_FAILURES.to_owned(), ignored.to_string());
        }
    }
    if let Some(pod_spec) = &mut pod.spec {
        pod_spec.hostname = Some(format!("{}-{index}", name(job)));
        pod_spec.init_containers.iter_mut().flatten().chain(&mut pod_spec.containers).for_each(tell_index);
    }
    pod
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let field = ObjectFieldSelector { api_version: None, field_path: format!("metadata.labels['{INDEX}']") };
    variables.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
        ..EnvVar::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(name: &str) -> Job {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "uid": "u"},
            "spec": {"completions": 3, "completionMode": "Indexed", "template": {"spec": {
                "initContainers": [{"name": "before", "env": [{"name": "JOB_COMPLETION_INDEX", "value": "mine"}]}],
                "containers": [{"name": "main"}]}}}}))
        .unwrap()
    }

    #[test]
    fn a_pod_knows_its_index() {
        let job = job("j");
        let pod = pod_of_index(&job, job.spec.as_ref().unwrap(), 2, Some((1, 0)));
        assert_eq!((index(&pod), failures(&pod)), (Some(2), (1, 0)));
        assert_eq!(annotation(&pod, IGNORED_FAILURES), None);
        assert_eq!(pod.metadata.labels.as_ref().unwrap()[INDEX], "2");
        assert_eq!(pod.metadata.finalizers, Some(vec![FINALIZER.to_owned()]));
        let spec = pod.spec.unwrap();
        assert_eq!(spec.hostname.as_deref(), Some("j-2"));
        let variable = |container: &Container| serde_json::to_value(&container.env.as_ref().unwrap()[0]).unwrap();
        assert_eq!(
            variable(&spec.containers[0])["valueFrom"]["fieldRef"]["fieldPath"],
            format!("metadata.labels['{INDEX}']")
        );
        assert_eq!(variable(&spec.init_containers.unwrap()[0])["value"], "mine");
    }

    #[test]
    fn the_index_survives_a_long_name() {
        let job = job(&"j".repeat(63));
        let pod = pod_of_index(&job, job.spec.as_ref().unwrap(), 17, None);
        let prefix = pod.metadata.generate_name.unwrap();
        assert!(prefix.ends_with("j-17-") && prefix.len() == LONGEST_PREFIX);
    }
}
