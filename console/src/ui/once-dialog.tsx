// A secret that the hub shows once. It lives in this dialog, and goes with it.
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./button";
import { CodeBlock } from "./copy";
import { Dialog } from "./dialog";
import { Notice } from "./message";

interface Props {
  title: string;
  subtitle?: string;
  label: string;
  secret: string;
  children?: ReactNode;
  onClose: () => void;
}

export function OnceDialog({ title, subtitle, label, secret, children, onClose }: Props) {
  const { t } = useTranslation();
  return (
    <Dialog
      narrow
      title={title}
      subtitle={subtitle}
      onClose={onClose}
      footer={
        <Button look="solid" onClick={onClose}>
          {t("action.done")}
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Notice tone="info" live={false}>
          {t("once.notice")}
        </Notice>
        <div>
          <p className="mb-1 text-caption text-ink-faint">{label}</p>
          <CodeBlock text={secret} label={label} />
        </div>
        {children}
      </div>
    </Dialog>
  );
}
