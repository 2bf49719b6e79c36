// A state as mark, shape and word: colour is never the only sign.
import { clsx } from "clsx";
import type { LucideIcon } from "lucide-react";

export interface Look {
  icon: LucideIcon;
  mark: string;
  badge: string;
}

export function Badge({ look: { icon: Icon, mark, badge }, words }: { look: Look; words: string }) {
  return (
    <span
      className={clsx(
        "inline-flex h-6 items-center gap-1.5 rounded-full text-table whitespace-nowrap",
        badge ? `${badge} -ml-1.5 pr-2.5 pl-1.5 font-medium` : "text-ink",
      )}
    >
      <Icon className={clsx("size-4 shrink-0", mark)} strokeWidth={1.75} aria-hidden />
      {words}
    </span>
  );
}
