import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { deleteBinding, GROUP_BINDINGS_PATH, previewBindings } from "../api/tenancy";
import { useShell } from "../shell/context";
import { forgetListed } from "../shell/listed";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Queried } from "../ui/panel";
import { toast } from "../ui/toast";
import { useRoleName } from "./binding-listing";
import { Changes, Unknown } from "./changes";
import type { BindingView } from "./model";

export function BindingRemoval({ view, onDone, onClose }: { view: BindingView; onDone?: () => void; onClose: () => void }) {
  const { t } = useTranslation();
  const role = useRoleName()(view.role);
  const { bindings } = useShell();
  const queries = useQueryClient();
  const ofGroups = view.object.kind === "GroupBinding";
  return (
    <ConfirmDialog
      title={t("bindings.removeTitle", { name: view.title })}
      detail={t("bindings.removeDetail", { role })}
      effects={ofGroups ? [t("bindings.removeUntold")] : []}
      submit={t("bindings.removeSubmit")}
      run={() => deleteBinding(view.object)}
      onDone={() => {
        toast(t("bindings.removed", { name: view.title }));
        bindings.retry();
        if (ofGroups) void forgetListed(queries, GROUP_BINDINGS_PATH);
        onClose();
        onDone?.();
      }}
      onClose={onClose}
    >
      {!ofGroups && <Losses name={view.object.metadata.name} />}
    </ConfirmDialog>
  );
}

function Losses({ name }: { name: string }) {
  const { t } = useTranslation();
  const query = useQuery({ queryKey: ["losses", name], queryFn: () => previewBindings({ delete: [name] }), gcTime: 0 });
  return (
    <section>
      <h3 className="mb-2 text-table">{t("bindings.losses")}</h3>
      <Queried query={query}>
        {(preview) => (
          <>
            <Changes changes={preview.losses} label={t("bindings.losses")} none={t("bindings.losesNothing")} />
            <Unknown preview={preview} />
          </>
        )}
      </Queried>
    </section>
  );
}
