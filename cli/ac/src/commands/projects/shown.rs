//! How projects are listed: as published, and to everybody those that are theirs.
//!
//! The API server lists all projects or none. Whoever may not have all of them gets theirs from the platform, in the same
//! form.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::Cx;
use super::super::get::{Found, Query, ask};
use crate::discovery::Resource;
use crate::error::{Error, Result};
use crate::output::human_duration;

const LIST: &str = "/auth/v1/projects";

/// Whether it is projects.
pub fn is_projects(resource: &Resource) -> bool {
    resource.group == "auth.alauda.io" && resource.plural == "projects"
}

/// Whether the platform may still have an answer for whom the API server refused.
pub fn is_for_tenants(query: &Query, refusal: &Error) -> bool {
    is_projects(&query.resource) && matches!(refusal, Error::Api(refused) if refused.code == 403)
}

/// The projects of somebody who may not list all.
pub async fn of_tenant(cx: &Cx, mut query: Query, chunk_size: u32) -> Result<Found> {
    // How an API server makes tables is not the platform's affair.
    query.parameters.retain(|(key, _)| key.ends_with("Selector"));
    ask(&cx.platform().await?, LIST, query, chunk_size).await
}

/// The published columns of a server's table: NAME, STATUS and AGE, and the others in wide tables.
pub fn as_published(table: &mut Value) {
    for column in table["columnDefinitions"].as_array_mut().into_iter().flatten() {
        let priority = match column["name"].as_str() {
            Some("Phase") => {
                column["name"] = "Status".into();
                0
            }
            Some("Name" | "Status" | "Age") => 0,
            _ => 1,
        };
        column["priority"] = priority.into();
    }
}

/// The same table of projects that came as objects.
pub fn table(answer: &Value, now: Timestamp) -> Value {
    let single = std::slice::from_ref(answer);
    let items = answer["items"].as_array().map_or(single, Vec::as_slice);
    let rows: Vec<Value> =
        items.iter().map(|project| json!({"cells": cells(project, now), "object": project})).collect();
    let columns = ["Name", "Display", "Clusters", "Status", "Age"]
        .map(|name| json!({"name": name, "priority": i32::from(matches!(name, "Display" | "Clusters"))}));
    json!({"kind": "Table", "metadata": answer["metadata"], "columnDefinitions": columns, "rows": rows})
}

fn cells(project: &Value, now: Timestamp) -> [Value; 5] {
    let metadata = &project["metadata"];
    let clusters = project["spec"]["clusters"].as_array().into_iter().flatten();
    let clusters: Vec<&str> = clusters.filter_map(|cluster| cluster["name"].as_str()).collect();
    let created = metadata["creationTimestamp"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let age = created.map_or("<unknown>".to_owned(), |created| {
        human_duration(Duration::try_from(now.duration_since(created)).unwrap_or_default())
    });
    [
        metadata["name"].clone(),
        metadata["annotations"]["cpaas.io/display-name"].clone(),
        clusters.join(",").into(),
        project["status"]["phase"].clone(),
        age.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::table::{Part, TableOptions, TablePrinter};

    fn printed(table: &Value, wide: bool) -> String {
        let part = Part { table, row: None, cluster: "", event: "" };
        TablePrinter::new(TableOptions { wide, ..TableOptions::default() }).render([part])
    }

    fn project() -> Value {
        json!({"metadata": {"name": "shop", "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"cpaas.io/display-name": "The shop"}},
            "spec": {"clusters": [{"name": "east"}, {"name": "west"}]}, "status": {"phase": "Active"}})
    }

    #[test]
    fn both_ways_to_projects_look_the_same() {
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let own = table(&json!({"items": [project()]}), now);
        let mut servers = json!({"columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Display", "priority": 0},
                {"name": "Clusters", "priority": 0}, {"name": "Phase", "priority": 0}, {"name": "Age", "priority": 0}],
            "rows": [{"cells": ["shop", "The shop", "east,west", "Active", "5m"], "object": project()}]});
        as_published(&mut servers);
        for table in [&own, &servers] {
            assert_eq!(printed(table, false), "NAME   STATUS   AGE\nshop   Active   5m\n");
            assert!(printed(table, true).starts_with("NAME   DISPLAY    CLUSTERS    STATUS   AGE\n"));
        }
        assert_eq!(printed(&table(&project(), now), false), "NAME   STATUS   AGE\nshop   Active   5m\n");
    }

    #[test]
    fn nothing_is_invented_for_what_a_project_does_not_say() {
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        assert_eq!(printed(&table(&json!({}), now), false), "NAME   STATUS   AGE\n                <unknown>\n");
    }
}
