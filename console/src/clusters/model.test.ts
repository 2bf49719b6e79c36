import { describe, expect, test } from "vitest";
import type { Cluster, ClusterCondition } from "../api/cluster";
import type { Query } from "../lib/select";
import { clusterView, select, type Filters, type SortKey } from "./model";

const condition = (type: string, status: string, reason = ""): ClusterCondition => ({ type, status, reason });

function cluster(name: string, status: Cluster["status"] = {}, metadata: Partial<Cluster["metadata"]> = {}): Cluster {
  return { metadata: { name, ...metadata }, status };
}

const well = [condition("Ready", "True"), condition("Connected", "True"), condition("APIServerHealthy", "True")];

describe("health", () => {
  const check = (status: Cluster["status"], health: string, metadata = {}) =>
    expect(clusterView(cluster("a", status, metadata)).health).toBe(health);

  test("all conditions true", () => check({ conditions: well, nodes: { total: 3, ready: 3 } }, "healthy"));
  test("a node not ready", () => check({ conditions: well, nodes: { total: 3, ready: 2 } }, "degraded"));
  test("ready, but a version outside the gate", () =>
    check({ conditions: [...well, condition("VersionSupported", "False")] }, "degraded"));
  test("ready, but with a clock that is wrong", () =>
    check({ conditions: [...well, condition("ClockSynchronised", "False")] }, "degraded"));
  test("ready, but with a component that is not", () =>
    check({ conditions: [...well, condition("ComponentsHealthy", "False")] }, "degraded"));
  test("an agent of another version is none the worse for it", () =>
    check({ conditions: [...well, condition("AgentCurrent", "False")] }, "healthy"));
  test("not ready", () => check({ conditions: [condition("Ready", "False"), condition("Connected", "True")] }, "unhealthy"));
  test("heartbeat lost", () => check({ conditions: [condition("Ready", "Unknown")], nodes: { total: 3, ready: 3 } }, "unknown"));
  test("agent not come yet", () => check({ conditions: [condition("Ready", "False"), condition("Connected", "False")] }, "pending"));
  test("agent was here and is gone", () =>
    check({ conditions: [condition("Ready", "False"), condition("Connected", "False")], nodes: { total: 3, ready: 3 } }, "unhealthy"));
  test("nothing reported", () => check(undefined, "pending"));
  test("a condition of somebody else, for which False is well", () => check({ conditions: [...well, condition("Paused", "False")] }, "healthy"));
  test("being removed", () => check({ conditions: well }, "removing", { deletionTimestamp: "2026-01-01T00:00:00Z" }));
  test("the reason is the API's own", () => {
    const status = { conditions: [condition("Ready", "Unknown", "HeartbeatLost")] };
    expect(clusterView(cluster("a", status)).reason).toBe("HeartbeatLost");
  });
});

// threats.md case 28: members report parts of these objects
test("values of a wrong type count as absent", () => {
  const hostile = {
    metadata: { name: "a", labels: { ok: "yes", bad: { x: 1 } }, annotations: { "cpaas.io/display-name": 7 } },
    spec: { controlPlaneEndpoint: { host: {} } },
    status: { conditions: [null, "x", { type: 3 }, { type: "Odd", status: {}, reason: [], message: { toString: 1 }, lastTransitionTime: 5 }], nodes: { total: "many" }, kubernetesVersion: ["v1"], lastHeartbeatTime: "soon" },
  } as unknown as Cluster;
  expect(clusterView(hostile)).toMatchObject({
    displayName: undefined,
    version: undefined,
    nodes: undefined,
    heartbeat: undefined,
    endpoint: undefined,
    conditions: [{ type: "Odd", status: "Unknown" }],
    labels: [["ok", "yes"]],
    link: "unknown",
    health: "pending",
  });
  expect(() => clusterView({ metadata: { name: "b" }, status: { conditions: {} } } as unknown as Cluster)).not.toThrow();
});

// threats.md case 58
test("what would fill the page is cut", () => {
  const long = "W".repeat(100_000);
  const status = { kubernetesVersion: long, phase: long, conditions: [condition("Ready", "False", long)] } as Cluster["status"];
  const view = clusterView(cluster("a", status, { annotations: { "cpaas.io/display-name": long } }));
  for (const text of [view.displayName, view.version, view.phase, view.reason]) expect(text?.length).toBeLessThan(200);
});

test("how a cluster is reached is read from annotation or label", () => {
  const key = "fleet.cpaas.io/connection";
  expect(clusterView(cluster("a", {}, { annotations: { [key]: "direct" } })).link).toBe("direct");
  expect(clusterView(cluster("a", {}, { labels: { [key]: "tunnel" } })).link).toBe("tunnel");
});

describe("select", () => {
  const all = [
    cluster("b-10", { conditions: well, nodes: { total: 9, ready: 9 }, kubernetesVersion: "v1.9.0" }),
    cluster("b-2", { conditions: [condition("Ready", "Unknown")], kubernetesVersion: "v1.31.0" }, { labels: { region: "gz" } }),
    cluster("global", { conditions: well, nodes: { total: 3, ready: 3 }, kubernetesVersion: "v1.34.0" }),
  ].map(clusterView);
  const ask = (query: Partial<Query<SortKey> & Filters>) =>
    select(all, { q: "", health: undefined, sort: "name", descending: false, ...query }).map((view) => view.name);

  test("by name: the hub first, numbers in their order", () => expect(ask({})).toEqual(["global", "b-2", "b-10"]));
  test("by version, as versions", () => expect(ask({ sort: "version" })).toEqual(["b-10", "b-2", "global"]));
  test("by nodes, most first", () => expect(ask({ sort: "nodes", descending: true })).toEqual(["b-10", "global", "b-2"]));
  test("by health: trouble first, names where equal", () => expect(ask({ sort: "health" })).toEqual(["b-2", "global", "b-10"]));
  test("filtered by name", () => expect(ask({ q: " B-1 " })).toEqual(["b-10"]));
  test("filtered by label", () => expect(ask({ q: "region=gz" })).toEqual(["b-2"]));
  test("filtered by health", () => expect(ask({ health: "healthy" })).toEqual(["global", "b-10"]));
});
