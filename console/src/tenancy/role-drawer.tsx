// One role beside the list: what it allows, in words and as rules, in a cluster of one's choice.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { CLUSTERS_PATH, HUB_NAME, type Cluster } from "../api/cluster";
import { readClusterRoles, type ClusterRole, type PolicyRule } from "../api/tenancy";
import { roleCommand } from "../lib/commands";
import { dateAndTime } from "../lib/time";
import { useListed } from "../shell/listed";
import { ObjectDrawer } from "../shell/object-drawer";
import { Conditions, Fact, Section } from "../ui/detail";
import { Select } from "../ui/field";
import { Queried, Terminal } from "../ui/panel";
import { Segmented } from "../ui/segmented";
import { Absent } from "../ui/values";
import type { RoleView } from "./model";
import { useRoleKind } from "./role-listing";
import { RulesInWords, RulesTable } from "./rules";
import { LevelChip, RoleStateBadge } from "./states";

export const RoleDrawer = () => <ObjectDrawer kind={useRoleKind()} Subtitle={Subtitle} State={State} Detail={Detail} />;

const Subtitle = ({ view }: { view: RoleView }) => <p className="font-mono text-caption break-all text-ink-soft">{view.name}</p>;

const State = ({ view }: { view: RoleView }) => (
  <>
    <RoleStateBadge state={view.state} />
    <LevelChip level={view.level} />
  </>
);

function Detail({ view }: { view: RoleView }) {
  const { t, i18n } = useTranslation();
  return (
    <div className="flex flex-col gap-6 px-5 py-5">
      {view.description && <p>{view.description}</p>}
      <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
        <Fact name={t("roles.bound")}>{view.level ? t(`levelDetail.${view.level}`) : <Absent />}</Fact>
        <Fact name={t("roles.column.created")}>{view.created === undefined ? <Absent /> : dateAndTime(view.created, i18n.language)}</Fact>
        <Fact name={t("roles.synced")}>{view.synced.length > 0 ? view.synced.join(", ") : <Absent />}</Fact>
        {view.failed.length > 0 && <Fact name={t("roles.notSynced")}>{view.failed.join(", ")}</Fact>}
      </dl>
      <Allows key={view.name} view={view} />
      <Section title={t("detail.conditions")}>
        <Conditions conditions={view.conditions} />
      </Section>
      <Terminal command={roleCommand(view.name)} />
    </div>
  );
}

const SCOPES = ["cluster", "project-ns", "business-ns", "system-ns", "kube-public", "custom"] as const;

/** The native roles of a template are named by where they hold. */
function scopeOf(role: ClusterRole, template: string): string {
  return role.metadata.name.replace(`cpaas:${template}:`, "");
}

const rank = (scope: string) => (SCOPES.indexOf(scope as (typeof SCOPES)[number]) + SCOPES.length + 1) % (SCOPES.length + 1);

function Allows({ view }: { view: RoleView }) {
  const { t } = useTranslation();
  const clusters = useListed<Cluster>(CLUSTERS_PATH);
  const [cluster, setCluster] = useState<string>(HUB_NAME);
  const [as, setAs] = useState<"words" | "rules">("words");
  const query = useQuery({ queryKey: ["clusterroles", cluster, view.name], queryFn: () => readClusterRoles(cluster, view.name) });
  const names = [...new Set([HUB_NAME, ...(clusters ?? []).map(({ metadata }) => metadata.name)])];
  return (
    <Section title={t("roles.allows")}>
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <Select aria-label={t("roles.asIn")} className="w-auto! max-w-full" value={cluster} onChange={(event) => setCluster(event.target.value)}>
          {names.map((name) => (
            <option key={name} value={name}>
              {t("roles.inCluster", { name })}
            </option>
          ))}
        </Select>
        <Segmented
          label={t("roles.shownAs")}
          value={as}
          onChange={setAs}
          options={[
            { value: "words", label: t("roles.words") },
            { value: "rules", label: t("roles.rules") },
          ]}
        />
      </div>
      <div className="rounded-lg border border-line bg-surface">
        <Queried query={query}>
          {(roles) =>
            roles.length === 0 ? (
              <p className="px-4 py-3 text-table text-ink-faint">{t("roles.noNative", { cluster })}</p>
            ) : (
              <ul>
                {roles.toSorted((a, b) => rank(scopeOf(a, view.name)) - rank(scopeOf(b, view.name))).map((role) => (
                  <NativeRole key={role.metadata.name} role={role} scope={scopeOf(role, view.name)} as={as} />
                ))}
              </ul>
            )
          }
        </Queried>
      </div>
    </Section>
  );
}

function NativeRole({ role, scope, as }: { role: ClusterRole; scope: string; as: "words" | "rules" }) {
  const { t } = useTranslation();
  const known = SCOPES.find((each) => each === scope);
  const rules: PolicyRule[] = role.rules ?? [];
  const title = known ? t(`roleScope.${known}`) : scope;
  return (
    <li className="border-b border-line px-4 py-3 last:border-0">
      <h4 className="text-table font-medium">{title}</h4>
      <p className="mb-2 font-mono text-caption break-all text-ink-faint">{role.metadata.name}</p>
      {as === "words" ? <RulesInWords rules={rules} /> : <RulesTable rules={rules} label={title} />}
    </li>
  );
}
