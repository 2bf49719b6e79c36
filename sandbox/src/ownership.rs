//! Which objects a controller manages: adoption of matching orphans, release of what no longer matches.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use crate::{
    cache::{Informer, Key, Kind},
    error::Error,
    meta::{controller_of, controller_reference, is_deleting, labels, selector, uid},
    queue::Queue,
};

/// The verdict over the candidates of one controller.
pub(crate) struct Claim<C> {
    pub(crate) keep: Vec<Arc<C>>,
    pub(crate) adopt: Vec<Arc<C>>,
    pub(crate) release: Vec<Arc<C>>,
}

/// Sorts what `owner` manages and the orphans near it (upstream: `ControllerRefManager`).
pub(crate) fn claim<O: Kind, C: Kind>(
    owner: &O,
    selector: &Selector,
    owned: Vec<Arc<C>>,
    orphans: Vec<Arc<C>>,
) -> Claim<C> {
    let leaving = is_deleting(owner);
    let (keep, release) = owned.into_iter().partition(|child| leaving || selector.matches(labels(&**child)));
    let adopt = orphans
        .into_iter()
        .filter(|child| !leaving && !is_deleting(&**child) && selector.matches(labels(&**child)))
        .collect();
    Claim { keep, adopt, release }
}

/// Everything `owner` manages after adopting and releasing what it should.
pub(crate) async fn children<O: Kind, C: Kind>(
    owner: &O,
    selector: &Selector,
    informer: &Informer<C>,
) -> Result<Vec<Arc<C>>, Error> {
    settle(owner, selector, informer, None).await
}

/// The same for children that bear a finalizer as long as they are managed.
pub(crate) async fn marked_children<O: Kind, C: Kind>(
    owner: &O,
    selector: &Selector,
    informer: &Informer<C>,
    finalizer: &str,
) -> Result<Vec<Arc<C>>, Error> {
    settle(owner, selector, informer, Some(finalizer)).await
}

async fn settle<O: Kind, C: Kind>(
    owner: &O,
    selector: &Selector,
    informer: &Informer<C>,
    mark: Option<&str>,
) -> Result<Vec<Arc<C>>, Error> {
    let namespace = crate::meta::namespace(owner);
    let verdict = claim(owner, selector, informer.owned_by(uid(owner)), informer.without_owner(namespace));
    let mut children = verdict.keep;
    for orphan in verdict.adopt {
        let mut adopted = (*orphan).clone();
        adopted.meta_mut().owner_references.get_or_insert_default().push(controller_reference(owner));
        if let Some(mark) = mark {
            let finalizers = adopted.meta_mut().finalizers.get_or_insert_default();
            finalizers.retain(|finalizer| finalizer != mark);
            finalizers.push(mark.to_owned());
        }
        if let Some(adopted) = settled(informer.update(&orphan, &adopted).await)? {
            children.push(adopted);
        }
    }
    for stray in verdict.release {
        let mut released = (*stray).clone();
        released.meta_mut().owner_references.get_or_insert_default().retain(|owner_ref| owner_ref.uid != uid(owner));
        if released.meta().owner_references.as_ref().is_some_and(Vec::is_empty) {
            released.meta_mut().owner_references = None;
        }
        if let (Some(mark), Some(finalizers)) = (mark, &mut released.meta_mut().finalizers) {
            finalizers.retain(|finalizer| finalizer != mark);
        }
        settled(informer.update(&stray, &released).await)?;
    }
    Ok(children)
}

/// That the object is gone settles the matter too.
fn settled<K>(result: Result<Option<Arc<K>>, Error>) -> Result<Option<Arc<K>>, Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(None),
        other => other,
    }
}

/// Queues the controller of every changed child, and for orphans all controllers that could adopt them.
pub(crate) fn follow<O: Kind, C: Kind>(
    children: &Informer<C>,
    owners: &Arc<Informer<O>>,
    queue: &Arc<Queue<Key>>,
    selector_of: fn(&O) -> Option<LabelSelector>,
) {
    let (owners, queue) = (owners.clone(), queue.clone());
    children.on_change(move |old, new| {
        for child in [old, new].into_iter().flatten() {
            if let Some(owner) = controller_of(child.meta()).filter(|owner| owner.kind == O::kind(&())) {
                queue.add(Key::new(crate::meta::namespace(&**child), &owner.name));
            }
        }
        let Some(orphan) = new.filter(|child| controller_of(child.meta()).is_none()) else { return };
        for owner in owners.in_namespace(crate::meta::namespace(&**orphan)) {
            let wanted = selector_of(&owner).and_then(|given| selector(&given).ok().flatten());
            if wanted.is_some_and(|selector| selector.matches(labels(&**orphan))) {
                queue.add(Key::of(&*owner));
            }
        }
    });
}

/// Queues every changed object itself.
pub(crate) fn each<K: Kind>(informer: &Informer<K>, queue: &Arc<Queue<Key>>) {
    let queue = queue.clone();
    informer.on_change(move |old, new| {
        if let Some(object) = new.or(old) {
            queue.add(Key::of(&**object));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{meta::name, pods::tests::pod};
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use serde_json::json;

    fn set(deleting: bool) -> ReplicaSet {
        let mut set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "n", "uid": "u"},
            "spec": {"selector": {"matchLabels": {"app": "demo"}}}
        }))
        .unwrap();
        set.metadata.deletion_timestamp = deleting.then(crate::meta::now);
        set
    }

    #[test]
    fn matching_orphans_are_adopted_and_strays_released() {
        let selector = selector(&set(false).spec.unwrap().selector).unwrap().unwrap();
        let mut stray = pod("stray", "Running", true);
        stray.metadata.labels = Some([("app".to_owned(), "other".to_owned())].into());
        let owned = vec![Arc::new(pod("kept", "Running", true)), Arc::new(stray.clone())];
        let orphans = vec![Arc::new(pod("orphan", "Running", true)), Arc::new(stray)];
        let verdict = claim(&set(false), &selector, owned, orphans);
        let names = |pods: &[Arc<_>]| pods.iter().map(|pod: &Arc<_>| name(&**pod).to_owned()).collect::<Vec<String>>();
        assert_eq!(names(&verdict.keep), ["kept"]);
        assert_eq!(names(&verdict.adopt), ["orphan"]);
        assert_eq!(names(&verdict.release), ["stray"]);
    }

    #[test]
    fn a_controller_that_goes_away_adopts_nothing() {
        let selector = selector(&set(true).spec.unwrap().selector).unwrap().unwrap();
        let verdict = claim(&set(true), &selector, Vec::new(), vec![Arc::new(pod("orphan", "Running", true))]);
        assert!(verdict.adopt.is_empty());
    }
}
