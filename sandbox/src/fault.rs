//! What can be told to go wrong: the words of the annotation [`ANNOTATION`].
//!
//! A list of words, separated by commas, each of the form `NAME[:TARGET][=DURATION]`: `crash-loop:main`,
//! `slow-start=30s`. [`words`] reads that form for all that can be told to fail; [`Fault`] is what it means for pods,
//! where the target is one of the containers, `NodeFault` what it means for nodes, and `is_full` for claims.

use std::{fmt, str::FromStr, time::Duration};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use kube::Resource;

use crate::{api_latency, duration::Printed, meta::annotation};

/// On a pod, on the workload that owns it, or on another object of those that can fail: what goes wrong there.
pub const ANNOTATION: &str = "sandbox.cpaas.io/fault";

/// One word of a list, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// What goes wrong.
    pub name: &'a str,
    /// Which part of the object it concerns, if not all of it.
    pub target: Option<&'a str>,
    /// How long it takes, for what takes time.
    pub duration: Option<Duration>,
}

/// A word that says nothing here; its text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fault {word:?}: {why}")]
pub struct InvalidFault {
    word: String,
    why: String,
}

impl InvalidFault {
    pub(crate) fn new(word: &str, why: impl Into<String>) -> Self {
        Self { word: word.to_owned(), why: why.into() }
    }
}

/// The words of a list. Blanks around them, and nothing between two commas, mean nothing.
pub fn words(list: &str) -> impl Iterator<Item = Result<Word<'_>, InvalidFault>> {
    texts(list).map(word)
}

fn texts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|text| !text.is_empty())
}

fn word(text: &str) -> Result<Word<'_>, InvalidFault> {
    let (head, duration) = match text.split_once('=') {
        None => (text, None),
        Some((head, duration)) => (head, Some(self::duration(text, duration)?)),
    };
    let (name, target) = match head.split_once(':') {
        None => (head, None),
        Some((_, "")) => return Err(InvalidFault::new(text, "the colon is followed by no name; leave it out")),
        Some((name, target)) => (name, Some(target)),
    };
    Ok(Word { name, target, duration })
}

fn duration(word: &str, text: &str) -> Result<Duration, InvalidFault> {
    let read = SignedDuration::from_str(text).ok().and_then(|read| Duration::try_from(read).ok());
    read.ok_or_else(|| InvalidFault::new(word, format!("{text:?} is no duration; write one like 30s or 5m")))
}

/// The kinds of objects that faults are told to, by what they concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Pods, and the workloads that own them.
    Pods,
    /// Nodes.
    Nodes,
    /// PersistentVolumeClaims.
    Claims,
    /// The namespace `kube-system`, in the name of the API server.
    ApiServer,
}

/// Whether each word of the list is a fault that such an object can have.
pub fn check(place: Place, list: &str) -> Result<(), InvalidFault> {
    match place {
        Place::Pods => Fault::list(list).1.into_iter().next().map_or(Ok(()), Err),
        Place::Nodes => plain(list, "nodes", &NodeFault::ALL.map(NodeFault::name)),
        Place::Claims => plain(list, "claims", &[FULL]),
        Place::ApiServer => api_latency::wanted(list).map(drop),
    }
}

/// Whether each word is one of those that take neither target nor duration.
fn plain(list: &str, of: &str, known: &[&str]) -> Result<(), InvalidFault> {
    for word in words(list) {
        let word = word?;
        if !known.contains(&word.name) {
            return Err(InvalidFault::new(word.name, format!("unknown; of {of} there are {}", known.join(", "))));
        }
        if word.target.is_some() || word.duration.is_some() {
            return Err(InvalidFault::new(word.name, "it stands alone, without the sign : or ="));
        }
    }
    Ok(())
}

/// Whether an object is told this word, whatever else it is told.
fn tells<K: Resource>(object: &K, name: &str) -> bool {
    words(annotation(object, ANNOTATION).unwrap_or_default()).flatten().any(|word| word.name == name)
}

/// Of claims.
const FULL: &str = "full";

/// Whether a claim's volume is to have no room left.
pub(crate) fn is_full(claim: &PersistentVolumeClaim) -> bool {
    tells(claim, FULL)
}

/// What goes wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeFault {
    /// The kubelet says that the container runtime is down, and no container starts or ends.
    NotReady,
    /// The kubelet neither says nor does anything: no lease, no status; its pods stay as they are.
    Unreachable,
    /// The kubelet says so, of this as of the other two pressures.
    MemoryPressure,
    DiskPressure,
    PidPressure,
}

impl NodeFault {
    const ALL: [Self; 5] =
        [Self::NotReady, Self::Unreachable, Self::MemoryPressure, Self::DiskPressure, Self::PidPressure];

    fn name(self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::Unreachable => "unreachable",
            Self::MemoryPressure => "memory-pressure",
            Self::DiskPressure => "disk-pressure",
            Self::PidPressure => "pid-pressure",
        }
    }

    /// Whether a node suffers from it. Words of other meaning are for others.
    pub(crate) fn is_of(self, node: &Node) -> bool {
        tells(node, self.name())
    }
}

/// The words of `list` and of `more`; where both have the same name and target, those of `more`.
pub fn merge(list: &str, more: &str) -> String {
    fn head(word: &str) -> &str {
        word.split_once('=').map_or(word, |(head, _)| head)
    }
    let mut merged: Vec<&str> = texts(list).collect();
    for word in texts(more) {
        match merged.iter_mut().find(|old| head(old) == head(word)) {
            Some(old) => *old = word,
            None => merged.push(word),
        }
    }
    merged.join(",")
}

/// What goes wrong with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Containers exit with 1 soon after each start.
    CrashLoop,
    /// Images cannot be pulled, whether or not the node has them.
    ImagePullError,
    /// Containers answer their startup and readiness probes only this long after their start.
    SlowStart(Duration),
    /// Containers are killed for their memory soon after each start.
    OutOfMemory,
    /// Containers run, and are not ready.
    NotReady,
    /// Containers hang: they do not answer their liveness probes.
    LivenessFailure,
    /// What really runs in this process reaches nobody over the network, and nobody it; for so long, or for good.
    Partition(Option<Duration>),
}

impl FaultKind {
    /// The words there are, for people.
    pub const WORDS: &'static str = "crash-loop, image-pull-error, slow-start=DURATION, out-of-memory, not-ready, liveness-failure, \
         partition[=DURATION]";

    /// Those that take no duration.
    const PLAIN: [Self; 5] =
        [Self::CrashLoop, Self::ImagePullError, Self::OutOfMemory, Self::NotReady, Self::LivenessFailure];

    fn name(self) -> &'static str {
        match self {
            Self::CrashLoop => "crash-loop",
            Self::ImagePullError => "image-pull-error",
            Self::SlowStart(_) => "slow-start",
            Self::OutOfMemory => "out-of-memory",
            Self::NotReady => "not-ready",
            Self::LivenessFailure => "liveness-failure",
            Self::Partition(_) => "partition",
        }
    }
}

/// One thing that goes wrong with a pod, or with one of its containers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// With which container; all of them, if there is no name.
    pub container: Option<String>,
}

impl Fault {
    /// The faults of a list, and what in it says nothing.
    pub fn list(text: &str) -> (Vec<Self>, Vec<InvalidFault>) {
        let (mut faults, mut invalid) = (Vec::new(), Vec::new());
        for word in words(text) {
            match word.and_then(Self::of) {
                Ok(fault) => faults.push(fault),
                Err(error) => invalid.push(error),
            }
        }
        (faults, invalid)
    }

    fn of(word: Word<'_>) -> Result<Self, InvalidFault> {
        let refused = |why: &str| Err(InvalidFault::new(word.name, why));
        let plain = FaultKind::PLAIN.into_iter().find(|kind| kind.name() == word.name);
        let kind = match (plain, word.name, word.duration) {
            (Some(kind), _, None) => kind,
            (Some(_), ..) => return refused("it takes no duration; leave out the sign = and what follows"),
            (None, "slow-start", Some(duration)) => FaultKind::SlowStart(duration),
            (None, "partition", duration) => FaultKind::Partition(duration),
            (None, "slow-start", None) => return refused("how long? write slow-start=30s"),
            (None, ..) => return refused(&format!("unknown; there are {}", FaultKind::WORDS)),
        };
        Ok(Self { kind, container: word.target.map(str::to_owned) })
    }

    /// Whether it is one of this container's.
    pub fn concerns(&self, container: &str) -> bool {
        self.container.as_deref().is_none_or(|name| name == container)
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        word(text.trim()).and_then(Self::of)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if let Some(container) = &self.container {
            write!(f, ":{container}")?;
        }
        match self.kind {
            FaultKind::SlowStart(duration) | FaultKind::Partition(Some(duration)) => {
                write!(f, "={}", Printed(duration))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, faults: &[&str], invalid: &[&str]) {
        let (read, refused) = Fault::list(text);
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), faults);
        assert_eq!(refused.iter().map(ToString::to_string).collect::<Vec<_>>(), invalid);
        for fault in read {
            assert_eq!(fault.to_string().parse::<Fault>(), Ok(fault));
        }
    }

    #[test]
    fn lists_are_read() {
        check("", &[], &[]);
        check("crash-loop", &["crash-loop"], &[]);
        check(" not-ready , slow-start:web=90s,,", &["not-ready", "slow-start:web=1m30s"], &[]);
        check(
            "image-pull-error,out-of-memory,liveness-failure:a",
            &["image-pull-error", "out-of-memory", "liveness-failure:a"],
            &[],
        );
        check("partition,partition:agent=30s", &["partition", "partition:agent=30s"], &[]);
    }

    #[test]
    fn what_says_nothing_is_told_and_the_rest_counts() {
        check(
            "explode,crash-loop",
            &["crash-loop"],
            &[
                "fault \"explode\": unknown; there are crash-loop, image-pull-error, slow-start=DURATION, out-of-memory, \
               not-ready, liveness-failure, partition[=DURATION]",
            ],
        );
        check("slow-start", &[], &["fault \"slow-start\": how long? write slow-start=30s"]);
        check(
            "slow-start=soon",
            &[],
            &["fault \"slow-start=soon\": \"soon\" is no duration; write one like 30s or 5m"],
        );
        check("slow-start=-3s", &[], &["fault \"slow-start=-3s\": \"-3s\" is no duration; write one like 30s or 5m"]);
        check(
            "crash-loop=3s",
            &[],
            &["fault \"crash-loop\": it takes no duration; leave out the sign = and what follows"],
        );
        check("crash-loop:", &[], &["fault \"crash-loop:\": the colon is followed by no name; leave it out"]);
    }

    #[test]
    fn a_word_is_merged_by_what_it_says() {
        assert_eq!(merge("", "crash-loop"), "crash-loop");
        assert_eq!(
            merge("slow-start=30s, not-ready", "slow-start=5s,crash-loop:a"),
            "slow-start=5s,not-ready,crash-loop:a"
        );
        assert_eq!(merge("crash-loop:a", "crash-loop:b"), "crash-loop:a,crash-loop:b");
    }

    #[test]
    fn each_place_has_faults_of_its_own() {
        let check = |place, list, fits: bool| assert_eq!(super::check(place, list).is_ok(), fits, "{list}");
        check(Place::Pods, "crash-loop,not-ready", true);
        check(Place::Pods, "full", false);
        check(Place::Nodes, "not-ready,disk-pressure", true);
        check(Place::Nodes, "crash-loop", false);
        check(Place::Claims, "full", true);
        check(Place::Claims, "unreachable", false);
        check(Place::ApiServer, "api-latency=500ms", true);
        check(Place::ApiServer, "full", false);
    }

    #[test]
    fn a_node_suffers_from_what_it_is_told() {
        let of = |text: &str| {
            let mut node = Node::default();
            node.metadata.annotations = Some([(ANNOTATION.to_owned(), text.to_owned())].into());
            NodeFault::ALL.into_iter().filter(|fault| fault.is_of(&node)).collect::<Vec<_>>()
        };
        assert_eq!(of(""), []);
        assert_eq!(of("unreachable"), [NodeFault::Unreachable]);
        assert_eq!(of("memory-pressure, disk-pressure"), [NodeFault::MemoryPressure, NodeFault::DiskPressure]);
        assert_eq!(of("pid-pressure,not-ready,haunted"), [NodeFault::NotReady, NodeFault::PidPressure]);
        assert!(NodeFault::ALL.iter().all(|fault| !fault.is_of(&Node::default())));
    }

    #[test]
    fn words_serve_other_objects_too() {
        let read: Vec<_> = words("full:data=5m").collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [Word { name: "full", target: Some("data"), duration: Some(Duration::from_secs(300)) }]);
    }

    #[test]
    fn a_fault_without_a_name_concerns_all() {
        assert!("crash-loop".parse::<Fault>().unwrap().concerns("a"));
        assert!(!"crash-loop:b".parse::<Fault>().unwrap().concerns("a"));
    }
}
