import { Check, Copy } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./button";

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // The browser may refuse. The text stays there to be selected, and the mark does not claim otherwise.
      return;
    }
    setCopied(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), 1_600);
  };
  const words = copied ? t("action.copied") : t("action.copy");
  return (
    <Button look="ghost" size="icon" onClick={() => void copy()} aria-label={label ? `${words}: ${label}` : words} title={words}>
      {copied ? <Check className="size-4 text-good" aria-hidden /> : <Copy className="size-4" aria-hidden />}
    </Button>
  );
}

/** A command or a file to take elsewhere. */
export function CodeBlock({ text, label, tall }: { text: string; label: string; tall?: boolean }) {
  return (
    <div className="flex items-start gap-1 rounded-md border border-line bg-well py-0.5 pr-0.5 pl-3">
      <pre
        // A region that scrolls must be reachable by keyboard.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        aria-label={label}
        role="region"
        className={
          tall
            ? "max-h-56 min-w-0 flex-1 overflow-auto py-1.5 font-mono text-caption leading-5"
            : "min-w-0 flex-1 py-1.5 font-mono text-caption leading-5 break-words whitespace-pre-wrap"
        }
      >
        {text}
      </pre>
      <CopyButton text={text} label={label} />
    </div>
  );
}
