import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { switchLanguage } from "../i18n/i18n";
import { App } from "./app";
import { SignIn } from "./sign-in";

const fetched = vi.fn<typeof fetch>();
const refuse = (status: number, headers = {}) =>
  fetched.mockResolvedValueOnce(new Response(JSON.stringify({ kind: "Status", message: "no", code: status }), { status, headers }));
const session = { username: "ada", groups: ["g"], expirationTimestamp: "2030-01-01T00:00:00Z" };

beforeEach(() => {
  fetched.mockReset();
  vi.stubGlobal("fetch", fetched);
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
  expect((await screen.findByRole("alert")).textContent).toContain("Try again in 30 s");
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

test("a hub that does not answer is not taken for a missing session", async () => {
  history.replaceState(null, "", "/clusters");
  fetched.mockRejectedValueOnce(new TypeError("refused"));
  render(<App />);
  await screen.findByText("The hub cannot be reached");
  expect(location.pathname).toBe("/clusters");
});
