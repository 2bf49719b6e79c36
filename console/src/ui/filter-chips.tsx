import { clsx } from "clsx";
import type { LucideIcon } from "lucide-react";

interface Props<Value extends string> {
  label: string;
  value: Value | undefined;
  onChange: (value: Value | undefined) => void;
  options: readonly { value: Value; label: string; count: number; icon?: LucideIcon; mark?: string }[];
}

/** At most one of a few; pressing it again lets go. */
export function FilterChips<Value extends string>({ label, value, onChange, options }: Props<Value>) {
  return (
    <div
      role="group"
      aria-label={label}
      className="flex gap-1.5 max-sm:-mx-4 max-sm:w-dvw max-sm:scrollbar-none max-sm:overflow-x-auto max-sm:px-4 max-sm:py-0.5 sm:flex-wrap"
    >
      {options.map((option) => {
        const pressed = option.value === value;
        const Icon = option.icon;
        return (
          <button
            key={option.value}
            type="button"
            aria-pressed={pressed}
            onClick={() => onChange(pressed ? undefined : option.value)}
            className={clsx(
              "inline-flex h-8 shrink-0 items-center gap-1.5 rounded-full border px-2.5 text-table whitespace-nowrap transition-colors duration-150",
              pressed
                ? "border-accent bg-selected font-medium text-ink"
                : "border-line bg-surface text-ink-soft hover:border-line-strong hover:text-ink",
            )}
          >
            {Icon && <Icon className={clsx("size-3.5", option.mark)} strokeWidth={2} aria-hidden />}
            {option.label}
            <span className="tabular text-ink-faint">{option.count}</span>
          </button>
        );
      })}
    </div>
  );
}
