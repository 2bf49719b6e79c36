//! What questions about rights cost: of a person with many roles in a cluster with many kinds, and the memory of a fleet.
//!
//! The reference is what is simplest: walking all bindings, subjects and rules for each question.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use api_meta::Object;
use api_rbac::{Attributes, Binding, Interner, Kind, Policy, PolicyRule, Resource, User};
use serde_json::{Value, json};

use crate::process::resident;

const ROLES: usize = 200;
const RULES_OF_EACH: usize = 25;
const KINDS: usize = 1_000;
const NAMESPACES: usize = 250;
const CHECKS: usize = 2_000;
const CLUSTERS: usize = 100;
/// One role in so many is a cluster's own.
const OWN: usize = 20;
const ROUNDS: usize = 25;
/// It is slow, and always the same.
const REFERENCE_ROUNDS: usize = 3;

pub(crate) fn run() -> anyhow::Result<()> {
    println!(
        "{} rules in {ROLES} roles, {KINDS} kinds, {CHECKS} questions about one person at once:",
        ROLES * RULES_OF_EACH
    );
    let checks = checks();
    for (what, spread) in
        [("all roles in the whole cluster", Spread::Cluster), ("a role in each namespace", Spread::Namespaces)]
    {
        figures(what, &objects(0, spread)?, &checks)?;
    }
    fleet()
}

/// Where the roles of the person hold.
#[derive(Clone, Copy)]
enum Spread {
    Cluster,
    Namespaces,
}

fn figures(what: &str, objects: &[(Kind, Object)], checks: &[Check]) -> anyhow::Result<()> {
    let groups: Vec<String> = ["staff", "system:authenticated"].map(str::to_owned).into();
    let user = User { name: "ann@example.com", groups: &groups };
    let asked: Vec<Attributes<'_>> = checks.iter().map(Check::attributes).collect();

    let policy = compiled(objects, &Interner::default());
    let naive = Naive::of(&policy);
    let (walked, expect) = median(REFERENCE_ROUNDS, || asked.iter().filter(|asked| naive.allows(user, asked)).count())?;
    let (cold, allowed) = median(ROUNDS, || {
        let policy = compiled(objects, &Interner::default());
        let rights = policy.rights(user);
        asked.iter().filter(|asked| rights.allows(asked).is_some()).count()
    })?;
    ensure!(allowed == expect, "{allowed} are allowed where walking all objects allows {expect}");

    let (warm, allowed) = median(ROUNDS, || {
        let rights = policy.rights(user);
        asked.iter().filter(|asked| rights.allows(asked).is_some()).count()
    })?;
    ensure!(allowed == expect, "{allowed} are allowed where walking all objects allows {expect}");
    let rights = policy.rights(user);
    let (held, _) = median(ROUNDS, || asked.iter().filter(|asked| rights.allows(asked).is_some()).count())?;
    let (alone, allowed) =
        median(ROUNDS, || asked.iter().filter(|asked| policy.allows(user, asked).is_some()).count())?;
    ensure!(allowed == expect, "{allowed} are allowed where walking all objects allows {expect}");

    println!("{what}, {expect} of {CHECKS} allowed; walking all objects {:.1} ms", millis(walked));
    for (what, took) in [
        ("from objects (promised 20 ms)", cold),
        ("from a policy (promised 2 ms)", warm),
        ("with what the person holds at hand", held),
        ("one by one", alone),
    ] {
        println!("  {what:<40} {:>8.2} ms, x{:.4} of walking", millis(took), took.as_secs_f64() / walked.as_secs_f64());
    }
    let (found, _) = median(ROUNDS, || rights.namespaces_where("list", &checks[0].group, &checks[0].resource))?;
    let (who, _) = median(ROUNDS, || policy.who_can(&asked[0]).len())?;
    println!("  namespaces of one kind {:.0} us; who can {:.0} us", millis(found) * 1e3, millis(who) * 1e3);
    Ok(())
}

/// Memory of many clusters that are mostly the same, beside that of the same clusters apart.
fn fleet() -> anyhow::Result<()> {
    // What was read and dropped leaves room behind that is used again.
    drop(objects(0, Spread::Namespaces)?);
    let before = resident(std::process::id())?;
    let interner = Interner::default();
    let mut shared = Vec::new();
    for cluster in 0..CLUSTERS {
        shared.push(compiled(&objects(cluster, Spread::Namespaces)?, &interner));
    }
    let together = resident(std::process::id())? - before;
    let mut apart = Vec::new();
    for cluster in 0..CLUSTERS / 10 {
        apart.push(compiled(&objects(cluster, Spread::Namespaces)?, &Interner::default()));
    }
    let apart_each = (resident(std::process::id())? - before - together) / apart.len() as f64;
    println!(
        "{CLUSTERS} clusters of {} rules and {} bindings, one role in {OWN} their own: {together:.1} MiB, x{:.2} of as many apart",
        ROLES * RULES_OF_EACH,
        NAMESPACES + ROLES,
        together / (apart_each * CLUSTERS as f64),
    );
    drop((shared, apart));
    Ok(())
}

/// Half of the questions are about what nobody has a rule for.
struct Check {
    verb: &'static str,
    group: String,
    resource: String,
    namespace: String,
}

impl Check {
    fn attributes(&self) -> Attributes<'_> {
        let Self { verb, group, resource, namespace } = self;
        Attributes::resource(verb, Resource { group, resource, namespace, ..Resource::default() })
    }
}

fn checks() -> Vec<Check> {
    let check = |number: usize| Check {
        verb: ["list", "delete"][number % 2],
        group: group(number / 2 % KINDS),
        resource: resource(number / 2 % KINDS),
        namespace: format!("namespace-{}", number * 7 % NAMESPACES),
    };
    (0..CHECKS).map(check).collect()
}

fn group(kind: usize) -> String {
    format!("group-{}.example.com", kind / 5)
}

fn resource(kind: usize) -> String {
    format!("widgets{kind}")
}

fn compiled(objects: &[(Kind, Object)], interner: &Interner) -> Policy {
    let mut policy = Policy::default();
    for (kind, object) in objects {
        policy.insert(*kind, object, interner);
    }
    policy
}

/// All of a cluster: what everybody has, the person's roles, and what other people have.
fn objects(cluster: usize, spread: Spread) -> anyhow::Result<Vec<(Kind, Object)>> {
    let mut objects = Vec::new();
    let mut add = |kind, object: Value| {
        objects.push((kind, Object::try_from(object)?));
        anyhow::Ok(())
    };
    for role in 0..ROLES {
        let rules: Vec<Value> = (0..RULES_OF_EACH)
            .map(|rule| {
                let kind = (role * RULES_OF_EACH + rule) % KINDS;
                let own = if role % OWN == 0 { format!("own{cluster}") } else { "watch".to_owned() };
                json!({
                    "apiGroups": [group(kind)],
                    "resources": [resource(kind), format!("{}/status", resource(kind))],
                    "verbs": ["get", "list", own],
                })
            })
            .collect();
        add(Kind::ClusterRole, json!({"metadata": {"name": format!("role-{role}")}, "rules": rules}))?;
    }
    let binding = |name: String, namespace: Option<String>, role: usize, subject: Value| {
        let mut binding = json!({
            "metadata": {"name": name},
            "roleRef": {"kind": "ClusterRole", "name": format!("role-{}", role % ROLES)},
            "subjects": [subject],
        });
        if let Some(namespace) = namespace {
            binding["metadata"]["namespace"] = namespace.into();
        }
        binding
    };
    let ann = json!({"kind": "User", "name": "ann@example.com"});
    for number in 0..NAMESPACES {
        let namespace = format!("namespace-{number}");
        let subject = match spread {
            Spread::Cluster => json!({"kind": "ServiceAccount", "name": "default", "namespace": &namespace}),
            Spread::Namespaces => ann.clone(),
        };
        add(Kind::RoleBinding, binding("binding".to_owned(), Some(namespace), number, subject))?;
    }
    for role in 0..ROLES {
        let subject = match spread {
            Spread::Cluster => ann.clone(),
            Spread::Namespaces => json!({"kind": "User", "name": format!("person-{role}@example.com")}),
        };
        add(Kind::ClusterRoleBinding, binding(format!("binding-{role}"), None, role, subject))?;
    }
    Ok(objects)
}

/// Bindings with their rules, and nothing else.
struct Naive(Vec<(Binding, Vec<Arc<PolicyRule>>)>);

impl Naive {
    fn of(policy: &Policy) -> Self {
        let rules = |binding: &Binding| policy.role(&binding.role).map(|rules| rules.as_slice().to_vec());
        Self(policy.bindings().map(|binding| (binding.clone(), rules(binding).unwrap_or_default())).collect())
    }

    fn allows(&self, user: User<'_>, asked: &Attributes<'_>) -> bool {
        self.0.iter().any(|(binding, rules)| {
            (binding.namespace.is_empty() || *binding.namespace == *asked.namespace())
                && binding.subject(user).is_some()
                && rules.iter().any(|rule| rule.allows(asked))
        })
    }
}

/// Of many times; and the answer.
fn median<T>(rounds: usize, mut one: impl FnMut() -> T) -> anyhow::Result<(Duration, T)> {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..rounds {
        let started = Instant::now();
        last = Some(black_box(one()));
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok((times[rounds / 2], last.context("nothing was measured")?))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
