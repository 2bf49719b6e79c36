//! `adm certificate`: an administrator's yes or no to a request for a certificate, as that of an agent with another key.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Cx;
use crate::args::Certificate;
use crate::error::Result;
use crate::http::{Ask, segment};
use crate::session::GLOBAL;

/// Says so of each, on the hub unless `--cluster` says where.
pub async fn decide(cx: &Cx, command: &Certificate, now: Timestamp) -> Result<i32> {
    let (names, kind, done) = match command {
        Certificate::Approve { names } => (names, "Approved", "approved"),
        Certificate::Deny { names } => (names, "Denied", "denied"),
    };
    let cluster = cx.global.cluster.as_deref().unwrap_or(GLOBAL);
    let endpoint = cx.platform().await?;
    for name in names {
        let path = format!(
            "/kubernetes/{}/apis/certificates.k8s.io/v1/certificatesigningrequests/{}",
            segment(cluster),
            segment(name)
        );
        let mut request = endpoint.get(&path).await?;
        if say(&mut request, kind, now) {
            // With the version that was read: what is approved is what was there.
            endpoint.send(&Ask::new(Method::PUT, format!("{path}/approval")).json(&request)).await?;
        }
        cx.ui.out_line(format!("certificatesigningrequest.certificates.k8s.io/{name} {done}"))?;
    }
    Ok(0)
}

/// Adds the condition; false if it is there.
fn say(request: &mut Value, kind: &str, now: Timestamp) -> bool {
    let mut conditions = request["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if conditions.iter().any(|condition| condition["type"] == kind) {
        return false;
    }
    let message = format!("{kind} with ac adm certificate");
    conditions.push(json!({
        "type": kind, "status": "True", "reason": format!("AC{kind}"), "message": message,
        "lastUpdateTime": format!("{now:.0}"),
    }));
    request["status"]["conditions"] = conditions.into();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_and_beside_what_was_said() {
        let mut request = json!({"status": {"conditions": [{"type": "Other"}]}});
        assert!(say(&mut request, "Approved", Timestamp::UNIX_EPOCH));
        assert!(!say(&mut request, "Approved", Timestamp::UNIX_EPOCH));
        let conditions = request["status"]["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 2);
        assert_eq!((&conditions[1]["type"], &conditions[1]["status"]), (&json!("Approved"), &json!("True")));
        assert_eq!(conditions[1]["lastUpdateTime"], "1970-01-01T00:00:00Z");
    }
}
