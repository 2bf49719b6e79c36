// What rows of all kinds have in common: their link, and the way to their drawer in their menu.
import { Link, useNavigate } from "@tanstack/react-router";
import { SquareArrowOutUpRight } from "lucide-react";
import { useTranslation } from "react-i18next";
import { MenuItem } from "../ui/menu";
import { labelOf, rowLink, type Row } from "../ui/object-table";
import { Absent, Since } from "../ui/values";
import type { KindPath } from "./kind";

interface Props {
  path: KindPath;
  view: Row;
}

/** The name, as the link that the keyboard moves between. */
export function RowLink({ path, view }: Props) {
  return (
    <Link
      to={`/${path}/$name`}
      params={{ name: view.name }}
      search
      {...rowLink(view.name)}
      className="block w-fit max-w-full min-w-0 truncate rounded-sm font-medium text-ink underline-offset-4 hover:underline"
    >
      {labelOf(view)}
    </Link>
  );
}

export function OpenItem({ path, view }: Props) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  return (
    <MenuItem icon={<SquareArrowOutUpRight className="size-4" aria-hidden />} onSelect={() => void navigate({ to: `/${path}/$name`, params: { name: view.name }, search: true })}>
      {t("clusters.open")}
    </MenuItem>
  );
}

export function Created({ view: { created } }: { view: { created: number | undefined } }) {
  if (created === undefined) return <Absent />;
  return (
    <span className="whitespace-nowrap text-ink-soft">
      <Since time={created} />
    </span>
  );
}
