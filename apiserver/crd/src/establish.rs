//! Which names a definition may have, and whether it is served (upstream: `controller/status`, `controller/establish`).

use std::collections::BTreeSet;

use api_meta::{Object, Value, json, now_seconds};

use crate::definition::{Definition, strings, text};

/// The definition with its accepted names and conditions. `others` are all other definitions; the names they
/// have accepted are taken.
pub fn establish(definition: &Object, others: &[Object]) -> Object {
    establish_at(definition, others, &now_seconds())
}

/// [`establish`] with the time for conditions that change.
pub fn establish_at(definition: &Object, others: &[Object], now: &str) -> Object {
    let this = Definition(definition);
    let taken = Taken::in_group(this.group(), others);
    let (accepted, conflict) = accept(this, &taken);
    let was_established = this.has_condition("Established");

    let mut object = definition.clone();
    *object.at_mut(&["status", "acceptedNames"]) = accepted;
    let names_condition = match &conflict {
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
        Some((reason, message)) => ("False", *reason, message.clone()),
    };
    set_condition(&mut object, "NamesAccepted", names_condition, now);
    if !was_established {
        let established = match conflict {
            None => ("True", "InitialNamesAccepted", "the initial names have been accepted".to_owned()),
            Some(_) => ("False", "NotAccepted", "not all names are accepted".to_owned()),
        };
        set_condition(&mut object, "Established", established, now);
    }
    object
}

/// Whether the definition's resources are to be served.
pub fn is_established(definition: &Object) -> bool {
    Definition(definition).has_condition("Established")
}

#[derive(Default)]
struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    fn in_group(group: &str, others: &[Object]) -> Self {
        let mut taken = Self::default();
        for other in others.iter().map(Definition).filter(|other| other.group() == group) {
            let Some(names) = other.status().get("acceptedNames") else { continue };
            taken.resources.extend(["plural", "singular"].map(|key| text(names, key).to_owned()));
            taken.resources.extend(strings(names, "shortNames"));
            taken.kinds.extend(["kind", "listKind"].map(|key| text(names, key).to_owned()));
        }
        taken.resources.remove("");
        taken.kinds.remove("");
        taken
    }
}

/// Accepts each name that is free; the last conflict is the one that is told.
fn accept(definition: Definition<'_>, taken: &Taken) -> (Value, Option<(&'static str, String)>) {
    let none = Value::Null;
    let wanted = definition.names();
    let before = definition.status().get("acceptedNames").unwrap_or(&none);
    let mut accepted = json!({"plural": text(before, "plural"), "kind": text(before, "kind")});
    let mut conflict = None;
    let in_use = |name: &str| format!("{name:?} is already in use");
    let single = [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ];
    for (key, reason, taken) in single {
        let (name, old) = (text(wanted, key), text(before, key));
        let fits = name == old || !taken.contains(name);
        let now = if fits { name } else { old };
        if !fits {
            conflict = Some((reason, in_use(name)));
        }
        if !now.is_empty() || ["plural", "kind"].contains(&key) {
            accepted[key] = now.into();
        }
        if key == "singular" {
            let (names, old) = (strings(wanted, "shortNames"), strings(before, "shortNames"));
            let clashes: Vec<_> =
                names.iter().filter(|n| !old.contains(n) && taken.contains(*n)).map(|n| in_use(n)).collect();
            if !clashes.is_empty() {
                let message = if clashes.len() == 1 { clashes.concat() } else { format!("[{}]", clashes.join(", ")) };
                conflict = Some(("ShortNamesConflict", message));
            }
            let now = if clashes.is_empty() { names } else { old };
            if !now.is_empty() {
                accepted["shortNames"] = now.into();
            }
        }
    }
    let categories = strings(wanted, "categories");
    if !categories.is_empty() {
        accepted["categories"] = categories.into();
    }
    (accepted, conflict)
}

fn set_condition(object: &mut Object, type_: &str, (status, reason, message): (&str, &str, String), now: &str) {
    let conditions = object.at_mut(&["status", "conditions"]);
    if !conditions.is_array() {
        *conditions = Value::Array(Vec::new());
    }
    let Value::Array(conditions) = conditions else { return };
    let mut condition = json!({
        "type": type_, "status": status, "lastTransitionTime": now, "reason": reason, "message": message,
    });
    match conditions.iter_mut().find(|c| text(c, "type") == type_) {
        None => conditions.push(condition),
        Some(old) => {
            if text(old, "status") == status {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn definition(plural: &str, kind: &str) -> Object {
        let names = json!({
            "plural": plural, "kind": kind, "singular": kind.to_lowercase(), "listKind": format!("{kind}List"),
            "shortNames": ["th"],
        });
        let spec = json!({"group": "example.com", "names": names});
        Object::try_from(json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": spec})).unwrap()
    }

    #[test]
    fn free_names_are_accepted() {
        let established = establish_at(&definition("things", "Thing"), &[], NOW);
        assert!(is_established(&established));
        assert_eq!(
            established["status"],
            json!({
                "acceptedNames": {
                    "plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList", "shortNames": ["th"],
                },
                "conditions": [
                    {"type": "NamesAccepted", "status": "True", "lastTransitionTime": NOW, "reason": "NoConflicts",
                     "message": "no conflicts found"},
                    {"type": "Established", "status": "True", "lastTransitionTime": NOW, "reason": "InitialNamesAccepted",
                     "message": "the initial names have been accepted"},
                ],
            })
        );
        assert_eq!(establish_at(&established, &[], "later"), established);
    }

    #[test]
    fn taken_names_are_refused() {
        let first = establish_at(&definition("things", "Thing"), &[], NOW);
        let mut second = definition("thingies", "Thing");
        *second.at_mut(&["spec", "names", "shortNames"]) = json!([]);
        let second = establish_at(&second, &[first], NOW);
        assert!(!is_established(&second));
        assert_eq!(second["status"]["acceptedNames"], json!({"plural": "thingies", "kind": ""}));
        let conditions = &second["status"]["conditions"];
        assert_eq!(conditions[0]["reason"], "ListKindConflict");
        assert_eq!(conditions[0]["message"], "\"ThingList\" is already in use");
        assert_eq!(conditions[1]["reason"], "NotAccepted");
    }

    #[test]
    fn what_is_established_stays_so() {
        let first = establish_at(&definition("things", "Thing"), &[], NOW);
        let mut changed = first.clone();
        *changed.at_mut(&["spec", "names", "shortNames"]) = json!(["x"]);
        let mut other = definition("others", "Other");
        *other.at_mut(&["spec", "names", "shortNames"]) = json!(["x"]);
        let other = establish_at(&other, &[], NOW);
        let changed = establish_at(&changed, &[other], NOW);
        assert!(is_established(&changed));
        assert_eq!(changed["status"]["conditions"][0]["reason"], "ShortNamesConflict");
        assert_eq!(changed["status"]["acceptedNames"]["shortNames"], json!(["th"]));
    }
}
