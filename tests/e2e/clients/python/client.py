"""The official Python client, as its users use it. Each function is a story of its own; what is wrong is an exception."""

import multiprocessing
import time

import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic.exceptions import ConflictError, ResourceNotFoundError
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from kubernetes.stream import portforward, stream

NAMESPACE = "python"
PATIENCE = 60


def equal(seen, expected):
    if seen != expected:
        raise AssertionError(f"expected {expected!r}, saw {seen!r}")


def refused(code, call, *arguments, **options):
    """The answer to a call that must be refused with `code`."""
    try:
        call(*arguments, **options)
    except ApiException as refusal:
        equal(refusal.status, code)
        return refusal
    raise AssertionError(f"{call} was not refused")


def eventually(what, ask):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE} s for {what}")


def config_map(name, data=None, **metadata):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, **metadata), data=data)


def objects(core):
    """Create, read, replace, list in pages, delete."""
    made = core.create_namespaced_config_map(NAMESPACE, config_map("a", {"k": "v"}, labels={"part": "objects"}))
    equal(made.metadata.creation_timestamp.tzinfo is not None, True)
    equal(made.metadata.managed_fields[0].operation, "Update")
    refused(409, core.create_namespaced_config_map, NAMESPACE, config_map("a"))
    read = core.read_namespaced_config_map("a", NAMESPACE)
    equal(read, made)
    read.data["k"] = "w"
    replaced = core.replace_namespaced_config_map("a", NAMESPACE, read)
    equal(replaced.data, {"k": "w"})
    stale = refused(409, core.replace_namespaced_config_map, "a", NAMESPACE, read)
    equal("the object has been modified" in stale.body, True)
    equal(core.create_namespaced_config_map(NAMESPACE, config_map("dry"), dry_run="All").metadata.name, "dry")
    refused(404, core.read_namespaced_config_map, "dry", NAMESPACE)
    invalid = refused(422, core.create_namespaced_config_map, NAMESPACE, config_map("Not A Name"))
    equal('"field":"metadata.name"' in invalid.body.replace(" ", ""), True)

    for number in range(4):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"page-{number}", labels={"part": "pages"}))
    names, more = [], None
    while more != "":
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="part=pages", limit=3, _continue=more)
        names += [item.metadata.name for item in page.items]
        more = page.metadata._continue or ""
    equal(names, ["page-0", "page-1", "page-2", "page-3"])
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="part in (pages)")
    equal(core.list_namespaced_config_map(NAMESPACE, label_selector="part=pages").items, [])
    deleted = core.delete_namespaced_config_map("a", NAMESPACE, body=client.V1DeleteOptions(grace_period_seconds=0))
    equal(deleted["status"], "Success")


def patches(core, apps):
    """Each kind of patch, by the content type that a user chooses."""
    core.create_namespaced_config_map(NAMESPACE, config_map("p", {"a": "1", "b": "2"}))

    def patch(body, kind, **options):
        return core.patch_namespaced_config_map("p", NAMESPACE, body, _content_type=kind, **options).data

    equal(patch({"data": {"a": None, "c": "3"}}, "application/merge-patch+json"), {"b": "2", "c": "3"})
    equal(patch({"data": {"b": "4"}}, "application/strategic-merge-patch+json"), {"b": "4", "c": "3"})
    test = [{"op": "test", "path": "/data/b", "value": "4"}, {"op": "remove", "path": "/data/b"}]
    equal(patch(test, "application/json-patch+json"), {"c": "3"})
    refused(422, patch, test, "application/json-patch+json")
    apply = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"mine": "1"}}
    equal(patch(apply, "application/apply-patch+yaml", field_manager="me"), {"c": "3", "mine": "1"})
    conflict = refused(409, patch, apply | {"data": {"mine": "2"}}, "application/apply-patch+yaml", field_manager="you")
    equal("conflict with" in conflict.body, True)
    forced = patch(
        apply | {"data": {"mine": "2"}}, "application/apply-patch+yaml", field_manager="you", force=True
    )
    equal(forced["mine"], "2")

    container = {"name": "web", "image": "example.com/web:1"}
    apps.create_namespaced_deployment(
        NAMESPACE,
        {
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
            },
        },
    )
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "example.com/side:1"}]}}}}
    merged = apps.patch_namespaced_deployment("web", NAMESPACE, side)
    equal(sorted(c.name for c in merged.spec.template.spec.containers), ["side", "web"])
    scaled = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 2}})
    equal(scaled.spec.replicas, 2)
    eventually(
        "two replicas", lambda: apps.read_namespaced_deployment_status("web", NAMESPACE).status.ready_replicas == 2
    )


def watches(core):
    """A watch from a list, and one that goes on where another ended."""
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, config_map("w", {"n": "0"}))
    events = watch.Watch()
    selected = {"namespace": NAMESPACE, "field_selector": "metadata.name=w", "timeout_seconds": PATIENCE}
    for event in events.stream(core.list_namespaced_config_map, resource_version=start, **selected):
        equal((event["type"], event["object"].data), ("ADDED", {"n": "0"}))
        break
    core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"n": "1"}})
    core.delete_namespaced_config_map("w", NAMESPACE)
    seen = []
    for event in watch.Watch().stream(
        core.list_namespaced_config_map, resource_version=events.resource_version, **selected
    ):
        seen.append((event["type"], event["object"].data["n"]))
        if event["type"] == "DELETED":
            break
    equal(seen, [("MODIFIED", "1"), ("DELETED", "1")])
    ended = watch.Watch().stream(core.list_namespaced_config_map, NAMESPACE, timeout_seconds=1)
    equal(all(event["type"] == "ADDED" for event in ended), True)


def custom_resources(extensions, custom):
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"plural": "hats", "singular": "hat", "kind": "Hat"}
    extensions.create_custom_resource_definition(
        {
            "metadata": {"name": "hats.python.example.com"},
            "spec": {"group": "python.example.com", "scope": "Namespaced", "names": names, "versions": [version]},
        }
    )

    def established():
        status = extensions.read_custom_resource_definition("hats.python.example.com").status
        return any(c.type == "Established" and c.status == "True" for c in status.conditions or [])

    eventually("the custom resource to be served", established)
    place = ("python.example.com", "v1", NAMESPACE, "hats")
    hat = {"apiVersion": "python.example.com/v1", "kind": "Hat", "metadata": {"name": "top"}, "spec": {"size": 3}}
    custom.create_namespaced_custom_object(*place, hat)
    custom.patch_namespaced_custom_object(*place, "top", {"spec": {"size": 4}})
    status = {"status": {"worn": True}, "spec": {"size": 5}}
    custom.patch_namespaced_custom_object_status(*place, "top", status)
    read = custom.get_namespaced_custom_object(*place, "top")
    equal((read["spec"], read["status"]), ({"size": 4}, {"worn": True}))
    refused(422, custom.patch_namespaced_custom_object, *place, "top", {"spec": {"size": 10}})
    equal([item["metadata"]["name"] for item in custom.list_namespaced_custom_object(*place)["items"]], ["top"])


def dynamics(api):
    """The client that learns kinds from discovery."""
    cluster = dynamic.DynamicClient(api)
    hats = cluster.resources.get(api_version="python.example.com/v1", kind="Hat")
    equal((hats.namespaced, hats.name), (True, "hats"))
    equal(hats.get(namespace=NAMESPACE, name="top").spec.size, 4)
    hat = {"apiVersion": "python.example.com/v1", "kind": "Hat", "metadata": {"name": "bowler"}, "spec": {"size": 1}}
    applied = cluster.server_side_apply(hats, body=hat, namespace=NAMESPACE, name="bowler", field_manager="me")
    equal(applied.metadata.managedFields[0].operation, "Apply")
    try:
        cluster.server_side_apply(
            hats, body=hat | {"spec": {"size": 2}}, namespace=NAMESPACE, name="bowler", field_manager="you"
        )
        raise AssertionError("there was no conflict")
    except ConflictError:
        pass
    for event in hats.watch(namespace=NAMESPACE, name="bowler", timeout=PATIENCE):
        equal((event["type"], event["object"].spec.size), ("ADDED", 1))
        break
    config_maps = cluster.resources.get(api_version="v1", kind="ConfigMap")
    equal(config_maps.get(namespace=NAMESPACE, label_selector="none=such").items, [])
    hats.delete(namespace=NAMESPACE, name="bowler")
    try:
        cluster.resources.get(api_version="python.example.com/v1", kind="Shoe")
        raise AssertionError("there is no such kind")
    except ResourceNotFoundError:
        pass


def pods(core):
    """Logs, exec and port-forward."""
    utils.create_from_dict(
        core.api_client,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod"},
            "spec": {"containers": [{"name": "main", "image": "example.com/web:1", "ports": [{"containerPort": 80}]}]},
        },
        namespace=NAMESPACE,
    )
    eventually("the pod to run", lambda: core.read_namespaced_pod("pod", NAMESPACE).status.phase == "Running")
    equal("simulated" in core.read_namespaced_pod_log("pod", NAMESPACE), True)
    followed = watch.Watch().stream(core.read_namespaced_pod_log, "pod", NAMESPACE)
    equal("simulated" in next(followed), True)

    run = {"stderr": True, "stdout": True, "stdin": False, "tty": False}
    connect = core.connect_get_namespaced_pod_exec
    equal(stream(connect, "pod", NAMESPACE, command=["echo", "hello"], **run), "hello\n")
    shell = stream(connect, "pod", NAMESPACE, command=["sh"], **(run | {"stdin": True}), _preload_content=False)
    shell.write_stdin("echo to-out; echo to-err >&2; exit 3\n")
    shell.run_forever(timeout=PATIENCE)
    equal("to-out" in shell.read_stdout(), True)
    equal("to-err" in shell.read_stderr(), True)
    equal(shell.returncode, 3)

    forwarded = portforward(core.connect_get_namespaced_pod_portforward, "pod", NAMESPACE, ports="80")
    port = forwarded.socket(80)
    port.setblocking(True)
    port.sendall(b"GET /page HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
    answer = b""
    while chunk := port.recv(4096):
        answer += chunk
    equal(answer.startswith(b"HTTP/1.1 200"), True)
    equal(b"GET /page" in answer, True)
    equal(forwarded.error(80), None)


DOCUMENTS = """
apiVersion: v1
kind: Service
metadata: {name: from-yaml}
spec: {ports: [{port: 80}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: from-yaml}
spec:
  schedule: "@daily"
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "example.com/job:1"}]}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: from-yaml}
spec: {podSelector: {}}
"""


def files(api):
    with open("documents.yaml", "w", encoding="utf-8") as file:
        file.write(DOCUMENTS)
    made = utils.create_from_yaml(api, "documents.yaml", namespace=NAMESPACE)
    equal([item[0].kind for item in made], ["Service", "CronJob", "NetworkPolicy"])
    try:
        utils.create_from_yaml(api, yaml_objects=list(yaml.safe_load_all(DOCUMENTS)), namespace=NAMESPACE)
        raise AssertionError("they exist already")
    except utils.FailToCreateError as failed:
        equal([error.status for error in failed.api_exceptions], [409, 409, 409])


def candidate(name, leads):
    """A process that wants to lead, and goes on doing so until it is ended."""
    config.load_kube_config()
    elected = electionconfig.Config(
        LeaseLock("leader", NAMESPACE, name),
        lease_duration=2,
        renew_deadline=1.5,
        retry_period=1,
        onstarted_leading=leads.set,
        onstopped_leading=None,
    )
    leaderelection.LeaderElection(elected).run()


def leaders(api):
    """Two candidates for one lease: the second waits, and leads when the first is gone."""
    processes = multiprocessing.get_context("spawn")
    leads = {name: processes.Event() for name in ("first", "second")}
    runs = {name: processes.Process(target=candidate, args=(name, leads[name]), daemon=True) for name in leads}
    coordination = client.CoordinationV1Api(api)

    def lease():
        return coordination.read_namespaced_lease("leader", NAMESPACE)

    runs["first"].start()
    equal(leads["first"].wait(PATIENCE), True)
    runs["second"].start()
    seen = lease()
    equal(seen.spec.holder_identity, "first")
    eventually("the lease to be renewed", lambda: lease().spec.renew_time > seen.spec.renew_time)
    late = client.V1Lease(metadata=seen.metadata, spec=client.V1LeaseSpec(holder_identity="third"))
    refused(409, coordination.replace_namespaced_lease, "leader", NAMESPACE, late)
    equal(leads["second"].is_set(), False)
    runs["first"].kill()
    equal(leads["second"].wait(PATIENCE), True)
    equal(lease().spec.holder_identity, "second")
    runs["second"].kill()


def rights(api):
    """What a service account may do with a token of its own."""
    core = client.CoreV1Api(api)
    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "robot"}})
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    token = core.create_namespaced_service_account_token("robot", NAMESPACE, request).status.token
    settings = client.Configuration.get_default_copy()
    settings.cert_file = settings.key_file = None
    settings.api_key = {"authorization": f"Bearer {token}"}
    robot = client.ApiClient(settings)
    who = client.AuthenticationV1Api(robot).create_self_subject_review({})
    equal(who.status.user_info.username, f"system:serviceaccount:{NAMESPACE}:robot")
    refused(403, client.CoreV1Api(robot).list_namespaced_secret, NAMESPACE)


def main():
    config.load_kube_config()
    api = client.ApiClient()
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
    equal(client.VersionApi(api).get_code().major, "1")
    stories = [
        (objects, core),
        (patches, core, apps),
        (watches, core),
        (custom_resources, client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)),
        (dynamics, api),
        (pods, core),
        (files, api),
        (leaders, api),
        (rights, api),
    ]
    for story, *arguments in stories:
        started = time.monotonic()
        story(*arguments)
        print(f"{story.__name__} {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
