//! People: local users, passwords, sessions.
