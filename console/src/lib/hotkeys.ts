// Single-key shortcuts of a page.
import { useEffect, useRef } from "react";

type Handlers = Partial<Record<string, (event: KeyboardEvent) => void>>;

/** True where a letter is text, or where a menu or modal dialog has the keyboard. */
function keyboardIsTaken(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.closest("input, textarea, select, [role=menu], [aria-modal=true], [data-modal]") !== null;
}

export function useHotkeys(handlers: Handlers): void {
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || keyboardIsTaken(event.target)) return;
      const handler = latest.current[event.key];
      if (!handler) return;
      event.preventDefault();
      handler(event);
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}
