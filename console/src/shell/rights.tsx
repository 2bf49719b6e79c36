// Who may not do a thing sees that it exists, and which right is missing.
import { useQuery } from "@tanstack/react-query";
import { useId, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { checkRights, type Access } from "../api/tenancy";
import { HUB_NAME } from "../api/cluster";
import { Button } from "../ui/button";
import type { ComponentProps } from "react";

/** `undefined`: nobody knows yet. */
export type Verdict = boolean | undefined;

/** For a whole page at once. Where it cannot be known the answer is yes: the request itself is refused, and says why. */
export function useRights(accesses: readonly Access[], cluster: string = HUB_NAME): readonly Verdict[] {
  const query = useQuery({ queryKey: ["rights", cluster, accesses], queryFn: () => checkRights(cluster, accesses), staleTime: 30_000, retry: false, enabled: accesses.length > 0 });
  return accesses.map((_, at) => (query.isError ? true : query.data?.[at]));
}

/** A right as people write it: `delete projects.auth.alauda.io shop in namespace x`. */
export function useRightWords(): (access: Access, cluster?: string) => string {
  const { t } = useTranslation();
  return ({ verb, group, resource, subresource, namespace, name }, cluster) => {
    const what = [verb, `${resource}${subresource ? `/${subresource}` : ""}${group ? `.${group}` : ""}`, name].filter(Boolean).join(" ");
    const where = [namespace && t("rights.inNamespace", { namespace }), cluster && t("rights.onCluster", { cluster })].filter(Boolean);
    return [what, ...where].join(" ");
  };
}

interface GuardProps {
  may: Verdict;
  access: Access;
  cluster?: string;
}

interface Props extends Omit<ComponentProps<typeof Button>, "disabled" | "aria-disabled">, GuardProps {
  children: ReactNode;
}

/** It takes the focus also when it does nothing, so that what is missing can be read. */
export function GuardedButton({ may, access, cluster, children, onClick, className, ...props }: Props) {
  const { t } = useTranslation();
  const words = useRightWords();
  const id = useId();
  return (
    <span className="group/guard relative inline-flex">
      <Button
        {...props}
        {...(may ? { onClick } : { "aria-disabled": true })}
        {...(may === false ? { "aria-describedby": id } : {})}
        className={[className, may ? "" : "cursor-not-allowed! text-ink-faint!"].filter(Boolean).join(" ")}
      >
        {children}
      </Button>
      {may === false && (
        <span
          id={id}
          role="tooltip"
          className="pointer-events-none absolute top-full right-0 z-40 mt-1 hidden w-max max-w-72 rounded-md border border-line bg-raised px-2.5 py-1.5 text-left text-caption font-normal text-ink-soft shadow-lift group-focus-within/guard:block group-hover/guard:block"
        >
          {t("rights.missing")} <span className="font-mono break-words text-ink">{words(access, cluster)}</span>
        </span>
      )}
    </span>
  );
}

/** The same in a menu. */
export function GuardNote({ may, access, cluster }: GuardProps) {
  const { t } = useTranslation();
  const words = useRightWords();
  if (may !== false) return null;
  return (
    <span className="block max-w-60 text-caption whitespace-normal text-ink-faint">
      {t("rights.missing")} {words(access, cluster)}
    </span>
  );
}
