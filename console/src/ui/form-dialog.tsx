// A dialog with a form: what is wrong is looked at before anything is sent, and is led to; a refusal stays beside what was
// typed.
import { useEffect, useId, useRef, useState, type FormEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { reveal } from "../lib/reveal";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Failure } from "./failure";
import { Terminal } from "./panel";

interface Props {
  title: string;
  subtitle?: string | undefined;
  submit: string;
  /** What the other button says, where it does not leave everything as it was. */
  leave?: string;
  /** Whether anything that was entered cannot be sent. */
  wrong: boolean;
  /** Why it cannot be sent at all; said where it belongs. */
  blocked?: boolean;
  busy: boolean;
  error: Error | null;
  /** Of the error, what no field shows; none: all is shown at fields. */
  lines?: readonly string[] | undefined;
  command?: string;
  send: () => void;
  onClose: () => void;
  /** `tried`: it was to be sent, so that what is missing can be called wrong. */
  children: (tried: boolean) => ReactNode;
}

/** What is wrong is marked with the next frame. */
const leadToWrong = (form: HTMLElement | null) => requestAnimationFrame(() => form?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());

export function FormDialog({ title, subtitle, submit, leave, wrong, blocked, busy, error, lines, command, send, onClose, children }: Props) {
  const { t } = useTranslation();
  const id = useId();
  const form = useRef<HTMLFormElement>(null);
  const [tried, setTried] = useState(false);
  useEffect(() => {
    if (error) leadToWrong(form.current);
  }, [error]);
  return (
    <Dialog
      title={title}
      {...(subtitle ? { subtitle } : {})}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{leave ?? t("action.cancel")}</Button>
          <Button type="submit" form={id} look="solid" busy={busy} disabled={busy || blocked}>
            {submit}
          </Button>
        </>
      }
    >
      <form
        ref={form}
        id={id}
        noValidate
        className="flex flex-col gap-4"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          setTried(true);
          if (wrong) leadToWrong(form.current);
          else if (!busy && !blocked) send();
        }}
      >
        {children(tried)}
        {error && lines?.length !== 0 && (
          <div ref={reveal}>
            <Failure error={error} {...(lines ? { lines } : {})} />
          </div>
        )}
        {command && <Terminal command={command} />}
      </form>
    </Dialog>
  );
}
