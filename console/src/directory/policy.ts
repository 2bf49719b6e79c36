// The security policy as a form: its numbers and choices, and what has been changed.
import type { SecurityPolicy, SecurityPolicySpec } from "../api/directory";
import type { PasswordLengths } from "../lib/password";

export const POLICY_DEFAULTS: SecurityPolicySpec = {
  password: { minLength: 8, maxLength: 32, history: 3, maxAgeDays: 0 },
  lock: { failures: 5, windowHours: 24, minutes: 20 },
  inactivityDays: 90,
  secondFactor: "Optional",
  sessions: { lifetimeHours: 12, idleMinutes: 0, maxOnlineUsers: 0, singlePerClient: false, endWithTab: false },
  accessTokens: { maxDays: 90 },
};

export interface NumberField {
  path: "password.minLength" | "password.maxLength" | "password.history" | "password.maxAgeDays" | "lock.failures" | "lock.windowHours" | "lock.minutes" | "inactivityDays" | "sessions.lifetimeHours" | "sessions.idleMinutes" | "sessions.maxOnlineUsers" | "accessTokens.maxDays";
  unit: "characters" | "passwords" | "days" | "times" | "hours" | "minutes" | "people";
  least: number;
  most: number;
  /** What zero means, where it means something. */
  zero?: "never" | "unlimited" | "none";
}

export interface FlagField {
  path: "sessions.singlePerClient" | "sessions.endWithTab";
}

export const POLICY_SECTIONS = [
  {
    title: "password",
    numbers: [
      { path: "password.minLength", unit: "characters", least: 8, most: 128 },
      { path: "password.maxLength", unit: "characters", least: 8, most: 256 },
      { path: "password.history", unit: "passwords", least: 0, most: 24, zero: "none" },
      { path: "password.maxAgeDays", unit: "days", least: 0, most: 3650, zero: "never" },
    ],
    flags: [],
  },
  {
    title: "lock",
    numbers: [
      { path: "lock.failures", unit: "times", least: 1, most: 100 },
      { path: "lock.windowHours", unit: "hours", least: 1, most: 168 },
      { path: "lock.minutes", unit: "minutes", least: 1, most: 1440 },
      { path: "inactivityDays", unit: "days", least: 0, most: 3650, zero: "never" },
    ],
    flags: [],
  },
  {
    title: "sessions",
    numbers: [
      { path: "sessions.lifetimeHours", unit: "hours", least: 1, most: 720 },
      { path: "sessions.idleMinutes", unit: "minutes", least: 0, most: 1440, zero: "never" },
      { path: "sessions.maxOnlineUsers", unit: "people", least: 0, most: 1_000_000, zero: "unlimited" },
      { path: "accessTokens.maxDays", unit: "days", least: 1, most: 3650 },
    ],
    flags: [{ path: "sessions.singlePerClient" }, { path: "sessions.endWithTab" }],
  },
] as const satisfies readonly { title: string; numbers: readonly NumberField[]; flags: readonly FlagField[] }[];

export const NUMBERS: readonly NumberField[] = POLICY_SECTIONS.flatMap(({ numbers }) => [...numbers]);
const FLAGS: readonly FlagField[] = POLICY_SECTIONS.flatMap(({ flags }) => [...flags]);

/** Numbers are text while they are typed. */
export type PolicyValues = Record<NumberField["path"], string> & Record<FlagField["path"], boolean> & { secondFactor: SecurityPolicySpec["secondFactor"] };

function at(spec: unknown, path: string): unknown {
  let found = spec;
  for (const part of path.split(".")) found = typeof found === "object" && found !== null ? (found as Record<string, unknown>)[part] : undefined;
  return found;
}

const FACTORS = ["Off", "Optional", "Required"] as const;

export function readPolicyValues(policy: SecurityPolicy | undefined): PolicyValues {
  const spec = policy?.spec;
  const numbers = NUMBERS.map(({ path }) => {
    const found = at(spec, path);
    return [path, String(typeof found === "number" ? found : at(POLICY_DEFAULTS, path))];
  });
  const flags = FLAGS.map(({ path }) => [path, at(spec, path) === true]);
  return { ...Object.fromEntries([...numbers, ...flags]), secondFactor: FACTORS.find((known) => known === spec?.secondFactor) ?? POLICY_DEFAULTS.secondFactor } as PolicyValues;
}

export function passwordLengths(policy: SecurityPolicy | undefined): PasswordLengths {
  const values = readPolicyValues(policy);
  return { least: Number(values["password.minLength"]), most: Number(values["password.maxLength"]) };
}

export type PolicyProblem = { kind: "number" | "range"; least: number; most: number } | { kind: "order" };

export function policyProblems(values: PolicyValues): Partial<Record<NumberField["path"], PolicyProblem>> {
  const problems: Partial<Record<NumberField["path"], PolicyProblem>> = {};
  for (const { path, least, most } of NUMBERS) {
    const text = values[path].trim();
    const value = Number(text);
    if (!/^\d+$/.test(text)) problems[path] = { kind: "number", least, most };
    else if (value < least || value > most) problems[path] = { kind: "range", least, most };
  }
  if (!problems["password.minLength"] && !problems["password.maxLength"] && Number(values["password.maxLength"]) < Number(values["password.minLength"])) {
    problems["password.maxLength"] = { kind: "order" };
  }
  return problems;
}

/** Only what was changed, as a merge patch: two administrators may be at it. */
export function policyPatch(before: PolicyValues, values: PolicyValues): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  const put = (path: string, value: unknown) => {
    const [head = "", tail] = path.split(".");
    if (tail === undefined) patch[head] = value;
    else patch[head] = { ...(patch[head] as object | undefined), [tail]: value };
  };
  for (const { path } of NUMBERS) if (values[path].trim() !== before[path]) put(path, Number(values[path]));
  for (const { path } of FLAGS) if (values[path] !== before[path]) put(path, values[path]);
  if (values.secondFactor !== before.secondFactor) put("secondFactor", values.secondFactor);
  return patch;
}
