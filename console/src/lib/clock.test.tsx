import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Since } from "../ui/values";
import { noteServerDate, serverNow } from "./clock";
import { useAge } from "./time";

const NOW = Date.parse("2026-05-01T12:00:00Z");
const at = (offset: number) => new Date(NOW + offset).toUTCString();

function Age({ from }: { from: number }) {
  return <p>{useAge(from)}</p>;
}

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
});
afterEach(() => noteServerDate(new Date(Date.now()).toUTCString()));

test("ages follow the server's clock: a laptop ten minutes slow", () => {
  noteServerDate(at(600_000));
  render(<Age from={NOW + 600_000 - 20_000} />);
  expect(screen.getByText("20 s ago")).toBeTruthy();
});

test("a laptop ten minutes fast does not make every cluster late", () => {
  noteServerDate(at(-600_000));
  render(<Age from={NOW - 600_000 - 7_000} />);
  expect(screen.getByText("5 s ago")).toBeTruthy();
});

test("a difference of a second is the header's own coarseness", () => {
  noteServerDate(at(-1_500));
  expect(serverNow()).toBe(NOW);
  noteServerDate("nonsense");
  noteServerDate(null);
  expect(serverNow()).toBe(NOW);
});

test("a time to come counts as now", () => {
  render(<Since time={NOW + 90_000} />);
  expect(screen.getByText("just now")).toBeTruthy();
});

test("ages grow by themselves, on one timer that ends with the last of them", () => {
  const before = vi.getTimerCount();
  const { unmount } = render(
    <>
      <Age from={NOW} />
      <Age from={NOW - 60_000} />
    </>,
  );
  expect(vi.getTimerCount()).toBe(before + 1);
  act(() => void vi.advanceTimersByTime(11_000));
  expect(screen.getByText("10 s ago")).toBeTruthy();
  expect(screen.getByText("1 min ago")).toBeTruthy();
  unmount();
  expect(vi.getTimerCount()).toBe(before);
});
