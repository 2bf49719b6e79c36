import { expect, test } from "vitest";
import { age, moment } from "./time";

const at = (seconds: number) => age(1_000_000, 1_000_000 + seconds * 1000);

test("ages come in their largest whole unit", () => {
  expect(at(0)).toEqual({ unit: "now" });
  expect(at(-30)).toEqual({ unit: "now" });
  expect(at(13)).toEqual({ unit: "seconds", count: 10 });
  expect(at(61)).toEqual({ unit: "minutes", count: 1 });
  expect(at(7_300)).toEqual({ unit: "hours", count: 2 });
  expect(at(200_000)).toEqual({ unit: "days", count: 2 });
  expect(age(undefined, 0)).toEqual({ unit: "never" });
  expect(age(Number.NaN, 0)).toEqual({ unit: "never" });
});

test("a recent moment has 24 hours, and a date when it was not today", () => {
  const night = new Date(2026, 0, 1, 0, 5).getTime();
  expect(moment(night, new Date(2026, 0, 1, 23, 0).getTime(), "en")).toBe("00:05");
  expect(moment(night, new Date(2026, 0, 2, 0, 1).getTime(), "en")).toBe("Jan 1, 00:05");
});
