//! `version`: client, platform and cluster, and whether they are too far apart.

use serde_json::{Value, json};

use super::Cx;
use crate::args::Version;
use crate::error::{Error, Result};
use crate::output::table::harmless;
use crate::output::to_json;
use crate::session::GLOBAL;
use crate::text::Text;

/// The Kubernetes minor version whose API this program was made for.
const KUBERNETES: (u32, u32) = (1, 34);

fn client() -> Value {
    json!({
        "major": KUBERNETES.0.to_string(),
        "minor": KUBERNETES.1.to_string(),
        "gitVersion": concat!("v", env!("CARGO_PKG_VERSION")),
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// The client alone; asks nobody.
pub fn client_only(cx: &Cx, args: &Version) -> Result<i32> {
    print(cx, args, &json!({"clientVersion": client()}))?;
    Ok(0)
}

/// All three; a server that does not answer costs its line and the exit code.
pub async fn version(cx: &Cx, args: &Version) -> Result<i32> {
    let mut all = json!({"clientVersion": client()});
    let target = match cx.connector.target() {
        Ok(target) => target,
        Err(error) => {
            print(cx, args, &all)?;
            return Err(error);
        }
    };
    let mut failure = None;
    if let Some(session) = &target.session {
        let answer = match cx.connector.platform(session).await {
            Ok(endpoint) => endpoint.get("/version").await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(version) => all["platformVersion"] = version,
            Err(error) => failure = Some(error),
        }
    }
    let name = if target.cluster_name.is_empty() { GLOBAL.to_owned() } else { target.cluster_name.clone() };
    let answer = match cx.open_target(target).await {
        Ok(opened) => opened.endpoint.get("/version").await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(version) => {
            all["serverVersion"] = version;
            all["cluster"] = name.into();
        }
        Err(error) => failure = failure.or(Some(error)),
    }
    print(cx, args, &all)?;
    if let Some(skew) = skew(&all["serverVersion"]) {
        let client = format!("{}.{}", KUBERNETES.0, KUBERNETES.1);
        cx.ui.warn(&Text::VersionSkew { client, server: skew });
    }
    failure.map_or(Ok(0), Err)
}

/// The server's version when it is more than one minor away from ours.
fn skew(server: &Value) -> Option<String> {
    let number = |field: &str| -> Option<u32> {
        let digits: String = server[field].as_str()?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let (major, minor) = (number("major")?, number("minor")?);
    (major != KUBERNETES.0 || minor.abs_diff(KUBERNETES.1) > 1).then(|| format!("{major}.{minor}"))
}

fn print(cx: &Cx, args: &Version, all: &Value) -> Result<()> {
    match args.output.as_deref() {
        None => {}
        Some("json") => return cx.ui.out(&to_json(all)),
        Some("yaml") => return cx.ui.out(&lib_yaml::to_string(all)),
        Some(other) => return Err(Error::usage(Text::UnknownOutput { format: other.to_owned() })),
    }
    let git = |field: &str| all[field]["gitVersion"].as_str().map(harmless);
    let mut text = format!("Client Version: {}\n", git("clientVersion").unwrap_or_default());
    if let Some(version) = git("platformVersion") {
        text.push_str(&format!("Platform Version: {version}\n"));
    }
    if let Some(version) = git("serverVersion") {
        text.push_str(&format!("Server Version: {version} ({})\n", all["cluster"].as_str().unwrap_or_default()));
    }
    cx.ui.out(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minor_apart_is_fine() {
        let server = |minor: &str| skew(&json!({"major": "1", "minor": minor}));
        assert_eq!(server("34"), None);
        assert_eq!(server("35+"), None);
        assert_eq!(server("31"), Some("1.31".to_owned()));
        assert_eq!(skew(&json!({})), None);
    }
}
