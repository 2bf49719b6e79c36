import { useTranslation } from "react-i18next";
import { Dialog } from "../ui/dialog";

const shortcuts = [
  { keys: ["j"], does: "down" },
  { keys: ["k"], does: "up" },
  { keys: ["Enter"], does: "open" },
  { keys: ["/"], does: "filter" },
  { keys: ["Esc"], does: "close" },
  { keys: ["?"], does: "help" },
] as const;

export default function Shortcuts({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog narrow title={t("shortcuts.title")} onClose={onClose}>
      <dl className="divide-y divide-line">
        {shortcuts.map(({ keys, does }) => (
          <div key={does} className="flex items-center justify-between py-2">
            <dt>{t(`shortcuts.${does}`)}</dt>
            <dd className="flex gap-1">
              {keys.map((key) => (
                <kbd
                  key={key}
                  className="min-w-6 rounded border border-line-strong bg-well px-1.5 text-center font-mono text-caption leading-5 text-ink-soft"
                >
                  {key}
                </kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
