// What a place says when it has no data to show, or something to say about it.
import { clsx } from "clsx";
import { CircleAlert, CircleCheck, Clock, Info, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";

const tones = {
  bad: { box: "border-bad/30 bg-bad-soft text-bad-text", icon: CircleAlert },
  good: { box: "border-good/30 bg-good-soft text-good-text", icon: CircleCheck },
  info: { box: "border-info/30 bg-info-soft text-info-text", icon: Info },
  stale: { box: "border-line-strong bg-mute-soft text-mute-text", icon: Clock },
} as const;

interface NoticeProps {
  tone: keyof typeof tones;
  children: ReactNode;
  action?: ReactNode;
  /** Announced when it appears: at once for errors, in turn otherwise. */
  live?: boolean;
  className?: string;
}

export function Notice({ tone, children, action, live = true, className }: NoticeProps) {
  const { box, icon: Icon } = tones[tone];
  return (
    <div
      role={live ? (tone === "bad" ? "alert" : "status") : undefined}
      className={clsx("flex items-start gap-2.5 rounded-md border px-3 py-2 text-table", box, className)}
    >
      <Icon className="mt-0.5 size-4 shrink-0" strokeWidth={1.75} aria-hidden />
      <div className="min-w-0 flex-1 break-words">{children}</div>
      {action}
    </div>
  );
}

interface EmptyProps {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
}

export function Empty({ icon: Icon, title, children, actions }: EmptyProps) {
  return (
    <div className="mx-auto flex max-w-md animate-fade-in flex-col items-center px-4 py-16 text-center">
      <div className="mb-4 grid size-12 place-items-center rounded-xl border border-line bg-surface text-ink-faint">
        <Icon className="size-6" strokeWidth={1.5} aria-hidden />
      </div>
      <h2 className="text-heading">{title}</h2>
      {children && <div className="mt-1.5 w-full text-balance text-ink-soft">{children}</div>}
      {actions && <div className="mt-5 flex flex-wrap justify-center gap-2">{actions}</div>}
    </div>
  );
}
