// The clusters of the fleet, as a project can be given them.
import { useTranslation } from "react-i18next";
import { CLUSTERS_PATH, OWN_CLUSTERS_PATH, type Cluster } from "../api/cluster";
import { clusterView } from "../clusters/model";
import { useListed } from "../shell/listed";

interface ClusterChoice {
  name: string;
  /** Why it cannot be chosen. */
  unfit: string | undefined;
}

/** A cluster that nobody reaches cannot be given anything. */
export function useChoices(): readonly ClusterChoice[] | undefined {
  const { t } = useTranslation();
  return useListed<Cluster>(CLUSTERS_PATH, OWN_CLUSTERS_PATH)?.map(clusterView).map(({ name, health }) => ({ name, unfit: health === "healthy" || health === "degraded" ? undefined : t(`health.${health}`) }));
}
