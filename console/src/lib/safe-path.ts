// Where to go after sign-in: only ever a path of our own origin.

/**
 * The wanted path if it is a same-origin relative path, otherwise "/".
 *
 * Browsers read `\` as `/` and drop tabs and newlines inside URLs, so `/\evil`
 * and `/<tab>/evil` leave the origin although they start with one slash. We
 * refuse those characters instead of guessing, then let the URL parser judge.
 */
export function safePath(wanted: string | null | undefined, origin: string = location.origin): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (!wanted || !wanted.startsWith("/") || wanted.startsWith("//") || /[\\\u0000-\u0020\u007f]/.test(wanted)) return "/";
  let url: URL;
  try {
    url = new URL(wanted, origin);
  } catch {
    return "/";
  }
  if (url.origin !== origin) return "/";
  const path = url.pathname + url.search + url.hash;
  return path.startsWith("//") || url.pathname === SIGN_IN_PATH ? "/" : path;
}

export const SIGN_IN_PATH = "/sign-in";
