//! Maps paths of the expanded template back to the user's text.

use std::collections::BTreeMap;

use crate::core::words::Path;

/// For paths that the expansion created, the path of what the user wrote for them. Everything below such a path comes
/// from below its origin.
#[derive(Debug, Default)]
pub struct Origins(BTreeMap<Path, Path>);

impl Origins {
    /// Records that the value at `made` comes from `written`.
    pub fn note(&mut self, made: Path, written: Path) {
        self.0.insert(made, written);
    }

    /// The path that the user wrote for `path`; the same path if it was not created by the expansion.
    pub fn trace(&self, path: &Path) -> Path {
        for length in (1..=path.0.len()).rev() {
            let (above, below) = path.0.split_at(length);
            if let Some(written) = self.0.get(&Path(above.to_vec())) {
                return written.join(&Path(below.to_vec()));
            }
        }
        path.clone()
    }
}
