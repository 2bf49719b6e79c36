// Lists, which come in pages.
import { request } from "./http";

const PAGE = 500;

interface List<T> {
  items?: T[];
  metadata?: { continue?: string };
}

/** The first page with the items of all. */
export async function requestWhole<T, Found extends List<T> = List<T>>(path: string): Promise<Found & { items: T[] }> {
  let first: Found | undefined;
  const items: T[] = [];
  let next: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(next ? { continue: next } : {}) });
    // oxlint-disable-next-line no-await-in-loop -- each page names the next
    const page = await request<Found>("GET", `${path}?${query}`);
    first ??= page;
    items.push(...(page.items ?? []));
    next = page.metadata?.continue;
  } while (next);
  return { ...first, items };
}

export const requestAll = async <T>(path: string): Promise<T[]> => (await requestWhole<T>(path)).items;
