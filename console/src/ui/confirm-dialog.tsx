// Asks before something that cannot be taken back; where much depends on it, for the name as well.
import { useMutation } from "@tanstack/react-query";
import { useId, useState, type FormEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Failure } from "./failure";
import { Field, Input } from "./field";
import { Terminal } from "./panel";

interface Props<T> {
  title: string;
  detail?: string;
  /** What follows from it. */
  effects?: readonly string[];
  submit: string;
  /** Has to be typed first. */
  typed?: { label: string; name: string } | undefined;
  harmless?: boolean;
  command?: string | undefined;
  children?: ReactNode;
  run: () => Promise<T>;
  onDone: (answer: T) => void;
  onClose: () => void;
}

export function ConfirmDialog<T>({ title, detail, effects, submit, typed, harmless, command, children, run, onDone, onClose }: Props<T>) {
  const { t } = useTranslation();
  const form = useId();
  const [text, setText] = useState("");
  const action = useMutation({ mutationFn: run, onSuccess: onDone });
  const ready = typed === undefined || text === typed.name;
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (ready && !action.isPending) action.mutate();
  };
  return (
    <Dialog
      narrow
      title={title}
      subtitle={detail}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form={form} look={harmless ? "solid" : "danger"} busy={action.isPending} disabled={!ready || action.isPending}>
            {submit}
          </Button>
        </>
      }
    >
      <form id={form} onSubmit={send} noValidate className="flex flex-col gap-4">
        {effects && effects.length > 0 && (
          <ul className="list-disc space-y-1 pl-5 text-table text-ink-soft">
            {effects.map((effect) => (
              <li key={effect}>{effect}</li>
            ))}
          </ul>
        )}
        {children}
        {action.error && <Failure error={action.error} />}
        {typed && (
          <Field label={typed.label} hint={<code className="font-mono break-all text-ink-soft">{typed.name}</code>}>
            {(props) => (
              <Input {...props} autoComplete="off" autoCapitalize="none" className="font-mono" value={text} onChange={(event) => setText(event.target.value)} />
            )}
          </Field>
        )}
        {command && <Terminal command={command} />}
      </form>
    </Dialog>
  );
}
