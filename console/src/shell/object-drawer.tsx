// One object beside its list, at its own address.
import { useNavigate } from "@tanstack/react-router";
import { CloudOff, SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { WatchedObject } from "../api/watch-store";
import { useElapsed } from "../lib/elapsed";
import { Drawer, DrawerTitle } from "../ui/dialog";
import { Empty } from "../ui/message";
import { focusRow, labelOf, type Row } from "../ui/object-table";
import { useSelected, type Kind } from "./kind";

interface Props<Item extends WatchedObject, View extends Row> {
  kind: Pick<Kind<Item, View, string>, "path" | "store" | "view" | "also" | "words">;
  /** Beside the title, and below it. */
  Mark?: (props: { view: View }) => ReactNode;
  Subtitle?: (props: { view: View }) => ReactNode;
  State?: (props: { view: View }) => ReactNode;
  Detail: (props: { view: View }) => ReactNode;
}

export function ObjectDrawer<Item extends WatchedObject, View extends Row>({ kind, Mark, Subtitle, State, Detail }: Props<Item, View>) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { name, view, listed, error } = useSelected(kind);
  const late = useElapsed(200);
  return (
    <Drawer
      onClose={() => void navigate({ to: `/${kind.path}`, search: true })}
      onCloseAutoFocus={(event) => {
        event.preventDefault();
        focusRow(name);
      }}
      header={
        <>
          <div className="flex min-w-0 items-center gap-2">
            <DrawerTitle className="min-w-0 text-heading break-words">{view ? labelOf(view) : name}</DrawerTitle>
            {view && Mark && <Mark view={view} />}
          </div>
          {view && Subtitle && <Subtitle view={view} />}
          {view && State && (
            // In a table the shape of a badge hangs out, so that its mark lines up; here it lines up itself.
            <div className="mt-2 flex flex-wrap items-center gap-2 *:ml-0">
              <State view={view} />
            </div>
          )}
        </>
      }
    >
      {view ? (
        <Detail view={view} />
      ) : listed ? (
        <Empty icon={SearchX} title={t(kind.words.missing, { name })}>
          {t("detail.missingDetail")}
        </Empty>
      ) : error ? (
        <Empty icon={CloudOff} title={t(kind.words.unread, { name })}>
          {error.message || t("error.unreachable")}
        </Empty>
      ) : (
        late && <p className="p-5 text-ink-faint">{t("list.loading")}</p>
      )}
    </Drawer>
  );
}
