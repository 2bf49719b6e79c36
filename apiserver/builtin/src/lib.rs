//! The built-in resources: one small module each for defaults, validation and table.
