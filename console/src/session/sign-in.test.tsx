import { act, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { switchLanguage } from "../i18n/i18n";
import { App } from "./app";
import { SignIn } from "./sign-in";
import { tellSessionChanged } from "./tabs";

/** Answers everything but the question which providers there are. */
const fetched = vi.fn<typeof fetch>();
const refuse = (status: number, headers = {}) =>
  fetched.mockResolvedValueOnce(new Response(JSON.stringify({ kind: "Status", message: "no", code: status }), { status, headers }));
const session = { username: "ada", groups: ["g"], expirationTimestamp: "2030-01-01T00:00:00Z" };

beforeEach(() => {
  fetched.mockReset();
  history.replaceState(null, "", "/sign-in");
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) =>
    String(input) === "/auth/v1/providers"
      ? Promise.resolve(Response.json({ items: [{ id: "local", name: "Local", type: "local" }] }))
      : fetched(input, init),
  );
});

async function fill(username = "ada", password = "secret"): Promise<void> {
  if (username) await userEvent.type(screen.getByLabelText("User name"), username);
  if (password) await userEvent.type(screen.getByLabelText("Password"), password);
  await userEvent.click(screen.getByRole("button", { name: "Sign in" }));
}

test("the right password signs in, with the session alone", async () => {
  const signedIn = vi.fn();
  render(<SignIn ended={false} onSignedIn={signedIn} />);
  fetched.mockResolvedValueOnce(Response.json({ ...session, token: "t" }));
  await fill();
  expect(signedIn).toHaveBeenCalledWith(session);
  expect(fetched.mock.lastCall?.[1]?.body).toBe(JSON.stringify({ username: "ada", password: "secret" }));
});

test("a wrong password is said so, cleared, and ready to be typed again", async () => {
  render(<SignIn ended={false} onSignedIn={vi.fn()} />);
  refuse(401);
  await fill();
  expect((await screen.findByRole("alert")).textContent).toBe("The user name or password is not right.");
  const password = screen.getByLabelText<HTMLInputElement>("Password");
  expect(password.value).toBe("");
  expect(document.activeElement).toBe(password);
});

test("empty fields are named, and nothing is sent", async () => {
  render(<SignIn ended={false} onSignedIn={vi.fn()} />);
  await fill("", "");
  expect(screen.getByText("Enter your user name.")).toBeTruthy();
  expect(screen.getByLabelText("User name").getAttribute("aria-invalid")).toBe("true");
  expect(fetched).not.toHaveBeenCalled();
});

test("too many attempts say how long to wait, and wait", async () => {
  render(<SignIn ended={false} onSignedIn={vi.fn()} />);
  refuse(429, { "Retry-After": "30" });
  await fill();
  expect((await screen.findByRole("alert")).querySelector(".sr-only")?.textContent).toContain("Try again in 30 s");
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Sign in" }).disabled).toBe(true);
});

test("in Chinese", async () => {
  await switchLanguage("zh");
  render(<SignIn ended onSignedIn={vi.fn()} />);
  expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("登录");
  await switchLanguage("en");
});

test("a visitor without a session gets sign-in, and the wanted path is kept", async () => {
  history.replaceState(null, "", "/clusters/a?q=x");
  refuse(401);
  render(<App />);
  await screen.findByRole("heading", { name: "Sign in" });
  await waitFor(() => expect(location.pathname + location.search).toBe("/sign-in?next=%2Fclusters%2Fa%3Fq%3Dx"));
});

const list = { metadata: { resourceVersion: "5" }, items: [{ metadata: { name: "sandbox-1", resourceVersion: "1" } }] };

/** A hub that answers by path; `who` is the session, if there is one. */
function hub(): { who: typeof session | undefined; endWatches: () => void } {
  const watches = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const state = {
    who: session as typeof session | undefined,
    endWatches: () => {
      for (const watch of watches) watch.error(new TypeError("network error"));
      watches.clear();
    },
  };
  fetched.mockImplementation((input, init) => {
    const path = String(input);
    if (init?.method === "POST") state.who = session;
    if (init?.method === "DELETE") state.who = undefined;
    if (!state.who) return Promise.resolve(Response.json({ kind: "Status", code: 401 }, { status: 401 }));
    if (path.startsWith("/auth/")) return Promise.resolve(Response.json(state.who));
    if (!path.includes("watch=1")) return Promise.resolve(Response.json(list));
    return Promise.resolve(new Response(new ReadableStream<Uint8Array>({ start: (controller) => void watches.add(controller) })));
  });
  return state;
}

test("a session that ends during a watch leads to sign-in, and sign-in back to the same place", async () => {
  const place = "/clusters/sandbox-1?health=pending&sort=-nodes";
  history.replaceState(null, "", place);
  const server = hub();
  render(<App />);
  await screen.findByText("live");
  server.who = undefined;
  server.endWatches();
  await screen.findByText("Your session has ended. Sign in to go on where you were.");
  expect(document.body.textContent).not.toContain("sandbox-1");
  await fill();
  await screen.findByRole("dialog", { name: "sandbox-1" });
  expect(location.pathname + location.search).toBe(place);
});

test("signing out in another tab ends this one at once; signing in there opens it again", async () => {
  history.replaceState(null, "", "/clusters?sort=-nodes");
  const server = hub();
  render(<App />);
  await screen.findByRole("link", { name: "sandbox-1" });
  server.who = undefined;
  tellSessionChanged();
  await screen.findByRole("heading", { name: "Sign in" });
  expect(document.body.textContent).not.toContain("sandbox-1");
  server.who = { ...session, username: "grace" };
  tellSessionChanged();
  await screen.findByRole("link", { name: "sandbox-1" });
  expect(location.pathname + location.search).toBe("/clusters?sort=-nodes");
});

test("another user who signs in elsewhere finds nothing of the one before", async () => {
  history.replaceState(null, "", "/clusters");
  const server = hub();
  render(<App />);
  await screen.findByRole("link", { name: "sandbox-1" });
  const lists = () => fetched.mock.calls.filter(([path]) => String(path).includes("limit=")).length;
  const before = lists();
  server.who = { ...session, username: "grace" };
  tellSessionChanged();
  await waitFor(() => expect(lists()).toBe(before + 1));
  await userEvent.click(await screen.findByRole("button", { name: "User menu" }));
  await screen.findByText("grace");
});

test("a hub that is away for a moment does not take the page away", async () => {
  history.replaceState(null, "", "/clusters");
  hub();
  render(<App />);
  await screen.findByRole("link", { name: "sandbox-1" });
  const asked = fetched.mock.calls.length;
  fetched.mockRejectedValueOnce(new TypeError("refused"));
  tellSessionChanged();
  await waitFor(() => expect(fetched.mock.calls.length).toBeGreaterThan(asked));
  expect(screen.getByRole("link", { name: "sandbox-1" })).toBeTruthy();
});

test("a hub that does not answer is not taken for a missing session", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  history.replaceState(null, "", "/clusters");
  fetched.mockRejectedValueOnce(new TypeError("refused"));
  render(<App />);
  await screen.findByText("The hub cannot be reached");
  expect(location.pathname).toBe("/clusters");
  refuse(401);
  await act(() => vi.advanceTimersByTimeAsync(5_000));
  await screen.findByRole("heading", { name: "Sign in" });
});
