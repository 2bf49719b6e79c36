//! Providers, for those who sign in and for those who set them up.

use http::{Method, Response};
use serde_json::{Value, json};

use super::{Ask, Bytes, Refused, list};
use crate::Inner;

/// `/auth/v1/providers`: who can vouch for somebody.
pub(super) async fn providers(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match rest {
        [] => {
            ask.only(&Method::GET)?;
            let mut items = vec![json!({"id": "local", "name": "Local", "type": "local"})];
            items.extend(inner.index.connectors().iter().filter(|connector| !connector.spec.disabled).map(
                |connector| {
                    let name = if connector.name.is_empty() { &connector.id } else { &connector.name };
                    let mut item = json!({"id": connector.id, "name": name, "type": connector.type_});
                    if let Some(Value::String(prompt)) = connector.spec.config.get("usernamePrompt") {
                        item["usernamePrompt"] = prompt.as_str().into();
                    }
                    item
                },
            ));
            Ok(list(items))
        }
        _ => Err(Refused::not_found()),
    }
}

/// `/auth/v1/connectors`: setting providers up.
pub(super) async fn answer(_: &Inner, _: &Ask<'_>, _: &[&str]) -> Result<Response<Bytes>, Refused> {
    Err(Refused::not_found())
}

/// Where providers send people back to, below `/dex`.
pub(super) async fn dex(_: &Inner, _: &Ask<'_>, _: &[&str]) -> Result<Response<Bytes>, Refused> {
    Err(Refused::not_found())
}
