//! The code of a stack's functions while it is worked on: what it is made from, which of it is to be built again, what is
//! deployed, and how a function gets its new code before anything else is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;

use super::execute::{Zip, Zips};
use super::fetch::fetch;
use crate::aws::client::Aws;
use crate::aws::providers::{Context, ResourceError, provider};
use crate::core::types::{Desired, Live};
use crate::package::{self, AllInputs, BuildOptions, Code, PackageError, Progress, Target};

/// The property that tells a function's code apart.
const CODE: &str = "CodeSha256";

/// The code of a stack's functions.
#[derive(Debug, Default)]
pub struct FunctionCode {
    code: Vec<Code>,
    inputs: Arc<AllInputs>,
    /// What was built last, of each function that could be built.
    zips: Zips,
    /// The functions that are to be built.
    stale: BTreeSet<String>,
    /// Who may read code in S3.
    s3: Option<Arc<Aws>>,
}

/// What comes of building what is stale.
#[derive(Debug, Default)]
pub struct Built {
    /// The functions that were built, or could not be.
    pub built: BTreeSet<String>,
    /// Of these, the functions whose code is another one now.
    pub changed: BTreeSet<String>,
    /// What could not be built; the functions keep the code that they had.
    pub errors: Vec<PackageError>,
}

impl FunctionCode {
    /// Takes the code that a template names now, and who may read what of it is in S3. What is new or named differently is stale.
    pub async fn set(&mut self, code: Vec<Code>, s3: Option<Arc<Aws>>, options: &BuildOptions) {
        self.s3 = s3;
        let has_zip = |code: &Code| self.zips.contains_key(&code.logical_id);
        for code in code.iter().filter(|code| !self.code.contains(code) || !has_zip(code)) {
            self.stale.insert(code.logical_id.clone());
        }
        let is_there = |id: &String| code.iter().any(|code| code.logical_id == *id);
        self.stale.retain(is_there);
        self.zips.retain(|id, _| is_there(id));
        self.code = code;
        self.inputs = Arc::new(AllInputs::of(&self.code, options).await);
    }

    /// The functions that a saved file may change; they are stale from now on.
    pub fn touch(&mut self, path: &Path) -> BTreeSet<String> {
        let touched = self.inputs.touched(path);
        self.stale.extend(touched.iter().cloned());
        touched
    }

    /// Makes all code stale.
    pub fn touch_all(&mut self) {
        for code in &self.code {
            self.stale.insert(code.logical_id.clone());
        }
    }

    /// The folder of a function's code.
    pub fn folder(&self, function: &str) -> Option<&Path> {
        match &self.code.iter().find(|code| code.logical_id == function)?.source {
            package::Source::Path(path) => Some(path),
            package::Source::S3(_) | package::Source::Inline(_) => None,
        }
    }

    /// What the functions' code is made from.
    pub fn inputs(&self) -> Arc<AllInputs> {
        Arc::clone(&self.inputs)
    }

    /// Whether a function's code is to be built.
    pub fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Every folder to watch, without those in it.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        self.inputs.folders()
    }

    /// The zips of all functions that could be built.
    pub fn zips(&self) -> Zips {
        self.zips.clone()
    }

    /// Builds what is stale. One function that cannot be built does not keep the others from it, and is not tried again before it
    /// is touched; crates are built together. It may be given up at any time.
    pub async fn build(
        &mut self,
        target: Target,
        options: &BuildOptions,
        progress: &(impl Fn(Progress) + Send + Sync),
    ) -> Built {
        let stale = self.code.iter().filter(|code| self.stale.contains(&code.logical_id)).cloned();
        let (crates, others): (Vec<Code>, Vec<Code>) = stale.partition(package::is_crate);
        let mut groups: Vec<Vec<Code>> = others.into_iter().map(|code| vec![code]).collect();
        groups.extend((!crates.is_empty()).then_some(crates));
        let built = join_all(groups.into_iter().map(|group| self.build_group(group, target, options, progress))).await;
        let mut all = Built::default();
        for (group, zips) in built {
            for id in group {
                self.stale.remove(&id);
                all.built.insert(id);
            }
            let zips = match zips {
                Ok(zips) => zips,
                Err(error) => {
                    all.errors.push(error);
                    continue;
                }
            };
            for (id, zip) in zips {
                if self.zips.get(&id).map(|old| &old.sha256) != Some(&zip.sha256) {
                    all.changed.insert(id.clone());
                    self.zips.insert(id, zip);
                }
            }
        }
        all.errors.sort_by(|one, other| one.functions.cmp(&other.functions));
        all
    }

    async fn build_group(
        &self,
        group: Vec<Code>,
        target: Target,
        options: &BuildOptions,
        progress: &(impl Fn(Progress) + Send + Sync),
    ) -> (Vec<String>, Result<Zips, PackageError>) {
        let ids: Vec<String> = group.iter().map(|code| code.logical_id.clone()).collect();
        let built = match fetch(group, self.s3.as_deref(), &options.cache, progress).await {
            Ok(group) => package::build(group, target, options, progress).await,
            Err(error) => Err(error),
        };
        let zips =
            built.map(|artifacts| artifacts.into_iter().map(|(id, artifact)| (id, Zip::from(artifact))).collect());
        (ids, zips)
    }

    /// Reads again what the code of these functions is made from: a build may have told more of it.
    pub async fn look_again(&mut self, functions: &BTreeSet<String>, options: &BuildOptions) {
        let built = self.code.iter().filter(|code| functions.contains(&code.logical_id)).cloned();
        let again = AllInputs::of(&built.collect::<Vec<_>>(), options).await;
        self.inputs = Arc::new(self.inputs.with(again));
    }

    /// Gives functions their new code and nothing else, all at once, and waits until it is in force. `deployed` is what they are;
    /// afterwards it has the new code of those that could be changed. Gives the others, each with the reason.
    pub async fn swap(
        &self,
        aws: &Arc<Aws>,
        functions: &BTreeSet<String>,
        deployed: &mut BTreeMap<String, Live>,
    ) -> BTreeMap<String, ResourceError> {
        let pairs = functions.iter().filter_map(|id| Some((id, deployed.get(id)?, self.zips.get(id)?)));
        let swaps: Vec<_> = pairs
            .filter(|(_, live, zip)| live.properties[CODE] != zip.sha256.as_str())
            .map(|(id, live, zip)| (id.clone(), live.clone(), with_code(id, live, zip)))
            .collect();
        let swapped = join_all(swaps.into_iter().map(|(id, live, desired)| {
            let aws = Arc::clone(aws);
            async move {
                let Some(provider) = provider(live.type_name) else { return (id, live, Ok(())) };
                let cx = Context { aws: &aws, note: &|_| {} };
                let done = provider.update(cx, &live, &desired).await;
                (id, Live { properties: desired.properties, ..live }, done)
            }
        }));
        let mut failed = BTreeMap::new();
        for (id, live, done) in swapped.await {
            match done {
                Ok(()) => drop(deployed.insert(id, live)),
                Err(error) => drop(failed.insert(id, error)),
            }
        }
        failed
    }

    /// The functions of which `deployed` has other code than was built last.
    pub fn undeployed(&self, deployed: &BTreeMap<String, Live>) -> BTreeSet<String> {
        let differs = |(id, live): &(&String, &Live)| {
            self.zips.get(*id).is_some_and(|zip| live.properties[CODE] != zip.sha256.as_str())
        };
        deployed.iter().filter(differs).map(|(id, _)| id.clone()).collect()
    }
}

/// A function as it is, with other code.
fn with_code(id: &str, live: &Live, zip: &Zip) -> Desired {
    let mut properties = live.properties.clone();
    properties[CODE] = zip.sha256.as_str().into();
    Desired { logical_id: id.to_owned(), name: Some(live.physical_id.clone()), properties, code: Some(zip.upload()) }
}
