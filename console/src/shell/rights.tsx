// Who may not do a thing sees that it exists, and which right is missing.
import { useQueries } from "@tanstack/react-query";
import { useId, type ComponentProps, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { HUB_NAME } from "../api/cluster";
import { checkRights, type Access } from "../api/tenancy";
import { Button } from "../ui/button";

/** `undefined`: nobody knows yet. */
export type Verdict = boolean | undefined;

/** A right, and where it is to be held. */
export interface PlacedAccess {
  access: Access;
  /** Without one: on the hub. */
  cluster?: string;
}

/** For a whole page at once. Where it cannot be known the answer is yes: the request itself is refused, and says why. */
export function useRightsIn(placed: readonly PlacedAccess[]): readonly Verdict[] {
  const byCluster = new Map<string, Access[]>();
  const places = placed.map(({ access, cluster = HUB_NAME }) => {
    const accesses = byCluster.get(cluster) ?? [];
    byCluster.set(cluster, accesses);
    return { cluster, at: accesses.push(access) - 1 };
  });
  const clusters = [...byCluster.keys()];
  const queries = useQueries({
    queries: [...byCluster].map(([cluster, accesses]) => ({ queryKey: ["rights", cluster, accesses], queryFn: () => checkRights(cluster, accesses), staleTime: 30_000, retry: false })),
  });
  return places.map(({ cluster, at }) => {
    const query = queries[clusters.indexOf(cluster)];
    return query?.isError ? true : query?.data?.[at];
  });
}

export const useRights = (accesses: readonly Access[], cluster: string = HUB_NAME): readonly Verdict[] => useRightsIn(accesses.map((access) => ({ access, cluster })));

/** Whether any of them is held; not known while none is known to be. */
export const anyOf = (verdicts: readonly Verdict[]): Verdict => verdicts.includes(true) || (verdicts.includes(undefined) ? undefined : false);

/** What something takes that takes all of several rights: of those, the one to be named. */
export function allOf(placed: readonly PlacedAccess[], verdicts: readonly Verdict[]): Guard {
  const missing = verdicts.indexOf(false);
  const named = placed[Math.max(0, missing)];
  if (!named) throw new Error("it takes no right");
  return { ...named, may: missing >= 0 ? false : verdicts.includes(undefined) ? undefined : true };
}

/** A right as people write it: `delete projects.auth.alauda.io shop in namespace x`. */
export function useRightWords(): (access: Access, cluster?: string) => string {
  const { t } = useTranslation();
  return ({ verb, group, resource, subresource, namespace, name }, cluster) => {
    const what = [verb, `${resource}${subresource ? `/${subresource}` : ""}${group ? `.${group}` : ""}`, name].filter(Boolean).join(" ");
    // A namespace is in itself, as its own API sees it.
    const within = resource === "namespaces" ? undefined : namespace;
    const where = [within && t("rights.inNamespace", { namespace: within }), cluster && t("rights.onCluster", { cluster })].filter(Boolean);
    return [what, ...where].join(" ");
  };
}

/** A right, where it is to be held, and whether it is. */
export interface Guard extends PlacedAccess {
  may: Verdict;
}

interface Props extends Omit<ComponentProps<typeof Button>, "disabled" | "aria-disabled">, Guard {
  /** Why nobody can do it now, whatever they may. */
  blocked?: string | undefined;
  children: ReactNode;
}

/** It takes the focus also when it does nothing, so that what is missing can be read. */
export function GuardedButton({ may, access, cluster, blocked, children, onClick, className, ...props }: Props) {
  const { t } = useTranslation();
  const words = useRightWords();
  const id = useId();
  const free = may === true && blocked === undefined;
  const refused = may === false || blocked !== undefined;
  return (
    <span className="group/guard relative inline-flex">
      <Button
        {...props}
        {...(free ? { onClick } : { "aria-disabled": true })}
        {...(refused ? { "aria-describedby": id } : {})}
        className={[className, free ? "" : "cursor-not-allowed! text-ink-faint! opacity-60"].filter(Boolean).join(" ")}
      >
        {children}
      </Button>
      {refused && (
        <span
          id={id}
          role="tooltip"
          className="pointer-events-none absolute top-full right-0 z-40 mt-1 hidden w-max max-w-72 rounded-md border border-line bg-raised px-2.5 py-1.5 text-left text-caption font-normal text-ink-soft shadow-lift group-focus-within/guard:block group-hover/guard:block"
        >
          {blocked ?? (
            <>
              {t("rights.missing")} <span className="font-mono break-words text-ink">{words(access, cluster)}</span>
            </>
          )}
        </span>
      )}
    </span>
  );
}

/** The same in a menu. */
export function GuardNote({ may, access, cluster }: Guard) {
  const { t } = useTranslation();
  const words = useRightWords();
  if (may !== false) return null;
  return (
    <span className="block max-w-60 text-caption whitespace-normal text-ink-faint">
      {t("rights.missing")} {words(access, cluster)}
    </span>
  );
}
