// What is asked before something is done to a user.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMatch, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import {
  createUser,
  deleteUser,
  disableUser,
  enableUser,
  patchUser,
  removeSecondFactor,
  resetPassword,
  unlockUser,
  type NewUser,
} from "../api/directory";
import { endSessions } from "../api/identity";
import { ApiError, fieldErrors } from "../api/status";
import { CREATE_USER_COMMAND, userCommand } from "../lib/commands";
import { useShell, useStore } from "../shell/context";
import { Checkbox } from "../ui/checkbox";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Field, Input, TextArea } from "../ui/field";
import { FormDialog } from "../ui/form-dialog";
import { isGoodPassword, NewPassword } from "../ui/new-password";
import { OnceDialog } from "../ui/once-dialog";
import { Segmented } from "../ui/segmented";
import { toast } from "../ui/toast";
import { lines } from "./lines";
import type { UserView } from "./model";
import { usePasswordLengths } from "./policy-query";
import type { UserAction } from "./user-actions";

interface Props {
  action: UserAction;
  view: UserView;
  onClose: () => void;
}

export function UserDialog({ action, view, onClose }: Props) {
  const { t } = useTranslation();
  const verb = useVerb();
  const { name, username } = view;
  const queries = useQueryClient();
  const done = (words: string) => {
    toast(words);
    void queries.invalidateQueries({ queryKey: ["sessions"] });
    onClose();
  };
  switch (action) {
    case "edit":
      return <EditDialog view={view} onClose={onClose} />;
    case "disable":
      return <DisableDialog view={view} onDone={() => done(t("userDone.disable", { name: username }))} onClose={onClose} />;
    case "resetPassword":
      return <ResetPasswordDialog view={view} onClose={onClose} />;
    case "remove":
      return <RemoveDialog view={view} onClose={onClose} />;
    case "enable":
      return (
        <ConfirmDialog
          harmless
          title={t("userAsk.enable", { name: username })}
          effects={[t("userEffect.enable")]}
          submit={verb("enable")}
          command={userCommand("enable", username)}
          run={() => enableUser(name)}
          onDone={() => done(t("userDone.enable", { name: username }))}
          onClose={onClose}
        />
      );
    case "unlock":
      return (
        <ConfirmDialog
          harmless
          title={t("userAsk.unlock", { name: username })}
          effects={[t("userEffect.unlock")]}
          submit={verb("unlock")}
          command={userCommand("unlock", username)}
          run={() => unlockUser(name)}
          onDone={() => done(t("userDone.unlock", { name: username }))}
          onClose={onClose}
        />
      );
    case "removeSecondFactor":
      return (
        <ConfirmDialog
          title={t("userAsk.removeSecondFactor", { name: username })}
          effects={[t("userEffect.removeSecondFactor")]}
          submit={verb("removeSecondFactor")}
          run={() => removeSecondFactor(name)}
          onDone={() => done(t("userDone.removeSecondFactor", { name: username }))}
          onClose={onClose}
        />
      );
    case "endSessions":
      return (
        <ConfirmDialog
          title={t("userAsk.endSessions", { name: username })}
          effects={[t("userEffect.endSessions"), t("sessions.endOthersTokens")]}
          submit={verb("endSessions")}
          run={() => endSessions(username)}
          onDone={() => done(t("userDone.endSessions", { name: username }))}
          onClose={onClose}
        />
      );
  }
}

/** What an entry of a menu leads to with `…`, a button does. */
function useVerb(): (action: UserAction) => string {
  const { t } = useTranslation();
  return (action) => t(`userAction.${action}`).replace("…", "");
}

interface DialogProps {
  view: UserView;
  onClose: () => void;
}

function DisableDialog({ view, onDone, onClose }: DialogProps & { onDone: () => void }) {
  const { t } = useTranslation();
  const verb = useVerb();
  const [reason, setReason] = useState("");
  return (
    <ConfirmDialog
      title={t("userAsk.disable", { name: view.username })}
      effects={[t("userEffect.disable"), t("userEffect.disableBack")]}
      submit={verb("disable")}
      command={userCommand("disable", view.username)}
      run={() => disableUser(view.name, reason.trim())}
      onDone={onDone}
      onClose={onClose}
    >
      <Field label={t("users.reason")} optional hint={t("users.reasonHint")}>
        {(props) => <Input {...props} name="reason" autoComplete="off" value={reason} onChange={(event) => setReason(event.target.value)} />}
      </Field>
    </ConfirmDialog>
  );
}

function ResetPasswordDialog({ view, onClose }: DialogProps) {
  const { t } = useTranslation();
  const verb = useVerb();
  const [password, setPassword] = useState<string>();
  if (password !== undefined) {
    return (
      <OnceDialog title={t("userDone.resetPassword", { name: view.username })} subtitle={t("users.changesAtFirst")} label={t("users.newPassword")} secret={password} onClose={onClose} />
    );
  }
  return (
    <ConfirmDialog
      title={t("userAsk.resetPassword", { name: view.username })}
      effects={[t("userEffect.resetPassword"), t("users.changesAtFirst")]}
      submit={verb("resetPassword")}
      command={userCommand("reset-password", view.username)}
      run={() => resetPassword(view.name)}
      onDone={(answer) => setPassword(answer.password)}
      onClose={onClose}
    />
  );
}

function RemoveDialog({ view, onClose }: DialogProps) {
  const { t } = useTranslation();
  const verb = useVerb();
  const navigate = useNavigate();
  const detail = useMatch({ from: "/users/$name", shouldThrow: false });
  return (
    <ConfirmDialog
      title={t("userAsk.remove", { name: view.username })}
      effects={[t("userEffect.remove"), ...(view.local ? [] : [t("userEffect.removeElsewhere", { provider: view.provider.name })])]}
      submit={verb("remove")}
      typed={{ label: t("users.typeName"), name: view.username }}
      run={() => deleteUser(view.name)}
      onDone={() => {
        toast(t("userDone.remove", { name: view.username }));
        onClose();
        if (detail?.params.name === view.name) void navigate({ to: "/users", search: true });
      }}
      onClose={onClose}
    />
  );
}

/** A time as the browser's own control writes it: where people are, without a zone. */
function toLocal(time: string | undefined): string {
  const parsed = Date.parse(time ?? "");
  if (Number.isNaN(parsed)) return "";
  const date = new Date(parsed);
  return new Date(parsed - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const fromLocal = (local: string): string | undefined => (local === "" ? undefined : new Date(local).toISOString());

const EDITABLE = ["groups", "is_admin", "begin", "end"] as const;

function EditDialog({ view, onClose }: DialogProps) {
  const { t } = useTranslation();
  const [groups, setGroups] = useState(view.groups.join("\n"));
  const [admin, setAdmin] = useState(view.admin);
  const [begin, setBegin] = useState(toLocal(view.begin));
  const [end, setEnd] = useState(toLocal(view.end));
  const save = useMutation({
    mutationFn: (spec: Record<string, unknown>) => patchUser(view.name, spec),
    onSuccess: () => {
      toast(t("userDone.edit", { name: view.username }));
      onClose();
    },
  });
  const refused = save.error instanceof ApiError ? fieldErrors(save.error, EDITABLE) : undefined;
  const backwards = begin !== "" && end !== "" && end <= begin;
  const send = () => {
    // Only what was changed: others may be changing the rest.
    const spec: Record<string, unknown> = {};
    if (view.local && lines(groups).join("\n") !== view.groups.join("\n")) spec.groups = lines(groups);
    if (admin !== view.admin) spec.is_admin = admin;
    if (begin !== toLocal(view.begin) || end !== toLocal(view.end)) spec.expired = { begin: fromLocal(begin) ?? null, end: fromLocal(end) ?? null };
    if (Object.keys(spec).length === 0) return onClose();
    save.mutate(spec);
  };
  return (
    <FormDialog
      title={t("userAsk.edit", { name: view.username })}
      subtitle={view.displayName}
      submit={t("action.save")}
      wrong={backwards}
      busy={save.isPending}
      error={save.error}
      lines={refused?.rest}
      send={send}
      onClose={onClose}
    >
      {(tried) => (
        <>
          <Field label={t("users.column.groups")} hint={view.local ? t("users.groupsHint") : t("users.groupsElsewhere", { provider: view.provider.name })} error={refused?.fields.groups}>
            {(props) => <TextArea {...props} name="groups" rows={3} disabled={!view.local} value={groups} onChange={(event) => setGroups(event.target.value)} />}
          </Field>
          <Checkbox checked={admin} onChange={setAdmin} label={t("users.makeAdmin")} hint={t("users.makeAdminHint")} />
          <div className="grid items-start gap-4 sm:grid-cols-2">
            <Field label={t("users.validFrom")} optional error={refused?.fields.begin}>
              {(props) => <Input {...props} name="begin" type="datetime-local" value={begin} onChange={(event) => setBegin(event.target.value)} />}
            </Field>
            <Field label={t("users.validTo")} optional error={tried && backwards ? t("users.backwards") : refused?.fields.end}>
              {(props) => <Input {...props} name="end" type="datetime-local" value={end} onChange={(event) => setEnd(event.target.value)} />}
            </Field>
          </div>
        </>
      )}
    </FormDialog>
  );
}

const FIELDS = ["username", "email", "displayName", "groups", "password"] as const;

export function CreateUserDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const creation = useMutation({
    mutationFn: createUser,
    onSuccess: ({ password }, { username }) => {
      if (password !== undefined) return;
      toast(t("userDone.create", { name: username }));
      onClose();
    },
  });
  if (creation.data?.password !== undefined) {
    return (
      <OnceDialog
        title={t("userDone.create", { name: creation.data.spec?.username ?? creation.data.metadata.name })}
        subtitle={t("users.changesAtFirst")}
        label={t("users.firstPassword")}
        secret={creation.data.password}
        onClose={onClose}
      />
    );
  }
  return <AskUser busy={creation.isPending} error={creation.error} onSubmit={creation.mutate} onClose={onClose} />;
}

interface AskProps {
  busy: boolean;
  error: Error | null;
  onSubmit: (body: NewUser) => void;
  onClose: () => void;
}

function AskUser({ busy, error, onSubmit, onClose }: AskProps) {
  const { t } = useTranslation();
  const { users } = useShell();
  const { items } = useStore(users);
  const [values, setValues] = useState({ username: "", email: "", displayName: "", groups: "" });
  const [admin, setAdmin] = useState(false);
  const [by, setBy] = useState<"made" | "chosen">("made");
  const [password, setPassword] = useState({ first: "", second: "" });
  const lengths = usePasswordLengths();
  const refused = error instanceof ApiError ? fieldErrors(error, FIELDS) : undefined;
  const username = values.username.trim();
  const email = values.email.trim();
  const problems = {
    username: username === "" ? t("form.required") : items?.some(({ spec }) => spec?.username === username) ? t("users.taken") : undefined,
    email: /^\S+@\S+$/.test(email) ? undefined : t("users.badEmail"),
  };
  const set = (field: keyof typeof values) => (event: { target: { value: string } }) => {
    const { value } = event.target;
    setValues((old) => ({ ...old, [field]: value }));
  };
  const send = () => {
    const displayName = values.displayName.trim();
    const groups = lines(values.groups);
    onSubmit({
      username,
      email,
      ...(displayName ? { displayName } : {}),
      ...(groups.length > 0 ? { groups } : {}),
      ...(admin ? { is_admin: true } : {}),
      ...(by === "chosen" ? { password: password.first } : {}),
    });
  };
  return (
    <FormDialog
      title={t("users.createTitle")}
      subtitle={t("users.createDetail")}
      submit={t("users.create")}
      wrong={Object.values(problems).some(Boolean) || (by === "chosen" && !isGoodPassword(password, lengths))}
      busy={busy}
      error={error}
      lines={refused?.rest}
      command={username ? CREATE_USER_COMMAND.replace("NAME", () => username) : CREATE_USER_COMMAND}
      send={send}
      onClose={onClose}
    >
      {(tried) => (
        <>
          <div className="grid items-start gap-4 sm:grid-cols-2">
            <Field label={t("account.username")} error={(tried ? problems.username : undefined) ?? refused?.fields.username}>
              {(props) => <Input {...props} name="username" autoComplete="off" autoCapitalize="none" value={values.username} onChange={set("username")} />}
            </Field>
            <Field label={t("users.email")} error={(tried ? problems.email : undefined) ?? refused?.fields.email}>
              {(props) => <Input {...props} name="email" type="email" autoComplete="off" value={values.email} onChange={set("email")} />}
            </Field>
          </div>
          <Field label={t("form.displayName")} optional error={refused?.fields.displayName}>
            {(props) => <Input {...props} name="displayName" autoComplete="off" value={values.displayName} onChange={set("displayName")} />}
          </Field>
          <Field label={t("users.column.groups")} optional hint={t("users.groupsHint")} error={refused?.fields.groups}>
            {(props) => <TextArea {...props} name="groups" rows={2} className="min-h-16!" value={values.groups} onChange={set("groups")} />}
          </Field>
          <Checkbox checked={admin} onChange={setAdmin} label={t("users.makeAdmin")} hint={t("users.makeAdminHint")} />
          <div className="flex flex-col gap-2">
            <p className="font-medium" aria-hidden>
              {t("users.firstPassword")}
            </p>
            <Segmented
              label={t("users.firstPassword")}
              value={by}
              onChange={setBy}
              options={[
                { value: "made", label: t("users.passwordMade") },
                { value: "chosen", label: t("users.passwordChosen") },
              ]}
            />
            <p className="text-caption text-ink-faint">{by === "made" ? t("users.passwordMadeHint") : t("users.changesAtFirst")}</p>
          </div>
          {by === "chosen" && <NewPassword value={password} lengths={lengths} onChange={setPassword} tried={tried} refused={refused?.fields.password} />}
        </>
      )}
    </FormDialog>
  );
}
