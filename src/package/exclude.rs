//! The rules of .gitignore files, as git applies them: a folder's own before those of the folders above it, up to the
//! repository's root. And the rules of .wschatignore files, in the same syntax, which only concern zips and take precedence.

use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::Gitignore;

/// The name of the files whose rules only concern zips.
pub(super) const IGNORE_FILE: &str = ".wschatignore";

/// The rules that apply in a folder, outermost first.
#[derive(Debug, Default)]
pub(super) struct Excludes {
    git: Vec<Gitignore>,
    own: Vec<Gitignore>,
}

impl Excludes {
    /// The rules of the folders above `home`, which is absolute. None outside of a repository, and none of git's if git
    /// ignores `home` itself: then `home` is the output of a build, which the template names on purpose.
    pub fn above(home: &Path) -> Self {
        let mut rules = Self::default();
        let Some(root) = home.ancestors().position(|folder| folder.join(".git").exists()) else { return rules };
        let chain: Vec<&Path> = home.ancestors().take(root + 1).collect();
        let mut built = false;
        for (depth, folder) in chain.into_iter().rev().enumerate() {
            built |= depth > 0 && rules.rule(folder, true).is_some();
            if folder != home {
                rules.enter(folder);
            }
            if built {
                rules.git.iter_mut().for_each(|rules| *rules = Gitignore::empty());
            }
        }
        rules
    }

    /// Adds the rules of a folder, until `leave`.
    pub fn enter(&mut self, folder: &Path) {
        // Invalid patterns are skipped, as by git.
        let rules = |file: PathBuf| if file.is_file() { Gitignore::new(file).0 } else { Gitignore::empty() };
        self.git.push(rules(folder.join(".gitignore")));
        self.own.push(rules(folder.join(IGNORE_FILE)));
    }

    pub fn leave(&mut self) {
        self.git.pop();
        self.own.pop();
    }

    /// The .wschatignore rule for `path`, which lies in the folder entered last: `Ok` includes it, `Err` excludes it and names
    /// the file with the rule.
    pub fn own_rule(&self, path: &Path, is_folder: bool) -> Option<Result<(), PathBuf>> {
        self.own.iter().rev().find_map(|rules| match rules.matched(path, is_folder) {
            Match::None => None,
            Match::Ignore(rule) => Some(Err(rule.from().map(Path::to_owned).unwrap_or_default())),
            Match::Whitelist(_) => Some(Ok(())),
        })
    }

    /// The .gitignore that excludes `path`, which lies in the folder entered last.
    pub fn rule(&self, path: &Path, is_folder: bool) -> Option<PathBuf> {
        for rules in self.git.iter().rev() {
            match rules.matched(path, is_folder) {
                Match::None => {}
                Match::Ignore(rule) => return Some(rule.from().map(Path::to_owned).unwrap_or_default()),
                Match::Whitelist(_) => return None,
            }
        }
        None
    }
}
