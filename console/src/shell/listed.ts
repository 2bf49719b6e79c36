// What a page needs beside the list that it shows: read now and then, not watched. Of connections, which watches hold
// open, browsers have few where HTTP/2 is not to be had.
import { useQuery, type QueryClient } from "@tanstack/react-query";
import { requestAll } from "../api/pages";
import { ApiError } from "../api/status";

const FRESH_MS = 30_000;

/** `ownPath` lists what the reader may see, for readers who may not list all. */
async function readListed<T>(path: string, ownPath: string | undefined): Promise<T[]> {
  try {
    return await requestAll(path);
  } catch (error) {
    if (ownPath === undefined || !(error instanceof ApiError && error.code === 403)) throw error;
    return requestAll(ownPath);
  }
}

/** Undefined while it is not known, and where it may not be read. */
export function useListed<T>(path: string, ownPath?: string): readonly T[] | undefined {
  return useQuery({ queryKey: ["listed", path], queryFn: () => readListed<T>(path, ownPath), staleTime: FRESH_MS, retry: false }).data;
}

export const forgetListed = (queries: QueryClient, path: string): Promise<void> => queries.invalidateQueries({ queryKey: ["listed", path] });
