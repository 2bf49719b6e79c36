//! A member at the far end of a bad link: all that people do works, and nobody takes it for lost.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::time::{Duration, Instant};

use network::{Host, Path, Scene, World, play};
use serde_json::json;

/// An answer of some 20 MB, as a long log is one: 20 objects of this size.
const OBJECTS: usize = 20;
const OBJECT: usize = 1_000_000;

/// What is written into a shell, and comes back.
const TYPED: usize = 1_000_000;

async fn over(world: World, person: Host, path: Path) {
    let scene = Scene::over(world, person, path).await;
    let (here, there) = (scene.kubectl().await, scene.member.kubectl());
    let object = |number| {
        let data = json!({"text": "x".repeat(OBJECT)});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("large-{number}")}, "data": data})
    };
    let (connected, ready) = (scene.says("Connected").await, scene.says("Ready").await);
    let before = scene.settled().await;

    let pods = timed("list", here.ok(&["get", "pods", "--all-namespaces"])).await;
    assert!(pods.contains("shell") && pods.contains("acp-agent"), "{pods}");

    let typed = "0123456789".repeat(TYPED / 10);
    let came = timed("exec, 1 MB there and back", here.ok_with(&["exec", "-i", "shell", "--", "cat"], &typed)).await;
    assert!(came == typed, "{} bytes came back", came.len());

    let mut watch = here.start(&["get", "configmaps", "--watch-only", "--output-watch-events"]);
    // Until it is open, it shows nothing.
    let opened = async {
        loop {
            there.ok(&["create", "configmap", "first"]).await;
            there.ok(&["delete", "configmap", "first"]).await;
        }
    };
    tokio::select! {
        _ = watch.line_with("DELETED") => {}
        () = opened => {}
    }
    there.ok(&["delete", "configmap", "first", "--ignore-not-found"]).await;
    there.ok(&["create", "configmap", "second"]).await;
    timed("watch, one event", watch.line_with("second")).await;
    there.ok(&["delete", "configmap", "second"]).await;

    there.ok(&["create", "namespace", "large"]).await;
    for number in 0..OBJECTS {
        there.ok_with(&["create", "--namespace", "large", "-f", "-"], &object(number).to_string()).await;
    }
    let long = "/kubernetes/member/api/v1/namespaces/large/configmaps";
    let (status, bytes) =
        timed("an answer of 20 MB", scene.door().exchange(http::Method::GET, long, None)).await.unwrap();
    assert!(status.is_success() && bytes > OBJECTS * OBJECT, "{status}, {bytes} bytes");

    there.ok(&["delete", "namespace", "large"]).await;

    assert_eq!(scene.says("Connected").await, connected, "it was never taken for lost");
    assert_eq!(scene.says("Ready").await, ready, "nor for ill");
    scene.unharmed(&before).await;
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    println!("{what}: {:.2} s", began.elapsed().as_secs_f64());
    done
}

#[test]
fn one_packet_in_twenty_is_lost() {
    play(|world, person| over(world, person, Path { loss: 0.05, ..Path::default() }));
}

/// For a question and its answer.
#[test]
fn a_round_trip_takes_200_ms() {
    let delay = Duration::from_millis(100);
    play(|world, person| over(world, person, Path { delay, ..Path::default() }));
}
