//! What somebody asks for, read before anything happens.

use super::UpgradeError;
use super::plan::{Member, Stage, State};
use api_meta::LabelSelector;

/// Stages that nobody has asked otherwise for: one cluster, a tenth of them, the rest.
const STAGES: [&str; 2] = ["1", "10%"];
/// What the last one is called, which takes all that are left.
const REST: &str = "rest";
/// Clusters at once that nobody has asked otherwise for, and the most that may be asked for.
const AT_ONCE: u32 = 10;
const MOST: u32 = 100;
/// More stages than anybody watches.
const MAX_STAGES: usize = 20;
const MAX_IMAGE: usize = 512;

/// An upgrade of agents, as it is asked for.
#[derive(Clone, Debug, Default)]
pub struct UpgradeRequest {
    /// The image that agents are to have.
    pub image: String,
    /// Which clusters; all that have an agent, if none are named.
    pub label_selector: String,
    /// How many clusters each stage has: a number, or a share of all as `10%`. What is left is one more stage.
    pub stages: Option<Vec<String>>,
    /// How many clusters at once, at most.
    pub max_unavailable: Option<u32>,
    /// How many clusters may fail before it stops.
    pub max_failures: u32,
}

/// A request that makes sense.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) image: String,
    pub(crate) selector: LabelSelector,
    pub(crate) label_selector: String,
    pub(crate) max_unavailable: usize,
    pub(crate) max_failures: usize,
    sizes: Vec<Size>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Number(usize),
    Share(usize),
}

impl Size {
    fn read(text: &str) -> Option<Self> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let size = match text.strip_suffix('%') {
            Some(share) => number(share).filter(|share| *share <= 100).map(Self::Share)?,
            None => Self::Number(number(text)?),
        };
        (!matches!(size, Self::Number(0) | Self::Share(0))).then_some(size)
    }

    fn of(self, all: usize) -> usize {
        match self {
            Self::Number(number) => number,
            Self::Share(share) => (all * share).div_ceil(100),
        }
    }

    fn said(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Share(share) => format!("{share}%"),
        }
    }
}

impl Wanted {
    pub(crate) fn read(request: &UpgradeRequest) -> Result<Self, UpgradeError> {
        let UpgradeRequest { image, label_selector, stages, max_unavailable, max_failures } = request;
        let bad = |message: String| UpgradeError::Bad(message);
        if !is_image(image) {
            return Err(bad(format!(
                "image: must be an image such as registry.example/acp/agent:0.4.0, and is {:?}",
                image.chars().take(MAX_IMAGE).collect::<String>()
            )));
        }
        let selector = LabelSelector::parse(label_selector)
            .map_err(|error| bad(format!("labelSelector: {label_selector:?} cannot be read: {error}")))?;
        let default = STAGES.map(str::to_owned).to_vec();
        let stages = stages.as_ref().unwrap_or(&default);
        if stages.is_empty() || stages.len() > MAX_STAGES {
            let given = stages.len();
            return Err(bad(format!("stages: there must be 1 to {MAX_STAGES} of them, and there are {given}")));
        }
        let size = |text: &String| {
            let message =
                || bad(format!("stages: must be numbers as 5, or shares as 10%, more than none, and one is {text:?}"));
            Size::read(text).ok_or_else(message)
        };
        let sizes = stages.iter().map(size).collect::<Result<_, _>>()?;
        let at_once = max_unavailable.unwrap_or(AT_ONCE);
        if !(1..=MOST).contains(&at_once) {
            return Err(bad(format!("maxUnavailable: must be 1 to {MOST}, and is {at_once}")));
        }
        Ok(Self {
            image: image.clone(),
            selector,
            label_selector: label_selector.clone(),
            max_unavailable: at_once as usize,
            max_failures: *max_failures as usize,
            sizes,
        })
    }

    /// Which cluster is in which stage. All have a place.
    pub(crate) fn stages(&self, mut names: Vec<String>) -> Vec<Stage> {
        let all = names.len();
        let mut stages = Vec::new();
        let sizes = self.sizes.iter().map(|size| (size.said(), size.of(all)));
        for (size, count) in sizes.chain([(REST.to_owned(), all)]) {
            let rest = names.split_off(count.min(names.len()));
            let clusters = std::mem::replace(&mut names, rest);
            if !clusters.is_empty() {
                let waits = |name| Member { name, state: State::Waiting };
                stages.push(Stage { size, clusters: clusters.into_iter().map(waits).collect() });
            }
        }
        stages
    }
}

/// Whether this names an image: `[host[:port]/]path[:tag][@digest]`.
fn is_image(text: &str) -> bool {
    if text.len() > MAX_IMAGE {
        return false;
    }
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let is_digest = |digest: &str| {
        let hex = |hex: &str| hex.len() >= 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digest.split_once(':').is_some_and(|(kind, hash)| is_part(kind) && hex(hash))
    };
    // A colon before the last slash is a port's.
    let slash = named.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match named[slash..].split_once(':') {
        Some((_, tag)) => (&named[..named.len() - tag.len() - 1], Some(tag)),
        None => (named, None),
    };
    let is_tag = |tag: &str| {
        tag.len() <= 128
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let (host, rest) = match path.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
        _ => (None, path),
    };
    let is_host = |host: &str| {
        let (name, port) = host.split_once(':').unwrap_or((host, "1"));
        is_part(&name.to_ascii_lowercase()) && port.parse::<u16>().is_ok()
    };
    host.is_none_or(is_host) && rest.split('/').all(is_part) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

/// Small letters and digits, with separators between them.
fn is_part(part: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_end(part.bytes().next())
        && is_end(part.bytes().next_back())
        && part.bytes().all(|byte| is_end(Some(byte)) || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(request: &UpgradeRequest, expect: Option<&str>) {
        let refused = Wanted::read(request).err().map(|error| error.to_string());
        match expect {
            None => assert_eq!(refused, None),
            Some(part) => {
                assert!(refused.as_ref().is_some_and(|refused| refused.starts_with(part)), "{part}: {refused:?}");
            }
        }
    }

    fn asks(image: &str) -> UpgradeRequest {
        UpgradeRequest { image: image.to_owned(), ..UpgradeRequest::default() }
    }

    #[test]
    fn an_image_is_named_as_containers_name_it() {
        let digest = format!("@sha256:{}", "0a".repeat(32));
        for image in [
            "acp/agent",
            "agent:0.4.0",
            "registry.example:5000/platform/acp-agent:v1_2",
            "localhost/agent:1",
            "Registry.Example/agent:1",
            &format!("acp/agent{digest}"),
            &format!("acp/agent:1{digest}"),
        ] {
            check(&asks(image), None);
        }
        for image in [
            "",
            " ",
            "acp/agent ",
            "acp agent:1",
            "acp/agent:",
            "acp/agent:-1",
            "/agent",
            "acp//agent",
            "acp/agent@sha256:12",
            "acp/Agent",
            "registry.example:port/agent",
            "acp/agent:1:2",
            "-x",
            "acp/agent\n",
            "acp/agent:\u{e9}",
            &"a".repeat(513),
        ] {
            check(&asks(image), Some("image: must be an image"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        let image = || asks("acp/agent:2");
        let stages = |stages: &[&str]| UpgradeRequest {
            stages: Some(stages.iter().map(|size| (*size).to_owned()).collect()),
            ..image()
        };
        check(&UpgradeRequest { label_selector: "a==b==c".into(), ..image() }, Some("labelSelector: \"a==b==c\""));
        check(&stages(&[]), Some("stages: there must be 1 to 20"));
        check(&stages(&["1"; 21]), Some("stages: there must be 1 to 20"));
        for size in ["0", "0%", "101%", "", "%", "-1", "+1", "1.5", "ten", "1 "] {
            check(&stages(&["1", size]), Some("stages: must be numbers as 5"));
        }
        for at_once in [0, 101] {
            check(
                &UpgradeRequest { max_unavailable: Some(at_once), ..image() },
                Some("maxUnavailable: must be 1 to 100"),
            );
        }
        check(&stages(&["1", "50%", "100%"]), None);
    }

    fn sizes(stages: Option<&[&str]>, all: usize) -> Vec<(String, usize)> {
        let stages = stages.map(|stages| stages.iter().map(|size| (*size).to_owned()).collect());
        let wanted = Wanted::read(&UpgradeRequest { stages, ..asks("a") }).unwrap();
        let names = (0..all).map(|number| format!("c{number}")).collect();
        wanted.stages(names).into_iter().map(|stage| (stage.size, stage.clusters.len())).collect()
    }

    #[track_caller]
    fn check_sizes(stages: Option<&[&str]>, all: usize, expect: &[(&str, usize)]) {
        let expect: Vec<(String, usize)> = expect.iter().map(|(size, count)| ((*size).to_owned(), *count)).collect();
        assert_eq!(sizes(stages, all), expect);
    }

    #[test]
    fn first_one_then_a_tenth_then_the_rest() {
        check_sizes(None, 100, &[("1", 1), ("10%", 10), ("rest", 89)]);
        check_sizes(None, 5, &[("1", 1), ("10%", 1), ("rest", 3)]);
        check_sizes(None, 1, &[("1", 1)]);
        check_sizes(None, 0, &[]);
        check_sizes(Some(&["50%", "100%"]), 5, &[("50%", 3), ("100%", 2)]);
        check_sizes(Some(&["2"]), 3, &[("2", 2), ("rest", 1)]);
    }

    proptest! {
        #[test]
        fn everybody_has_one_place(all in 0_usize..500, first in 1_usize..50, share in 1_usize..=100) {
            let (first, share) = (first.to_string(), format!("{share}%"));
            let counted: usize = sizes(Some(&[&first, &share]), all).iter().map(|(_, count)| count).sum();
            prop_assert_eq!(counted, all);
        }
    }
}
