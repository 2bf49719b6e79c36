//! Who may do what where.
//!
//! A cell names the places in which people of the role may: `all` of them, those of the cluster `east` or `west`, the namespaces of
//! project `bank`, the one namespace `bank-a`, or none.

/// The roles, as columns of the tables. Cluster administrators are those of `east`, project administrators those of `bank`,
/// and the two of namespaces those of `bank-a`, which lies in `east`.
pub(crate) const ROLES: [&str; 6] = [
    "platform-admin-system",
    "platform-auditor-system",
    "cluster-admin-system",
    "project-admin-system",
    "namespace-admin-system",
    "namespace-developer-system",
];

/// The clusters: the hub and the members.
pub(crate) const CLUSTERS: [&str; 4] = ["hub", "east", "west", "south"];

/// Where something in a namespace is tried. The project's own namespace is beside those in which people work. `bank` lies in
/// `east` and `west`, `shop` in `west` and `south`.
pub(crate) const PLACES: [(&str, &str); 7] = [
    ("hub", "bank"),
    ("east", "default"),
    ("east", "bank"),
    ("east", "bank-a"),
    ("west", "bank-b"),
    ("west", "shop-a"),
    ("south", "shop-b"),
];

/// Whether a cell names a place.
pub(crate) fn names(cell: &str, (cluster, namespace): (&str, &str)) -> bool {
    match cell {
        "all" => true,
        "east" | "west" => cluster == cell,
        "bank" => matches!(namespace, "bank-a" | "bank-b"),
        "bank-a" => namespace == "bank-a",
        "-" => false,
        other => panic!("{other:?} is no place"),
    }
}

/// Whether a cell names a cluster.
pub(crate) fn names_cluster(cell: &str, cluster: &str) -> bool {
    match cell {
        "all" => true,
        "east" => cluster == "east",
        "bank" => matches!(cluster, "east" | "west"),
        "-" => false,
        other => panic!("{other:?} is no cluster"),
    }
}

/// In namespaces. `list` and `create` are tried, `may` is asked of the cluster.
pub(crate) const NAMESPACED: &str = "
    |                                         | platform-admin | auditor | cluster-admin | project-admin | namespace-admin | developer |
    | list pods                               | all            | all     | east          | bank          | bank-a          | bank-a    |
    | list configmaps                         | all            | all     | east          | bank          | bank-a          | bank-a    |
    | list secrets                            | all            | -       | east          | -             | bank-a          | bank-a    |
    | list deployments.apps                   | all            | all     | east          | bank          | bank-a          | bank-a    |
    | list roles.rbac.authorization.k8s.io    | all            | all     | east          | bank          | bank-a          | bank-a    |
    | list resourcequotas                     | all            | all     | east          | bank          | bank-a          | bank-a    |
    | create configmaps                       | all            | -       | east          | -             | bank-a          | bank-a    |
    | create secrets                          | all            | -       | east          | -             | bank-a          | bank-a    |
    | create deployments.apps                 | all            | -       | east          | -             | bank-a          | bank-a    |
    | create serviceaccounts                  | all            | -       | east          | -             | bank-a          | -         |
    | create roles.rbac.authorization.k8s.io  | all            | -       | east          | -             | bank-a          | -         |
    | create networkpolicies.networking.k8s.io| all            | -       | east          | -             | bank-a          | -         |
    | create resourcequotas                   | all            | -       | east          | bank          | -               | -         |
    | create limitranges                      | all            | -       | east          | bank          | -               | -         |
    | may create pods/exec                    | all            | -       | east          | -             | bank-a          | bank-a    |
    | may impersonate serviceaccounts         | all            | -       | east          | -             | -               | -         |
";

/// In clusters.
pub(crate) const CLUSTER_WIDE: &str = "
    |                                                           | platform-admin | auditor | cluster-admin | project-admin | namespace-admin | developer |
    | list nodes                                                | all            | all     | east          | -             | -               | -         |
    | list namespaces                                           | all            | all     | east          | -             | -               | -         |
    | list clusterroles.rbac.authorization.k8s.io               | all            | all     | east          | -             | -               | -         |
    | list customresourcedefinitions.apiextensions.k8s.io       | all            | all     | east          | -             | -               | -         |
    | list storageclasses.storage.k8s.io                        | all            | all     | east          | bank          | east            | east      |
    | create clusterroles.rbac.authorization.k8s.io             | all            | -       | east          | -             | -               | -         |
    | create persistentvolumes                                  | all            | -       | east          | -             | -               | -         |
    | may create validatingwebhookconfigurations.admissionregistration.k8s.io | all | -    | east          | -             | -               | -         |
    | may impersonate users                                     | all            | -       | east          | -             | -               | -         |
";

/// What policies of the cluster judge, beyond what RBAC can say, to namespaces themselves: in those in which people work.
/// Both projects lie in `west` only, so nobody puts a namespace of another cluster from one into the other.
pub(crate) const GUARDED: &str = "
    |                             | platform-admin | auditor | cluster-admin | project-admin | namespace-admin | developer |
    | delete                      | all            | -       | east          | bank          | -               | -         |
    | label team=blue             | all            | -       | east          | bank          | bank-a          | -         |
    | take out of its project     | all            | -       | east          | bank          | -               | -         |
    | put into another project    | west           | -       | -             | -             | -               | -         |
    | loosen Pod Security         | all            | -       | east          | -             | -               | -         |
    | exempt from quota           | all            | -       | east          | -             | -               | -         |
";

/// To the platform's API: what is answered. What a binding gives on the hub, as in a project, is asked on the hub, where
/// administrators of a cluster hold nothing.
pub(crate) const PLATFORM: &str = "
    |                                            | platform-admin | auditor | cluster-admin | project-admin | namespace-admin | developer |
    | see the clusters                           | hub east west south | hub east west south | east | hub east west | hub east | hub east |
    | see project bank                           | 200            | 200     | 404           | 200           | 200             | 200       |
    | see project shop                           | 200            | 200     | 404           | 404           | 404             | 404       |
    | give developer in bank-a                   | 201            | 403     | 403           | 201           | 201             | 403       |
    | give developer in shop-a                   | 201            | 403     | 403           | 403           | 403             | 403       |
    | give project administrator of bank         | 201            | 403     | 403           | 201           | 403             | 403       |
    | give cluster administrator of east         | 201            | 403     | 201           | 403           | 403             | 403       |
    | give platform auditor                      | 201            | 403     | 403           | 403           | 403             | 403       |
    | ask who may list secrets in bank-a         | 200            | 200     | 200           | 200           | 200             | 200       |
    | ask who may list secrets in shop-a         | 200            | 200     | 403           | 403           | 403             | 403       |
    | list users                                 | 200            | 200     | 403           | 403           | 403             | 403       |
    | register a cluster                         | 201            | 403     | 403           | 403           | 403             | 403       |
";

/// The lines of a table: what is done, and a cell for each role.
pub(crate) fn lines(table: &'static str) -> Vec<(&'static str, [&'static str; ROLES.len()])> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty()).skip(1);
    lines
        .map(|line| {
            let mut parts = line.trim_matches('|').split('|').map(str::trim);
            let what = parts.next().unwrap_or_default();
            let cells: Vec<_> = parts.collect();
            (what, cells.try_into().unwrap_or_else(|_| panic!("{what}: a cell for each role")))
        })
        .collect()
}
