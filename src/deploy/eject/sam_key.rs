//! The key that SAM's CLI would give a folder of code in S3. If the code that AWS runs is just that folder, it goes there: then the next
//! `sam deploy` finds it, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// The most that is read of a folder, in bytes: what Lambda takes unpacked.
const LONGEST: u64 = 250 << 20;

/// The folder that `sam deploy` uploads for a function or layer: what `sam build` has made, if it has, else the one that the template in
/// `template` names.
pub fn uploaded_folder(template: &Path, declared_as: &str, named: &Path) -> PathBuf {
    let build = template.join(".aws-sam").join("build");
    match build.join("template.yaml").exists() {
        true => build.join(declared_as),
        false => named.to_owned(),
    }
}

/// SAM's digest of a folder, if a zip has the same files and nothing else: the MD5 of each file's path and of the MD5 of its content in
/// hexadecimal digits, in the order of the paths (aws-sam-cli, `samcli/lib/utils/hash.py`).
pub fn digest(folder: &Path, zip: &[u8]) -> Option<String> {
    let mut left = LONGEST;
    let files = files(folder, folder, &mut left)?;
    if unzipped(zip)? != files {
        return None;
    }
    // SAM sorts whole paths as texts, so `a-b/c` stands before `a/b`.
    let mut all = md5::Context::new();
    for (path, content) in &files {
        all.consume(path);
        all.consume(format!("{:x}", md5::compute(content)));
    }
    Some(format!("{:x}", all.compute()))
}

/// The files below a folder, links followed, by their paths in `base`.
fn files(base: &Path, folder: &Path, left: &mut u64) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).ok()? {
        let path = entry.ok()?.path();
        let about = fs::metadata(&path).ok()?;
        if about.is_dir() {
            // A circle of links would never end.
            if path.components().count() > base.components().count() + 64 {
                return None;
            }
            found.extend(files(base, &path, left)?);
        } else {
            *left = left.checked_sub(about.len())?;
            found.insert(path.strip_prefix(base).ok()?.to_str()?.to_owned(), fs::read(&path).ok()?);
        }
    }
    Some(found)
}

fn unzipped(zip: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).ok()?;
    let mut found = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).ok()?;
        if file.is_dir() {
            continue;
        }
        let mut content = Vec::new();
        file.by_ref().take(LONGEST).read_to_end(&mut content).ok()?;
        let name = file.name().ok()?.into_owned();
        found.insert(name, content);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn a_folder_has_sams_digest_if_the_zip_is_that_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("index.js"), "exports.handler = 1;\n").unwrap();
        fs::write(folder.path().join("lib/a.js"), "a\n").unwrap();
        let same = zipped(&[("lib/a.js", "a\n"), ("index.js", "exports.handler = 1;\n")]);
        // By `dir_checksum` of aws-sam-cli.
        assert_eq!(digest(folder.path(), &same).as_deref(), Some("a872cb71b23c369827054f1b1b9e14ad"));
        assert_eq!(digest(folder.path(), &zipped(&[("index.js", "exports.handler = 1;\n")])), None);
        assert_eq!(
            digest(folder.path(), &zipped(&[("lib/a.js", "b\n"), ("index.js", "exports.handler = 1;\n")])),
            None
        );
        assert_eq!(digest(&folder.path().join("none"), &same), None);
    }

    #[test]
    fn what_sam_has_built_is_what_it_uploads() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("send");
        assert_eq!(uploaded_folder(folder.path(), "Send", &named), named);
        let build = folder.path().join(".aws-sam/build");
        fs::create_dir_all(&build).unwrap();
        fs::write(build.join("template.yaml"), "").unwrap();
        assert_eq!(uploaded_folder(folder.path(), "Send", &named), build.join("Send"));
    }
}
