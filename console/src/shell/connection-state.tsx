// Whether what the page shows is current. This takes the place of toasts about the network.
import { clsx } from "clsx";
import { Clock } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { Connection } from "../api/watch-store";
import { useNow } from "../lib/clock";
import { useMoment } from "../lib/time";
import { useRouterState } from "@tanstack/react-router";
import type { WatchedObject, WatchStore } from "../api/watch-store";
import { useShell, useStore, type Stores } from "./context";

/** A short break heals unnoticed; after this the data is called stale. */
const STALE_AFTER_MS = 10_000;

export type ConnectionWord = "connecting" | "live" | "reconnecting" | "stale" | "forbidden" | "unwatched" | "paused";

export function connectionWord(connection: Connection, now: number): ConnectionWord {
  if (connection.state === "forbidden") return connection.verb === "watch" ? "unwatched" : "forbidden";
  if (connection.state !== "reconnecting") return connection.state;
  return connection.lastLive !== undefined && now - connection.since >= STALE_AFTER_MS ? "stale" : "reconnecting";
}

export function useConnectionWord(connection: Connection): ConnectionWord {
  // The clock only makes this look again; the times compared are both the browser's own.
  return useNow(() => connectionWord(connection, Date.now()));
}

const dots: Record<ConnectionWord, string> = {
  connecting: "bg-mute animate-breathe",
  live: "bg-good",
  reconnecting: "bg-warn animate-breathe",
  stale: "bg-mute",
  forbidden: "bg-mute",
  unwatched: "bg-mute",
  paused: "bg-mute",
};

const ofPage: Record<string, keyof Stores> = { clusters: "clusters", users: "users", groups: "groups", providers: "connectors", projects: "projects", bindings: "bindings", roles: "roles" };

/** Of what the page shows. Pages that watch nothing have no such state. */
export function ConnectionState() {
  const page = useRouterState({ select: ({ location }) => location.pathname.split("/")[1] ?? "" });
  const shell = useShell();
  const name = ofPage[page];
  return name && <Shown key={name} store={shell[name] as unknown as WatchStore<WatchedObject>} />;
}

function Shown({ store }: { store: WatchStore<WatchedObject> }) {
  const { t } = useTranslation();
  const { connection } = useStore(store);
  const word = useConnectionWord(connection);
  const lastLive = "lastLive" in connection ? connection.lastLive : undefined;
  const stale = word === "stale" && lastLive !== undefined;
  const moment = useMoment(lastLive);
  return (
    <p
      role="status"
      aria-label={t("connection.label")}
      data-connection={word}
      className={clsx(
        "flex h-6 items-center gap-1.5 rounded-full px-2 text-caption whitespace-nowrap sm:mr-1",
        stale ? "bg-mute-soft text-mute-text" : "text-ink-soft",
      )}
    >
      {stale ? (
        <Clock className="size-3.5" aria-hidden />
      ) : (
        <span data-mark className={clsx("size-2 rounded-full", dots[word])} aria-hidden />
      )}
      {stale ? t("connection.stale", { time: moment }) : t(`connection.${word === "stale" ? "reconnecting" : word}`)}
    </p>
  );
}
