// How identity providers are listed.
import { IdCard } from "lucide-react";
import { createContext, use } from "react";
import { useTranslation } from "react-i18next";
import type { Connector } from "../api/directory";
import { CONNECTORS_COMMAND } from "../lib/commands";
import type { Kind } from "../shell/kind";
import { OpenItem, RowLink } from "../shell/rows";
import { MenuItem, MenuSeparator } from "../ui/menu";
import type { Listing } from "../ui/object-table";
import { RowCard } from "../ui/row-card";
import { Absent, Changing, Since } from "../ui/values";
import { CONNECTOR_TYPES, providerView, selectProviders, type ProviderKey, type ProviderView } from "./model";
import { ProviderStateBadge } from "./state-badge";

type Props = { view: ProviderView };

export const PROVIDER_ACTIONS = ["edit", "sync", "disable", "enable", "remove"] as const;
export type ProviderAction = (typeof PROVIDER_ACTIONS)[number];

/** What can be done to a provider; the page of the list owns the dialogs. */
export const ProviderActionContext = createContext<(action: ProviderAction, view: ProviderView) => void>(() => undefined);

export function providerActions(view: ProviderView): ProviderAction[] {
  const known = CONNECTOR_TYPES.some((type) => type === view.type);
  const disabled = view.state === "disabled";
  return PROVIDER_ACTIONS.filter((action) => {
    if (action === "edit") return known;
    if (action === "sync") return view.type === "ldap" && !disabled;
    if (action === "disable") return !disabled;
    return action !== "enable" || disabled;
  });
}

const listing: Listing<ProviderView, ProviderKey> = {
  columns: [
    { key: "provider", className: "", Cell: Name },
    { key: "type", className: "w-28 @max-xl:hidden", Cell: Type },
    { key: "state", className: "", Cell: State },
    { key: "synced", className: "w-56 @max-3xl:hidden", Cell: Synced },
  ],
  MenuItems,
  Card,
};

export const providerKind: Kind<Connector, ProviderView, ProviderKey> = {
  path: "providers",
  store: "connectors",
  icon: IdCard,
  words: { title: "providers.title", count: "providers.count", filter: "providers.filter", failed: "providers.failed", filtered: "providers.filtered", forbidden: "providers.forbidden", none: "providers.none", noneDetail: "providers.noneDetail", missing: "providers.missing", unread: "providers.failed" },
  headings: { provider: "providers.column.provider", type: "providers.column.type", state: "providers.column.state", synced: "providers.column.synced" },
  right: { verbs: "list, watch", resource: "connectors.dex.coreos.com", namespace: "cpaas-system" },
  commands: { list: CONNECTORS_COMMAND, create: CONNECTORS_COMMAND },
  listing: listing,
  view: providerView,
  select: selectProviders,
};

function Name({ view }: Props) {
  return (
    <>
      <RowLink path="providers" view={view} />
      {view.title !== view.id && <span className="block truncate font-mono text-caption text-ink-faint">{view.id}</span>}
    </>
  );
}

export function Type({ view }: Props) {
  return <span className="text-ink-soft uppercase">{view.type}</span>;
}

function State({ view }: Props) {
  return (
    <span className="flex min-w-0 items-center gap-x-2 @max-3xl:flex-col @max-3xl:items-start">
      <Changing value={view.state}>
        <ProviderStateBadge state={view.state} />
      </Changing>
      {view.reason && (
        <span className="max-w-full truncate text-caption text-ink-faint" title={view.reason}>
          {view.reason}
        </span>
      )}
    </span>
  );
}

function Synced({ view }: Props) {
  const time = Date.parse(view.synced?.lastTransitionTime ?? "");
  if (!view.synced) return <Absent />;
  return (
    <>
      <span className="block truncate text-ink-soft" title={view.synced.message}>
        {view.synced.message ?? view.synced.reason}
      </span>
      {!Number.isNaN(time) && (
        <span className="block text-caption text-ink-faint">
          <Since time={time} />
        </span>
      )}
    </>
  );
}

function MenuItems({ view }: Props) {
  const { t } = useTranslation();
  const act = use(ProviderActionContext);
  return (
    <>
      <OpenItem path="providers" view={view} />
      <MenuSeparator />
      {providerActions(view).map((action) => (
        <MenuItem key={action} danger={action === "remove"} onSelect={() => act(action, view)}>
          {t(`providerAction.${action}`)}
        </MenuItem>
      ))}
    </>
  );
}

function Card({ view }: Props) {
  return (
    <RowCard title={<Name view={view} />} badge={<ProviderStateBadge state={view.state} />} detail={view.reason}>
      <Type view={view} />
      {view.synced && (
        <div className="min-w-0">
          <Synced view={view} />
        </div>
      )}
    </RowCard>
  );
}
