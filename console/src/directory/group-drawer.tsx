// One group and its members beside the list.
import { useMutation } from "@tanstack/react-query";
import { Trash2, X } from "lucide-react";
import { use, useId, useState, type FormEvent } from "react";
import { useTranslation } from "react-i18next";
import { patchGroup } from "../api/directory";
import { GROUPS_COMMAND } from "../lib/commands";
import { dateAndTime } from "../lib/time";
import { useShell, useStore } from "../shell/context";
import { ObjectDrawer } from "../shell/object-drawer";
import { Button } from "../ui/button";
import { Fact, Section } from "../ui/detail";
import { Failure } from "../ui/failure";
import { Field, Input } from "../ui/field";
import { Notice } from "../ui/message";
import { Terminal } from "../ui/panel";
import { Absent } from "../ui/values";
import { GroupRemovalContext, useGroupKind } from "./group-listing";
import { lines } from "./lines";
import type { GroupView } from "./model";

export const GroupDrawer = () => <ObjectDrawer kind={useGroupKind()} Subtitle={Subtitle} Detail={Detail} />;

function Subtitle({ view }: { view: GroupView }) {
  return view.displayName && <p className="font-mono text-caption break-all text-ink-soft">{view.name}</p>;
}

function Detail({ view }: { view: GroupView }) {
  const { t, i18n } = useTranslation();
  const remove = use(GroupRemovalContext);
  const { users } = useShell();
  const { items } = useStore(users);
  const suggestions = useId();
  const [member, setMember] = useState("");
  const ours = view.connector === undefined;
  const change = useMutation({ mutationFn: (members: readonly string[]) => patchGroup(view.object, { users: [...members] }) });
  const add = (event: FormEvent) => {
    event.preventDefault();
    const found = lines(member).filter((one) => !view.members.includes(one));
    if (found.length === 0 || change.isPending) return;
    change.mutate([...view.members, ...found], { onSuccess: () => setMember("") });
  };
  return (
    <div className="flex flex-col gap-6 px-5 py-5">
      {!view.deletable && (
        <Notice tone="info" live={false}>
          {t("groups.readOnly", { provider: view.connector })}
        </Notice>
      )}
      <dl className="grid grid-cols-2 gap-x-4 gap-y-4 text-table">
        <Fact name={t("groups.column.source")}>{ours ? t("groups.local") : t("groups.from", { provider: view.connector })}</Fact>
        <Fact name={t("groups.column.created")}>{view.created === undefined ? <Absent /> : dateAndTime(view.created, i18n.language)}</Fact>
      </dl>
      <Section title={t("groups.membersOf", { count: view.members.length })}>
        {change.error && (
          <div className="mb-2">
            <Failure error={change.error} />
          </div>
        )}
        {view.members.length === 0 ? (
          <p className="text-table text-ink-faint">{t("groups.noMembers")}</p>
        ) : (
          <ul className="overflow-hidden rounded-lg border border-line" aria-label={t("groups.members")}>
            {view.members.map((one) => (
              <li key={one} className="flex min-h-10 items-center gap-2 border-b border-line bg-surface py-1 pr-1 pl-3 text-table last:border-0">
                <span className="min-w-0 flex-1 break-all">{one}</span>
                {ours && (
                  <Button look="ghost" size="icon" disabled={change.isPending} aria-label={t("groups.takeOut", { name: one })} onClick={() => change.mutate(view.members.filter((other) => other !== one))}>
                    <X className="size-4" aria-hidden />
                  </Button>
                )}
              </li>
            ))}
          </ul>
        )}
        {ours && (
          <form onSubmit={add} noValidate className="mt-3 flex items-end gap-2">
            <div className="min-w-0 flex-1">
              <Field label={t("groups.addMember")}>
                {(props) => (
                  <Input {...props} name="member" type="email" list={suggestions} autoComplete="off" placeholder="name@example.com" value={member} onChange={(event) => setMember(event.target.value)} />
                )}
              </Field>
            </div>
            <Button type="submit" className="h-9" busy={change.isPending} disabled={change.isPending || lines(member).length === 0}>
              {t("groups.add")}
            </Button>
            <datalist id={suggestions}>
              {items?.slice(0, 200).map(({ metadata, spec }) => spec?.email && !view.members.includes(spec.email) && <option key={metadata.name} value={spec.email} />)}
            </datalist>
          </form>
        )}
      </Section>
      <Terminal command={GROUPS_COMMAND} />
      {view.deletable && (
        <div className="border-t border-line pt-4">
          <Button look="risky" onClick={() => remove(view)}>
            <Trash2 className="size-4" aria-hidden />
            {t("groups.remove")}
          </Button>
        </div>
      )}
    </div>
  );
}
