//! Code that is in S3 alone, on its way to this machine: kept in the build cache by what S3 calls its state, so that an unchanged
//! object costs one question, and a version of it none.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use crate::aws::client::{Aws, Fetched, S3};
use crate::core::types::S3Object;
use crate::package::{Code, PackageError, Progress, Source};

const DOING: &str = "fetch the code";

/// How many objects are fetched at once.
const AT_ONCE: usize = 4;

/// How many bytes make a transfer that the user is told of.
const WORTH_TELLING: usize = 1 << 20;

/// An object on this machine.
#[derive(Debug, Clone)]
struct Copy {
    path: PathBuf,
    /// Its bucket's region.
    region: String,
}

/// The same code, with that which is in S3 alone on this machine. `aws` is who may read it; `None` where nobody is known who may: the
/// local cloud has no credentials of AWS.
///
/// # Errors
/// The first object that cannot be had: which, for which functions, why, and what to do.
pub async fn fetch(
    mut code: Vec<Code>,
    aws: Option<&Aws>,
    cache: &Path,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Vec<Code>, PackageError> {
    let mut wanted: BTreeMap<S3Object, Vec<String>> = BTreeMap::new();
    for one in &code {
        if let Source::S3(object) = &one.source {
            wanted.entry(object.clone()).or_default().push(one.logical_id.clone());
        }
    }
    let Some((first, functions)) = wanted.first_key_value() else { return Ok(code) };
    let Some(aws) = aws else {
        let all: Vec<String> = wanted.values().flatten().cloned().collect();
        let why = format!("it is in S3 ({first}), and {} is not beside the template", zip_name(first));
        let help = "put it there, or say whose credentials may read it: --profile NAME";
        return Err(PackageError::new(DOING, why).help(help).of(all));
    };
    let failed = |object: &S3Object, functions: &[String], why: String, help: String| {
        let error = PackageError::new(DOING, format!("{object}: {why}"));
        error.help(format!("{help}; or put {} beside the template", zip_name(object))).of(functions)
    };
    let s3 = aws.s3().await.map_err(|error| failed(first, functions, error.why, error.help))?;
    // A loop: see `package::script::install`.
    let mut fetches = Vec::new();
    for (object, functions) in &wanted {
        let s3 = &s3;
        fetches.push(async move {
            let copy = fetch_one(s3, object, cache, functions, progress).await;
            let copy = copy.map_err(|(why, help)| failed(object, functions, why, help))?;
            Ok::<_, PackageError>((object.clone(), copy))
        });
    }
    let copies: BTreeMap<S3Object, Copy> = stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await?;
    for one in &mut code {
        let Source::S3(object) = &one.source else { continue };
        let Some(copy) = copies.get(object) else { continue };
        // Lambda takes objects of its own region only.
        one.object = (copy.region == aws.scope().region).then(|| object.clone());
        one.source = Source::Path(copy.path.clone());
    }
    Ok(code)
}

/// What an object is called on this machine: packaging knows a zip by its name.
fn zip_name(object: &S3Object) -> String {
    let name = object.key.rsplit('/').next().unwrap_or_default();
    if name.to_ascii_lowercase().ends_with(".zip") { name.to_owned() } else { format!("{name}.zip") }
}

/// Fetches an object, or takes the copy of an earlier run. An error is why, and what to do.
async fn fetch_one(
    s3: &S3,
    object: &S3Object,
    cache: &Path,
    functions: &[String],
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Copy, (String, String)> {
    let folder = folder(object, cache);
    let kept = Kept::find(&folder, object);
    // What is in a version never changes.
    if let Some(kept) = kept.as_ref().filter(|_| object.version.is_some()) {
        return Ok(kept.copy.clone());
    }
    let etag = kept.as_ref().map(|kept| kept.etag.as_str());
    match (s3.get(object, etag).await.map_err(|error| (error.why, error.help))?, kept) {
        (Fetched::Unchanged { region }, Some(kept)) => Ok(Copy { region, ..kept.copy }),
        (Fetched::Unchanged { .. }, None) => Err(("S3 answers with nothing".to_owned(), "try again".to_owned())),
        (Fetched::New { bytes, etag, region }, _) => {
            if bytes.len() > WORTH_TELLING {
                let size = bytes.len() as f64 / f64::from(1 << 20);
                progress(Progress::Note(format!("{}: fetched {object} ({size:.1} MB)", functions.join(", "))));
            }
            let path = keep(&folder, object, &bytes, &etag, &region).map_err(|error| {
                let why = format!("it cannot be kept in {}: {error}", folder.display());
                (why, "check the folder's permissions and the disk".to_owned())
            })?;
            Ok(Copy { path, region })
        }
    }
}

/// The folder of an object's copy in the build cache.
fn folder(object: &S3Object, cache: &Path) -> PathBuf {
    cache.join(format!("s3-{}", &hex::encode(Sha256::digest(object.to_string()))[..16]))
}

/// The name of the file with the state of the copy: its ETag and the bucket's region.
const STATE: &str = "state";

/// A copy that an earlier run has made.
struct Kept {
    copy: Copy,
    etag: String,
}

impl Kept {
    fn find(folder: &Path, object: &S3Object) -> Option<Self> {
        let state = fs::read_to_string(folder.join(STATE)).ok()?;
        let mut lines = state.lines();
        let (etag, region, size) = (lines.next()?, lines.next()?, lines.next()?);
        let path = folder.join(zip_name(object));
        let is_whole = fs::metadata(&path).ok()?.len().to_string() == size;
        let copy = Copy { path, region: region.to_owned() };
        is_whole.then(|| Self { copy, etag: etag.to_owned() })
    }
}

/// Keeps a copy. The state is written last: half a copy has none.
fn keep(folder: &Path, object: &S3Object, bytes: &Bytes, etag: &str, region: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let state = folder.join(STATE);
    match fs::remove_file(&state) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let path = folder.join(zip_name(object));
    // Two runs may fetch the same object: each writes a file of its own, and the last one to rename it wins with the same content.
    let beside = folder.join(format!("{}.part", std::process::id()));
    fs::write(&beside, bytes)?;
    fs::rename(&beside, &path)?;
    fs::write(&state, format!("{etag}\n{region}\n{}\n", bytes.len()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, version: Option<&str>) -> S3Object {
        S3Object { bucket: "zips".to_owned(), key: key.to_owned(), version: version.map(str::to_owned) }
    }

    #[test]
    fn a_copy_is_kept_with_its_state_and_found_again() {
        let cache = tempfile::tempdir().unwrap();
        let (one, other) = (object("a/code", None), object("a/code", Some("7")));
        let at = folder(&one, cache.path());
        assert!(Kept::find(&at, &one).is_none());
        let path = keep(&at, &one, &Bytes::from_static(b"zip"), "\"e1\"", "eu-west-1").unwrap();
        assert_eq!(path, at.join("code.zip"));
        let kept = Kept::find(&at, &one).unwrap();
        assert_eq!((kept.etag.as_str(), kept.copy.region.as_str()), ("\"e1\"", "eu-west-1"));
        assert_ne!(folder(&other, cache.path()), at, "a version is another object");
        // Half a copy is none.
        fs::write(&path, "zi").unwrap();
        assert!(Kept::find(&at, &one).is_none());
    }
}
