import { Outlet, useMatch, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { OWN_PROJECTS_PATH, PROJECTS_PATH, type Project } from "../api/tenancy";
import { counted } from "../lib/select";
import { useList } from "../shell/kind";
import { ListPage } from "../shell/list-page";
import { useListed } from "../shell/listed";
import { anyOf, GuardedButton, useRightsIn } from "../shell/rights";
import { Select } from "../ui/field";
import { FilterChips } from "../ui/filter-chips";
import { bindingAccess, BindingRemovalContext, givenIn } from "./binding-actions";
import { BindingDialog } from "./binding-dialog";
import { useBindingKind } from "./binding-listing";
import { BindingRemoval } from "./binding-removal";
import { LEVELS, type BindingFilters } from "./keys";
import type { BindingView } from "./model";

const EVERYWHERE = bindingAccess("create", undefined, []);
/** A page asks for so many projects, no more. */
const MOST_PROJECTS = 200;

export function BindingsPage() {
  const { t } = useTranslation();
  const kind = useBindingKind();
  const list = useList(kind);
  const navigate = useNavigate();
  const detail = useMatch({ from: "/bindings/$name", shouldThrow: false });
  const [open, setOpen] = useState<"create" | BindingView>();
  const close = () => setOpen(undefined);
  const projects = useListed<Project>(PROJECTS_PATH, OWN_PROJECTS_PATH);
  const within = (projects ?? []).slice(0, MOST_PROJECTS).map(({ metadata }) => bindingAccess("create", "project", [{ project: metadata.name }]));
  const may = anyOf(useRightsIn([EVERYWHERE, ...within, ...givenIn(list.views ?? [])]));
  return (
    <BindingRemovalContext value={setOpen}>
      <ListPage
        kind={kind}
        list={list}
        chips={list.views && <Filters views={list.views} query={list.query} onChange={list.change} />}
        actions={
          <GuardedButton look="solid" may={may} access={EVERYWHERE.access} onClick={() => setOpen("create")}>
            {t("bindings.create")}
          </GuardedButton>
        }
      />
      <Outlet />
      {open === "create" && <BindingDialog onClose={close} />}
      {open !== undefined && open !== "create" && (
        <BindingRemoval view={open} onClose={close} onDone={() => detail?.params.name === open.name && void navigate({ to: "/bindings", search: true })} />
      )}
    </BindingRemovalContext>
  );
}

interface FiltersProps {
  views: readonly BindingView[];
  query: BindingFilters;
  onChange: (change: BindingFilters) => void;
}

function Filters({ views, query, onChange }: FiltersProps) {
  const { t } = useTranslation();
  const counts = useMemo(() => counted(views, ({ level }) => level), [views]);
  const named = (part: "project" | "cluster") => [...new Set(views.flatMap(({ places }) => places.flatMap((place) => place[part] ?? [])))].toSorted();
  const choices = [
    { part: "project", any: t("bindings.anyProject"), options: named("project").map((name) => [name, name] as const) },
    { part: "cluster", any: t("bindings.anyCluster"), options: named("cluster").map((name) => [name, name] as const) },
    { part: "kind", any: t("bindings.anySubject"), options: [["User", t("bindings.users")], ["Group", t("bindings.groups")]] as const },
  ] as const;
  return (
    <>
      {choices.map(({ part, any, options }) => (
        <Select key={part} aria-label={any} className="h-8! w-auto! max-w-52 text-table" value={query[part] ?? ""} onChange={(event) => onChange({ [part]: event.target.value || undefined })}>
          <option value="">{any}</option>
          {options.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </Select>
      ))}
      <FilterChips
        label={t("roles.byLevel")}
        value={query.level}
        onChange={(level) => onChange({ level })}
        options={LEVELS.filter((level) => counts.has(level) || level === query.level).map((value) => ({ value, label: t(`level.${value}`), count: counts.get(value) ?? 0 }))}
      />
    </>
  );
}
