// Lists a collection, then follows its watch, and keeps the newest state of every object.
//
// Guarantees:
// - Resumes from the last resourceVersion; lists again only when the server says it is too old (410).
// - Readers are told at most four times a second, whatever the rate of events.
// - Data once read stays readable while the connection is down; `connection` says how old it is.
// - A page hidden for 30 seconds lets go of its watch and resumes when shown; one that is left does so at once.
// - Where the whole may not be listed and there is a list of what may be seen, that one is shown, and read again now and then.
// - A reader without the right is told which one it is, keeps nothing it may not list, and is asked for only once a minute.
//
// There is no limit on the number of retries: the page is a display, and heals by itself.
import { announceUnauthenticated } from "./http";
import { noteServerDate } from "../lib/clock";
import { ApiError, isStatus, type Status } from "./status";

export interface WatchedObject {
  metadata: { name: string; namespace?: string; resourceVersion?: string };
}

export type Connection =
  | { state: "connecting" }
  | { state: "live" }
  /** `since` is when the connection was lost, `lastLive` when the data was last known to be current. */
  | { state: "reconnecting"; since: number; lastLive: number | undefined }
  /** The reader lacks this right. Without `watch` the list is read again now and then; `own` is one of what may be seen. */
  | { state: "forbidden"; verb: "list" | "watch"; own?: true; lastLive: number | undefined }
  | { state: "paused"; lastLive: number | undefined };

export interface Snapshot<T> {
  /** Undefined until the first list has arrived. */
  items: readonly T[] | undefined;
  connection: Connection;
  /** Why the last attempt failed; cleared by the next success. */
  error: ApiError | undefined;
}

export interface WatchStoreOptions {
  path: string;
  /** Lists what the reader may see, for readers who may not list all. Nothing watches it. */
  ownPath?: string;
  fetch?: typeof fetch;
  random?: () => number;
  /** Called when the session has ended; the store is stopped then. */
  onUnauthenticated?: () => void;
}

const FLUSH_INTERVAL_MS = 250;
const HIDDEN_GRACE_MS = 30_000;
const LIST_PAGE = 500;
const LIST_TIMEOUT_MS = 30_000;
const WATCH_SECONDS = 300;
/** A watch that says nothing for this long is taken for dead: bookmarks come about once a minute. */
const SILENCE_MS = 90_000;
/** A watch shorter than this counts as a failure, so that a server that ends each one at once is not hammered. */
const SHORT_WATCH_MS = 2_000;
const BACKOFF_FIRST_MS = 500;
/** Gentle: who watches a hub restart should not wait long for it. */
const BACKOFF_GROWTH = 1.5;
const BACKOFF_MOST_MS = 15_000;
/** Rights change seldom, and no number of requests brings them about. */
const FORBIDDEN_RETRY_MS = 60_000;
/** The longest that a server may ask us to stay away. */
const RETRY_AFTER_MOST_MS = 120_000;
const LINE_LIMIT = 8 * 1024 * 1024;

interface ListResponse<T> {
  items?: T[];
  metadata?: { resourceVersion?: string; continue?: string };
}

interface WatchEvent {
  type: string;
  object: unknown;
}

export class WatchStore<T extends WatchedObject> {
  private readonly path: string;
  private readonly ownPath: string | undefined;
  private readonly fetch: typeof fetch;
  private readonly random: () => number;
  private readonly onUnauthenticated: () => void;

  private readonly objects = new Map<string, T>();
  private readonly subscribers = new Set<() => void>();
  private snapshot: Snapshot<T> = { items: undefined, connection: { state: "connecting" }, error: undefined };

  private resourceVersion: string | undefined;
  private own = false;
  private listed = false;
  private dirty = false;
  private connection: Connection = { state: "connecting" };
  private error: ApiError | undefined;
  /** When the objects were last known to be current. */
  private lastCurrent: number | undefined;
  private lastFlush = Number.NEGATIVE_INFINITY;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private hiddenTimer: ReturnType<typeof setTimeout> | undefined;

  private running: AbortController | undefined;
  private wake: (() => void) | undefined;
  private failures = 0;

  constructor(options: WatchStoreOptions) {
    this.path = options.path;
    this.ownPath = options.ownPath;
    this.fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.random = options.random ?? Math.random;
    this.onUnauthenticated = options.onUnauthenticated ?? announceUnauthenticated;
  }

  /** The first subscriber starts the watch; with the last one it ends. */
  subscribe = (callback: () => void): (() => void) => {
    this.subscribers.add(callback);
    if (this.subscribers.size === 1) this.start();
    return () => {
      this.subscribers.delete(callback);
      if (this.subscribers.size === 0) this.stop();
    };
  };

  getSnapshot = (): Snapshot<T> => this.snapshot;

  /** Tries again now instead of when the backoff ends. */
  retry = (): void => {
    this.failures = 0;
    if (this.running === undefined && this.subscribers.size > 0 && document.visibilityState !== "hidden") this.run();
    else this.wake?.();
  };

  private start(): void {
    document.addEventListener("visibilitychange", this.onVisibility);
    window.addEventListener("pagehide", this.pause);
    window.addEventListener("pageshow", this.onVisibility);
    window.addEventListener("online", this.retry);
    window.addEventListener("offline", this.onOffline);
    this.run();
  }

  private stop(): void {
    document.removeEventListener("visibilitychange", this.onVisibility);
    window.removeEventListener("pagehide", this.pause);
    window.removeEventListener("pageshow", this.onVisibility);
    window.removeEventListener("online", this.retry);
    window.removeEventListener("offline", this.onOffline);
    clearTimeout(this.hiddenTimer);
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    this.running?.abort();
    this.running = undefined;
  }

  private run(): void {
    const running = new AbortController();
    this.running = running;
    void this.loop(running.signal).finally(() => {
      if (this.running === running) this.running = undefined;
    });
  }

  private readonly onVisibility = (): void => {
    clearTimeout(this.hiddenTimer);
    if (document.visibilityState === "hidden") {
      this.hiddenTimer = setTimeout(this.pause, HIDDEN_GRACE_MS);
    } else if (this.running === undefined) {
      this.failures = 0;
      this.run();
    }
  };

  /** Also for a page that was left: browsers keep it for Back, and with it the connection, of which they have few. */
  private readonly pause = (): void => {
    clearTimeout(this.hiddenTimer);
    const lastLive = this.lastLive();
    this.running?.abort();
    this.running = undefined;
    this.setConnection({ state: "paused", lastLive });
  };

  /** The socket of a machine that lost its network stays silent for minutes; the browser knows at once. */
  private readonly onOffline = (): void => {
    this.lost(ApiError.unreachable());
    this.running?.abort();
    this.run();
  };

  private async loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        // In this order: the objects must stand before changes to them can be understood.
        // oxlint-disable-next-line no-await-in-loop
        if (this.resourceVersion === undefined) await this.list(signal);
        const opened = Date.now();
        // oxlint-disable-next-line no-await-in-loop
        await this.watch(signal);
        if (Date.now() - opened >= SHORT_WATCH_MS) {
          this.failures = 0;
          continue;
        }
        this.lost(undefined);
      } catch (caught) {
        if (signal.aborted) return;
        const error = caught instanceof ApiError ? caught : ApiError.unreachable();
        if (error.code === 401) {
          this.objects.clear();
          this.onUnauthenticated();
          return;
        }
        if (error.code === 403) this.forbidden(error);
        else if (error.code === 410) {
          this.resourceVersion = undefined;
          if (this.failures++ === 0) continue;
          this.lost(error);
        } else this.lost(error);
      }
      // oxlint-disable-next-line no-await-in-loop
      await this.rest(this.delay(), signal);
    }
  }

  private async list(signal: AbortSignal): Promise<void> {
    const found = new Map<string, T>();
    let next: string | undefined;
    let resourceVersion: string | undefined;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(LIST_TIMEOUT_MS)]);
    let path = this.path;
    do {
      const query = new URLSearchParams({ limit: String(LIST_PAGE) });
      if (next) query.set("continue", next);
      // oxlint-disable-next-line no-await-in-loop -- each page names the next
      const response = await this.open(path, query, deadline).catch((error: unknown) => {
        if (path === this.ownPath || !this.ownPath || !(error instanceof ApiError && error.code === 403)) throw error;
        path = this.ownPath;
        return this.open(path, query, deadline);
      });
      // oxlint-disable-next-line no-await-in-loop
      const page = (await response.json()) as ListResponse<T>;
      for (const object of page.items ?? []) found.set(key(object), object);
      resourceVersion = page.metadata?.resourceVersion;
      next = page.metadata?.continue;
    } while (next);

    this.own = path !== this.path;
    this.objects.clear();
    for (const [name, object] of found) this.objects.set(name, object);
    this.resourceVersion = resourceVersion ?? "0";
    this.listed = true;
    this.lastCurrent = Date.now();
    this.error = undefined;
    this.changed();
  }

  private async watch(signal: AbortSignal): Promise<void> {
    const silence = new AbortController();
    let watchdog = setTimeout(() => silence.abort(), SILENCE_MS);
    const heard = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    try {
      const query = new URLSearchParams({
        watch: "1",
        allowWatchBookmarks: "true",
        timeoutSeconds: String(WATCH_SECONDS),
        resourceVersion: this.resourceVersion ?? "",
      });
      const response = await this.open(this.path, query, AbortSignal.any([signal, silence.signal]));
      if (!response.body) throw ApiError.unreachable();
      this.error = undefined;
      this.setConnection({ state: "live" });
      for await (const line of lines(response.body, heard)) this.apply(JSON.parse(line) as WatchEvent);
    } finally {
      clearTimeout(watchdog);
    }
  }

  private async open(path: string, query: URLSearchParams, signal: AbortSignal): Promise<Response> {
    const response = await this.fetch(`${path}?${query}`, {
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal,
    });
    noteServerDate(response.headers.get("Date"));
    if (!response.ok) throw await ApiError.from(response);
    return response;
  }

  private apply(event: WatchEvent): void {
    if (event.type === "ERROR") {
      const status: Status = isStatus(event.object) ? event.object : { kind: "Status", message: "" };
      throw new ApiError(status);
    }
    const object = event.object as T;
    const version = object.metadata.resourceVersion;
    if (event.type === "ADDED" || event.type === "MODIFIED") this.objects.set(key(object), object);
    else if (event.type === "DELETED") this.objects.delete(key(object));
    if (version) this.resourceVersion = version;
    this.failures = 0;
    if (event.type !== "BOOKMARK") this.changed();
  }

  private lastLive(): number | undefined {
    if (this.connection.state === "live") this.lastCurrent = Date.now();
    return this.lastCurrent;
  }

  private lost(error: ApiError | undefined): void {
    this.error = error;
    if (this.connection.state === "reconnecting") this.changed();
    else this.setConnection({ state: "reconnecting", since: Date.now(), lastLive: this.lastLive() });
  }

  private forbidden(error: ApiError): void {
    // Only a list leaves a version behind.
    const verb = this.resourceVersion === undefined ? "list" : "watch";
    if (verb === "list") {
      this.objects.clear();
      this.listed = false;
      this.lastCurrent = undefined;
    }
    this.resourceVersion = undefined;
    this.error = error;
    this.setConnection({ state: "forbidden", verb, ...(verb === "watch" && this.own ? { own: true } : {}), lastLive: this.lastLive() });
  }

  private setConnection(connection: Connection): void {
    this.connection = connection;
    this.changed();
  }

  /** How long to wait before the next attempt. */
  private delay(): number {
    if (this.connection.state === "forbidden") return FORBIDDEN_RETRY_MS * (1 + this.random() / 4);
    const ceiling = Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * BACKOFF_GROWTH ** Math.min(this.failures, 20));
    this.failures++;
    // Full jitter above a floor: a thousand consoles must not come back in the same second.
    const delay = BACKOFF_FIRST_MS / 2 + this.random() * (ceiling - BACKOFF_FIRST_MS / 2);
    const asked = Math.min(RETRY_AFTER_MOST_MS, (this.error?.retryAfterSeconds ?? 0) * 1000);
    return Math.max(asked, delay);
  }

  /** Waits, unless the user wants it now or the watch is let go. */
  private rest(delay: number, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, delay);
      signal.addEventListener("abort", done);
      this.wake = done;
    });
  }

  /** Tells readers now if a quarter second has passed since the last time, otherwise as soon as it has. */
  private changed(): void {
    this.dirty = true;
    if (this.flushTimer !== undefined) return;
    const wait = this.lastFlush + FLUSH_INTERVAL_MS - Date.now();
    if (wait <= 0) this.flush();
    else this.flushTimer = setTimeout(() => this.flush(), wait);
  }

  private flush(): void {
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    if (!this.dirty) return;
    this.dirty = false;
    this.lastFlush = Date.now();
    this.snapshot = {
      items: this.listed ? [...this.objects.values()] : undefined,
      connection: this.connection,
      error: this.error,
    };
    for (const notify of this.subscribers) notify();
  }
}

function key(object: WatchedObject): string {
  return `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
}

/** The lines of a newline-delimited stream. */
async function* lines(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- a stream is read in order
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split("\n");
      rest = parts.pop() ?? "";
      if (rest.length > LINE_LIMIT) throw ApiError.unreachable();
      for (const part of parts) if (part.trim() !== "") yield part;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
