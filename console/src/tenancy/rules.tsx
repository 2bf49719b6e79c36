// RBAC rules as sentences, and as they are.
import { clsx } from "clsx";
import { useTranslation } from "react-i18next";
import type { PolicyRule } from "../api/tenancy";

/** Verbs that people know by one word. */
const WORDS = [
  { word: "everything", verbs: ["*"] },
  { word: "read", verbs: ["get", "list", "watch"] },
  { word: "create", verbs: ["create"] },
  { word: "change", verbs: ["update", "patch"] },
  { word: "delete", verbs: ["delete", "deletecollection"] },
] as const;
const KNOWN: readonly string[] = WORDS.flatMap(({ verbs }) => [...verbs]);

const list = (values: unknown): string[] => (Array.isArray(values) ? values.filter((value) => typeof value === "string") : []);

export interface RuleParts {
  verbs: string[];
  resources: string[];
  names: string[];
  urls: string[];
}

export function ruleParts(rule: PolicyRule): RuleParts {
  const groups = list(rule.apiGroups).filter(Boolean);
  const resources = list(rule.resources);
  const suffix = groups.length === 0 || groups.includes("*") ? "" : groups.length === 1 ? `.${groups[0]}` : "";
  return { verbs: list(rule.verbs), resources: resources.map((resource) => (resource === "*" ? resource : `${resource}${suffix}`)), names: list(rule.resourceNames), urls: list(rule.nonResourceURLs) };
}

function useVerbs(): (verbs: readonly string[]) => string {
  const { t } = useTranslation();
  return (verbs) => {
    const known = WORDS.filter(({ verbs: family }) => family.some((verb) => verbs.includes(verb))).map(({ word, verbs: family }) => {
      const some = family.filter((verb) => verbs.includes(verb));
      // `get` alone does not list.
      return word === "read" && some.length < family.length ? some.join(t("rules.separator")) : t(`verb.${word}`);
    });
    const [first = "", ...others] = [...known, ...verbs.filter((verb) => !KNOWN.includes(verb))];
    // A verb of the API keeps its form.
    const start = verbs.includes(first) ? first : first.charAt(0).toUpperCase() + first.slice(1);
    return [start, ...others].join(t("rules.separator"));
  };
}

function Sentence({ rule }: { rule: PolicyRule }) {
  const { t } = useTranslation();
  const words = useVerbs();
  const { verbs, resources, names, urls } = ruleParts(rule);
  const groups = list(rule.apiGroups).filter(Boolean);
  const all = resources.includes("*");
  return (
    <>
      <span className="font-medium">{words(verbs)}</span>
      <span className="text-ink-faint">{t("rules.colon")}</span>
      {all ? (
        groups.length === 0 || groups.includes("*") ? t("rules.everyResource") : t("rules.everyResourceOf", { groups: groups.join(", ") })
      ) : (
        <span className="break-words">{[...resources, ...urls].join(", ")}</span>
      )}
      {names.length > 0 && <span className="text-ink-soft"> {t("rules.only", { names: names.join(", ") })}</span>}
    </>
  );
}

/** Several roles may say the same. */
const distinct = (rules: readonly PolicyRule[]): [string, PolicyRule][] => [...new Map(rules.map((rule) => [JSON.stringify(rule), rule]))];

/** One rule to a line, in words. */
export function RulesInWords({ rules, className }: { rules: readonly PolicyRule[]; className?: string }) {
  const { t } = useTranslation();
  if (rules.length === 0) return <p className="text-table text-ink-faint">{t("rules.none")}</p>;
  return (
    <ul className={clsx("list-disc space-y-1 pl-5 text-table", className)}>
      {distinct(rules).map(([key, rule]) => (
        <li key={key}>
          <Sentence rule={rule} />
        </li>
      ))}
    </ul>
  );
}

const cell = "border-b border-line px-3 py-1.5 text-left align-top break-words";

/** As RBAC holds them. */
export function RulesTable({ rules, label }: { rules: readonly PolicyRule[]; label: string }) {
  const { t } = useTranslation();
  if (rules.length === 0) return <p className="text-table text-ink-faint">{t("rules.none")}</p>;
  return (
    // A region that scrolls must be reachable by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div role="region" aria-label={label} tabIndex={0} className="max-h-96 overflow-auto rounded-lg border border-line bg-surface">
      <table className="w-full border-separate border-spacing-0 font-mono text-caption">
        <thead>
          <tr>
            {(["verbs", "groups", "resources", "names"] as const).map((column) => (
              <th key={column} scope="col" className={clsx(cell, "sticky top-0 bg-surface font-sans font-medium whitespace-nowrap text-ink-soft")}>
                {t(`rules.column.${column}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {distinct(rules).map(([key, rule]) => (
            <tr key={key} className="last:*:border-0">
              <td className={cell}>{list(rule.verbs).join(", ")}</td>
              <td className={cell}>{list(rule.apiGroups).map((group) => group || t("rules.core")).join(", ")}</td>
              <td className={cell}>{[...list(rule.resources), ...list(rule.nonResourceURLs)].join(", ")}</td>
              <td className={cell}>{list(rule.resourceNames).join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
