use proptest::prelude::*;

use super::*;

const OLD: &str = "acp/agent:1";
const NEW: &str = "acp/agent:2";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn waiting(name: &str) -> Member {
    Member { name: name.to_owned(), state: State::Waiting }
}

fn upgrade_of(stages: &[&[&str]], max_unavailable: usize, max_failures: usize) -> Upgrade {
    let stage = |names: &&[&str]| Stage {
        size: names.len().to_string(),
        clusters: names.iter().map(|name| waiting(name)).collect(),
    };
    Upgrade {
        image: NEW.to_owned(),
        label_selector: String::new(),
        max_unavailable,
        max_failures,
        started_by: "ann".to_owned(),
        started_at: at(0),
        phase: Phase::Running,
        message: None,
        stages: stages.iter().map(stage).collect(),
        skipped: Vec::new(),
    }
}

fn deployed(image: &str, rollout: Rollout) -> Deployed {
    let (image, version) = (image.to_owned(), "7".to_owned());
    Deployed { image, version, keeps_serving: true, rollout, agent: None }
}

fn has(image: &str) -> Seen {
    Seen::Deployed(deployed(image, Rollout::Complete))
}

fn going(image: &str) -> Seen {
    Seen::Deployed(deployed(image, Rollout::Going("waits for Pod p".to_owned())))
}

fn stuck(image: &str) -> Seen {
    Seen::Deployed(deployed(image, Rollout::Stuck("Pod p: ImagePullBackOff".to_owned())))
}

fn connected(image: &str, since: i64) -> Seen {
    let agent = Some((at(since), "0.2.0".to_owned()));
    Seen::Deployed(Deployed { agent, ..deployed(image, Rollout::Complete) })
}

fn upgrading(since: i64) -> State {
    State::Upgrading { since: at(since), from: OLD.to_owned(), message: String::new() }
}

fn reverting(since: i64) -> State {
    State::Reverting { since: at(since), from: OLD.to_owned(), message: "Pod p: ImagePullBackOff".to_owned() }
}

/// What a cluster that is at something is at next when this is seen at that time: as its name, with what is said; and which
/// image it is given.
#[track_caller]
fn check(state: State, seen: Seen, now: i64, expect: &str, said: &str, order: Option<&str>) {
    let mut upgrade = upgrade_of(&[&["a"]], 1, 0);
    upgrade.stages[0].clusters[0].state = state;
    let (next, orders) = upgrade.step(&[("a".to_owned(), seen)].into(), at(now));
    let state = &next.stages[0].clusters[0].state;
    let told = serde_json::to_string(state).unwrap();
    assert!(state.name() == expect && told.contains(said), "{told}");
    let ordered: Vec<_> = orders.iter().map(|order| (&*order.cluster, &*order.image, &*order.version)).collect();
    assert_eq!(ordered, order.map(|image| ("a", image, "7")).into_iter().collect::<Vec<_>>());
}

const LATE: i64 = 10 * 60 + 1;

#[test]
fn a_cluster_whose_turn_it_is_is_begun_or_left_out_with_a_reason() {
    let begins = |seen, expect, said| check(State::Waiting, seen, 5, expect, said, None);
    begins(has(OLD), "Upgrading", OLD);
    begins(has(NEW), "Skipped", "AlreadyCurrent");
    begins(stuck(NEW), "Failed", "ImagePullBackOff");
    begins(going(OLD), "Skipped", "NotReady");
    begins(Seen::Away("its agent is not connected".into()), "Skipped", "NotConnected");
    begins(Seen::NotDeployed("no such Deployment".into()), "Skipped", "InstalledOtherwise");
    begins(
        Seen::Deployed(Deployed { keeps_serving: false, ..deployed(OLD, Rollout::Complete) }),
        "Skipped",
        "InstalledOtherwise",
    );
    begins(Seen::Refused("no".into()), "Failed", "ac register cluster NAME --again");
    begins(Seen::Paused, "Skipped", "ClusterPaused");
    begins(Seen::Gone, "Skipped", "Removed");
}

#[test]
fn a_cluster_that_is_under_way_is_given_what_it_lacks_and_waited_for() {
    let goes_on = |seen, now, expect, said, order| check(upgrading(0), seen, now, expect, said, order);
    goes_on(has(OLD), 5, "Upgrading", "is given the image", Some(NEW));
    goes_on(has(OLD), LATE, "Failed", "somebody else writes it", None);
    goes_on(going(NEW), 5, "Upgrading", "waits for Pod p", None);
    goes_on(going(NEW), LATE, "Reverting", "more than 10 minutes: waits for Pod p", None);
    goes_on(stuck(NEW), 5, "Reverting", "ImagePullBackOff", None);
    goes_on(has("acp/agent:3"), 5, "Failed", "somebody has given its Deployment the image acp/agent:3", None);
    // The one that answers was there before: it is not the new one.
    goes_on(connected(NEW, -1), 5, "Upgrading", "waits for the new agent to connect", None);
    goes_on(connected(NEW, 3), 5, "Done", "0.2.0", None);
    goes_on(has(NEW), LATE, "Reverting", "has not connected", None);
    goes_on(Seen::Away("its agent is not connected".into()), 5, "Upgrading", "its agent is not connected", None);
    goes_on(
        Seen::Away("its agent is not connected".into()),
        LATE,
        "Failed",
        "rollout status deployment/acp-agent",
        None,
    );
    goes_on(Seen::Refused("no".into()), 5, "Failed", "does not let the hub", None);
    goes_on(Seen::NotDeployed("no such Deployment".into()), 5, "Failed", "no such Deployment", None);
    goes_on(Seen::Paused, 5, "Upgrading", "spec.paused", None);
    goes_on(Seen::Paused, LATE, "Failed", "spec.paused", None);
    goes_on(Seen::Gone, 5, "Skipped", "Removed", None);
}

#[test]
fn a_cluster_that_does_not_take_the_image_is_set_back_or_says_how_to() {
    let goes_back = |seen, now, expect, said, order| check(reverting(0), seen, now, expect, said, order);
    goes_back(stuck(NEW), 5, "Reverting", "ImagePullBackOff", Some(OLD));
    goes_back(stuck(NEW), LATE, "Failed", "set image deployment/acp-agent agent=acp/agent:1", None);
    goes_back(going(OLD), 5, "Reverting", "ImagePullBackOff", None);
    goes_back(going(OLD), LATE, "Failed", "is not ready: waits for Pod p", None);
    goes_back(has(OLD), 5, "Failed", "ImagePullBackOff. It was set back to acp/agent:1", None);
    goes_back(has("acp/agent:3"), 5, "Failed", "the image acp/agent:3 meanwhile", None);
    goes_back(Seen::Away("away".into()), 5, "Reverting", "ImagePullBackOff", None);
    goes_back(Seen::Away("away".into()), LATE, "Failed", "agent=acp/agent:1", None);
    goes_back(Seen::Refused("no".into()), 5, "Failed", "the cluster refused (no)", None);
    goes_back(Seen::NotDeployed("gone".into()), 5, "Failed", "was not set back: gone", None);
    goes_back(Seen::Paused, LATE, "Failed", "spec.paused", None);
    goes_back(Seen::Gone, 5, "Skipped", "Removed", None);
}

fn sees(all: &[(&str, Seen)]) -> BTreeMap<String, Seen> {
    all.iter().map(|(name, seen)| ((*name).to_owned(), seen.clone())).collect()
}

#[test]
fn it_stops_at_the_first_failure_and_goes_on_when_somebody_says_so() {
    let upgrade = upgrade_of(&[&["a", "b"], &["c"]], 1, 0);
    assert_eq!(upgrade.watched(), ["a"]);
    let (upgrade, _) = upgrade.step(&sees(&[("a", has(OLD))]), at(0));
    assert_eq!(upgrade.watched(), ["a"], "there is room for one");
    let (upgrade, _) = upgrade.step(&sees(&[("a", stuck(NEW))]), at(5));
    let (upgrade, _) = upgrade.step(&sees(&[("a", has(OLD)), ("b", has(OLD))]), at(9));
    assert_eq!(upgrade.phase, Phase::Stopped);
    let message = upgrade.message.clone().unwrap();
    assert!(message.starts_with("1 have failed, and 0 may. a: Pod p: ImagePullBackOff"), "{message}");
    assert!(upgrade.is_over() && upgrade.watched().is_empty());
    assert_eq!(upgrade.stages[0].clusters[1], waiting("b"));

    let mut again = upgrade;
    again.resume();
    assert_eq!((again.phase, again.message.as_deref(), again.watched()), (Phase::Running, None, vec!["a".to_owned()]));
    // Of those whose turn it is together, none is begun after one that fails.
    let (two, _) =
        upgrade_of(&[&["a", "b"]], 2, 0).step(&sees(&[("a", Seen::Refused("no".into())), ("b", has(OLD))]), at(0));
    assert_eq!((two.phase, &two.stages[0].clusters[1]), (Phase::Stopped, &waiting("b")));
    // Where one may fail, another one is begun.
    let more = Upgrade { max_failures: 1, ..upgrade_of(&[&["a", "b"]], 1, 0) };
    let (more, _) = more.step(&sees(&[("a", Seen::Refused("no".into()))]), at(0));
    assert_eq!((more.phase, more.watched()), (Phase::Running, vec!["b".to_owned()]));
}

#[test]
fn who_pauses_or_cancels_lets_what_was_begun_come_to_its_end() {
    let (begun, _) = upgrade_of(&[&["a", "b"]], 1, 0).step(&sees(&[("a", has(OLD))]), at(0));
    let mut paused = begun.clone();
    paused.pause("ann");
    let (paused, orders) = paused.step(&sees(&[("a", has(OLD)), ("b", has(OLD))]), at(1));
    assert_eq!((orders.len(), paused.is_at_rest()), (1, false));
    let (paused, _) = paused.step(&sees(&[("a", connected(NEW, 2))]), at(5));
    assert_eq!((paused.phase, paused.is_at_rest(), paused.is_over()), (Phase::Paused, true, false));
    assert_eq!(paused.stages[0].clusters[1], waiting("b"));

    let mut cancelled = begun;
    cancelled.cancel("ann");
    assert!(!cancelled.is_over());
    let (cancelled, _) = cancelled.step(&sees(&[("a", connected(NEW, 2))]), at(5));
    assert!(cancelled.is_over() && cancelled.phase == Phase::Cancelled);
    assert_eq!(cancelled.stages[0].clusters[1].state.name(), "Skipped");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Nature {
    Good,
    /// The new image never becomes ready.
    Bad,
    /// The hub may not do this.
    Closed,
}

/// A cluster with its Deployment.
struct Cluster {
    nature: Nature,
    image: String,
    version: u32,
    /// Steps until its Pod is ready, or given up.
    left: u32,
    connected: i64,
}

impl Cluster {
    fn new(nature: Nature) -> Self {
        Self { nature, image: OLD.to_owned(), version: 1, left: 0, connected: -100 }
    }

    fn seen(&mut self, now: i64) -> Seen {
        if self.nature == Nature::Closed {
            return Seen::Refused("no".to_owned());
        }
        if self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                self.connected = now;
            }
        }
        let rollout = match self.left {
            0 if self.nature == Nature::Bad && self.image == NEW => Rollout::Stuck("it does not start".to_owned()),
            0 => Rollout::Complete,
            _ => Rollout::Going("it starts".to_owned()),
        };
        Seen::Deployed(Deployed {
            image: self.image.clone(),
            version: self.version.to_string(),
            keeps_serving: true,
            rollout,
            agent: Some((at(self.connected), "0.2.0".to_owned())),
        })
    }

    fn take(&mut self, order: &Order) {
        assert_ne!(self.nature, Nature::Closed, "nobody asks where nothing may be done");
        if order.version == self.version.to_string() {
            self.image.clone_from(&order.image);
            (self.version, self.left) = (self.version + 1, 2);
        }
    }
}

fn natures() -> impl Strategy<Value = Vec<Nature>> {
    let nature = prop_oneof![6 => Just(Nature::Good), 1 => Just(Nature::Bad), 1 => Just(Nature::Closed)];
    prop::collection::vec(nature, 1..14)
}

proptest! {
    /// Whatever happens on the way: looks that come to nothing, processes that end after they have kept what they decided and
    /// before they did it, and those that do what they decided on what is not so any more.
    #[test]
    fn never_more_than_allowed_and_never_past_a_failure(
        natures in natures(), first in 1_usize..4, at_once in 1_usize..4, allowed in 0_usize..3,
        luck in prop::collection::vec(0_u8..8, 400),
    ) {
        let names: Vec<String> = (0..natures.len()).map(|number| format!("c{number:02}")).collect();
        let (canary, rest) = names.split_at(first.min(names.len()));
        let borrowed = |names: &[String]| names.iter().map(|name| waiting(name)).collect::<Vec<_>>();
        let mut upgrade = upgrade_of(&[], at_once, allowed);
        upgrade.stages = [canary, rest].iter().filter(|names| !names.is_empty())
            .map(|names| Stage { size: String::new(), clusters: borrowed(names) }).collect();
        let mut clusters: BTreeMap<String, Cluster> =
            names.iter().cloned().zip(natures.iter().map(|nature| Cluster::new(*nature))).collect();
        let mut now = 0;
        let mut stale: Vec<Order> = Vec::new();
        for luck in luck {
            if upgrade.is_at_rest() { break }
            now += 2;
            let seen: BTreeMap<String, Seen> = upgrade.watched().into_iter().filter_map(|name| {
                let seen = clusters.get_mut(&name).unwrap().seen(now);
                // Sometimes there is no answer from those that are under way.
                let is_begun = upgrade.members().any(|member| member.name == name && member.state.is_under_way());
                (luck != 0 || !is_begun).then_some((name, seen))
            }).collect();
            let (next, orders) = upgrade.step(&seen, at(now));
            // It is read by another process.
            let kept: Upgrade = serde_json::from_slice(&serde_json::to_vec(&next).unwrap()).unwrap();
            prop_assert_eq!(&kept, &next);

            prop_assert!(kept.under_way() <= at_once);
            for pair in kept.stages.windows(2) {
                let is_through = pair[0].clusters.iter().all(|member| !member.state.is_under_way() && member.state != State::Waiting);
                let is_begun = pair[1].clusters.iter().any(|member| member.state != State::Waiting);
                prop_assert!(is_through || !is_begun, "{:?}", kept);
            }
            let begins = upgrade.members().zip(kept.members())
                .filter(|(before, after)| before.state == State::Waiting && after.state.is_under_way()).count();
            prop_assert!(begins == 0 || upgrade.phase == Phase::Running);
            let failed = upgrade.members().filter(|member| member.state.is_failed()).count();
            prop_assert!(begins == 0 || failed <= allowed, "none is begun when too many have failed");
            for order in &orders {
                let is_known = upgrade.members().any(|member| member.name == order.cluster && member.state.is_under_way());
                prop_assert!(is_known, "nothing is done that was not kept before");
            }
            match luck {
                1 => stale = orders,
                2 => {
                    for order in stale.drain(..) { clusters.get_mut(&order.cluster).unwrap().take(&order) }
                }
                _ => for order in &orders { clusters.get_mut(&order.cluster).unwrap().take(order) },
            }
            upgrade = kept;
        }
        prop_assert!(upgrade.is_over(), "it comes to an end: {:?}", upgrade);
        for member in upgrade.members() {
            let cluster = &clusters[&member.name];
            let expect = match &member.state {
                State::Done { .. } => NEW,
                // Set back, or never touched.
                _ => OLD,
            };
            prop_assert_eq!(&cluster.image, expect, "{:?} {:?}", member, cluster.nature);
            prop_assert!(cluster.nature == Nature::Good || member.state.name() != "Done");
        }
        let failed = natures.iter().take(first.min(natures.len())).filter(|nature| **nature != Nature::Good).count();
        prop_assert!(failed <= allowed || upgrade.stages.len() < 2 || upgrade.stages[1].clusters.iter().all(|member| member.state == State::Waiting));
    }
}
