//! Each target over its corpus and over mutations of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fuzz::{Options, TARGETS};

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    fuzz::run(target, Options::from_env(), Path::new(env!("CARGO_TARGET_TMPDIR")));
}

macro_rules! targets {
    ($($name:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

targets! {
    apply builtin cel custom decode_json decode_yaml field_selector field_set inventory json_patch jwt
    label_selector ldap_filter merge_patch protobuf quantity request saml_metadata saml_response strategic_patch
}

#[test]
fn every_target_has_a_test_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).unwrap();
    let folders: BTreeSet<String> =
        folders.map(|folder| folder.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(targets, folders);
    assert_eq!(targets, TESTED.iter().map(|&name| name.to_owned()).collect());
}
