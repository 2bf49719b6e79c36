// A labelled control with its hint and its error, wired for screen readers.
import { clsx } from "clsx";
import { CircleAlert } from "lucide-react";
import { useId, type ComponentPropsWithRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

const control =
  "w-full rounded-md border bg-surface text-ink transition-colors duration-150 hover:border-ink-faint focus-visible:border-focus focus-visible:outline-1 focus-visible:outline-offset-0 disabled:bg-well";

interface FieldProps {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  optional?: boolean;
  /** Beside the label, at the far end. */
  aside?: ReactNode;
  children: (props: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ReactNode;
}

export function Field({ label, hint, error, optional, aside, children }: FieldProps) {
  const { t } = useTranslation();
  const id = useId();
  const described = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(" ");
  return (
    <div className="flex flex-col gap-1">
      <div className="flex min-h-5 items-baseline justify-between gap-2">
        <label htmlFor={id} className="font-medium">
          {label}
          {optional && <span className="ml-1.5 text-caption font-normal text-ink-faint">{t("form.optional")}</span>}
        </label>
        {aside}
      </div>
      {children({
        id,
        ...(described ? { "aria-describedby": described } : {}),
        ...(error ? { "aria-invalid": true as const } : {}),
      })}
      {error && (
        <p id={`${id}-error`} className="flex gap-1.5 text-caption whitespace-pre-line text-bad-text">
          <CircleAlert className="mt-px size-3.5 shrink-0" aria-hidden />
          <span className="min-w-0 break-words">{error}</span>
        </p>
      )}
      {hint && (
        <p id={`${id}-hint`} className="text-caption text-ink-faint">
          {hint}
        </p>
      )}
    </div>
  );
}

export function Input({ className, ...props }: ComponentPropsWithRef<"input">) {
  return (
    <input
      spellCheck={false}
      className={clsx(
        control,
        "h-9 px-3",
        props["aria-invalid"] ? "border-bad" : "border-control-line",
        className,
      )}
      {...props}
    />
  );
}

export function TextArea({ className, ...props }: ComponentPropsWithRef<"textarea">) {
  return (
    <textarea
      spellCheck={false}
      autoComplete="off"
      className={clsx(
        control,
        "min-h-28 resize-y px-3 py-2 font-mono text-caption leading-5",
        props["aria-invalid"] ? "border-bad" : "border-control-line",
        className,
      )}
      {...props}
    />
  );
}

/** The browser's own list: it works everywhere, and needs no popup of ours. */
export function Select({ className, ...props }: ComponentPropsWithRef<"select">) {
  return (
    <select
      className={clsx(
        control,
        "h-9 px-2.5",
        props["aria-invalid"] ? "border-bad" : "border-control-line",
        className,
      )}
      {...props}
    />
  );
}
