// Tokens that programs carry. Each ends on a day chosen when it is made.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { readTokens, revokeToken, type AccessToken } from "../api/identity";
import { createTokenCommand, revokeTokenCommand } from "../lib/commands";
import { serverNow, useNow } from "../lib/clock";
import { dateAndTime } from "../lib/time";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Panel, Queried } from "../ui/panel";
import { toast } from "../ui/toast";
import { Chip, Since } from "../ui/values";
import { TokenDialog } from "./token-dialog";

const SOON_MS = 7 * 86_400_000;

export function Tokens() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const query = useQuery({ queryKey: ["tokens"], queryFn: readTokens });
  const [creating, setCreating] = useState(false);
  const [revoking, setRevoking] = useState<AccessToken>();
  const again = () => void queries.invalidateQueries({ queryKey: ["tokens"] });
  return (
    <Panel
      title={t("tokens.title")}
      detail={t("tokens.detail")}
      command={createTokenCommand("", "30d")}
      action={
        <Button look="solid" onClick={() => setCreating(true)}>
          {t("tokens.create")}
        </Button>
      }
    >
      <Queried query={query}>
        {(tokens) =>
          tokens.length === 0 ? (
            <p className="px-4 py-4 text-table text-ink-faint sm:px-5">{t("tokens.none")}</p>
          ) : (
            <ul aria-label={t("tokens.title")}>
              {tokens.map((token) => (
                <Token key={token.id} token={token} onRevoke={() => setRevoking(token)} />
              ))}
            </ul>
          )
        }
      </Queried>
      {creating && <TokenDialog onCreated={again} onClose={() => setCreating(false)} />}
      {revoking && (
        <ConfirmDialog
          title={t("tokens.revokeTitle", { name: revoking.description })}
          effects={[t("tokens.revokeEffect")]}
          submit={t("tokens.revoke")}
          command={revokeTokenCommand(revoking.id)}
          run={() => revokeToken(revoking.id)}
          onDone={() => {
            setRevoking(undefined);
            toast(t("tokens.revoked"));
            again();
          }}
          onClose={() => setRevoking(undefined)}
        />
      )}
    </Panel>
  );
}

function Token({ token, onRevoke }: { token: AccessToken; onRevoke: () => void }) {
  const { t, i18n } = useTranslation();
  const expires = Date.parse(token.expiration ?? "");
  const used = Date.parse(token.lastUsed ?? "");
  const left = useNow(() => (expires <= serverNow() ? "over" : expires - serverNow() < SOON_MS ? "soon" : "long"));
  const date = dateAndTime(expires, i18n.language);
  return (
    <li className="flex items-start gap-3 border-b border-line px-4 py-3 text-table last:border-0 sm:px-5">
      <KeyRound className="mt-0.5 size-4 shrink-0 text-ink-faint" strokeWidth={1.5} aria-hidden />
      <div className="min-w-0 flex-1">
        <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
          <span className="min-w-0 font-medium break-words">{token.description}</span>
          {token.scope?.readOnly && <Chip>{t("tokens.readOnly")}</Chip>}
          {token.scope?.clusters?.map((cluster) => <Chip key={cluster}>{cluster}</Chip>)}
        </p>
        <p className={left === "long" ? "text-ink-soft" : "text-warn-text"}>
          {left === "over" ? t("tokens.expired", { time: date }) : t("tokens.expires", { time: date })}
        </p>
        <p className="text-caption text-ink-faint">
          {Number.isNaN(used) ? (
            t("tokens.neverUsed")
          ) : (
            <>
              {t("tokens.lastUsed")} <Since time={used} />
            </>
          )}
        </p>
      </div>
      <Button size="small" aria-label={`${t("tokens.revoke")}: ${token.description}`} onClick={onRevoke}>
        {t("tokens.revoke")}
      </Button>
    </li>
  );
}
