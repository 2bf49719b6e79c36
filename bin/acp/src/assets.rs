//! The console, built into the binary.

use gateway::{Asset, Assets};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Files;

/// The console's files as they were when the binary was built.
pub(crate) struct Console;

impl Assets for Console {
    fn get(&self, path: &str) -> Option<Asset> {
        Files::get(path).map(|file| Asset { bytes: file.data })
    }
}
