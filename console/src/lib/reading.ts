// Values of objects that others have written: what has the wrong type counts as absent.

/** No real value comes near this. */
const LONGEST = 160;

export function text(value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  return value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value;
}

export function time(value: unknown): number | undefined {
  const parsed = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}

export const texts = (values: unknown): string[] => (Array.isArray(values) ? values.flatMap((value) => text(value) ?? []) : []);

/** The view of an object, made once: an unchanged object gives the same view. */
export function memoized<T extends object, V>(make: (object: T) => V): (object: T) => V {
  const views = new WeakMap<T, V>();
  return (object) => {
    let view = views.get(object);
    if (view === undefined) views.set(object, (view = make(object)));
    return view;
  };
}
