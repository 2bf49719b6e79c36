import { useEffect, useState } from "react";

const compactQuery = "(max-width: 639px)";

/** Whether the page has the width of a phone. */
export function useCompact(): boolean {
  const [compact, setCompact] = useState(() => matchMedia(compactQuery).matches);
  useEffect(() => {
    const query = matchMedia(compactQuery);
    const changed = () => setCompact(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return compact;
}
