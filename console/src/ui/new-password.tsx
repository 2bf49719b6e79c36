// A new password, typed twice, with the platform's rules shown as they are met.
import { clsx } from "clsx";
import { Check, Circle } from "lucide-react";
import { useId, type Ref } from "react";
import { useTranslation } from "react-i18next";
import { LENGTH_BOUNDS, PASSWORD_RULES, unmetRules, type PasswordLengths } from "../lib/password";
import { PasswordField } from "./password-input";

export interface NewPasswordValue {
  first: string;
  second: string;
}

export const isGoodPassword = ({ first, second }: NewPasswordValue, lengths: PasswordLengths = LENGTH_BOUNDS): boolean => unmetRules(first, lengths).length === 0 && first === second;

interface Props {
  value: NewPasswordValue;
  /** What the policy asks for, where it is known. */
  lengths?: PasswordLengths | undefined;
  onChange: (value: NewPasswordValue) => void;
  tried: boolean;
  /** What the server has against it. */
  refused?: string | undefined;
  inputRef?: Ref<HTMLInputElement>;
}

export function NewPassword({ value, lengths, onChange, tried, refused, inputRef }: Props) {
  const { t } = useTranslation();
  const rules = useId();
  const unmet = unmetRules(value.first, lengths ?? LENGTH_BOUNDS);
  return (
    <>
      <div className="flex flex-col gap-2">
        <PasswordField
          label={t("password.new")}
          name="newPassword"
          autoComplete="new-password"
          {...(inputRef ? { ref: inputRef } : {})}
          value={value.first}
          error={refused ?? (tried && unmet.length > 0 ? t("password.unmet") : undefined)}
          onChange={(event) => onChange({ ...value, first: event.target.value })}
        />
        <ul id={rules} aria-label={t("password.rules")} className="grid grid-cols-2 gap-x-4 gap-y-1 text-caption">
          {PASSWORD_RULES.map((rule) => {
            const met = !unmet.includes(rule);
            const Icon = met ? Check : Circle;
            return (
              <li key={rule} data-met={met} className={clsx("flex items-start gap-1.5", (rule === "length" || rule === "special") && "col-span-2", met ? "text-good-text" : "text-ink-faint")}>
                <Icon className="mt-px size-3.5 shrink-0" aria-hidden />
                <span>
                  {rule !== "length" ? t(`password.rule.${rule}`) : lengths ? t("password.rule.length", { ...lengths }) : t("password.rule.lengthUntold", { ...LENGTH_BOUNDS })}
                  <span className="sr-only">{met ? t("password.met") : t("password.notMet")}</span>
                </span>
              </li>
            );
          })}
        </ul>
      </div>
      <PasswordField
        label={t("password.again")}
        name="newPasswordAgain"
        autoComplete="new-password"
        value={value.second}
        error={value.second !== "" && !value.first.startsWith(value.second) ? t("password.differs") : tried && value.first !== value.second ? t("password.differs") : undefined}
        onChange={(event) => onChange({ ...value, second: event.target.value })}
      />
    </>
  );
}
