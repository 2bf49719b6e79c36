import { expect, test } from "vitest";
import { readQuestion } from "./question";

test.each([
  [{ verb: "get", resource: "pods" }, { cluster: "global", verb: "get", group: "", resource: "pods" }],
  [{ verb: "get", resource: "pods/log", namespace: "a", cluster: "east" }, { cluster: "east", verb: "get", group: "", resource: "pods", subresource: "log", namespace: "a" }],
  [{ verb: "patch", resource: "deployments.apps/scale", name: "web" }, { cluster: "global", verb: "patch", group: "apps", resource: "deployments", subresource: "scale", name: "web" }],
  [{ verb: "get", resource: "ingresses.networking.k8s.io" }, { cluster: "global", verb: "get", group: "networking.k8s.io", resource: "ingresses" }],
  [{ verb: "get" }, undefined],
  [{ resource: "pods" }, undefined],
])("%j", (text, question) => expect(readQuestion(text)).toEqual(question));
