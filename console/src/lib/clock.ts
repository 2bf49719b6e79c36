// One ticking clock for every age on the page, set right by the server's clock.
//
// A laptop whose clock is minutes off would otherwise show every cluster as
// late, or as heard from in the future.
import { useSyncExternalStore } from "react";

const TOLERATED_SKEW_MS = 2_000;
let offset = 0;

/** Learns the server's clock from a `Date` header. Its resolution is a second, so small differences are noise. */
export function noteServerDate(header: string | null): void {
  const date = header === null ? Number.NaN : Date.parse(header);
  if (Number.isNaN(date)) return;
  const skew = date - Date.now();
  offset = Math.abs(skew) > TOLERATED_SKEW_MS ? skew : 0;
}

export function serverNow(): number {
  return Date.now() + offset;
}

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const subscribers = new Set<() => void>();

function subscribe(callback: () => void): () => void {
  subscribers.add(callback);
  if (timer === undefined) {
    now = serverNow();
    timer = setInterval(() => {
      now = serverNow();
      for (const notify of subscribers) notify();
    }, 1_000);
  }
  return () => {
    subscribers.delete(callback);
    if (subscribers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/**
 * A value derived from the current time, looked at once a second.
 * The component renders again only when the derived value changes, so return a primitive.
 */
export function useNow<T extends string | number | boolean>(derive: (now: number) => T): T {
  return useSyncExternalStore(subscribe, () => derive(timer === undefined ? serverNow() : now));
}
