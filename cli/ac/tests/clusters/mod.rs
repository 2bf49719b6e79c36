//! Clusters come and go, and their agents' requests are decided about.

use serde_json::{Value, json};

use crate::Machine;
use crate::simulated::Platform;

#[test]
fn the_support_matrix_is_the_platforms() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    assert_eq!(
        machine.ok(&["adm", "support-matrix"]),
        "RELEASE   CREATE      COMPATIBLE   THIRD PARTY        CURRENT\n\
         4.3       1.34        1.31-1.34    >=1.19.0 <1.35.0   *\n\
         4.2       1.33        1.30-1.33    -                  \n\
         4.1       1.32        1.29-1.32    -                  \n\
         4.0       1.28-1.31   1.28-1.31    -                  \n"
    );
    assert_eq!(machine.ok(&["adm", "support-matrix", "-o", "jsonpath={.items[0].upgradeNeeds}"]), "compatible");
}

#[test]
fn the_fleet_is_summed_up() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let text = machine.ok(&["adm", "fleet", "--group-by", "region"]);
    let (groups, rest) = text.split_once("\n\n").unwrap();
    assert_eq!(
        groups,
        "GROUP    CLUSTERS   READY   NODES READY   CPU            MEMORY         PODS\n\
         <none>   1          1       3/3           -              -              -\n\
         eu       2          1       3/6           4.5/15 (30%)   8/32Gi (25%)   33/330 (10%)\n\
         <all>    3          2       6/9           4.5/15 (30%)   8/32Gi (25%)   33/330 (10%)"
    );
    let (conditions, certificates) = rest.split_once("\n\n").unwrap();
    assert_eq!(
        conditions,
        "CONDITION   STATUS    CLUSTERS   NAMES\n\
         Connected   False     1          eu-2\n\
         Ready       Unknown   1          eu-2"
    );
    assert!(certificates.starts_with("CERTIFICATE   CLUSTER   EXPIRES\nagent         eu-1      "), "{certificates}");
    let alone = machine.ok(&["adm", "fleet", "-o", "name"]);
    assert_eq!(alone, "group/<all>\n");
    assert_eq!(machine.ok(&["adm", "fleet", "-l", "region=eu", "-o", "jsonpath={.clusters.total}"]), "3");
}

#[test]
fn a_summary_that_cannot_be_asked_for_says_why() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let refused = machine.run(&["adm", "fleet", "-l", "a===b"]).err;
    assert!(refused.contains("labelSelector cannot be read"), "{refused}");
    let refused = machine.run(&["adm", "fleet", "-o", "picture"]).err;
    assert!(refused.contains("picture"), "{refused}");
}

#[test]
fn clusters_are_imported_registered_and_removed() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let config = machine.home.path().join("member.yaml");
    std::fs::write(&config, "kind: Config\n").unwrap();
    let config = config.display().to_string();
    assert_eq!(
        machine.ok(&["import", "cluster", "north", "--kubeconfig", &config, "--dry-run"]),
        "north can be imported: Kubernetes v1.33.1, 3 nodes\n"
    );
    assert_eq!(
        machine.ok(&["import", "cluster", "north", "--kubeconfig", &config]),
        "cluster.cluster.x-k8s.io/north created\n"
    );
    let ca = machine.ca(&platform);
    let args =
        ["import", "cluster", "south", "--server", "https://south", "--certificate-authority", &ca, "--token-stdin"];
    assert_eq!(machine.run_with(&args, "secret\n", &[]).code, 0);
    {
        let state = platform.state.lock().unwrap();
        let (line, body) = state.requests.last().unwrap();
        assert!(line.contains("dryRun=false") && !line.contains("secret") && body.contains("\"token\":\"secret\""));
    }
    assert_eq!(machine.run(&["import", "cluster", "Bad_Name", "--kubeconfig", &config]).code, 3);
    assert_eq!(machine.ok(&["register", "cluster", "edge"]), "acp agent --token once\n");
    assert_eq!(machine.ok(&["register", "cluster", "edge", "-o", "yaml"]), "kind: List\n");
    assert_eq!(machine.ok(&["register", "cluster", "east", "--wait", "-q"]), "acp agent --token once\n");
    assert_eq!(machine.ok(&["register", "cluster", "edge", "--again"]), "acp agent --token twice\n");
    assert_eq!(machine.run(&["register", "cluster", "none", "--again"]).code, 1);
    let address = "https://hub.branch:8443";
    let asked = |args: &[&str]| {
        machine.ok(args);
        let state = platform.state.lock().unwrap();
        serde_json::from_str::<Value>(&state.requests.last().unwrap().1).unwrap()
    };
    let first = asked(&["register", "cluster", "edge", "--platform-url", address]);
    assert_eq!(first, json!({"name": "edge", "platformUrl": address}));
    let again = asked(&["register", "cluster", "edge", "--again", "--platform-url", address]);
    assert_eq!(again, json!({"platformUrl": address}));
    let refused = machine.run(&["register", "cluster", "edge", "--platform-url", "hub"]);
    assert!(refused.code != 0 && refused.err.contains("platformUrl: \"hub\" is no URL"), "{}", refused.err);

    let refused = machine.run(&["delete", "cluster", "west"]);
    assert_eq!((refused.code, refused.err.contains("--yes")), (2, true), "{}", refused.err);
    assert_eq!(machine.run(&["delete", "cluster", "global", "--yes"]).code, 1);
    assert_eq!(machine.ok(&["delete", "clusters", "west", "--yes"]), "cluster.cluster.x-k8s.io \"west\" deleted\n");
    assert_eq!(machine.run(&["delete", "cluster", "west", "--yes"]).code, 1);
}

#[test]
fn case_79_a_cluster_is_detached_when_its_name_was_typed() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let detach = |args: &[&str]| machine.run(&[&["adm", "detach"], args].concat());
    // Nobody is there to type.
    let refused = detach(&["west"]);
    assert_eq!((refused.code, refused.err.contains("--yes")), (2, true), "{}", refused.err);
    for (args, code) in [(&["global", "--yes"][..], 1), (&["No", "--yes"], 3), (&[], 3), (&["north", "--yes"], 1)] {
        assert_eq!(detach(args).code, code, "{args:?}");
    }
    assert_eq!(detach(&["west", "--timeout", "soon", "--yes"]).code, 3);
    assert_eq!(detach(&["north", "--yes", "--ignore-not-found"]).code, 0);
    let said = |removed: usize| {
        let requests = &platform.state.lock().unwrap().requests;
        assert_eq!(requests.iter().filter(|(line, _)| line.contains("/removals?dryRun=false")).count(), removed);
    };
    let trial = detach(&["west", "--dry-run"]);
    assert_eq!(trial.out, "cluster.cluster.x-k8s.io \"west\" detached (dry run)\n");
    let trial = detach(&["west", "--dry-run=server"]);
    assert_eq!(trial.out, "cluster.cluster.x-k8s.io \"west\" detached (server dry run)\n");
    said(0);
    let gone = detach(&["west", "east", "--force", "--yes"]);
    assert_eq!(
        gone.out, "cluster.cluster.x-k8s.io \"west\" detached\ncluster.cluster.x-k8s.io \"east\" detached\n",
        "{}",
        gone.err
    );
    said(2);
}

#[test]
fn requests_for_certificates_are_approved_and_denied_on_the_hub() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let path = |name: &str| format!("/kubernetes/global/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}");
    for name in ["edge-agent-1", "edge-agent-2"] {
        platform.state.lock().unwrap().objects.insert(path(name), json!({"metadata": {"name": name}}));
    }
    assert_eq!(
        machine.ok(&["adm", "certificate", "approve", "edge-agent-1"]),
        "certificatesigningrequest.certificates.k8s.io/edge-agent-1 approved\n"
    );
    assert_eq!(
        machine.ok(&["adm", "certificate", "deny", "edge-agent-2"]),
        "certificatesigningrequest.certificates.k8s.io/edge-agent-2 denied\n"
    );
    let said = |name: &str| platform.state.lock().unwrap().objects[&path(name)]["status"]["conditions"].clone();
    assert_eq!(said("edge-agent-1")[0]["type"], "Approved");
    assert_eq!(said("edge-agent-2")[0]["type"], "Denied");
    // A second time says nothing more.
    machine.ok(&["adm", "certificate", "approve", "edge-agent-1"]);
    assert_eq!(said("edge-agent-1").as_array().unwrap().len(), 1);
    assert_eq!(machine.run(&["adm", "certificate", "approve", "none"]).code, 1);
    assert_eq!(machine.run(&["adm", "certificate", "approve"]).code, 3);
}

#[test]
fn another_authority_takes_the_place_of_the_platforms_step_by_step() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let rotate = |args: &[&str]| machine.run(&[&["adm", "rotate-authority"], args].concat());
    let shown = rotate(&[]);
    assert_eq!(
        (shown.code, &*shown.out),
        (
            0,
            "ROLE      NAME                EXPIRES                FINGERPRINT\n\
             Signing   acp hub authority   2036-01-01T00:00:00Z   AA:BB\n"
        )
    );
    assert_eq!(shown.err, "1 of 2 agents have what they need\nthe agent of edge: its agent is away\n");
    let introduced = rotate(&["--step", "introduce"]);
    assert!(introduced.code == 0 && introduced.err.contains("--step switch"), "{}", introduced.err);
    assert_eq!(rotate(&["-o", "jsonpath={.certificates}"]).out, "PEM\n");

    let refused = rotate(&["--step", "retire"]);
    assert!(refused.code == 1 && refused.err.contains("edge: its agent is away"), "{}", refused.err);
    // Nobody is there to type.
    let refused = rotate(&["--step", "retire", "--force"]);
    assert_eq!((refused.code, refused.err.contains("--yes")), (2, true), "{}", refused.err);
    for args in [&["--step", "renew"][..], &["--force"], &["--step", "retire", "--yes"]] {
        assert_eq!(rotate(args).code, 3, "{args:?}");
    }
    assert_eq!(rotate(&["--step", "retire", "--force", "--yes"]).code, 0);
    let requests = &platform.state.lock().unwrap().requests;
    let steps = requests.iter().filter(|(line, _)| line.starts_with("POST /platform/fleet.cpaas.io/v1/authority"));
    let steps: Vec<&str> = steps.map(|(_, body)| &**body).collect();
    assert_eq!(
        steps,
        [
            r#"{"confirm":null,"step":"introduce"}"#,
            r#"{"confirm":null,"step":"retire"}"#,
            r#"{"confirm":"leave behind","step":"retire"}"#,
        ]
    );
}

#[test]
fn agents_are_upgraded_stage_by_stage_and_it_is_seen_how_far_that_is() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let upgrade = |args: &[&str]| machine.run(&[&["adm", "upgrade-agents"], args].concat());
    let none = upgrade(&[]);
    assert_eq!((none.code, &*none.out), (0, ""));
    assert_eq!(none.err, "there was no upgrade yet; clusters that register now get the image acp/agent:2\n");
    assert_eq!(upgrade(&["--pause"]).code, 1);

    let planned = upgrade(&["--image", "acp/agent:2", "--stage", "1", "--dry-run"]);
    assert_eq!(
        (planned.code, &*planned.out),
        (
            0,
            "CLUSTER   STAGE      STATE     SINCE   MESSAGE\n\
             edge      1 (1)      Waiting           \n\
             far       2 (rest)   Waiting           \n\
             old       -          Skipped           its agent is not connected\n"
        )
    );
    assert_eq!(planned.err, "upgrade to acp/agent:2: Planned; 0 of 2 done, 0 failed, 1 left out\n");
    // Nobody is there to say yes: what would be done is shown all the same.
    let refused = upgrade(&["--image", "acp/agent:2"]);
    assert_eq!((refused.code, &refused.out, refused.err.contains("--yes")), (2, &planned.out, true), "{}", refused.err);
    let bad = upgrade(&["--image", "no image", "--yes"]);
    assert!(bad.code == 1 && bad.err.contains("image: must be an image"), "{}", bad.err);
    for args in [
        &["-l", "a=b"][..],
        &["--dry-run"],
        &["--yes"],
        &["--stage", "1"],
        &["--pause", "--resume"],
        &["--image", "a", "--cancel"],
        &["--image", "a", "--dry-run", "--wait"],
        &["--image", "a", "--max-unavailable", "x"],
    ] {
        assert_eq!(upgrade(args).code, 3, "{args:?}");
    }

    let begun = upgrade(&[
        "--image",
        "acp/agent:2",
        "-l",
        "env=prod",
        "--stage",
        "1",
        "--max-unavailable",
        "3",
        "--yes",
        "--wait",
    ]);
    assert_eq!(begun.code, 0, "{}", begun.err);
    assert!(begun.err.contains("edge: Upgrading waits for Pod p\nedge: Done agent 0.2.0\n"), "{}", begun.err);
    assert!(begun.err.ends_with("upgrade to acp/agent:2: Done; 2 of 2 done, 0 failed, 1 left out\n"), "{}", begun.err);
    {
        let requests = &platform.state.lock().unwrap().requests;
        let (_, body) = requests
            .iter()
            .rfind(|(line, _)| line.starts_with("POST /platform/fleet.cpaas.io/v1/agent-upgrade"))
            .unwrap();
        assert_eq!(
            *body,
            r#"{"action":"start","image":"acp/agent:2","labelSelector":"env=prod","maxFailures":null,"maxUnavailable":3,"stages":["1"]}"#
        );
    }

    let stopped = upgrade(&["--image", "acp/agent:broken", "--yes", "--follow"]);
    assert_eq!(stopped.code, 1, "{}", stopped.err);
    assert!(stopped.err.contains("1 have failed, and 0 may. edge: Pod p: ImagePullBackOff"), "{}", stopped.err);
    assert!(stopped.err.contains("--resume"), "{}", stopped.err);
    assert_eq!(upgrade(&["-o", "jsonpath={.upgrade.phase}"]).out, "Stopped");
    let cancelled = upgrade(&["--cancel"]);
    assert!(cancelled.code == 0 && cancelled.err.contains("Cancelled"), "{}", cancelled.err);
}
