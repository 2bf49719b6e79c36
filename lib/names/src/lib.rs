//! Checked strings: the names that people and programs give to things.
