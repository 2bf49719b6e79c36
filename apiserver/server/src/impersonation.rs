//! Acting as somebody else, for those who may (upstream: `WithImpersonation`).

use std::collections::BTreeMap;

use api_meta::Status;
use apiserver_access::{Attributes, Authorizer, ResourceAttributes, User};
use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::chain::forbidden;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The identity that the headers ask for.
pub(crate) fn requested(headers: &HeaderMap, path: &str) -> Result<Option<User>, String> {
    let text = |name: &str| -> Vec<String> {
        // A name that is not text is still a name: dropping it would mean acting as the caller.
        headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect()
    };
    let user = text(USER).into_iter().next().unwrap_or_default();
    let groups = text(GROUP);
    let uid = text(UID).into_iter().next().unwrap_or_default();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
            extra.entry(key).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    if !user.is_empty() {
        return Ok(Some(User { name: user, uid, groups, extra }));
    }
    // An identity without a user is a mistake, never a reason to act as oneself.
    let mut orphans: Vec<String> = groups.iter().map(|g| format!("{{Group  {g}    }}")).collect();
    for (key, values) in &extra {
        orphans.extend(values.iter().map(|v| format!("{{UserExtra  {v}  authentication.k8s.io/v1  {key}}}")));
    }
    if !uid.is_empty() {
        orphans.push(format!("{{UID  {uid}  authentication.k8s.io/v1  }}"));
    }
    if orphans.is_empty() {
        return Ok(None);
    }
    Err(format!("Internal Server Error: {path:?}: requested [{}] without impersonating a user\n", orphans.join(" ")))
}

/// Checks each part of the wanted identity against the caller's rights.
pub(crate) fn assume(authorizer: &dyn Authorizer, caller: &User, mut wanted: User) -> Result<User, Status> {
    let check = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            user: caller.clone(),
            verb: "impersonate".into(),
            path: String::new(),
            resource: Some(ResourceAttributes {
                group: group.into(),
                version: "v1".into(),
                resource: resource.into(),
                subresource: subresource.into(),
                namespace: namespace.into(),
                name: name.into(),
            }),
        };
        let decision = authorizer.authorize(&attributes);
        if decision.is_allowed() { Ok(()) } else { Err(forbidden(&attributes, &decision)) }
    };
    let account = wanted.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => check("", "serviceaccounts", "", namespace, name)?,
        None => check("", "users", "", "", &wanted.name)?,
    }
    for group in &wanted.groups {
        check("", "groups", "", "", group)?;
    }
    for (key, values) in &wanted.extra {
        for value in values {
            check("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    if !wanted.uid.is_empty() {
        check("authentication.k8s.io", "uids", "", "", &wanted.uid)?;
    }
    if wanted.groups.is_empty()
        && let Some((namespace, _)) = account
    {
        wanted.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    let anonymous = wanted.name == "system:anonymous";
    let membership = if anonymous { "system:unauthenticated" } else { "system:authenticated" };
    let said = |g: &String| g == "system:authenticated" || g == "system:unauthenticated";
    if !wanted.groups.iter().any(said) {
        wanted.groups.push(membership.into());
    }
    Ok(wanted)
}

/// The headers have done their work; nothing further in may see them.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|n| n.as_str().starts_with("impersonate-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_identity_needs_a_user() {
        let orphan = requested(&headers(&[("impersonate-group", "g")]), "/x").unwrap_err();
        assert_eq!(orphan, "Internal Server Error: \"/x\": requested [{Group  g    }] without impersonating a user\n");
        assert_eq!(requested(&headers(&[]), "/x"), Ok(None));
    }

    #[test]
    fn a_name_beyond_ascii_is_not_dropped() {
        let mut headers = HeaderMap::new();
        headers.insert(USER, http::HeaderValue::from_bytes("jürgen".as_bytes()).unwrap());
        assert_eq!(requested(&headers, "/").unwrap().unwrap().name, "jürgen");
        headers.insert(USER, http::HeaderValue::from_bytes(&[0xff, 0xfe]).unwrap());
        assert!(requested(&headers, "/").unwrap().is_some());
    }

    #[test]
    fn extra_keys_are_decoded() {
        let wanted = requested(
            &headers(&[("impersonate-user", "u"), ("impersonate-extra-a%2fb", "1"), ("impersonate-extra-a%2fb", "2")]),
            "/",
        );
        assert_eq!(wanted.unwrap().unwrap().extra["a/b"], ["1", "2"]);
    }
}
