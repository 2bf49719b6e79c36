// What came of trying an identity provider out.

export interface ValidationStep {
  name: string;
  state: "Passed" | "Failed";
  message?: string;
}

export interface Validation {
  ok: boolean;
  steps: ValidationStep[];
  person?: { login?: string; email?: string; name?: string; groups?: string[] };
  /** Where a real account can be signed in, in a window of its own. */
  url?: string;
}

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value.slice(0, 300) : undefined);
const record = (value: unknown): Record<string, unknown> => (typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {});

/** Reads a result that came in an address, which anybody can write: what has the wrong shape is left out. */
export function readValidation(value: unknown): Validation | undefined {
  const raw = record(value);
  if (typeof raw.ok !== "boolean") return undefined;
  const person = record(raw.person);
  const said = { login: text(person.login), email: text(person.email), name: text(person.name) };
  const groups = Array.isArray(person.groups) ? person.groups.flatMap((group) => text(group) ?? []).slice(0, 50) : [];
  const known = Object.fromEntries(Object.entries(said).filter(([, found]) => found !== undefined));
  return {
    ok: raw.ok,
    steps: (Array.isArray(raw.steps) ? raw.steps : []).slice(0, 20).flatMap((each) => {
      const step = record(each);
      const name = text(step.name);
      const message = text(step.message);
      return name ? [{ name, state: step.state === "Passed" ? ("Passed" as const) : ("Failed" as const), ...(message ? { message } : {}) }] : [];
    }),
    ...(raw.person === undefined ? {} : { person: { ...known, groups } }),
  };
}
