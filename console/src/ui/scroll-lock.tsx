// Stands in for react-remove-scroll, which Radix uses behind its dialogs and menus.
//
// The original locks scrolling by injecting a <style> element, which our content
// policy refuses. Counting the locks and letting the stylesheet do the rest is
// enough here: the page never scrolls sideways under a dialog and needs no gap.
import { Slot } from "radix-ui";
import { useEffect, type ComponentPropsWithoutRef, type ElementType } from "react";

let locks = 0;

interface Props extends ComponentPropsWithoutRef<"div"> {
  as?: ElementType;
  enabled?: boolean;
  allowPinchZoom?: boolean;
  shards?: unknown[];
}

export function RemoveScroll({ as, enabled = true, allowPinchZoom: _pinch, shards: _shards, ...props }: Props) {
  useEffect(() => {
    if (!enabled) return;
    locks++;
    document.documentElement.dataset.scrollLocked = "";
    return () => {
      if (--locks === 0) delete document.documentElement.dataset.scrollLocked;
    };
  }, [enabled]);
  const Component = as ?? Slot.Root;
  return <Component {...props} />;
}
