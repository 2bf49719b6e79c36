import { Outlet } from "@tanstack/react-router";
import { useTranslation } from "react-i18next";
import { useList } from "../shell/kind";
import { ListPage } from "../shell/list-page";
import { FilterChips } from "../ui/filter-chips";
import { counted } from "../lib/select";
import { LEVELS } from "./keys";
import { useRoleKind } from "./role-listing";

export function RolesPage() {
  const { t } = useTranslation();
  const kind = useRoleKind();
  const list = useList(kind);
  const { views, query, change } = list;
  const counts = counted(views ?? [], ({ level }) => level);
  return (
    <>
      <ListPage
        kind={kind}
        list={list}
        actions={null}
        chips={
          views && (
            <FilterChips
              label={t("roles.byLevel")}
              value={query.level}
              onChange={(level) => change({ level })}
              options={LEVELS.filter((level) => counts.has(level) || level === query.level).map((value) => ({ value, label: t(`level.${value}`), count: counts.get(value) ?? 0 }))}
            />
          )
        }
      />
      <Outlet />
    </>
  );
}
