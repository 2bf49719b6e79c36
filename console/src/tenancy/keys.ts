// What lists of tenancy are ordered and filtered by. Addresses are read before the pages are there.

export const PROJECT_STATES = ["Degraded", "Terminating", "Pending", "Active"] as const;
export type ProjectState = (typeof PROJECT_STATES)[number];

export const PROJECT_KEYS = ["project", "clusters", "state", "since", "created"] as const;
export type ProjectKey = (typeof PROJECT_KEYS)[number];
export interface ProjectFilters {
  state?: ProjectState | undefined;
}

export const LEVELS = ["platform", "cluster", "project", "namespace"] as const;
export type Level = (typeof LEVELS)[number];

export const ROLE_KEYS = ["role", "level", "state", "created"] as const;
export type RoleKey = (typeof ROLE_KEYS)[number];
export interface RoleFilters {
  level?: Level | undefined;
}

export const BINDING_KEYS = ["subject", "role", "place", "state", "created"] as const;
export type BindingKey = (typeof BINDING_KEYS)[number];
export interface BindingFilters {
  level?: Level | undefined;
  project?: string | undefined;
  cluster?: string | undefined;
  kind?: "User" | "Group" | undefined;
}

export const SEARCH_KEYS = ["name", "kind", "namespace", "cluster", "created"] as const;
export type SearchKey = (typeof SEARCH_KEYS)[number];
export interface SearchText {
  q?: string;
  kind?: string;
  cluster?: string;
  project?: string;
  namespace?: string;
  label?: string;
  image?: string;
  sort?: SearchKey | `-${SearchKey}`;
}
