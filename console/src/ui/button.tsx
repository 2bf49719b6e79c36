import { cva, type VariantProps } from "class-variance-authority";
import { LoaderCircle } from "lucide-react";
import { Slot } from "radix-ui";
import type { ComponentPropsWithRef } from "react";

const button = cva(
  "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md font-medium whitespace-nowrap transition-colors duration-150 select-none disabled:cursor-not-allowed aria-disabled:cursor-not-allowed [&_svg]:shrink-0",
  {
    variants: {
      look: {
        solid:
          "bg-accent text-on-accent hover:bg-accent-hover disabled:bg-mute-soft disabled:text-ink-faint aria-disabled:bg-mute-soft aria-disabled:text-ink-faint",
        outline:
          "border border-line-strong bg-surface text-ink hover:bg-hover disabled:text-ink-faint disabled:hover:bg-surface",
        // Leads to something that takes away; `danger` does it.
        risky: "border border-line-strong bg-surface text-bad-text hover:bg-bad-soft disabled:text-ink-faint disabled:hover:bg-surface",
        ghost: "text-ink-soft hover:bg-hover hover:text-ink data-[state=open]:bg-hover data-[state=open]:text-ink",
        danger: "bg-bad text-on-accent hover:bg-bad-hover disabled:bg-mute-soft disabled:text-ink-faint",
        link: "text-accent-text underline-offset-4 hover:underline",
      },
      size: {
        small: "h-7 px-2 text-table",
        medium: "h-8 px-3 text-table",
        large: "h-10 px-4 text-base",
        icon: "size-8",
        inline: "h-auto p-0 text-table",
      },
    },
    defaultVariants: { look: "outline", size: "medium" },
  },
);

interface Props extends ComponentPropsWithRef<"button">, VariantProps<typeof button> {
  asChild?: boolean;
  busy?: boolean;
}

export function Button({ look, size, asChild, busy, className, children, ...props }: Props) {
  if (asChild) {
    return (
      <Slot.Root className={button({ look, size, className })} {...props}>
        {children}
      </Slot.Root>
    );
  }
  return (
    <button type="button" className={button({ look, size, className })} aria-busy={busy} {...props}>
      {busy && <LoaderCircle className="size-4 animate-spin" aria-hidden />}
      {children}
    </button>
  );
}
