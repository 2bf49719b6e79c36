// The one way the console calls the gateway.
//
// The session is an HttpOnly cookie, so nothing here ever sees a credential.
// Unsafe methods carry the header that proves the request was made by our own
// script: another site's form can send the cookie but not the header.
import { noteServerDate } from "../lib/clock";
import { ApiError } from "./status";

const REQUEST_TIMEOUT_MS = 30_000;

type Listener = () => void;
const listeners = new Set<Listener>();

/** Calls back whenever any request learns that the session is over. */
export function onUnauthenticated(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function announceUnauthenticated(): void {
  for (const listener of listeners) listener();
}

export interface RequestOptions {
  body?: unknown;
  signal?: AbortSignal;
  /** A kind of JSON; patches have names of their own. */
  contentType?: string;
  /** A wrong password is also a 401, and must not be taken for an ended session. */
  signingIn?: boolean;
}

export async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-ACP-Request"] = "console";
  if (options.body !== undefined) headers["Content-Type"] = options.contentType ?? "application/json";

  const deadline = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ? AbortSignal.any([options.signal, deadline]) : deadline,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw ApiError.unreachable();
  }
  noteServerDate(response.headers.get("Date"));
  if (!response.ok) {
    const error = await ApiError.from(response);
    if (error.code === 401 && !options.signingIn) announceUnauthenticated();
    throw error;
  }
  // Some answers say with their code alone that it was done.
  try {
    const text = await response.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
  } catch {
    throw ApiError.unreachable();
  }
}
