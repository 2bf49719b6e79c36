// Short confirmations of what the user has just done. Connection trouble is never a toast: it has its own place.

export interface Toast {
  id: number;
  text: string;
}

const AT_ONCE = 3;
let items: readonly Toast[] = [];
let nextId = 1;
const subscribers = new Set<() => void>();

function set(next: readonly Toast[]): void {
  items = next;
  for (const notify of subscribers) notify();
}

export function toast(text: string): void {
  set([...items, { id: nextId++, text }].slice(-AT_ONCE));
}

export const toasts = {
  read: (): readonly Toast[] => items,
  subscribe(callback: () => void): () => void {
    subscribers.add(callback);
    return () => subscribers.delete(callback);
  },
  drop: (id: number): void => set(items.filter((item) => item.id !== id)),
  clear: (): void => set([]),
};
