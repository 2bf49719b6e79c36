// A hub for tests of pages: a fetch that answers by method and path, and notes what was sent to change something.
import { vi } from "vitest";

export type Body = Record<string, unknown>;
export type Answer = (body: Body, query: URLSearchParams) => Response;
/** Of several the first is given once, and the last for ever. */
export type Answers = Record<string, Answer | Answer[]>;
export interface Sent {
  call: string;
  body: Body;
  type: string | null;
}

export const json =
  (body: unknown, status = 200): Answer =>
  () =>
    Response.json(body, { status });
export const listed = (items: unknown[]): Answer => json({ metadata: { resourceVersion: "5" }, items });
export const refuse = (code: number, reason: string, more: { message?: string } & Body = {}): Answer => json({ kind: "Status", code, reason, message: `because of ${reason}`, ...more }, code);

/** Watches stay open and say nothing, where they are not forbidden. Questions about rights change nothing. */
export function answerBy(answers: () => Answers, sent: () => Sent[]): void {
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const url = new URL(String(input), "http://x");
    const call = `${init?.method ?? "GET"} ${url.pathname}`;
    const body = JSON.parse(String(init?.body ?? "{}")) as Body;
    const known = answers()[call] ?? refuse(404, "NotFound");
    if (url.searchParams.has("watch")) {
      const forbidden = !Array.isArray(known) && known(body, url.searchParams).status === 403;
      return forbidden ? Promise.resolve(refuse(403, "Forbidden")(body, url.searchParams)) : new Promise(() => undefined);
    }
    if (!call.startsWith("GET") && url.pathname !== "/auth/v1/rights") sent().push({ call: `${call}${url.search}`, body, type: new Headers(init?.headers).get("Content-Type") });
    const answer = Array.isArray(known) ? (known.length > 1 ? known.shift() : known[0]) : known;
    return Promise.resolve((answer ?? refuse(404, "NotFound"))(body, url.searchParams));
  });
}
