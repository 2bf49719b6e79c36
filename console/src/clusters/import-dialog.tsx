// Import: the hub dials the cluster. Connectivity is checked first, and only what was checked can be imported.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { checkImport, importCluster, supportMatrix, type Connectivity, type ImportRequest } from "../api/gateway";
import { ApiError, fieldErrors } from "../api/status";
import { useClusters } from "../shell/context";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Field, Input, TextArea } from "../ui/field";
import { Notice } from "../ui/message";
import { Segmented } from "../ui/segmented";
import { toast } from "../ui/toast";
import { Failure } from "../ui/failure";
import { nameProblem, serverProblem, toCaData, type FieldProblem } from "./form";

type By = "kubeconfig" | "token";
const FIELDS = ["name", "displayName", "kubeconfig", "server", "caData", "token"] as const;
type FieldName = (typeof FIELDS)[number];
type Values = Record<FieldName, string>;

const EMPTY: Values = { name: "", displayName: "", kubeconfig: "", server: "", caData: "", token: "" };

function toRequest(by: By, values: Values): ImportRequest {
  const displayName = values.displayName.trim();
  return {
    name: values.name,
    ...(displayName ? { displayName } : {}),
    ...(by === "kubeconfig"
      ? { kubeconfig: values.kubeconfig }
      : { server: values.server.trim(), caData: toCaData(values.caData), token: values.token.trim() }),
  };
}

export default function ImportDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { items } = useClusters();
  const [by, setBy] = useState<By>("kubeconfig");
  const [values, setValues] = useState(EMPTY);
  const [tried, setTried] = useState(false);
  const [tooLarge, setTooLarge] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const running = useRef<AbortController>(undefined);

  const check = useMutation({
    mutationFn: (body: ImportRequest) => {
      running.current = new AbortController();
      return checkImport(body, running.current.signal);
    },
  });
  const importing = useMutation({
    mutationFn: importCluster,
    onSuccess: (cluster) => {
      toast(t("import.done", { name: cluster.metadata.name }));
      onClose();
      void navigate({ to: "/clusters/$name", params: { name: cluster.metadata.name }, search: true });
    },
  });

  // Only a hint: without it, the check says the same of the one version that counts.
  const matrix = useQuery({ queryKey: ["support-matrix"], queryFn: ({ signal }) => supportMatrix(signal), staleTime: Infinity, retry: false });
  const range = matrix.data?.releases.find(({ version }) => version === matrix.data.current)?.thirdParty;

  const failure = importing.error ?? check.error;
  const refused = failure instanceof ApiError ? fieldErrors(failure, FIELDS) : undefined;
  const problems: Partial<Record<FieldName, FieldProblem | undefined>> = {
    name: nameProblem(values.name, items),
    ...(by === "kubeconfig"
      ? { kubeconfig: values.kubeconfig.trim() ? undefined : "form.required" }
      : {
          server: serverProblem(values.server.trim()),
          caData: values.caData.trim() ? undefined : "form.required",
          token: values.token.trim() ? undefined : "form.required",
        }),
  };
  const errorOf = (field: FieldName) => {
    const problem = problems[field];
    return (tried && problem ? t(problem) : undefined) ?? refused?.fields[field];
  };
  const reached = check.data?.serverReachable === true;

  /** Any edit makes what was learned about the old values worthless. */
  const edit = (change: () => void) => {
    running.current?.abort();
    check.reset();
    importing.reset();
    setTooLarge(false);
    change();
  };
  const set = (field: FieldName) => (event: { target: { value: string } }) => {
    const { value } = event.target;
    edit(() => setValues((old) => ({ ...old, [field]: value })));
  };
  const close = () => {
    running.current?.abort();
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.values(problems).some(Boolean)) {
      const first = FIELDS.find((field) => problems[field]);
      form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus();
      return;
    }
    if (check.isPending || importing.isPending) return;
    const body = toRequest(by, values);
    if (reached) importing.mutate(body);
    else check.mutate(body);
  };

  return (
    <Dialog
      title={t("import.title")}
      subtitle={range ? t("import.subtitleWithRange", range) : t("import.subtitle")}
      onClose={close}
      footer={
        <>
          <Button onClick={close}>{t("action.cancel")}</Button>
          <Button
            type="submit"
            form="import-cluster"
            look="solid"
            busy={check.isPending || importing.isPending}
          >
            {reached
              ? importing.isPending
                ? t("import.submitting")
                : t("import.submit")
              : check.isPending
                ? t("import.checking")
                : t("import.check")}
          </Button>
        </>
      }
    >
      <form id="import-cluster" ref={form} onSubmit={submit} noValidate className="flex flex-col gap-4">
        <div className="grid items-start gap-4 sm:grid-cols-2">
          <Field label={t("form.name")} hint={t("form.nameHint")} error={errorOf("name")}>
            {(props) => (
              <Input {...props} name="name" autoComplete="off" autoCapitalize="none" value={values.name} onChange={set("name")} />
            )}
          </Field>
          <Field label={t("form.displayName")} optional error={errorOf("displayName")}>
            {(props) => (
              <Input {...props} name="displayName" autoComplete="off" value={values.displayName} onChange={set("displayName")} />
            )}
          </Field>
        </div>
        <Segmented
          label={t("import.by")}
          value={by}
          onChange={(next) => edit(() => setBy(next))}
          options={[
            { value: "kubeconfig", label: t("import.byKubeconfig") },
            { value: "token", label: t("import.byToken") },
          ]}
        />
        {by === "kubeconfig" ? (
          <Field
            label={t("import.kubeconfig")}
            hint={t("import.kubeconfigHint")}
            error={tooLarge ? t("form.tooLarge") : errorOf("kubeconfig")}
            aside={
              <FileButton
                onText={(text) => edit(() => setValues((old) => ({ ...old, kubeconfig: text })))}
                onTooLarge={() => setTooLarge(true)}
              />
            }
          >
            {(props) => (
              <TextArea {...props} name="kubeconfig" rows={8} value={values.kubeconfig} onChange={set("kubeconfig")} />
            )}
          </Field>
        ) : (
          <>
            <Field label={t("import.server")} error={errorOf("server")}>
              {(props) => (
                <Input
                  {...props}
                  name="server"
                  type="url"
                  autoComplete="off"
                  placeholder="https://10.0.0.10:6443"
                  className="font-mono text-table"
                  value={values.server}
                  onChange={set("server")}
                />
              )}
            </Field>
            <Field label={t("import.caData")} hint={t("import.caDataHint")} error={errorOf("caData")}>
              {(props) => <TextArea {...props} name="caData" rows={4} value={values.caData} onChange={set("caData")} />}
            </Field>
            <Field label={t("import.token")} hint={t("import.tokenHint")} error={errorOf("token")}>
              {(props) => (
                <Input
                  {...props}
                  name="token"
                  type="password"
                  autoComplete="off"
                  className="font-mono text-table"
                  value={values.token}
                  onChange={set("token")}
                />
              )}
            </Field>
          </>
        )}
        {failure && (!refused || refused.rest.length > 0) && (
          <Failure error={failure} {...(refused ? { lines: refused.rest } : {})} />
        )}
        {check.data && <Result result={check.data} />}
        {!check.data && !failure && <p className="text-caption text-ink-faint">{t("import.checkFirst")}</p>}
      </form>
    </Dialog>
  );
}

function Result({ result }: { result: Connectivity }) {
  const { t } = useTranslation();
  if (!result.serverReachable) return <Notice tone="bad">{t("import.unreachable")}</Notice>;
  const facts = [
    result.version && t("import.reachableVersion", { version: result.version }),
    typeof result.nodes === "number" && t("import.reachableNodes", { count: result.nodes }),
  ].filter(Boolean);
  return (
    <Notice tone="good">
      <span className="font-medium">{t("import.reachable")}</span>
      {facts.length > 0 && <span className="block text-caption">{facts.join(" · ")}</span>}
    </Notice>
  );
}

/** No kubeconfig is anywhere near this; a wrong choice should not freeze the page. */
const FILE_LIMIT = 1024 * 1024;

function FileButton({ onText, onTooLarge }: { onText: (text: string) => void; onTooLarge: () => void }) {
  const { t } = useTranslation();
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <Button look="link" size="inline" onClick={() => input.current?.click()}>
        {t("import.chooseFile")}
      </Button>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={t("import.chooseFile")}
        onChange={(event) => {
          const file = event.target.files?.[0];
          if (file && file.size > FILE_LIMIT) onTooLarge();
          else if (file) void file.text().then(onText, () => undefined);
          event.target.value = "";
        }}
      />
    </>
  );
}
