//! What .gitignore files leave out, as git reads them: a folder's own before those above it, up to the repository's root.

use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::Gitignore;

/// The rules that count in some folder, outermost first.
#[derive(Debug, Default)]
pub(super) struct Excludes(Vec<Gitignore>);

impl Excludes {
    /// The rules from above the folder `home`, which is absolute: none where it is in no repository, and none where git
    /// leaves out `home` itself, for then it is what a build made, and was named all the same.
    pub fn above(home: &Path) -> Self {
        let mut rules = Self::default();
        let Some(root) = home.ancestors().position(|folder| folder.join(".git").exists()) else { return rules };
        let chain: Vec<&Path> = home.ancestors().take(root + 1).collect();
        for (depth, folder) in chain.into_iter().rev().enumerate() {
            if depth > 0 && rules.rule(folder, true).is_some() {
                return Self::default();
            }
            if folder != home {
                rules.enter(folder);
            }
        }
        rules
    }

    /// Adds the rules of a folder, until `leave`.
    pub fn enter(&mut self, folder: &Path) {
        let file = folder.join(".gitignore");
        // Like git, nobody is stopped by a pattern that is none.
        self.0.push(if file.is_file() { Gitignore::new(file).0 } else { Gitignore::empty() });
    }

    pub fn leave(&mut self) {
        self.0.pop();
    }

    /// The .gitignore that leaves out `path`, which lies in the folder entered last.
    pub fn rule(&self, path: &Path, is_folder: bool) -> Option<PathBuf> {
        for rules in self.0.iter().rev() {
            match rules.matched(path, is_folder) {
                Match::None => {}
                Match::Ignore(rule) => return Some(rule.from().map(Path::to_owned).unwrap_or_default()),
                Match::Whitelist(_) => return None,
            }
        }
        None
    }
}
