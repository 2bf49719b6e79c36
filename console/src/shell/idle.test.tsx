import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import Idle from "./idle";

const fetched = vi.fn<typeof fetch>(() => Promise.resolve(Response.json({ username: "ada", groups: [], expirationTimestamp: "" })));
const pass = (seconds: number) => act(() => vi.advanceTimersByTimeAsync(seconds * 1000));

beforeEach(() => {
  fetched.mockClear();
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
  vi.stubGlobal("fetch", fetched);
});

test("a minute before the end the page says so, and then it is over, once", async () => {
  const over = vi.fn();
  render(<Idle idleSeconds={600} onIdle={over} />);
  await pass(539);
  expect(screen.queryByRole("dialog")).toBeNull();
  await pass(2);
  expect(screen.getByRole("dialog", { name: "Still there?" })).toBeTruthy();
  expect(screen.getByRole("timer").textContent).toBe("59 seconds");
  await pass(65);
  expect(over).toHaveBeenCalledOnce();
});

test("staying takes an answer, and the hub hears of it", async () => {
  const over = vi.fn();
  render(<Idle idleSeconds={600} onIdle={over} />);
  await pass(545);
  fireEvent.keyDown(document.body, { key: "Shift" });
  expect(screen.getByRole("dialog")).toBeTruthy();
  expect(document.activeElement).toBe(screen.getByRole("button", { name: "Stay signed in" }));
  fireEvent.click(screen.getByRole("button", { name: "Stay signed in" }));
  expect(screen.queryByRole("dialog")).toBeNull();
  expect(fetched.mock.calls.map(([path]) => path)).toEqual(["/auth/v1/sessions/current"]);
  await pass(500);
  expect(over).not.toHaveBeenCalled();
});

test("who is busy is not asked, and the hub is told at most once a minute", async () => {
  render(<Idle idleSeconds={600} onIdle={vi.fn()} />);
  for (let at = 0; at < 10; at++) {
    // oxlint-disable-next-line no-await-in-loop -- time passes in order
    await pass(30);
    fireEvent.pointerDown(document.body);
  }
  expect(screen.queryByRole("dialog")).toBeNull();
  expect(fetched.mock.calls.length).toBe(5);
});

test("what is done in another tab counts", async () => {
  vi.useRealTimers();
  vi.useFakeTimers({ toFake: ["Date"] });
  const over = vi.fn();
  render(<Idle idleSeconds={3} onIdle={over} />);
  vi.setSystemTime(Date.now() + 2_000);
  await screen.findByRole("dialog");
  const channel = new BroadcastChannel("acp.activity");
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  channel.postMessage("active");
  await vi.waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  channel.close();
  cleanup();
  expect(over).not.toHaveBeenCalled();
});
