// What people call a provider. The platform's own accounts are one whose name is the reader's language's; all others
// have the name that was given to them.
import { useTranslation } from "react-i18next";

export interface NamedProvider {
  id: string;
  name: string;
}

export function useProviderName(): (provider: NamedProvider) => string {
  const { t } = useTranslation();
  return ({ id, name }) => (id === "local" ? t("signIn.local") : name);
}
