//! The API server: its filter chain, life cycle and health.
