//! Where the parts of an expanded template come from.

use std::collections::BTreeMap;

use crate::core::words::Path;

/// For paths of the expanded template that the user did not write, the path of what the user wrote instead. Whatever is
/// below such a path comes from below its origin.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<Path, Path>);

impl Origins {
    /// Notes that what stands at `made` comes from `written`.
    pub fn note(&mut self, made: Path, written: Path) {
        self.0.insert(made, written);
    }

    /// What the user wrote for `path`; the same path where nothing was made.
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
