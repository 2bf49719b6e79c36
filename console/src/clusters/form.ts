// What both ways of adding a cluster ask for, and check before the server does.
import type { Cluster } from "../api/cluster";

const NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export type FieldProblem = "form.required" | "form.badName" | "form.taken" | "form.badServer";

export function nameProblem(name: string, clusters: readonly Cluster[] | undefined): FieldProblem | undefined {
  if (name === "") return "form.required";
  if (!NAME.test(name)) return "form.badName";
  if (clusters?.some((cluster) => cluster.metadata.name === name)) return "form.taken";
  return undefined;
}

export function serverProblem(server: string): FieldProblem | undefined {
  if (server === "") return "form.required";
  return URL.canParse(server) && new URL(server).protocol === "https:" ? undefined : "form.badServer";
}

/** The API takes base64 of PEM; people have PEM. */
export function toCaData(text: string): string {
  const trimmed = text.trim();
  return trimmed.startsWith("-----BEGIN") ? btoa(`${trimmed}\n`) : trimmed.replaceAll(/\s+/g, "");
}
