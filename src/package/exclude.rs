//! What .gitignore files leave out, as git reads them: a folder's own before those above it, up to the repository's root. And
//! what .wschatignore files say, in the same language, of zips alone: they come before everything else.

use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::Gitignore;

/// The name of the files with rules for zips alone.
pub(super) const OWN: &str = ".wschatignore";

/// The rules that count in some folder, outermost first.
#[derive(Debug, Default)]
pub(super) struct Excludes {
    git: Vec<Gitignore>,
    own: Vec<Gitignore>,
}

impl Excludes {
    /// The rules from above the folder `home`, which is absolute: none where it is in no repository, and none where git
    /// leaves out `home` itself, for then it is what a build made, and was named all the same.
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
        // Like git, nobody is stopped by a pattern that is none.
        let rules = |file: PathBuf| if file.is_file() { Gitignore::new(file).0 } else { Gitignore::empty() };
        self.git.push(rules(folder.join(".gitignore")));
        self.own.push(rules(folder.join(OWN)));
    }

    pub fn leave(&mut self) {
        self.git.pop();
        self.own.pop();
    }

    /// What a .wschatignore says of `path`, which lies in the folder entered last: that it goes in, or which leaves it out.
    pub fn own_rule(&self, path: &Path, is_folder: bool) -> Option<Result<(), PathBuf>> {
        self.own.iter().rev().find_map(|rules| match rules.matched(path, is_folder) {
            Match::None => None,
            Match::Ignore(rule) => Some(Err(rule.from().map(Path::to_owned).unwrap_or_default())),
            Match::Whitelist(_) => Some(Ok(())),
        })
    }

    /// The .gitignore that leaves out `path`, which lies in the folder entered last.
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
