// A part of a page with a heading, and what a request behind it comes to.
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useElapsed } from "../lib/elapsed";
import { Button } from "./button";
import { CodeBlock } from "./copy";
import { Failure } from "./failure";

interface PanelProps {
  title: string;
  detail?: ReactNode;
  action?: ReactNode;
  command?: string;
  children?: ReactNode;
}

export function Panel({ title, detail, action, command, children }: PanelProps) {
  return (
    <section className="rounded-lg border border-line bg-surface">
      <header className="flex flex-wrap items-start gap-x-4 gap-y-2 px-4 pt-3.5 pb-3 sm:px-5">
        <div className="min-w-0 flex-1 basis-60">
          <h2 className="text-heading">{title}</h2>
          {detail && <p className="text-table text-ink-soft">{detail}</p>}
        </div>
        {action}
      </header>
      {children && <div className="border-t border-line">{children}</div>}
      {command && (
        <div className="border-t border-line px-4 py-3 sm:px-5">
          <Terminal command={command} />
        </div>
      )}
    </section>
  );
}

/** The command that does the same. */
export function Terminal({ command }: { command: string }) {
  const { t } = useTranslation();
  return (
    <div>
      <p className="mb-1 text-caption text-ink-faint">{t("list.fromTerminal")}</p>
      <CodeBlock text={command} label={t("list.fromTerminal")} />
    </div>
  );
}

/** Nothing at first, then an outline, then the data; old data stays while new is asked for. */
export function Queried<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  const { t } = useTranslation();
  const late = useElapsed(200);
  if (query.data !== undefined) return children(query.data);
  if (query.error) {
    return (
      <div className="flex flex-col items-start gap-3 px-4 py-4 sm:px-5">
        <Failure error={query.error} />
        <Button onClick={() => void query.refetch()}>{t("action.retry")}</Button>
      </div>
    );
  }
  return (
    <div aria-busy className="px-4 py-4 sm:px-5">
      {late && (
        <div className="flex animate-fade-in flex-col gap-3">
          <p className="sr-only" role="status">
            {t("list.loading")}
          </p>
          <div className="h-3 w-1/2 rounded bg-line" />
          <div className="h-3 w-1/3 rounded bg-line" />
        </div>
      )}
    </div>
  );
}
