// May somebody do something somewhere: because of which binding; or what is missing, and who can grant it.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { CircleCheck, CircleX } from "lucide-react";
import { useEffect, useId, useRef, useState, type FormEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { CLUSTERS_PATH, HUB_NAME, type Cluster } from "../api/cluster";
import { GROUPS_PATH, USERS_PATH, type Group, type User } from "../api/directory";
import { explain, whoCan, type Explanation, type Grant, type Holders, type Question } from "../api/tenancy";
import { lines } from "../directory/lines";
import { explainCommand, whoCanCommand } from "../lib/commands";
import { useShell } from "../shell/context";
import { useListed } from "../shell/listed";
import { useRightWords } from "../shell/rights";
import { Button } from "../ui/button";
import { Section } from "../ui/detail";
import { Field, Input, Select } from "../ui/field";
import { Queried, Terminal } from "../ui/panel";
import { Segmented } from "../ui/segmented";
import { useRoleName } from "./binding-listing";
import { groupBindingName } from "./model";
import { readQuestion, RESOURCES, VERBS, type QuestionText } from "./question";
import { RulesInWords } from "./rules";
import { SubjectName } from "./states";

export function ExplainPage() {
  const { t } = useTranslation();
  const asked = useSearch({ from: "/explain" });
  const question = readQuestion(asked);
  useEffect(() => {
    document.title = `${t("explain.title")} · ${t("product.name")}`;
  }, [t]);
  return (
    <div className="mx-auto flex max-w-4xl flex-col gap-4 px-4 pt-5 pb-8 sm:px-6">
      <div>
        <h1 className="text-title">{t("explain.title")}</h1>
        <p className="text-ink-soft">{t("explain.detail")}</p>
      </div>
      <Form key={JSON.stringify(asked)} asked={asked} />
      <div aria-live="polite">{question && (asked.who ? <Who question={question} text={asked} /> : <Verdict question={question} text={asked} />)}</div>
    </div>
  );
}

type Part = Exclude<keyof QuestionText, "who">;

function Form({ asked }: { asked: QuestionText }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { session } = useShell();
  const [text, setText] = useState(asked);
  const [tried, setTried] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const clusters = useListed<Cluster>(CLUSTERS_PATH);
  const users = useListed<User>(USERS_PATH);
  const groups = useListed<Group>(GROUPS_PATH);
  const id = useId();
  const set = (change: QuestionText) => setText((old) => ({ ...old, ...change }));
  /** Of a user whom the platform knows the groups are known. */
  const setUser = (user: string) => {
    const known = users?.find(({ spec }) => spec?.email === user);
    if (!known) return set({ user });
    const given = groups?.filter(({ spec }) => spec?.users?.includes(user)).map(({ metadata, spec }) => spec?.name ?? metadata.name) ?? [];
    set({ user, groups: [...new Set([...(known.spec?.groups ?? []), ...given])].join(", ") });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    const missing = (["verb", "resource"] as const).find((part) => !text[part]?.trim());
    if (missing) return form.current?.querySelector<HTMLElement>(`[name=${missing}]`)?.focus();
    const parts = Object.entries(text).flatMap(([name, value]) => {
      const said: unknown = typeof value === "string" ? value.trim() : value;
      return said ? [[name, said]] : [];
    });
    void navigate({ to: "/explain", search: Object.fromEntries(parts) as QuestionText });
  };
  const names = [...new Set([HUB_NAME, ...(clusters ?? []).map(({ metadata }) => metadata.name), ...(text.cluster ? [text.cluster] : [])])];
  const needed = (part: "verb" | "resource") => (tried && !text[part]?.trim() ? t("form.required") : undefined);
  const field = (part: Part, label: string, more: { hint?: ReactNode; error?: string | undefined; optional?: boolean; placeholder?: string; list?: string } = {}) => {
    const { placeholder, list, ...about } = more;
    return (
      <Field label={label} {...about}>
        {(props) => (
          <Input {...props} name={part} autoComplete="off" autoCapitalize="none" placeholder={placeholder} list={list} value={text[part] ?? ""} onChange={(event) => (part === "user" ? setUser(event.target.value) : set({ [part]: event.target.value }))} />
        )}
      </Field>
    );
  };
  return (
    <form ref={form} onSubmit={submit} noValidate className="flex flex-col gap-4 rounded-lg border border-line bg-surface p-4 sm:p-5">
      <div className="sm:w-80">
        <Segmented
          label={t("explain.mode")}
          value={text.who ? "who" : "may"}
          onChange={(mode) => set({ who: mode === "who" })}
          options={[
            { value: "may", label: t("explain.may") },
            { value: "who", label: t("explain.who") },
          ]}
        />
      </div>
      <div className="grid items-start gap-4 sm:grid-cols-2">
        {!text.who && field("user", t("subject.User"), { optional: true, hint: t("explain.userHint", { name: session.username }), list: `${id}-users` })}
        {!text.who && field("groups", t("explain.groups"), { optional: true, hint: t("explain.groupsHint") })}
        {field("verb", t("explain.verb"), { error: needed("verb"), placeholder: "get", list: `${id}-verbs` })}
        {field("resource", t("explain.resource"), { error: needed("resource"), hint: t("explain.resourceHint"), placeholder: "deployments.apps", list: `${id}-resources` })}
        {field("name", t("explain.name"), { optional: true, hint: t("explain.nameHint") })}
        <Field label={t("level.cluster")}>
          {(props) => (
            <Select {...props} name="cluster" value={text.cluster ?? HUB_NAME} onChange={(event) => set({ cluster: event.target.value })}>
              {names.map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </Select>
          )}
        </Field>
        {field("namespace", t("level.namespace"), { optional: true, hint: t("explain.namespaceHint") })}
      </div>
      <div>
        <Button type="submit" look="solid">
          {t("explain.ask")}
        </Button>
      </div>
      <datalist id={`${id}-users`}>{users?.slice(0, 200).map(({ metadata, spec }) => spec?.email && <option key={metadata.name} value={spec.email} />)}</datalist>
      <datalist id={`${id}-verbs`}>
        {VERBS.map((verb) => (
          <option key={verb} value={verb} />
        ))}
      </datalist>
      <datalist id={`${id}-resources`}>
        {RESOURCES.map((resource) => (
          <option key={resource} value={resource} />
        ))}
      </datalist>
    </form>
  );
}

const box = "rounded-lg border border-line bg-surface";

interface AnswerProps {
  question: Question;
  text: QuestionText;
}

function Verdict({ question, text }: AnswerProps) {
  const { session } = useShell();
  const { user } = text;
  const groups = lines(text.groups ?? "");
  const query = useQuery({ queryKey: ["explain", user, groups, question], queryFn: () => explain(user, groups, question), retry: false });
  return (
    <div className="flex flex-col gap-4">
      <div className={box}>
        <Queried query={query}>{(answer) => <Answer who={user ?? (groups.join(", ") || session.username)} question={question} answer={answer} />}</Queried>
      </div>
      <Terminal command={explainCommand(text)} />
    </div>
  );
}

function Answer({ who, question, answer: { allowed, grants = [], missing } }: { who: string; question: Question; answer: Explanation }) {
  const { t } = useTranslation();
  const words = useRightWords()(question, question.cluster);
  const roleName = useRoleName();
  const Icon = allowed ? CircleCheck : CircleX;
  return (
    <div className="flex flex-col gap-5 p-4 sm:p-5" data-verdict={allowed ? "allowed" : "refused"}>
      <div className="flex items-start gap-3">
        <Icon className={allowed ? "mt-0.5 size-6 shrink-0 text-good" : "mt-0.5 size-6 shrink-0 text-bad"} strokeWidth={1.75} aria-hidden />
        <div className="min-w-0">
          <h2 className="text-heading break-words">{allowed ? t("explain.yes", { who }) : t("explain.no", { who })}</h2>
          <p className="font-mono text-caption break-words text-ink-soft">{words}</p>
        </div>
      </div>
      {allowed && (
        <Section title={t("explain.because")}>
          <Grants grants={grants} />
        </Section>
      )}
      {!allowed && missing && (
        <>
          <Section title={t("explain.missing")}>
            <RulesInWords rules={[missing.rule]} />
          </Section>
          {(missing.templates ?? []).length > 0 && (
            <Section title={t("explain.templates")}>
              <ul className="flex flex-wrap gap-x-3 gap-y-1 text-table">
                {missing.templates?.map(({ roleTemplate }) => (
                  <li key={roleTemplate}>
                    <RoleLink name={roleTemplate} />
                  </li>
                ))}
              </ul>
            </Section>
          )}
          <Section title={t("explain.grantors")}>
            {(missing.grantors ?? []).length === 0 ? (
              <p className="text-table text-ink-faint">{t("explain.noGrantors")}</p>
            ) : (
              <ul className="flex flex-col gap-1.5 text-table">
                {missing.grantors?.map(({ subject, roleTemplates = [], because }) => (
                  <li key={JSON.stringify(subject)} className="flex flex-wrap items-center gap-x-2">
                    <SubjectName subject={{ kind: subject.kind === "Group" ? "Group" : "User", name: subject.name }} />
                    <span className="min-w-0 text-caption break-words text-ink-faint">
                      {t("explain.canGive", { roles: roleTemplates.map(roleName).join(t("rules.separator")) })}
                      {because?.roleTemplate && t("explain.by", { role: roleName(because.roleTemplate) })}
                    </span>
                  </li>
                ))}
              </ul>
            )}
          </Section>
        </>
      )}
    </div>
  );
}

/** Each of them alone is enough. */
function Grants({ grants }: { grants: readonly Grant[] }) {
  const { t } = useTranslation();
  if (grants.length === 0) return <p className="text-table text-ink-faint">{t("explain.untold")}</p>;
  return (
    <ol className="flex flex-col gap-2">
      {grants.map((grant) => (
        <GrantPart key={JSON.stringify(grant)} grant={grant} />
      ))}
    </ol>
  );
}

const link = "rounded-sm text-accent-text underline-offset-4 hover:underline";

function RoleLink({ name }: { name: string }) {
  const roleName = useRoleName();
  return (
    <Link to="/roles/$name" params={{ name }} className={link}>
      {roleName(name)}
    </Link>
  );
}

function GrantPart({ grant: { userBinding, groupBinding, roleTemplate, subject, native, role, rule } }: { grant: Grant }) {
  const { t } = useTranslation();
  const binding = userBinding ?? (groupBinding && groupBindingName(groupBinding));
  const facts = [
    [t("explain.subject"), subject.kind === "ServiceAccount" ? [subject.namespace, subject.name].filter(Boolean).join("/") : <SubjectName key="s" subject={{ kind: subject.kind === "Group" ? "Group" : "User", name: subject.name }} />],
    [
      t("explain.binding"),
      binding && (
        <Link key="b" to="/bindings/$name" params={{ name: binding }} className={link}>
          {userBinding ?? groupBinding}
        </Link>
      ),
    ],
    [t("bindings.column.role"), roleTemplate && <RoleLink key="r" name={roleTemplate} />],
    [t("explain.native"), native && <span key="n" className="font-mono text-caption">{[native.kind, native.namespace, native.name].filter(Boolean).join(" ")}</span>],
    [t("explain.role"), <span key="o" className="font-mono text-caption">{`${role.kind} ${role.name}`}</span>],
    [t("explain.rule"), <RulesInWords key="u" rules={[rule]} />],
  ] as const;
  return (
    <li className="rounded-lg border border-line px-3 py-2.5">
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-table">
        {facts.map(
          ([name, value]) =>
            value && (
              <div key={name} className="contents">
                <dt className="text-ink-faint">{name}</dt>
                <dd className="min-w-0 break-words">{value}</dd>
              </div>
            ),
        )}
      </dl>
    </li>
  );
}

function Who({ question, text }: AnswerProps) {
  const query = useQuery({ queryKey: ["who-can", question], queryFn: () => whoCan(question), retry: false });
  return (
    <div className="flex flex-col gap-4">
      <div className={box}>
        <Queried query={query}>{(holders) => <HoldersPart question={question} holders={holders} />}</Queried>
      </div>
      <Terminal command={whoCanCommand(text)} />
    </div>
  );
}

const FAMILIES = ["users", "groups", "serviceAccounts"] as const;

function HoldersPart({ question, holders }: { question: Question; holders: Holders }) {
  const { t } = useTranslation();
  const words = useRightWords()(question, question.cluster);
  return (
    <div className="flex flex-col gap-5 p-4 sm:p-5" data-holders="">
      <div>
        <h2 className="text-heading">{t("explain.whoCan")}</h2>
        <p className="font-mono text-caption break-words text-ink-soft">{words}</p>
      </div>
      {FAMILIES.map((family) => {
        const found = holders[family] ?? [];
        return (
          <Section key={family} title={t(`explain.holders.${family}`, { count: found.length })}>
            {found.length === 0 ? (
              <p className="text-table text-ink-faint">{t("explain.nobody")}</p>
            ) : (
              <ul className="flex flex-col gap-1 text-table">
                {found.map(({ namespace, name, grants = [] }) => (
                  <li key={`${namespace}/${name}`}>
                    {grants.length === 0 ? (
                      <span className="break-all">{[namespace, name].filter(Boolean).join("/")}</span>
                    ) : (
                      <details>
                        <summary className="w-fit cursor-pointer rounded-sm break-all">{[namespace, name].filter(Boolean).join("/")}</summary>
                        <div className="mt-2 mb-1">
                          <Grants grants={grants} />
                        </div>
                      </details>
                    )}
                  </li>
                ))}
              </ul>
            )}
          </Section>
        );
      })}
    </div>
  );
}
