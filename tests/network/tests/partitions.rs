//! The network between a hub and its member is cut, in each direction, and whole again.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::time::{Duration, Instant};

use network::{Host, Path, Scene, World, play};

/// How long the last word of a member counts, and the time it takes to say so.
const UNKNOWN: Duration = Duration::from_secs(40);

/// Which directions are cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    ToMember,
    ToHub,
    Both,
}

fn set(scene: &Scene, cut: Cut, path: Path) {
    if cut != Cut::ToHub {
        scene.world.path(&scene.hub, &scene.member.host, path);
    }
    if cut != Cut::ToMember {
        scene.world.path(&scene.member.host, &scene.hub, path);
    }
}

async fn cut_and_healed(world: World, person: Host, cut: Cut) {
    let scene = Scene::start(world, person).await;
    let before = scene.settled().await;
    let well = scene.says("Connected").await;
    assert_eq!((&*well.status, &*well.reason), ("True", "TunnelOpen"));

    let began = jiff::Timestamp::now();
    set(&scene, cut, Path::CUT);
    let happened = Instant::now();
    let lost = scene.lost(happened).await;
    // Times of conditions are in whole seconds.
    let since: jiff::Timestamp = lost.since.parse().unwrap();
    assert!(since >= began - Duration::from_secs(1) && since <= jiff::Timestamp::now(), "{lost:?} since {began}");
    // For a while the last word counts; whoever wants to go in is told at once that nobody can.
    assert_eq!(scene.says("Ready").await.status, "True");
    let asked = Instant::now();
    let refused = scene.door().get("/kubernetes/member/api/v1/namespaces").await;
    assert_eq!(refused.status, http::StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    assert!(asked.elapsed() < network::GRACE, "{:?}", asked.elapsed());
    if cut == Cut::Both {
        let unknown = scene.until("Ready", "Unknown", UNKNOWN).await;
        println!("unknown after {:.1} s: {}", happened.elapsed().as_secs_f64(), unknown.reason);
        assert_eq!(unknown.reason, "HeartbeatLost");
        assert_eq!(scene.says("APIServerHealthy").await.reason, "HeartbeatLost");
        assert_eq!(scene.says("Connected").await, lost, "said once");
    }

    set(&scene, cut, Path::default());
    scene.back(Instant::now()).await;
    scene.unharmed(&before).await;
}

#[test]
fn nothing_reaches_the_member() {
    play(|world, person| cut_and_healed(world, person, Cut::ToMember));
}

#[test]
fn nothing_reaches_the_hub() {
    play(|world, person| cut_and_healed(world, person, Cut::ToHub));
}

#[test]
fn nothing_reaches_either() {
    play(|world, person| cut_and_healed(world, person, Cut::Both));
}

/// The member is gone without a word, and is another process on the same address when it is back: the hub's end of the old
/// connection is half of one.
#[test]
fn a_member_loses_power() {
    play(async |world, person| {
        let mut scene = Scene::start(world, person).await;
        let before = scene.settled().await;
        scene.member.host.unplug();
        let happened = Instant::now();
        scene.member.server.crash().await;
        scene.lost(happened).await;
        scene.member.host.plug();
        scene.start_member().await;
        scene.back(Instant::now()).await;
        scene.unharmed(&before).await;
    });
}

/// It is back before anybody has noticed: the hub takes the new connection in place of the one that it still holds.
#[test]
fn a_member_loses_power_for_a_moment() {
    play(async |world, person| {
        let mut scene = Scene::start(world, person).await;
        let before = scene.settled().await;
        scene.member.host.unplug();
        scene.member.server.crash().await;
        assert_eq!(scene.says("Connected").await.status, "True");
        scene.member.host.plug();
        scene.start_member().await;
        let started = Instant::now();
        e2e::eventually("the member to answer", network::BACK + network::GRACE, || async {
            let path = "/kubernetes/member/api/v1/namespaces";
            let door = scene.door();
            let asked = door.try_send(http::Method::GET, path, None);
            match tokio::time::timeout(Duration::from_secs(1), asked).await {
                Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        println!("back: answered {:.1} s after", started.elapsed().as_secs_f64());
        scene.back(Instant::now()).await;
        scene.unharmed(&before).await;
    });
}
