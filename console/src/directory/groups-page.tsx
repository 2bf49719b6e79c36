import { useMutation } from "@tanstack/react-query";
import { Outlet, useMatch, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { createGroup, deleteGroup } from "../api/directory";
import { ApiError, fieldErrors } from "../api/status";
import { useShell, useStore } from "../shell/context";
import { useList } from "../shell/kind";
import { ListPage } from "../shell/list-page";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Field, Input, TextArea } from "../ui/field";
import { FormDialog } from "../ui/form-dialog";
import { toast } from "../ui/toast";
import { GroupRemovalContext, useGroupKind } from "./group-listing";
import { lines } from "./lines";
import type { GroupView } from "./model";

type Open = "create" | GroupView | undefined;

export function GroupsPage() {
  const { t } = useTranslation();
  const kind = useGroupKind();
  const list = useList(kind);
  const [open, setOpen] = useState<Open>();
  const close = () => setOpen(undefined);
  return (
    <GroupRemovalContext value={setOpen}>
      <ListPage
        kind={kind}
        list={list}
        actions={
          <Button look="solid" onClick={() => setOpen("create")}>
            {t("groups.create")}
          </Button>
        }
      />
      <Outlet />
      {open === "create" && <CreateGroupDialog onClose={close} />}
      {open !== undefined && open !== "create" && <RemoveGroupDialog view={open} onClose={close} />}
    </GroupRemovalContext>
  );
}

function RemoveGroupDialog({ view, onClose }: { view: GroupView; onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const detail = useMatch({ from: "/groups/$name", shouldThrow: false });
  return (
    <ConfirmDialog
      title={t("groups.removeTitle", { name: view.title })}
      effects={[t("groups.removeEffect", { count: view.members.length }), t("groups.removeStays")]}
      submit={t("groups.removeSubmit")}
      typed={{ label: t("groups.typeName"), name: view.name }}
      run={() => deleteGroup(view.name)}
      onDone={() => {
        toast(t("groups.removed", { name: view.title }));
        onClose();
        if (detail?.params.name === view.name) void navigate({ to: "/groups", search: true });
      }}
      onClose={onClose}
    />
  );
}

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const FIELDS = ["name", "displayName", "users"] as const;

function CreateGroupDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { groups } = useShell();
  const { items } = useStore(groups);
  const [name, setName] = useState("");
  const [displayName, setDisplayName] = useState("");
  const [members, setMembers] = useState("");
  const creation = useMutation({
    mutationFn: () => createGroup(name, { ...(displayName.trim() ? { displayName: displayName.trim() } : {}), users: lines(members) }),
    onSuccess: () => {
      toast(t("groups.created", { name }));
      onClose();
    },
  });
  const refused = creation.error instanceof ApiError ? fieldErrors(creation.error, FIELDS) : undefined;
  const problem =
    name === "" ? t("form.required") : !NAME.test(name) ? t("groups.badName") : items?.some(({ metadata }) => metadata.name === name) ? t("groups.taken") : undefined;
  return (
    <FormDialog
      title={t("groups.createTitle")}
      subtitle={t("groups.createDetail")}
      submit={t("groups.create")}
      wrong={problem !== undefined}
      busy={creation.isPending}
      error={creation.error}
      lines={refused?.rest}
      send={() => creation.mutate()}
      onClose={onClose}
    >
      {(tried) => (
        <>
          <div className="grid items-start gap-4 sm:grid-cols-2">
            <Field label={t("form.name")} hint={t("groups.nameHint")} error={(tried ? problem : undefined) ?? refused?.fields.name}>
              {(props) => <Input {...props} name="name" autoComplete="off" autoCapitalize="none" value={name} onChange={(event) => setName(event.target.value)} />}
            </Field>
            <Field label={t("form.displayName")} optional error={refused?.fields.displayName}>
              {(props) => <Input {...props} name="displayName" autoComplete="off" value={displayName} onChange={(event) => setDisplayName(event.target.value)} />}
            </Field>
          </div>
          <Field label={t("groups.members")} optional hint={t("groups.membersHint")} error={refused?.fields.users}>
            {(props) => <TextArea {...props} name="users" rows={4} value={members} onChange={(event) => setMembers(event.target.value)} />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}
