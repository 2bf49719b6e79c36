//! The hub moves, dies in the middle of what people do, and lives in another time.

use std::time::Instant;

use network::{HUB, LOST, Path, Scene, play};
use serde_json::{Value, json};

/// A name means something else from now on. Nobody tells the agents, who still hold a connection to where it was.
#[test]
fn a_hub_gets_another_address() {
    play(async |world, person| {
        let mut scene = Scene::start(world, person).await;
        let before = scene.settled().await;
        let happened = Instant::now();
        scene.move_hub().await;
        assert!(scene.platform.url().contains(HUB));
        let lost = scene.lost(happened).await;
        let agents = Instant::now();
        scene.back_within(agents, LOST).await;
        println!("moved: lost since {}, ready {:.1} s after the move", lost.since, happened.elapsed().as_secs_f64());
        scene.unharmed(&before).await;
    });
}

/// Whoever holds the version that they saw last goes on from there; the member knows nothing of a dead hub.
#[test]
fn a_hub_is_killed_during_exec_and_watch() {
    play(async |world, person| {
        let mut scene = Scene::start(world, person).await;
        let (here, there) = (scene.kubectl().await, scene.member.kubectl());
        let before = scene.settled().await;
        let mut shell = here.start(&["exec", "shell", "--", "sh", "-c", "echo inside; sleep 1000"]);
        shell.line_with("inside").await;
        let maps = "/kubernetes/member/api/v1/namespaces/default/configmaps";
        let seen = scene.door().get(maps).await.ok()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let raw = |version: &str| format!("/api/v1/namespaces/default/configmaps?watch=true&resourceVersion={version}");
        let mut first = here.start(&["get", "--raw", &raw(&seen)]);
        there.ok(&["create", "configmap", "before"]).await;
        let event: Value = serde_json::from_str(&first.line_with("\"before\"").await).unwrap();
        let seen = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().to_owned();

        scene.platform.server.crash().await;
        let killed = Instant::now();
        assert_ne!(shell.ends().await, Some(0), "a shell whose hub is gone has failed");
        println!("exec ended {:.1} s after", killed.elapsed().as_secs_f64());
        first.ends().await;
        there.ok(&["create", "configmap", "meanwhile"]).await;
        there.ok(&["delete", "configmap", "before"]).await;

        scene.start_hub().await;
        scene.back(Instant::now()).await;
        let mut second = here.start(&["get", "--raw", &raw(&seen)]);
        for (kind, name) in [("ADDED", "meanwhile"), ("DELETED", "before")] {
            let event: Value = serde_json::from_str(&second.line_with(name).await).unwrap();
            assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!(kind), &json!(name)));
        }
        there.ok(&["delete", "configmap", "meanwhile"]).await;
        scene.unharmed(&before).await;
    });
}

/// A year without each other, and with it the life of every certificate between them.
#[test]
fn a_year_passes_while_hub_and_member_are_apart() {
    play(async |world, person| {
        let mut scene = Scene::with_clock(world, person).await;
        let before = scene.settled().await;
        scene.world.between(&scene.hub, &scene.member.host, Path::CUT);
        scene.lost(Instant::now()).await;
        scene.let_a_year_pass().await;
        assert_eq!(scene.says("Connected").await.status, "False");

        scene.world.between(&scene.hub, &scene.member.host, Path::default());
        scene.back_within(Instant::now(), LOST).await;
        scene.unharmed(&before).await;
    });
}

/// The same in one step, over a connection that holds: it needs no certificate until it breaks.
#[test]
fn a_year_passes_on_a_link_that_holds() {
    play(async |world, person| {
        let mut scene = Scene::with_clock(world, person).await;
        let before = scene.settled().await;
        scene.let_a_year_pass().await;
        scene.back(Instant::now()).await;
        scene.world.between(&scene.hub, &scene.member.host, Path::CUT);
        scene.lost(Instant::now()).await;
        scene.world.between(&scene.hub, &scene.member.host, Path::default());
        scene.back_within(Instant::now(), LOST).await;
        scene.unharmed(&before).await;
    });
}

#[test]
fn case_78_an_hour_without_the_hub_changes_nothing_in_the_member() {
    play(async |world, person| {
        let scene = Scene::with_clock(world, person).await;
        let before = scene.settled().await;
        scene.world.between(&scene.hub, &scene.member.host, Path::CUT);
        scene.lost(Instant::now()).await;
        scene.clock().step("+1h");
        let unknown = scene.until("Ready", "Unknown", LOST).await;
        assert_eq!(unknown.reason, "HeartbeatLost");
        // Whoever works there goes on.
        let there = scene.member.kubectl();
        there.ok(&["exec", "shell", "--", "true"]).await;

        scene.world.between(&scene.hub, &scene.member.host, Path::default());
        scene.back(Instant::now()).await;
        scene.unharmed(&before).await;
    });
}
