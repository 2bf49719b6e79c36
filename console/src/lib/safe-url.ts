// Addresses of other origins that an answer asks the browser to go to.

/**
 * The address, if a browser may be sent there: `https:`, or `http:` (command lines listen on a loopback address,
 * and registered clients of a closed network may have no TLS). Never `javascript:`, `data:` or an app's own scheme,
 * and never one that carries a name before an `@` to look like another host. With a base, also a path there.
 */
export function safeUrl(wanted: string | undefined, base?: string): string | undefined {
  if (!wanted || !URL.canParse(wanted, base)) return undefined;
  const url = new URL(wanted, base);
  if (url.protocol !== "https:" && url.protocol !== "http:") return undefined;
  if (url.username !== "" || url.password !== "") return undefined;
  return url.href;
}
