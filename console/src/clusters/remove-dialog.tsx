import { useMutation } from "@tanstack/react-query";
import { useMatch, useNavigate } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { removeCluster } from "../api/gateway";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { toast } from "../ui/toast";
import { Checkbox } from "../ui/checkbox";
import { detachCommand } from "./commands";
import type { ClusterView } from "./model";
import { Failure } from "../ui/failure";

export default function RemoveDialog({ view, onClose }: { view: ClusterView; onClose: () => void }) {
  const { name, uid } = view;
  const { t } = useTranslation();
  const navigate = useNavigate();
  const detail = useMatch({ from: "/clusters/$name", shouldThrow: false });
  const [typed, setTyped] = useState("");
  // Whoever asks again does so because it does not end.
  const [force, setForce] = useState(view.health === "removing");
  const removal = useMutation({
    mutationFn: () => removeCluster({ name, confirm: typed, ...(uid === undefined ? {} : { uid }), force }),
    onSuccess: () => {
      toast(t("removal.done", { name }));
      onClose();
      if (detail?.params.name === name) void navigate({ to: "/clusters", search: true });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (typed === name && !removal.isPending) removal.mutate();
  };
  return (
    <Dialog
      narrow
      title={t("removal.title", { name })}
      subtitle={t("removal.detail")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="remove-cluster" look="danger" busy={removal.isPending} disabled={typed !== name || removal.isPending}>
            {removal.isPending ? t("removal.submitting") : t("removal.submit")}
          </Button>
        </>
      }
    >
      <form id="remove-cluster" onSubmit={submit} className="flex flex-col gap-4">
        <ul className="list-disc space-y-1 pl-5 text-table text-ink-soft">
          <li>{t("removal.effectAccess")}</li>
          <li>{t("removal.effectCredential")}</li>
          <li>{t(force ? "removal.effectStays" : "removal.effectCleared")}</li>
          <li>{t("removal.effectBack")}</li>
        </ul>
        {removal.error && <Failure error={removal.error} />}
        <Field label={t("removal.type")} hint={<code className="font-mono text-ink-soft">{name}</code>}>
          {(props) => (
            <Input
              {...props}
              autoComplete="off"
              autoCapitalize="none"
              className="font-mono"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
        <Checkbox checked={force} onChange={setForce} label={t("removal.force")} hint={t("removal.forceHint")} />
        <div>
          <p className="mb-1 text-caption text-ink-faint">{t("list.fromTerminal")}</p>
          <CodeBlock text={detachCommand(name, force)} label={t("list.fromTerminal")} />
        </div>
      </form>
    </Dialog>
  );
}
