//! Says of each `FlowSchema` whether the priority level that it names is there (upstream: the status that
//! `api-priority-and-fairness-config-consumer` writes).

use std::sync::Arc;

use k8s_openapi::api::flowcontrol::v1::{FlowSchema, FlowSchemaCondition, PriorityLevelConfiguration};

use crate::{
    cache::{Informer, Key},
    clock::Clock,
    cluster::Cluster,
    controller,
    meta::now,
    ownership,
    queue::Queue,
};

const DANGLING: &str = "Dangling";
const WRITER: &str = "api-priority-and-fairness-config-consumer-v1";

pub(super) fn start(cluster: &Cluster) {
    let schemas: Arc<Informer<FlowSchema>> = Arc::new(Informer::new(cluster.client.clone()));
    let levels: Arc<Informer<PriorityLevelConfiguration>> = Arc::new(Informer::new(cluster.client.clone()));
    let queue = Arc::new(Queue::new(&Clock::default()));
    ownership::each(&schemas, &queue);
    let (all, wake) = (schemas.clone(), queue.clone());
    levels.on_change(move |_, _| {
        for schema in all.all() {
            wake.add(Key::of(&*schema));
        }
    });
    cluster.watch(&schemas);
    cluster.watch(&levels);
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        schemas.synced().await;
        levels.synced().await;
        let (schemas, levels) = (&schemas, &levels);
        controller::run("flowschemas", queue, 2, token, |key| async move {
            let Some(schema) = schemas.get(&key) else { return Ok(None) };
            let there = level(&schema).is_some_and(|name| levels.get(&Key::new("", name)).is_some());
            if let Some(told) = told(&schema, there) {
                schemas.update_as(&schema, &told, Some("status"), WRITER).await?;
            }
            Ok(None)
        })
        .await;
    });
}

fn level(schema: &FlowSchema) -> Option<&str> {
    schema.spec.as_ref().map(|spec| &*spec.priority_level_configuration.name)
}

/// The schema as it should be; `None` when it is so already.
fn told(schema: &FlowSchema, there: bool) -> Option<FlowSchema> {
    let named = format!("This FlowSchema references the PriorityLevelConfiguration object named {:?}", level(schema)?);
    let (status, reason, message) = match there {
        true => ("False", "Found", format!("{named} and it exists")),
        false => ("True", "NotFound", format!("{named} but there is no such object")),
    };
    let mut told = schema.clone();
    let conditions = told.status.get_or_insert_default().conditions.get_or_insert_default();
    let before = conditions.iter().position(|condition| condition.type_.as_deref() == Some(DANGLING));
    let mut condition = FlowSchemaCondition {
        type_: Some(DANGLING.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(now()),
    };
    let Some(place) = before else {
        conditions.push(condition);
        return Some(told);
    };
    let old = &conditions[place];
    if (&old.status, &old.reason, &old.message) == (&condition.status, &condition.reason, &condition.message) {
        return None;
    }
    if old.status == condition.status {
        condition.last_transition_time.clone_from(&old.last_transition_time);
    }
    conditions[place] = condition;
    Some(told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_level_that_is_missing_is_said_once() {
        let schema: FlowSchema = serde_json::from_value(json!({"metadata": {"name": "s"},
            "spec": {"priorityLevelConfiguration": {"name": "l"}}}))
        .unwrap();
        let status = |schema: &FlowSchema| {
            let condition = &schema.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
            (condition.status.clone().unwrap(), condition.reason.clone().unwrap())
        };
        let missing = told(&schema, false).unwrap();
        assert_eq!(status(&missing), ("True".into(), "NotFound".into()));
        assert!(told(&missing, false).is_none());
        let found = told(&missing, true).unwrap();
        assert_eq!(status(&found), ("False".into(), "Found".into()));
        assert_eq!(found.status.as_ref().unwrap().conditions.as_ref().unwrap().len(), 1);
    }
}
