//! A small certificate authority and TLS configurations with one crypto provider.
