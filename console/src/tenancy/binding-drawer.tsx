// One binding beside the list.
import { Link } from "@tanstack/react-router";
import { Trash2 } from "lucide-react";
import { use } from "react";
import { useTranslation } from "react-i18next";
import { bindingCommand } from "../lib/commands";
import { dateAndTime } from "../lib/time";
import { ObjectDrawer } from "../shell/object-drawer";
import { GuardedButton, useRights } from "../shell/rights";
import { Conditions, Fact, Section } from "../ui/detail";
import { Notice } from "../ui/message";
import { Terminal } from "../ui/panel";
import { Absent } from "../ui/values";
import { BindingRemovalContext, removalAccess } from "./binding-actions";
import { useBindingKind, useRoleName } from "./binding-listing";
import type { BindingView } from "./model";
import { BindingStateBadge, LevelChip, SubjectName, usePlacesWords } from "./states";

export const BindingDrawer = () => <ObjectDrawer kind={useBindingKind()} Subtitle={Subtitle} State={State} Detail={Detail} />;

const Subtitle = ({ view }: { view: BindingView }) => <p className="font-mono text-caption break-all text-ink-soft">{view.object.metadata.name}</p>;

const State = ({ view }: { view: BindingView }) => (
  <>
    <BindingStateBadge state={view.state} />
    <LevelChip level={view.level} />
  </>
);

function Detail({ view }: { view: BindingView }) {
  const { t, i18n } = useTranslation();
  const remove = use(BindingRemovalContext);
  const role = useRoleName()(view.role);
  const where = usePlacesWords()(view.level, view.places);
  const { access, cluster } = removalAccess(view);
  const [may] = useRights([access], cluster);
  const made = view.object.status?.bindingsCreated;
  return (
    <div className="flex flex-col gap-6 px-5 py-5">
      {view.reason && view.state !== "Synced" && (
        <Notice tone={view.state === "Pending" || view.state === "Terminating" ? "stale" : "bad"} live={false}>
          {view.reason}
        </Notice>
      )}
      <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
        <Fact name={t("bindings.column.subject")} wide>
          <ul className="space-y-1">
            {view.subjects.map((subject) => (
              <li key={`${subject.kind} ${subject.name}`}>
                <SubjectName subject={subject} />
              </li>
            ))}
          </ul>
        </Fact>
        <Fact name={t("bindings.column.role")}>
          <Link to="/roles/$name" params={{ name: view.role }} className="rounded-sm text-accent-text underline-offset-4 hover:underline">
            {role}
          </Link>
        </Fact>
        <Fact name={t("bindings.column.place")}>
          <span className="whitespace-pre-line">{where}</span>
        </Fact>
        <Fact name={t("roles.synced")}>{view.synced.length > 0 ? view.synced.join(", ") : <Absent />}</Fact>
        <Fact name={t("bindings.native")}>{made ? t("bindings.nativeCounts", { cluster: made.clusterRoleBindings ?? 0, namespace: made.roleBindings ?? 0 }) : <Absent />}</Fact>
        {view.failed.length > 0 && <Fact name={t("roles.notSynced")}>{view.failed.join(", ")}</Fact>}
        <Fact name={t("bindings.column.created")}>{view.created === undefined ? <Absent /> : dateAndTime(view.created, i18n.language)}</Fact>
      </dl>
      <Section title={t("detail.conditions")}>
        <Conditions conditions={view.conditions} />
      </Section>
      <Terminal command={bindingCommand(view.object.metadata.name)} />
      <div className="border-t border-line pt-4">
        <GuardedButton look="risky" may={may} access={access} {...(cluster ? { cluster } : {})} onClick={() => remove(view)}>
          <Trash2 className="size-4" aria-hidden />
          {t("bindings.remove")}
        </GuardedButton>
      </div>
    </div>
  );
}
