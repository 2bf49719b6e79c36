// The last word of something that is over: a page with nothing more to do.
import { clsx } from "clsx";
import type { LucideIcon } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

const tones = { plain: "bg-well text-ink-faint", good: "bg-good-soft text-good-text", bad: "bg-bad-soft text-bad-text" };

interface Props {
  icon: LucideIcon;
  tone?: keyof typeof tones;
  title: string;
  children?: ReactNode;
}

export function Message({ icon: Icon, tone = "plain", title, children }: Props) {
  const { t } = useTranslation();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · ${t("product.name")}`;
    // What was pressed has gone; a reader goes on here.
    heading.current?.focus();
  }, [title, t]);
  return (
    <div className="animate-fade-in">
      <div className={clsx("mb-4 grid size-12 place-items-center rounded-xl", tones[tone])}>
        <Icon className="size-6" strokeWidth={1.5} aria-hidden />
      </div>
      <h1 ref={heading} tabIndex={-1} className="text-[24px] leading-8 font-semibold break-words outline-none">
        {title}
      </h1>
      {children && <div className="mt-1.5 break-words text-ink-soft">{children}</div>}
    </div>
  );
}
