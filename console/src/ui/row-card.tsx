// What stands in the card of a row, where there is no room for a table.
import type { ReactNode } from "react";

interface Props {
  title: ReactNode;
  badge?: ReactNode;
  /** Why it stands so, or what it is. */
  detail?: ReactNode;
  children: ReactNode;
}

export function RowCard({ title, badge, detail, children }: Props) {
  return (
    <>
      <div className="flex items-start gap-2 pr-8">
        <div className="min-w-0 flex-1">{title}</div>
        {badge}
      </div>
      {detail && <p className="mt-1 line-clamp-3 text-caption break-words text-ink-soft">{detail}</p>}
      <div className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1 border-t border-line pt-2 text-ink-soft">{children}</div>
    </>
  );
}
