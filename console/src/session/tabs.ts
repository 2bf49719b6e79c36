// The tabs of one browser share one session cookie: when it changes under one of them, the others must know.
//
// Only the fact is told, never who. What is true now, each tab asks the hub.

const CHANNEL = "acp.session";

/** Tells the other tabs that somebody signed in or out here. */
export function tellSessionChanged(): void {
  const channel = new BroadcastChannel(CHANNEL);
  // A channel reaches its own origin only, and takes no target.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  channel.postMessage("changed");
  channel.close();
}

/** Calls back when the session may have changed in another tab. */
export function onSessionChanged(listener: () => void): () => void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", listener);
  return () => channel.close();
}
