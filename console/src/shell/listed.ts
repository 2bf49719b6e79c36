// What a page needs beside the list that it shows: read now and then, not watched. Of connections, which watches hold
// open, browsers have few where HTTP/2 is not to be had.
import { useQuery, type QueryClient } from "@tanstack/react-query";
import { request } from "../api/http";
import { ApiError } from "../api/status";

const FRESH_MS = 30_000;
const PAGE = 500;

async function readAll<T>(path: string): Promise<T[]> {
  const found: T[] = [];
  let next: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(next ? { continue: next } : {}) });
    // oxlint-disable-next-line no-await-in-loop -- each page names the next
    const page = await request<{ items?: T[]; metadata?: { continue?: string } }>("GET", `${path}?${query}`);
    found.push(...(page.items ?? []));
    next = page.metadata?.continue;
  } while (next);
  return found;
}

/** `ownPath` lists what the reader may see, for readers who may not list all. */
async function readListed<T>(path: string, ownPath: string | undefined): Promise<T[]> {
  try {
    return await readAll(path);
  } catch (error) {
    if (ownPath === undefined || !(error instanceof ApiError && error.code === 403)) throw error;
    return readAll(ownPath);
  }
}

/** Undefined while it is not known, and where it may not be read. */
export function useListed<T>(path: string, ownPath?: string): readonly T[] | undefined {
  return useQuery({ queryKey: ["listed", path], queryFn: () => readListed<T>(path, ownPath), staleTime: FRESH_MS, retry: false }).data;
}

export const forgetListed = (queries: QueryClient, path: string): Promise<void> => queries.invalidateQueries({ queryKey: ["listed", path] });
