use super::*;
use crate::{SandboxConfig, kubelet::nodes::status::registered};

const PACE: Pace = Pace { lease: Duration::from_secs(10), heartbeat: Duration::from_secs(300) };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// A kubelet with its node, and the time.
struct Kubelet {
    spec: Spec,
    node: Option<Node>,
    memory: Memory,
}

impl Kubelet {
    fn new() -> Self {
        let spec = Spec::numbered(&SandboxConfig::default(), 0);
        Self { memory: Memory::new(1, &spec.name), spec, node: None }
    }

    /// One that has registered its node, and done at once what comes of it.
    fn started() -> Self {
        let mut kubelet = Self::new();
        kubelet.node = Some(registered(&kubelet.spec, at(0)));
        kubelet.look(0);
        kubelet
    }

    /// Does what is due.
    fn look(&mut self, second: i64) -> Work {
        let work = plan(&self.spec, self.node.as_ref(), self.memory.clone(), &PACE, at(second));
        self.memory = work.memory.clone();
        if let (Some(node), Some(status)) = (&mut self.node, &work.status) {
            node.status = Some(status.clone());
        }
        work
    }

    fn annotate(&mut self, key: &str, value: Option<&str>) {
        let annotations = self.node.as_mut().unwrap().metadata.annotations.get_or_insert_default();
        match value {
            Some(value) => annotations.insert(key.to_owned(), value.to_owned()),
            None => annotations.remove(key),
        };
    }

    fn ready(&self) -> (&str, &str) {
        let ready = condition(self.node.as_ref().unwrap(), "Ready").unwrap();
        (&ready.status, ready.reason.as_deref().unwrap_or_default())
    }
}

fn reasons(work: &Work) -> Vec<&'static str> {
    work.events.iter().map(|event| event.reason).collect()
}

const START: [&str; 5] =
    ["Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeAllocatableEnforced"];

#[test]
fn a_kubelet_registers_its_node_when_it_starts_and_not_again() {
    let mut kubelet = Kubelet::new();
    assert!(kubelet.look(0).register);
    kubelet.node = Some(registered(&kubelet.spec, at(0)));
    kubelet.memory.registered = true;
    let work = kubelet.look(0);
    assert!(work.renew && !work.register);
    assert_eq!(kubelet.ready(), ("True", "KubeletReady"));
    kubelet.node = None;
    let work = kubelet.look(5);
    assert!(!work.register && work.again.is_none(), "who deletes a node means it");
}

#[test]
fn a_node_that_is_created_anew_is_taken_up() {
    let mut kubelet = Kubelet::started();
    kubelet.node = Some(Node::default());
    kubelet.node.as_mut().unwrap().metadata.uid = Some("another".to_owned());
    let work = kubelet.look(5);
    assert!(work.status.is_some() && work.labelled.is_some());
    assert!(reasons(&work).contains(&"NodeReady"));
}

#[test]
fn an_unchanged_node_costs_a_lease() {
    let mut kubelet = Kubelet::started();
    let (mut renewed, mut reports) = (0, 0);
    for second in 1..=600 {
        let work = kubelet.look(second);
        renewed += i32::from(work.renew);
        reports += i32::from(work.status.is_some());
        assert!(work.events.is_empty() && work.again.is_some());
    }
    assert!((55..=62).contains(&renewed), "{renewed}");
    assert_eq!(reports, 2);
}

#[test]
fn nodes_do_not_renew_in_step() {
    let first = |name: &str| Memory::new(1, name).jitter.part_of(PACE.lease);
    let mut waits: Vec<_> = (0..100).map(|index| first(&format!("node-{index}"))).collect();
    waits.sort();
    assert!(waits[10] < Duration::from_secs(3) && waits[90] > Duration::from_secs(7), "{waits:?}");
    assert_eq!(first("node-1"), first("node-1"));
}

#[test]
fn another_version_is_a_restart() {
    let mut kubelet = Kubelet::started();
    kubelet.annotate(super::super::KUBELET_VERSION, Some("v1.35.0"));
    let work = kubelet.look(7);
    assert_eq!(reasons(&work), START);
    let info = work.status.unwrap().node_info.unwrap();
    assert_eq!((&*info.kubelet_version, &*info.container_runtime_version), ("v1.35.0", "containerd://2.0.5"));
    assert!(kubelet.look(8).events.is_empty());
    kubelet.annotate(super::super::RUNTIME_VERSION, Some("containerd://2.1.4"));
    assert_eq!(kubelet.look(9).status.unwrap().node_info.unwrap().container_runtime_version, "containerd://2.1.4");
}

#[test]
fn faults_are_told_and_heal_at_once() {
    let fault = "sandbox.cpaas.io/fault";
    let mut kubelet = Kubelet::started();
    kubelet.annotate(fault, Some("not-ready,memory-pressure"));
    let work = kubelet.look(3);
    assert_eq!(reasons(&work), ["NodeHasInsufficientMemory", "NodeNotReady"]);
    assert_eq!(kubelet.ready(), ("False", "KubeletNotReady"));
    kubelet.annotate(fault, None);
    let work = kubelet.look(4);
    assert_eq!(reasons(&work), ["NodeHasSufficientMemory", "NodeReady"]);
    assert!(work.acts_again);
}

#[test]
fn an_unreachable_node_is_silent_and_comes_back_at_once() {
    let fault = "sandbox.cpaas.io/fault";
    let mut kubelet = Kubelet::started();
    kubelet.annotate(fault, Some("unreachable"));
    for second in [1, 400, 4000] {
        let work = kubelet.look(second);
        assert!(!work.renew && work.status.is_none() && work.again.is_none());
    }
    // What the controller of nodes says of it meanwhile.
    for condition in kubelet.node.as_mut().unwrap().status.iter_mut().flat_map(|s| s.conditions.iter_mut().flatten()) {
        condition.status = "Unknown".to_owned();
    }
    kubelet.annotate(fault, None);
    let work = kubelet.look(4001);
    assert!(work.renew && work.acts_again);
    assert_eq!(reasons(&work).last(), Some(&"NodeReady"));
    assert_eq!(kubelet.ready().0, "True");
}

#[test]
fn cordons_are_told() {
    let mut kubelet = Kubelet::started();
    kubelet.node.as_mut().unwrap().spec.as_mut().unwrap().unschedulable = Some(true);
    assert_eq!(reasons(&kubelet.look(1)), ["NodeNotSchedulable"]);
    kubelet.node.as_mut().unwrap().spec.as_mut().unwrap().unschedulable = None;
    assert_eq!(reasons(&kubelet.look(2)), ["NodeSchedulable"]);
}

#[test]
fn conditions_of_others_stay() {
    let mut kubelet = Kubelet::started();
    let other = k8s_openapi::api::core::v1::NodeCondition { type_: "Frozen".to_owned(), ..Default::default() };
    kubelet.node.as_mut().unwrap().status.as_mut().unwrap().conditions.as_mut().unwrap().insert(0, other);
    assert!(kubelet.look(1).status.is_none(), "nothing has changed");
    let told = kubelet.look(300).status.unwrap().conditions.unwrap();
    let kinds: Vec<_> = told.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(kinds, ["Frozen", "MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]);
}

#[test]
fn what_nobody_understands_is_told_once() {
    let mut kubelet = Kubelet::started();
    let mut told = |list: Option<&str>, second: i64| {
        kubelet.annotate(crate::fault::ANNOTATION, list);
        let events = kubelet.look(second).events.into_iter().filter(|event| event.reason == "InvalidFault");
        events.map(|event| event.message).collect::<Vec<_>>()
    };
    let haunted = [
        "fault \"haunted\": unknown; of nodes there are not-ready, unreachable, memory-pressure, disk-pressure, pid-pressure",
    ];
    assert_eq!(told(Some("disk-pressure,haunted"), 1), haunted);
    assert_eq!(told(Some("disk-pressure,haunted"), 2), [""; 0]);
    assert_eq!(told(Some("disk-pressure"), 3), [""; 0]);
    assert_eq!(told(Some("haunted"), 4), haunted);
    assert_eq!(told(None, 5), [""; 0]);
}

#[test]
fn nodes_renew_their_leases_at_the_same_few_moments() {
    let tick = |millisecond: i64| {
        let at = Timestamp::from_millisecond(1_000_000_000 + millisecond).unwrap();
        PACE.tick_after(at).as_millisecond() - 1_000_000_000
    };
    assert_eq!([tick(1), tick(999), tick(1000), tick(2500)], [1000, 1000, 2000, 3000]);
}
