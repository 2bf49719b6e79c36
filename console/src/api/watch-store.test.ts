import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WatchStore, type WatchedObject } from "./watch-store";

interface Thing extends WatchedObject {
  value?: number;
}

const thing = (name: string, resourceVersion: string, value?: number): Thing => ({
  metadata: { name, resourceVersion },
  ...(value === undefined ? {} : { value }),
});

/** A server whose watches the test feeds by hand. */
class Server {
  readonly requests: URLSearchParams[] = [];
  items: Thing[] = [];
  resourceVersion = "10";
  /** Answers for the next requests, in order; an Error means no answer. */
  readonly refusals: (Response | Error)[] = [];
  private readonly open = new Set<ReadableStreamDefaultController<Uint8Array>>();

  fetch: typeof fetch = (input, init) => {
    const query = new URLSearchParams(String(input).split("?")[1]);
    this.requests.push(query);
    const refusal = this.refusals.shift();
    if (refusal instanceof Error) return Promise.reject(refusal);
    if (refusal) return Promise.resolve(refusal);
    if (query.has("watch")) return Promise.resolve(new Response(this.stream(init?.signal ?? undefined)));
    return Promise.resolve(this.list(Number(query.get("continue") ?? 0), Number(query.get("limit"))));
  };

  list(from = 0, limit = 500): Response {
    const more = from + limit < this.items.length ? { continue: String(from + limit) } : {};
    const metadata = { resourceVersion: this.resourceVersion, ...more };
    return Response.json({ metadata, items: this.items.slice(from, from + limit) });
  }

  private stream(signal: AbortSignal | undefined): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.open.add(controller);
        signal?.addEventListener("abort", () => {
          if (this.open.delete(controller)) controller.error(new DOMException("aborted", "AbortError"));
        });
      },
    });
  }

  get watching(): number {
    return this.open.size;
  }

  bytes(part: Uint8Array): void {
    for (const controller of this.open) controller.enqueue(part);
  }

  event(type: string, object: unknown): void {
    this.bytes(new TextEncoder().encode(`${JSON.stringify({ type, object })}\n`));
  }

  end(): void {
    for (const controller of this.open) controller.close();
    this.open.clear();
  }

  /** As when the process behind it is killed. */
  breaks(): void {
    for (const controller of this.open) controller.error(new TypeError("network error"));
    this.open.clear();
  }

  get lists(): number {
    return this.requests.filter((query) => !query.has("watch")).length;
  }

  get lastWatch(): URLSearchParams | undefined {
    return this.requests.findLast((query) => query.has("watch"));
  }
}

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const status = (code: number, reason = "", headers = {}) =>
  Response.json({ kind: "Status", code, reason, message: reason }, { status: code, headers });

let server: Server;
let store: WatchStore<Thing>;
let unauthenticated: ReturnType<typeof vi.fn<() => void>>;
let stop: (() => void) | undefined;
let notified = 0;

const names = () => store.getSnapshot().items?.map((item) => item.metadata.name);
const state = () => store.getSnapshot().connection.state;

async function start(): Promise<void> {
  stop = store.subscribe(() => notified++);
  await pass(1_000);
}

function visibility(value: "visible" | "hidden"): void {
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => value });
  document.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
  vi.useFakeTimers();
  server = new Server();
  server.items = [thing("a", "1"), thing("b", "2")];
  unauthenticated = vi.fn();
  store = new WatchStore<Thing>({ path: "/things", fetch: server.fetch, random: () => 0.5, onUnauthenticated: unauthenticated });
  notified = 0;
});

afterEach(() => {
  stop?.();
  stop = undefined;
  visibility("visible");
});

describe("following", () => {
  test("lists, then watches from the list's version", async () => {
    await start();
    expect(names()).toEqual(["a", "b"]);
    expect(state()).toBe("live");
    expect(Object.fromEntries(server.lastWatch ?? [])).toMatchObject({ watch: "1", allowWatchBookmarks: "true", resourceVersion: "10" });
  });

  test("a list of several pages is read whole before any of it shows", async () => {
    server.items = Array.from({ length: 1_200 }, (_, index) => thing(`t-${index}`, "1"));
    await start();
    expect(server.lists).toBe(3);
    expect(names()).toHaveLength(1_200);
  });

  test("added, changed and deleted objects", async () => {
    await start();
    server.event("ADDED", thing("c", "11"));
    server.event("MODIFIED", thing("a", "12", 7));
    server.event("DELETED", thing("b", "13"));
    await pass(300);
    expect(store.getSnapshot().items).toEqual([thing("a", "12", 7), thing("c", "11")]);
  });

  test("an event cut in two by the network is one event", async () => {
    await start();
    const bytes = new TextEncoder().encode(`${JSON.stringify({ type: "ADDED", object: thing("\u96c6\u7fa4", "11") })}\n`);
    // Inside the first Chinese character, whose bytes then arrive apart.
    const cut = bytes.indexOf(0xe9) + 1;
    server.bytes(bytes.slice(0, cut));
    await pass(10);
    server.bytes(bytes.slice(cut));
    await pass(300);
    expect(names()).toContain("\u96c6\u7fa4");
  });

  test("at most four flushes a second at two hundred changes a second", async () => {
    await start();
    const times: number[] = [];
    const off = store.subscribe(() => times.push(Date.now()));
    for (let index = 0; index < 400; index++) {
      server.event("MODIFIED", thing("a", String(100 + index), index));
      await pass(5);
    }
    await pass(300);
    off();
    expect(times.length).toBeGreaterThanOrEqual(8);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(250);
    expect(store.getSnapshot().items?.[0]).toEqual(thing("a", "499", 399));
  });

  test("a bookmark moves the version and tells nobody", async () => {
    await start();
    notified = 0;
    server.event("BOOKMARK", { metadata: { resourceVersion: "77" } });
    await pass(3_000);
    expect(notified).toBe(0);
    server.end();
    await pass(1_000);
    expect(server.lastWatch?.get("resourceVersion")).toBe("77");
    expect(server.lists).toBe(1);
  });
});

describe("losing and finding the server", () => {
  test("a watch that ends in good order is opened again at once, without a list", async () => {
    await start();
    await pass(5_000);
    server.event("MODIFIED", thing("a", "20"));
    await pass(10);
    server.end();
    await pass(1);
    expect(server.watching).toBe(1);
    expect(server.lastWatch?.get("resourceVersion")).toBe("20");
    expect(server.lists).toBe(1);
  });

  test("410 on the watch makes a new list, at once", async () => {
    await start();
    await pass(5_000);
    server.items = [thing("z", "90")];
    server.resourceVersion = "90";
    server.refusals.push(status(410, "Expired"));
    server.end();
    await pass(1_000);
    expect(names()).toEqual(["z"]);
    expect(server.lastWatch?.get("resourceVersion")).toBe("90");
    expect(state()).toBe("live");
  });

  test("410 inside the stream does the same", async () => {
    await start();
    server.items = [thing("z", "90")];
    server.event("ERROR", { kind: "Status", code: 410, reason: "Expired" });
    await pass(1_000);
    expect(names()).toEqual(["z"]);
  });

  test("while the server is away the objects stay, and the loss is dated", async () => {
    await start();
    await pass(5_000);
    const before = Date.now();
    server.refusals.push(...Array.from({ length: 3 }, () => new TypeError("refused")));
    server.end();
    await pass(300);
    expect(names()).toEqual(["a", "b"]);
    expect(store.getSnapshot().connection).toMatchObject({ state: "reconnecting", lastLive: before });
    await pass(20_000);
    expect(state()).toBe("live");
    expect(store.getSnapshot().error).toBeUndefined();
  });

  test("waits grow, up to fifteen seconds", async () => {
    server.refusals.push(...Array.from({ length: 200 }, () => new TypeError("refused")));
    await start();
    const early = server.requests.length;
    await pass(60_000);
    const late = server.requests.length;
    await pass(60_000);
    expect(early).toBeGreaterThanOrEqual(2);
    expect(server.requests.length - late).toBeGreaterThanOrEqual(4);
    expect(server.requests.length - late).toBeLessThanOrEqual(9);
  });

  test("a server that ends every watch at once is not hammered", async () => {
    await start();
    const before = server.requests.length;
    for (let elapsed = 0; elapsed < 30_000; elapsed += 50) {
      server.end();
      await pass(50);
    }
    expect(server.requests.length - before).toBeLessThan(15);
  });

  test("retry does not wait", async () => {
    server.refusals.push(...Array.from({ length: 6 }, () => new TypeError("refused")));
    await start();
    await pass(5_000);
    server.refusals.length = 0;
    store.retry();
    await pass(300);
    expect(names()).toEqual(["a", "b"]);
  });

  test("a stream that falls silent is given up", async () => {
    await start();
    await pass(95_000);
    expect(server.requests.filter((query) => query.has("watch")).length).toBe(2);
    expect(server.watching).toBe(1);
  });

  test("a refusal is reported in the server's words", async () => {
    server.refusals.push(status(403, "Forbidden"));
    stop = store.subscribe(() => notified++);
    await pass(100);
    expect(store.getSnapshot()).toMatchObject({ items: undefined, error: { code: 403, message: "Forbidden" } });
  });

  test("without the right to list it says so, and asks once a minute", async () => {
    server.refusals.push(...Array.from({ length: 3 }, () => status(403, "Forbidden")));
    await start();
    expect(store.getSnapshot().connection).toEqual({ state: "forbidden", verb: "list", lastLive: undefined });
    expect(server.requests).toHaveLength(1);
    await pass(150_000);
    expect(server.requests).toHaveLength(3);
    await pass(70_000);
    expect(state()).toBe("live");
    expect(store.getSnapshot().error).toBeUndefined();
  });

  test("a right that is taken away takes the objects with it", async () => {
    await start();
    await pass(5_000);
    server.refusals.push(status(410, "Expired"), status(403, "Forbidden"));
    server.end();
    await pass(1_000);
    expect(names()).toBeUndefined();
    expect(store.getSnapshot().connection).toMatchObject({ state: "forbidden", verb: "list" });
  });

  test("without the right to watch the list stays, dated, and is read again", async () => {
    server.refusals.push(server.list(), status(403, "Forbidden"), server.list(), status(403, "Forbidden"));
    const before = Date.now();
    await start();
    expect(names()).toEqual(["a", "b"]);
    expect(store.getSnapshot().connection).toEqual({ state: "forbidden", verb: "watch", lastLive: before });
    expect(server.requests).toHaveLength(2);
    await pass(80_000);
    expect(server.lists).toBe(2);
    expect(store.getSnapshot().connection).toMatchObject({ verb: "watch", lastLive: before + 67_500 });
  });

  test("who may not list all is shown what may be seen, and it is read again", async () => {
    const paths: string[] = [];
    const own = new WatchStore<Thing>({
      path: "/all",
      ownPath: "/own",
      random: () => 0,
      fetch: (input) => {
        const path = String(input).split("?")[0] ?? "";
        paths.push(path);
        return Promise.resolve(path === "/own" ? Response.json({ items: [thing("mine", "1")] }) 
          : status(403, "Forbidden"));
      },
    });
    stop = own.subscribe(() => notified++);
    await pass(500);
    expect(own.getSnapshot()).toMatchObject({ items: [thing("mine", "1")], connection: { state: "forbidden", verb: "watch", own: true } });
    expect(paths).toEqual(["/all", "/own", "/all"]);
    own.retry();
    await pass(500);
    expect(paths.slice(3)).toEqual(["/all", "/own", "/all"]);
  });

  test("retry asks at once for what was forbidden", async () => {
    server.refusals.push(status(403, "Forbidden"));
    await start();
    store.retry();
    await pass(300);
    expect(state()).toBe("live");
  });

  test("a server that asks for time is given it", async () => {
    await start();
    server.refusals.push(status(429, "TooManyRequests", { "Retry-After": "20" }));
    server.end();
    await pass(1_000);
    const before = server.requests.length;
    await pass(18_000);
    expect(server.requests).toHaveLength(before);
    await pass(3_000);
    expect(state()).toBe("live");
  });

  test("a restarted server that has forgotten the version: the objects stay until the new list replaces them", async () => {
    await start();
    await pass(5_000);
    const seen: (string[] | undefined)[] = [];
    const off = store.subscribe(() => seen.push(names()));
    server.resourceVersion = "7";
    server.items = [thing("a", "3"), thing("c", "4")];
    server.refusals.push(...Array.from({ length: 4 }, () => new TypeError("refused")), status(503, "ServiceUnavailable"), status(410, "Expired"));
    server.breaks();
    await pass(30_000);
    off();
    expect(state()).toBe("live");
    expect(names()).toEqual(["a", "c"]);
    expect(seen.filter((now) => now === undefined || now.length !== 2)).toEqual([]);
    expect(server.lastWatch?.get("resourceVersion")).toBe("7");
  });

  test("401 stops everything and says so once", async () => {
    await start();
    await pass(5_000);
    server.refusals.push(status(401));
    server.end();
    await pass(60_000);
    expect(unauthenticated).toHaveBeenCalledOnce();
    expect(server.watching).toBe(0);
  });
});

describe("letting go", () => {
  test("the last reader ends the watch", async () => {
    await start();
    expect(server.watching).toBe(1);
    stop?.();
    stop = undefined;
    await pass(0);
    expect(server.watching).toBe(0);
  });

  test("a page hidden for 30 seconds lets go and resumes when shown", async () => {
    await start();
    visibility("hidden");
    await pass(29_000);
    expect(server.watching).toBe(1);
    await pass(1_500);
    expect(server.watching).toBe(0);
    expect(state()).toBe("paused");
    expect(names()).toEqual(["a", "b"]);
    visibility("visible");
    await pass(300);
    expect(state()).toBe("live");
    expect(server.lists).toBe(1);
  });

  test("a page that is left lets go at once, and resumes on Back", async () => {
    await start();
    window.dispatchEvent(new Event("pagehide"));
    await pass(0);
    expect(server.watching).toBe(0);
    window.dispatchEvent(new Event("pageshow"));
    await pass(300);
    expect(server.watching).toBe(1);
    expect(server.lists).toBe(1);
  });

  test("a short look away changes nothing", async () => {
    await start();
    const before = server.requests.length;
    visibility("hidden");
    await pass(20_000);
    visibility("visible");
    await pass(20_000);
    expect(server.requests.length).toBe(before);
  });
});
