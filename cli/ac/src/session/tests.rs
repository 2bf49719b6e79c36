use super::*;
use std::path::PathBuf;

fn known(names: &[&str]) -> Vec<KnownCluster> {
    names
        .iter()
        .map(|name| KnownCluster {
            name: (*name).to_owned(),
            server: format!("https://acp.example/kubernetes/{name}/"),
            description: format!("{name} cluster"),
        })
        .collect()
}

fn write(paths: &[PathBuf], session: &str, names: &[&str]) -> Result<Changes> {
    let clusters = known(names);
    let trust = Trust { ca_pem: Some("PEM".to_owned()), insecure: false };
    let entries = Entries {
        session,
        platform_url: "https://acp.example",
        username: "ada@example.com",
        credentials: Some(json!({"token": "t"})),
        trust: Some(&trust),
        clusters: &clusters,
    };
    Kubeconfig::edit(paths, |config| entries.write(config))
}

fn scratch(text: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    if !text.is_empty() {
        std::fs::write(&path, text).unwrap();
    }
    (dir, vec![path])
}

#[test]
fn names_and_extension_are_the_published_ones() {
    let (_dir, paths) = scratch("");
    write(&paths, "prod", &["global", "east"]).unwrap();
    let config = Kubeconfig::load(&paths).unwrap();
    let east = config.entry(Section::Clusters, "acp:prod:east").unwrap();
    assert_eq!(east["server"], "https://acp.example/kubernetes/east/");
    assert_eq!(
        *extension(&east).unwrap(),
        json!({"isGlobal": false, "platformUrl": "https://acp.example", "sessionName": "prod", "clusterName": "east",
            "description": "east cluster", "note": CLUSTER_NOTE})
    );
    let user = config.entry(Section::Users, "acp:prod:user").unwrap();
    assert_eq!(
        *extension(&user).unwrap(),
        json!({"platformUrl": "https://acp.example", "sessionName": "prod", "username": "ada@example.com",
            "note": USER_NOTE})
    );
    let context = config.entry(Section::Contexts, "prod/east").unwrap();
    assert_eq!(context, json!({"cluster": "acp:prod:east", "user": "acp:prod:user"}));
}

#[test]
fn a_sync_adds_removes_and_leaves_renamed_entries_and_namespaces() {
    let (_dir, paths) = scratch("");
    write(&paths, "prod", &["global", "east", "old"]).unwrap();
    let text = std::fs::read_to_string(&paths[0]).unwrap();
    let text = text.replace("acp:prod:east", "my-east").replace("name: prod/east", "name: east-at-home");
    std::fs::write(&paths[0], text).unwrap();
    Kubeconfig::edit(&paths, |config| {
        config.update(Section::Contexts, "east-at-home", |map| {
            map.insert("namespace".to_owned(), "team".into());
        });
        Ok(())
    })
    .unwrap();
    let changes = write(&paths, "prod", &["global", "east", "west"]).unwrap();
    assert_eq!(changes, Changes { added: vec!["west".to_owned()], removed: vec!["old".to_owned()] });
    let config = Kubeconfig::load(&paths).unwrap();
    let session = find(&config, Some("prod")).unwrap();
    let names: Vec<_> = session.clusters.iter().map(|c| c.entry.as_str()).collect();
    assert_eq!(names, ["acp:prod:global", "my-east", "acp:prod:west"]);
    let context = session.context_on(session.cluster("east").unwrap()).unwrap();
    assert_eq!((context.name.as_str(), context.namespace.as_deref()), ("east-at-home", Some("team")));
    assert!(config.entry(Section::Contexts, "prod/old").is_none());
}

#[test]
fn an_entry_under_our_name_that_is_not_ours_is_left_alone() {
    let text = "clusters:\n- name: acp:prod:global\n  cluster: {server: https://mine}\n";
    let (_dir, paths) = scratch(text);
    let error = write(&paths, "prod", &["global"]).unwrap_err();
    assert!(error.to_string().contains("acp:prod:global"), "{error}");
    assert_eq!(std::fs::read_to_string(&paths[0]).unwrap(), text);
}

#[test]
fn removing_a_session_leaves_no_orphan_and_touches_no_other() {
    let (_dir, paths) = scratch("");
    write(&paths, "dev", &["global"]).unwrap();
    let before = lib_yaml::parse(&std::fs::read_to_string(&paths[0]).unwrap()).unwrap();
    write(&paths, "prod", &["global", "east"]).unwrap();
    Kubeconfig::edit(&paths, |config| {
        let session = find(config, Some("prod"))?;
        remove(config, &session);
        Ok(())
    })
    .unwrap();
    let after = lib_yaml::parse(&std::fs::read_to_string(&paths[0]).unwrap()).unwrap();
    assert_eq!(after, before);
}

#[test]
fn other_fields_of_our_entries_stay() {
    let (_dir, paths) = scratch("");
    write(&paths, "prod", &["global"]).unwrap();
    Kubeconfig::edit(&paths, |config| {
        config.update(Section::Clusters, "acp:prod:global", |map| {
            map.insert("proxy-url".to_owned(), "socks5://127.0.0.1:1".into());
        });
        Ok(())
    })
    .unwrap();
    write(&paths, "prod", &["global"]).unwrap();
    let config = Kubeconfig::load(&paths).unwrap();
    assert_eq!(config.entry(Section::Clusters, "acp:prod:global").unwrap()["proxy-url"], "socks5://127.0.0.1:1");
}
