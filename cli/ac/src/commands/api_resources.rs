//! `api-resources`, laid out as kubectl does.

use super::Cx;
use crate::args::ApiResources;
use crate::discovery::Resource;
use crate::error::{Error, Exit, Result};
use crate::output::table::align;
use crate::text::Text;

/// Lists what the server has.
pub async fn api_resources(cx: &Cx, args: &ApiResources) -> Result<i32> {
    let wide = match args.output.as_deref() {
        None | Some("name") => false,
        Some("wide") => true,
        Some(other) => return Err(Error::told(Text::UnknownOutput { format: other.to_owned() })),
    };
    let opened = cx.open().await?;
    let mut discovery = opened.discovery(cx).await?;
    if args.cached != Some(true) {
        discovery.refresh().await?;
    }
    let catalogue = discovery.catalogue();
    let mut resources: Vec<&Resource> = catalogue
        .preferred()
        .into_iter()
        .filter(|r| args.api_group.as_ref().is_none_or(|group| *group == r.group))
        .filter(|r| args.namespaced.is_none_or(|namespaced| namespaced == r.namespaced))
        .filter(|r| !r.verbs.is_empty() && args.verbs.iter().all(|verb| r.verbs.contains(verb)))
        .filter(|r| args.categories.iter().all(|category| r.categories.contains(category)))
        .collect();
    resources.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    if args.output.as_deref() == Some("name") {
        let names: String = resources.iter().map(|resource| resource.qualified() + "\n").collect();
        cx.ui.out(&names)?;
    } else {
        let mut lines: Vec<Vec<String>> = Vec::new();
        if !args.no_headers {
            let names = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"];
            lines.push(names.iter().take(if wide { 7 } else { 5 }).map(|name| (*name).to_owned()).collect());
        }
        lines.extend(resources.iter().map(|r| row(r, wide)));
        cx.ui.out(&align(&lines, &mut Vec::new()))?;
    }
    if !catalogue.unavailable.is_empty() {
        cx.ui.warn(&Text::GroupsUnavailable { groups: catalogue.unavailable.join(", ") });
        return Ok(Exit::Failure as i32);
    }
    Ok(0)
}

fn row(resource: &Resource, wide: bool) -> Vec<String> {
    let mut row = vec![
        resource.plural.clone(),
        resource.short_names.join(","),
        resource.api_version(),
        resource.namespaced.to_string(),
        resource.kind.clone(),
    ];
    if wide {
        row.push(resource.verbs.join(","));
        row.push(resource.categories.join(","));
    }
    row
}
