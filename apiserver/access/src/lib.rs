//! Who is asking and what they may do: authenticators, RBAC, bootstrap policy.
