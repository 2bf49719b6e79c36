import { Search, X } from "lucide-react";
import type { KeyboardEvent, Ref } from "react";
import { useTranslation } from "react-i18next";

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  /** What a list does with keys that the box has no use for. */
  onKey?: (event: KeyboardEvent) => void;
  ref?: Ref<HTMLInputElement>;
}

export function SearchBox({ label, value, onChange, onKey, ref }: Props) {
  const { t } = useTranslation();
  return (
    <div className="relative w-full sm:w-64">
      <Search className="pointer-events-none absolute top-2 left-2.5 size-4 text-ink-faint" aria-hidden />
      <input
        {...(ref ? { ref } : {})}
        type="text"
        role="searchbox"
        spellCheck={false}
        autoComplete="off"
        value={value}
        aria-label={label}
        placeholder={label}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.stopPropagation();
            if (value) onChange("");
            else event.currentTarget.blur();
          } else onKey?.(event);
        }}
        className="h-8 w-full rounded-md border border-control-line bg-surface pr-8 pl-8 text-table hover:border-ink-faint focus-visible:border-focus focus-visible:outline-1 focus-visible:outline-offset-0"
      />
      {value ? (
        <button
          type="button"
          aria-label={t("list.clearText")}
          onClick={() => onChange("")}
          className="absolute top-1 right-1 grid size-6 place-items-center rounded text-ink-faint hover:text-ink"
        >
          <X className="size-4" aria-hidden />
        </button>
      ) : (
        <kbd className="pointer-events-none absolute top-1.5 right-2 hidden rounded border border-line-strong px-1.5 font-mono text-[11px] leading-4.5 text-ink-faint sm:block" aria-hidden>
          /
        </kbd>
      )}
    </div>
  );
}
