// How to sign in, when there is more than one way.
import { clsx } from "clsx";
import { KeyRound } from "lucide-react";
import { useTranslation } from "react-i18next";
import { providerLogin, type Provider } from "../api/identity";
import { useProviderName } from "../lib/provider-name";
import { Button } from "../ui/button";
import { Field, Select } from "../ui/field";
import { nextAfter, type SignInAddress } from "./address";

/** More than these do not fit side by side. */
const SIDE_BY_SIDE = 3;

interface ChoiceProps {
  providers: readonly Provider[];
  value: string;
  onChange: (id: string) => void;
}

/** Providers whose names and passwords are typed here. */
export function ProviderChoice({ providers, value, onChange }: ChoiceProps) {
  const { t } = useTranslation();
  const providerName = useProviderName();
  if (providers.length > SIDE_BY_SIDE || providers.some(({ name }) => name.length > 18)) {
    return (
      <Field label={t("signIn.provider")}>
        {(props) => (
          <Select {...props} className="h-10" value={value} onChange={(event) => onChange(event.target.value)}>
            {providers.map((provider) => (
              <option key={provider.id} value={provider.id}>
                {providerName(provider)}
              </option>
            ))}
          </Select>
        )}
      </Field>
    );
  }
  return (
    <fieldset className="flex rounded-lg bg-well p-0.5 ring-1 ring-line ring-inset">
      <legend className="sr-only">{t("signIn.provider")}</legend>
      {providers.map((provider) => (
        <label
          key={provider.id}
          className={clsx(
            "relative flex h-8 min-w-0 flex-1 items-center justify-center rounded-md px-2 text-table transition-colors duration-150 has-focus-visible:outline-2 has-focus-visible:outline-focus",
            provider.id === value ? "bg-raised font-medium text-ink ring-1 ring-line-strong" : "text-ink-soft hover:text-ink",
          )}
        >
          <input
            type="radio"
            name="provider"
            value={provider.id}
            checked={provider.id === value}
            onChange={() => onChange(provider.id)}
            className="absolute inset-0 cursor-pointer appearance-none outline-none"
          />
          <span className="truncate">{providerName(provider)}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** Providers that have a page of their own. */
export function ProviderLinks({ providers, address, alone }: { providers: readonly Provider[]; address: SignInAddress; alone: boolean }) {
  const { t } = useTranslation();
  return (
    <div className="mt-6 flex flex-col gap-2.5">
      {!alone && (
        <p className="mb-2 flex items-center gap-3 text-caption text-ink-faint before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">
          {t("signIn.or")}
        </p>
      )}
      {providers.map(({ id, name }) => (
        <Button key={id} asChild size="large" look={alone ? "solid" : "outline"}>
          <a href={providerLogin(id, nextAfter(address), address.flow)}>
            <KeyRound className="size-4" strokeWidth={1.75} aria-hidden />
            <span className="truncate">{t("signIn.continueWith", { name })}</span>
          </a>
        </Button>
      ))}
    </div>
  );
}
