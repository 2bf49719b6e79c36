import type { ComponentPropsWithRef } from "react";
import { Input } from "./field";

interface Props extends Omit<ComponentPropsWithRef<"input">, "onChange" | "value"> {
  value: string;
  onCode: (code: string) => void;
}

/** The six digits of an authenticator app. Spaces, which such apps show, are left out. */
export function CodeInput({ value, onCode, ...props }: Props) {
  return (
    <Input
      {...props}
      name="code"
      inputMode="numeric"
      autoComplete="one-time-code"
      maxLength={8}
      placeholder="000000"
      className="h-10 font-mono text-heading tracking-[0.3em]"
      value={value}
      onChange={(event) => onCode(event.target.value.replaceAll(/\D/g, "").slice(0, 6))}
    />
  );
}

export const isWholeCode = (code: string): boolean => code.length === 6;
