import { useMutation } from "@tanstack/react-query";
import { Outlet, useMatch, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { UsersRound } from "lucide-react";
import { useCallback, useDeferredValue, useMemo, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { createGroup, deleteGroup } from "../api/directory";
import { ApiError, fieldErrors } from "../api/status";
import { GROUPS_COMMAND } from "../lib/commands";
import { useShell, useStore } from "../shell/context";
import { ListPage } from "../shell/list-page";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Dialog } from "../ui/dialog";
import { Failure } from "../ui/failure";
import { Field, Input, TextArea } from "../ui/field";
import { Empty } from "../ui/message";
import { Terminal } from "../ui/panel";
import { toast } from "../ui/toast";
import { GroupRemovalContext, groupListing } from "./group-listing";
import { lines } from "./lines";
import { groupView, selectPlain, type GroupView } from "./model";

const RIGHT = { verbs: "list, watch", resource: "groups.auth.alauda.io" };
const words = (view: GroupView) => [view.connector, ...view.members];

type Open = "create" | GroupView | undefined;

export function GroupsPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: "/groups" });
  const { q = "", sort } = useSearch({ from: "/groups" });
  const { name: selected } = useParams({ strict: false });
  const { groups } = useShell();
  const snapshot = useStore(groups);
  const { items } = snapshot;
  const [open, setOpen] = useState<Open>();
  const wanted = useDeferredValue(q);
  const descending = sort === "-name";
  const views = useMemo(() => items?.map(groupView), [items]);
  const rows = useMemo(() => views && selectPlain(views, wanted, descending, words), [views, wanted, descending]);
  const show = useCallback((name: string) => void navigate({ to: "/groups/$name", params: { name }, search: true }), [navigate]);
  const search = (next: string) => void navigate({ to: ".", replace: true, search: (old) => ({ ...(old.sort ? { sort: old.sort } : {}), ...(next ? { q: next } : {}) }) });
  const flip = () => void navigate({ to: ".", replace: true, search: { ...(q ? { q } : {}), ...(descending ? {} : { sort: "-name" }) } });
  const close = () => setOpen(undefined);
  const create = (
    <Button look="solid" onClick={() => setOpen("create")}>
      {t("groups.create")}
    </Button>
  );
  return (
    <GroupRemovalContext value={setOpen}>
      <ListPage
        words={{
          title: t("groups.title"),
          count: t("groups.count", { count: views?.length ?? 0 }),
          filter: t("groups.filter"),
          failed: t("groups.failed"),
          filtered: t("groups.filtered"),
          forbidden: t("groups.forbidden"),
        }}
        icon={UsersRound}
        snapshot={snapshot}
        onRetry={groups.retry}
        views={views}
        rows={rows}
        listing={groupListing}
        heading={(key) => t(`groups.column.${key}`)}
        sorting={{ sort: "group", descending }}
        onSort={(key) => key === "group" && flip()}
        onOpen={show}
        selected={selected}
        selectedTitle={views?.find(({ name }) => name === selected)?.title}
        q={q}
        onSearch={search}
        onClear={() => search("")}
        actions={create}
        none={
          <Empty icon={UsersRound} title={t("groups.none")} actions={create}>
            <p>{t("groups.noneDetail")}</p>
            <div className="mt-4 text-left">
              <Terminal command={GROUPS_COMMAND} />
            </div>
          </Empty>
        }
        right={RIGHT}
        command={GROUPS_COMMAND}
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
  const [tried, setTried] = useState(false);
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
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!problem && !creation.isPending) creation.mutate();
  };
  return (
    <Dialog
      title={t("groups.createTitle")}
      subtitle={t("groups.createDetail")}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button type="submit" form="create-group" look="solid" busy={creation.isPending} disabled={creation.isPending}>
            {t("groups.create")}
          </Button>
        </>
      }
    >
      <form id="create-group" onSubmit={submit} noValidate className="flex flex-col gap-4">
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
        {creation.error && (!refused || refused.rest.length > 0) && <Failure error={creation.error} {...(refused ? { lines: refused.rest } : {})} />}
      </form>
    </Dialog>
  );
}
