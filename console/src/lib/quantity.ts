// Kubernetes' quantities (`1500m`, `8Gi`), as far as two of them are compared.
const SUFFIXES: Record<string, number> = {
  "": 1, n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
};
const QUANTITY = /^\+?(\d+\.?\d*|\.\d+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/;

/** Undefined when it is none. */
export function quantity(text: unknown): number | undefined {
  const match = QUANTITY.exec(String(text));
  if (!match) return undefined;
  const [, digits = "", suffix = "", exponent] = match;
  return Number(digits) * (exponent === undefined ? (SUFFIXES[suffix] ?? 1) : 10 ** Number(exponent));
}

/** How much of the bound is used; 1 is all of it. */
export function share(used: unknown, hard: unknown): number | undefined {
  const [part, whole] = [quantity(used), quantity(hard)];
  if (part === undefined || whole === undefined) return undefined;
  return whole === 0 ? (part > 0 ? Number.POSITIVE_INFINITY : 0) : part / whole;
}

const unitOf = (text: unknown): string => QUANTITY.exec(String(text))?.[2] ?? "";
/** With three digits after the point, cut off. Sums of such numbers are a little off: what is that near to one is meant to be it. */
const written = (value: number, unit: string): string => `${Math.floor((value / (SUFFIXES[unit] ?? 1)) * 1_000 + 1e-3) / 1_000}${unit}`;

/** What is left of the bound, in its own unit and never more than there is; undefined when either is no quantity. */
export function left(used: unknown, hard: unknown): string | undefined {
  const [part, whole] = [quantity(used), quantity(hard)];
  return part === undefined || whole === undefined ? undefined : written(Math.max(0, whole - part), unitOf(hard));
}

/** An amount in the unit of its bound, so that both can be compared at a glance; as it is where that would not show it. */
export function inUnitOf(hard: unknown, used: string): string {
  const part = quantity(used);
  if (part === undefined || quantity(hard) === undefined) return used;
  if (part === 0) return "0";
  const same = written(part, unitOf(hard));
  return Math.abs((quantity(same) ?? 0) - part) <= part * 0.01 ? same : used;
}
