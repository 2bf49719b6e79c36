import { Eye, EyeOff } from "lucide-react";
import { useState, type ComponentPropsWithRef, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./button";
import { Field, Input } from "./field";

interface Props extends Omit<ComponentPropsWithRef<"input">, "type"> {
  label: string;
  error?: string | undefined;
}

/** A password, which can be looked at; says when Caps Lock is on. */
export function PasswordField({ label, error, ...input }: Props) {
  const { t } = useTranslation();
  const [shown, setShown] = useState(false);
  const [capsLock, setCapsLock] = useState(false);
  const watchCapsLock = (event: KeyboardEvent) => setCapsLock(event.getModifierState("CapsLock"));
  return (
    <Field label={label} error={error} hint={capsLock ? t("signIn.capsLock") : undefined}>
      {(props) => (
        <div className="relative">
          <Input
            {...input}
            {...props}
            type={shown ? "text" : "password"}
            autoCapitalize="none"
            className="h-10 pr-11"
            onKeyDown={watchCapsLock}
            onKeyUp={watchCapsLock}
          />
          <Button
            look="ghost"
            size="icon"
            className="absolute top-1 right-1"
            aria-label={shown ? t("signIn.hide") : t("signIn.show")}
            aria-pressed={shown}
            onClick={() => setShown(!shown)}
          >
            {shown ? <EyeOff className="size-4" aria-hidden /> : <Eye className="size-4" aria-hidden />}
          </Button>
        </div>
      )}
    </Field>
  );
}
