// How bindings are listed: who holds which role, and where.
import { UserCheck, Trash2 } from "lucide-react";
import { use, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { GROUP_BINDINGS_PATH, ROLES_PATH, type Binding, type RoleTemplate } from "../api/tenancy";
import { BINDINGS_COMMAND } from "../lib/commands";
import type { Kind } from "../shell/kind";
import { useListed } from "../shell/listed";
import { GuardNote, useRights } from "../shell/rights";
import { Created, OpenItem, RowLink } from "../shell/rows";
import { MenuItem } from "../ui/menu";
import type { Listing } from "../ui/object-table";
import { RowCard } from "../ui/row-card";
import { Changing } from "../ui/values";
import { BindingRemovalContext, removalAccess } from "./binding-actions";
import type { BindingFilters, BindingKey } from "./keys";
import { bindingView, roleView, selectBindings, type BindingView } from "./model";
import { BindingStateBadge, LevelChip, usePlacesWords } from "./states";

type Props = { view: BindingView };

const listing: Listing<BindingView, BindingKey> = {
  columns: [
    { key: "subject", className: "", Cell: Who },
    { key: "role", className: "w-56 @max-xl:w-40", Cell: RoleCell },
    { key: "place", className: "@max-xl:hidden", Cell: Where },
    { key: "state", className: "w-40 @max-3xl:hidden", Cell: State },
    { key: "created", className: "w-32 @max-5xl:hidden", Cell: Created },
  ],
  MenuItems,
  Card,
};

const bindingKind: Kind<Binding, BindingView, BindingKey, BindingFilters> = {
  path: "bindings",
  store: "bindings",
  icon: UserCheck,
  words: { title: "bindings.title", count: "bindings.count", filter: "bindings.filter", failed: "bindings.failed", filtered: "bindings.filtered", forbidden: "bindings.forbidden", none: "bindings.none", noneDetail: "bindings.noneDetail", missing: "bindings.missing", unread: "bindings.failed" },
  headings: { subject: "bindings.column.subject", role: "bindings.column.role", place: "bindings.column.place", state: "bindings.column.state", created: "bindings.column.created" },
  right: { verbs: "list, watch", resource: "userbindings.auth.alauda.io" },
  commands: { list: BINDINGS_COMMAND, create: BINDINGS_COMMAND },
  listing,
  view: bindingView,
  select: selectBindings,
};

/** Bindings are objects of two kinds. In a list an object does not say its own. */
export function useBindingKind(): Kind<Binding, BindingView, BindingKey, BindingFilters> {
  const items = useListed<Binding>(GROUP_BINDINGS_PATH);
  return useMemo(() => ({ ...bindingKind, also: (items ?? []).map((object) => ({ ...object, kind: "GroupBinding" })) }), [items]);
}

/** What the role is called, if it can be read. */
export function useRoleName(): (role: string) => string {
  const { i18n } = useTranslation();
  const items = useListed<RoleTemplate>(ROLES_PATH);
  return (role) => {
    const found = items?.find(({ metadata }) => metadata.name === role);
    return found ? roleView(i18n.language)(found).title : role;
  };
}

function Who({ view }: Props) {
  const { t } = useTranslation();
  const kinds = [...new Set(view.subjects.map(({ kind }) => t(`subject.${kind}`)))].join(", ");
  return (
    <>
      <RowLink path="bindings" view={view} />
      <span className="block truncate text-caption text-ink-faint">{kinds || view.object.metadata.name}</span>
    </>
  );
}

function RoleCell({ view }: Props) {
  const name = useRoleName()(view.role);
  return (
    <>
      <span className="block truncate" title={view.role}>
        {name}
      </span>
      <LevelChip level={view.level} />
    </>
  );
}

function Where({ view }: Props) {
  const words = usePlacesWords()(view.level, view.places);
  return (
    <span className="line-clamp-2 whitespace-pre-line text-ink-soft" title={words}>
      {words}
    </span>
  );
}

function State({ view }: Props) {
  return (
    <>
      <Changing value={view.state}>
        <BindingStateBadge state={view.state} />
      </Changing>
      {view.failed.length > 0 && (
        <span className="block truncate text-caption text-ink-faint" title={view.failed.join(", ")}>
          {view.failed.join(", ")}
        </span>
      )}
    </>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const remove = use(BindingRemovalContext);
  const { access, cluster } = removalAccess(view);
  const [may] = useRights([access], cluster);
  return (
    <>
      <OpenItem path="bindings" view={view} />
      <MenuItem danger={may === true} disabled={!may} icon={<Trash2 className="size-4" aria-hidden />} onSelect={() => remove(view)}>
        <span>
          {t("bindings.remove")}
          <GuardNote may={may} access={access} {...(cluster ? { cluster } : {})} />
        </span>
      </MenuItem>
    </>
  );
}

function Card({ view }: Props) {
  const role = useRoleName()(view.role);
  const where = usePlacesWords()(view.level, view.places);
  return (
    <RowCard
      title={
        <>
          <RowLink path="bindings" view={view} />
          <p className="truncate text-caption text-ink-faint">{role}</p>
        </>
      }
      badge={<BindingStateBadge state={view.state} />}
    >
      <LevelChip level={view.level} />
      <span className="min-w-0 break-words">{where}</span>
    </RowCard>
  );
}
