import { expect, test } from "vitest";
import type { Cluster } from "../api/cluster";
import { componentsOf, resourcesOf } from "./capacity";

const status = (value: unknown): Cluster["status"] => value as Cluster["status"];

test("what is given away stands beside what there is, in its unit", () => {
  const resource = {
    capacity: { cpu: "8" },
    allocatable: { "nvidia.com/gpu": "4", pods: "220", memory: "32Gi", cpu: "7600m" },
    allocated: { memory: "8192Mi", cpu: "3800m", other: "1" },
  };
  expect(resourcesOf(status({ resource }))).toEqual([
    { name: "cpu", allocated: "3800m", allocatable: "7600m", share: 0.5 },
    { name: "memory", allocated: "8Gi", allocatable: "32Gi", share: 0.25 },
    { name: "pods", allocated: "0", allocatable: "220", share: 0 },
    { name: "nvidia.com/gpu", allocated: "0", allocatable: "4", share: 0 },
  ]);
});

test("components look like conditions", () => {
  const since = "2026-02-01T00:00:00Z";
  const components = [
    { name: "coredns", healthy: false, message: "1 of 2 Pods are available", lastTransitionTime: since },
    { name: "kube-apiserver", healthy: true },
  ];
  expect(componentsOf(status({ components }))).toEqual([
    { type: "coredns", status: "False", message: "1 of 2 Pods are available", lastTransitionTime: since },
    { type: "kube-apiserver", status: "True" },
  ]);
});

test("what a member says in another form is left out", () => {
  for (const odd of [undefined, { resource: null, components: "all" }, { resource: { allocatable: { cpu: 4, memory: "much" } }, components: [null, { name: 1, healthy: true }, { name: "a" }] }]) {
    expect(resourcesOf(status(odd))).toEqual([]);
    expect(componentsOf(status(odd))).toEqual([]);
  }
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`r${index}`, "1"]));
  expect(resourcesOf(status({ resource: { allocatable: many } }))).toHaveLength(32);
});
