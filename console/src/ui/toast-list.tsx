// Where toasts show. Loaded after the page: nothing has been done yet when it first appears.
import { CircleCheck, X } from "lucide-react";
import { Toast as Radix } from "radix-ui";
import { useEffect, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { toasts } from "./toast";

export default function Toasts() {
  const { t } = useTranslation();
  const shown = useSyncExternalStore(toasts.subscribe, toasts.read);
  // They say what somebody did, and end with that somebody's session.
  useEffect(() => toasts.clear, []);
  return (
    <Radix.Provider duration={5_000} label={t("action.done")}>
      {shown.map((item) => (
        <Radix.Root
          key={item.id}
          onOpenChange={(open) => !open && toasts.drop(item.id)}
          className="flex animate-rise-in items-center gap-2.5 rounded-lg border border-line bg-raised py-2 pr-2 pl-3 shadow-lift"
        >
          <CircleCheck className="size-4 shrink-0 text-good" aria-hidden />
          <Radix.Title className="min-w-0 flex-1 text-table break-words">{item.text}</Radix.Title>
          <Radix.Close
            aria-label={t("action.close")}
            className="grid size-6 place-items-center rounded text-ink-faint hover:bg-hover hover:text-ink"
          >
            <X className="size-3.5" aria-hidden />
          </Radix.Close>
        </Radix.Root>
      ))}
      <Radix.Viewport className="fixed right-0 bottom-0 z-[60] flex w-full flex-col gap-2 p-4 outline-none sm:w-96" />
    </Radix.Provider>
  );
}
