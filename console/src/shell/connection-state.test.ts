import { expect, test } from "vitest";
import { clusterSearch } from "./search";
import { connectionWord } from "./connection-state";

test("a short break is reconnecting, a longer one makes the data stale", () => {
  const broken = { state: "reconnecting", since: 0, lastLive: 0 } as const;
  expect(connectionWord(broken, 9_999)).toBe("reconnecting");
  expect(connectionWord(broken, 10_000)).toBe("stale");
  expect(connectionWord({ ...broken, lastLive: undefined }, 60_000)).toBe("reconnecting");
  expect(connectionWord({ state: "live" }, 0)).toBe("live");
  expect(connectionWord({ state: "forbidden", verb: "list", lastLive: undefined }, 0)).toBe("forbidden");
  expect(connectionWord({ state: "forbidden", verb: "watch", lastLive: 0 }, 60_000)).toBe("unwatched");
});

test("an address can hold only filters that exist", () => {
  expect(clusterSearch({ q: 12, health: "unknown", sort: "-nodes", evil: "x" })).toEqual({ q: "12", health: "unknown", sort: "-nodes" });
  expect(clusterSearch({ q: {}, health: "__proto__", sort: "constructor" })).toEqual({});
});
