import { useState } from "react";
import { useNow } from "../lib/clock";

export function useSecondsUntil(until: number | undefined): number {
  return useNow(() => (until === undefined ? 0 : Math.max(0, Math.ceil((until - Date.now()) / 1000))));
}

/** Counts down for the eye; read out once, not every second. */
export function Countdown({ seconds, words }: { seconds: number; words: (seconds: number) => string }) {
  const [first] = useState(seconds);
  return (
    <>
      <span className="sr-only">{words(first)}</span>
      <span aria-hidden className="tabular">
        {words(seconds)}
      </span>
    </>
  );
}

/** `19:05`: what is left of a wait of minutes. */
export const clock = (seconds: number): string => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
