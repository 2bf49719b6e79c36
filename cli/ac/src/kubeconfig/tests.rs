use super::*;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

const FOREIGN: &str = "\
apiVersion: v1
kind: Config
current-context: work
preferences:
  colors: true
extensions:
- name: tool.example/v1
  extension: {kept: [1, 2]}
clusters:
- name: work
  cluster:
    server: https://work.example
    certificate-authority: ca.crt
    surprise: {deep: [yes-and-no, 3]}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: team, extensions: [{name: other, extension: {a: 1}}]}
users:
- name: me
  user: {auth-provider: {name: oidc, config: {id-token: abc}}}
";

#[test]
fn foreign_entries_survive_an_edit_unchanged() {
    let dir = Dir::new();
    let path = dir.file("config", FOREIGN);
    let before = lib_yaml::parse(FOREIGN).unwrap();
    Kubeconfig::edit(std::slice::from_ref(&path), |config| {
        config.update(Section::Clusters, "acp:s:global", |entry| {
            entry.insert("server".to_owned(), "https://hub".into());
        });
        config.set_current_context("s/global");
        Ok(())
    })
    .unwrap();
    let mut after = lib_yaml::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(after["current-context"], "s/global");
    after["current-context"] = "work".into();
    let ours = after["clusters"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(ours, json!({"name": "acp:s:global", "cluster": {"server": "https://hub"}}));
    assert_eq!(after, before);
}

#[test]
fn nothing_is_written_when_nothing_changes_or_the_change_fails() {
    let dir = Dir::new();
    let path = dir.file("config", FOREIGN);
    Kubeconfig::edit(std::slice::from_ref(&path), |config| {
        config.set_current_context("work");
        Ok(())
    })
    .unwrap();
    let failed = Kubeconfig::edit(std::slice::from_ref(&path), |config| {
        config.remove(Section::Users, "me");
        Err::<(), _>(Error::told(Text::Cancelled {}))
    });
    assert!(failed.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), FOREIGN);
    assert_eq!(std::fs::read_dir(dir.0.path()).unwrap().count(), 1, "no lock, no temporary file");
}

#[test]
fn the_first_file_that_names_an_entry_wins_and_takes_its_changes() {
    let dir = Dir::new();
    let one = dir.file("one", "clusters: [{name: a, cluster: {server: first}}]\n");
    let two = dir.file(
        "two",
        "current-context: x\nclusters: [{name: a, cluster: {server: second}}, {name: b, cluster: {server: b}}]\n",
    );
    let paths = [one.clone(), two.clone()];
    let config = Kubeconfig::load(&paths).unwrap();
    assert_eq!(config.entry(Section::Clusters, "a").unwrap()["server"], "first");
    assert_eq!(config.entries(Section::Clusters).len(), 2);
    Kubeconfig::edit(&paths, |config| {
        config.update(Section::Clusters, "b", |entry| {
            entry.insert("server".to_owned(), "changed".into());
        });
        config.update(Section::Clusters, "c", |_| {});
        config.set_current_context("y");
        Ok(())
    })
    .unwrap();
    let read = |path| lib_yaml::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(read(&two)["clusters"][1]["cluster"]["server"], "changed");
    assert_eq!(read(&two)["current-context"], "y", "set where it was set");
    assert_eq!(read(&one)["clusters"][1]["name"], "c", "new entries go to the first file");
}

#[test]
fn a_new_file_goes_to_the_last_path_and_is_private() {
    let dir = Dir::new();
    let paths = [dir.0.path().join("no/one"), dir.0.path().join("no/two")];
    Kubeconfig::edit(&paths, |config| {
        config.set_current_context("x");
        Ok(())
    })
    .unwrap();
    assert!(!paths[0].exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(paths[1].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(paths[1].parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn relative_paths_follow_their_file() {
    let dir = Dir::new();
    let path = dir.file("config", FOREIGN);
    let config = Kubeconfig::load(&[path]).unwrap();
    let authority = config.entry(Section::Clusters, "work").unwrap()["certificate-authority"].clone();
    assert_eq!(authority, dir.0.path().join("ca.crt").to_string_lossy().as_ref());
}

#[test]
fn a_malformed_file_is_named_and_its_secrets_are_not() {
    let dir = Dir::new();
    let path = dir.file("config", "users:\n- name: a\n  user: {token: sesame\n");
    let error = Kubeconfig::load(std::slice::from_ref(&path)).unwrap_err();
    let lines = error.lines(crate::text::Lang::En).join("\n");
    assert!(lines.contains("config") && !lines.contains("sesame"), "{lines}");
}

#[test]
fn what_is_no_kubeconfig_is_refused_and_left_alone() {
    let dir = Dir::new();
    for text in ["just text", "[1, 2]", "clusters: 5", "users: [x]", "contexts: {a: b}", "current-context: [a]"] {
        let path = dir.file("config", text);
        let edited = Kubeconfig::edit(std::slice::from_ref(&path), |config| {
            config.set_current_context("x");
            Ok(())
        });
        assert!(edited.unwrap_err().to_string().contains("is not a kubeconfig"), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    for text in ["", "clusters: null\nkind: Config\n", "{}"] {
        assert!(Kubeconfig::load(&[dir.file("config", text)]).is_ok(), "{text}");
    }
}

#[test]
fn edits_at_the_same_time_lose_nothing() {
    let dir = Dir::new();
    let path = dir.file("config", FOREIGN);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let edit = |config: &mut Kubeconfig| {
                    config.update(Section::Clusters, &format!("c{number}"), |_| {});
                    Ok(())
                };
                Kubeconfig::edit(std::slice::from_ref(path), edit).unwrap();
            });
        }
    });
    assert_eq!(Kubeconfig::load(&[path]).unwrap().entries(Section::Clusters).len(), 9);
}

#[cfg(unix)]
#[test]
fn a_linked_file_stays_a_link() {
    let dir = Dir::new();
    let real = dir.file("real", "{}\n");
    let link = dir.0.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    Kubeconfig::edit(std::slice::from_ref(&link), |config| {
        config.set_current_context("x");
        Ok(())
    })
    .unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(lib_yaml::parse(&std::fs::read_to_string(real).unwrap()).unwrap()["current-context"], "x");
}
