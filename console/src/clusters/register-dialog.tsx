// Register: an agent in the cluster dials the hub. The token is shown once and lives only in this dialog.
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Check, LoaderCircle } from "lucide-react";
import { useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { registerCluster, type Registration } from "../api/gateway";
import { ApiError, fieldErrors } from "../api/status";
import { dateAndTime } from "../lib/time";
import { useClusters } from "../shell/context";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { Notice } from "../ui/message";
import { Failure } from "../ui/failure";
import { nameProblem } from "./form";
import { clusterView, isTrue, time, type ClusterView } from "./model";

const FIELDS = ["name", "displayName"] as const;

export default function RegisterDialog({ onClose }: { onClose: () => void }) {
  const registration = useMutation({ mutationFn: registerCluster });
  return registration.data ? (
    <Waiting registration={registration.data} onClose={onClose} />
  ) : (
    <Ask busy={registration.isPending} error={registration.error} onSubmit={registration.mutate} onClose={onClose} />
  );
}

interface AskProps {
  busy: boolean;
  error: Error | null;
  onSubmit: (body: { name: string; displayName?: string }) => void;
  onClose: () => void;
}

function Ask({ busy, error, onSubmit, onClose }: AskProps) {
  const { t } = useTranslation();
  const { items } = useClusters();
  const [name, setName] = useState("");
  const [displayName, setDisplayName] = useState("");
  const [tried, setTried] = useState(false);
  const nameInput = useRef<HTMLInputElement>(null);
  const problem = nameProblem(name, items);
  const refused = error instanceof ApiError ? fieldErrors(error, FIELDS) : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (problem) return nameInput.current?.focus();
    if (busy) return;
    onSubmit({ name, ...(displayName.trim() ? { displayName: displayName.trim() } : {}) });
  };
  return (
    <Dialog
      title={t("register.title")}
      subtitle={t("register.subtitle")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="register-cluster" look="solid" busy={busy}>
            {busy ? t("register.submitting") : t("register.submit")}
          </Button>
        </>
      }
    >
      <form id="register-cluster" onSubmit={submit} noValidate className="flex flex-col gap-4">
        <Field
          label={t("form.name")}
          hint={t("form.nameHint")}
          error={(tried && problem ? t(problem) : undefined) ?? refused?.fields.name}
        >
          {(props) => (
            <Input
              {...props}
              ref={nameInput}
              name="name"
              autoComplete="off"
              autoCapitalize="none"
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label={t("form.displayName")} optional error={refused?.fields.displayName}>
          {(props) => (
            <Input
              {...props}
              name="displayName"
              autoComplete="off"
              value={displayName}
              onChange={(event) => setDisplayName(event.target.value)}
            />
          )}
        </Field>
        {error && (!refused || refused.rest.length > 0) && (
          <Failure error={error} {...(refused ? { lines: refused.rest } : {})} />
        )}
      </form>
    </Dialog>
  );
}

function Waiting({ registration, onClose }: { registration: Registration; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  const { items } = useClusters();
  const [manifest, setManifest] = useState(false);
  const cluster = items?.find((item) => item.metadata.name === registration.name);
  const view = cluster && clusterView(cluster);
  const connected = isTrue(view, "Connected");
  return (
    <Dialog
      title={t("register.title")}
      subtitle={registration.name}
      onClose={onClose}
      footer={
        <>
          {!connected && <p className="min-w-0 flex-1 text-caption text-ink-faint">{t("register.leave")}</p>}
          {connected && (
            <Button asChild>
              <Link to="/clusters/$name" params={{ name: registration.name }} search onClick={onClose}>
                {t("register.viewCluster")}
              </Link>
            </Button>
          )}
          <Button look={connected ? "solid" : "outline"} onClick={onClose}>
            {connected ? t("action.done") : t("action.close")}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        <Notice tone="info" live={false}>
          {t("register.once", { time: dateAndTime(time(registration.expirationTimestamp), i18n.language) })}
        </Notice>
        <section>
          <h3 className="mb-1 text-table">{t("register.command")}</h3>
          <CodeBlock text={registration.command} label={t("register.command")} />
        </section>
        <section>
          <div className="mb-1 flex items-baseline justify-between">
            <h3 className="text-table">{t("register.manifest")}</h3>
            <Button look="link" size="inline" aria-expanded={manifest} onClick={() => setManifest(!manifest)}>
              {manifest ? t("register.hideManifest") : t("register.showManifest")}
            </Button>
          </div>
          {manifest && <CodeBlock tall text={registration.manifest} label={t("register.manifest")} />}
        </section>
        <Progress view={view} name={registration.name} />
      </div>
    </Dialog>
  );
}

/** Follows the same watch as the list: nothing here polls. */
function Progress({ view, name }: { view: ClusterView | undefined; name: string }) {
  const { t } = useTranslation();
  const connected = isTrue(view, "Connected");
  const ready = isTrue(view, "Ready");
  const steps = [
    { label: t("register.stepWaiting"), detail: t("register.stepWaitingDetail"), done: connected },
    { label: t("register.stepConnected"), done: connected && ready, begun: connected },
    { label: t("register.stepReady"), done: connected && ready, begun: ready },
  ];
  const at = steps.findIndex((step) => !step.done);
  return (
    <section aria-label={t("register.progress")}>
      <h3 className="mb-2 text-table">{t("register.progress")}</h3>
      <p className="sr-only" role="status">
        {ready ? t("register.done", { name }) : (steps[at]?.label ?? "")}
      </p>
      <ol className="flex flex-col gap-2.5" data-progress={ready ? "ready" : connected ? "connected" : "waiting"}>
        {steps.map((step, index) => (
          <li key={step.label} className="flex gap-2.5 text-table" aria-current={index === at ? "step" : undefined}>
            <span
              className={clsx(
                "mt-0.5 grid size-4 shrink-0 place-items-center rounded-full",
                step.done ? "bg-good text-surface" : index === at ? "text-accent" : "border border-line-strong",
              )}
            >
              {step.done && <Check className="size-3" strokeWidth={3} aria-hidden />}
              {!step.done && index === at && <LoaderCircle className="size-4 animate-spin" aria-hidden />}
            </span>
            <span className={index > at && !step.done ? "text-ink-faint" : ""}>
              {step.label}
              {index === at && step.detail && <span className="block text-caption text-ink-faint">{step.detail}</span>}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
