import { ToggleGroup } from "radix-ui";
import type { ReactNode } from "react";

interface Props<Value extends string> {
  label: string;
  value: Value;
  onChange: (value: Value) => void;
  options: readonly { value: Value; label: ReactNode }[];
}

/** One of a few, all visible. */
export function Segmented<Value extends string>({ label, value, onChange, options }: Props<Value>) {
  return (
    <ToggleGroup.Root
      type="single"
      aria-label={label}
      value={value}
      // Radix reports "" when the chosen one is pressed again; one stays chosen here.
      onValueChange={(next) => next !== "" && onChange(next as Value)}
      className="flex rounded-lg bg-well p-0.5 ring-1 ring-line ring-inset"
    >
      {options.map((option) => (
        <ToggleGroup.Item
          key={option.value}
          value={option.value}
          className="h-7 flex-1 rounded-md px-3 text-table text-ink-soft transition-colors duration-150 hover:text-ink data-[state=on]:bg-raised data-[state=on]:font-medium data-[state=on]:text-ink data-[state=on]:shadow-[0_0_0_1px_var(--line-strong)]"
        >
          {option.label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  );
}
