//! Source maps: esbuild writes paths from its output folder, which is a temporary one, to the sources. Node.js takes them from the
//! bundle in `/var/task`, so they are made relative to what is there: `src/index.ts`, as the user knows it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// What comes before a map that is part of the bundle.
const INLINE: &str = "//# sourceMappingURL=data:application/json;base64,";

/// Relates the maps of all bundles below `output`, which is to be zipped, to the sources in `folder`. Both are absolute.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn relate(output: &Path, folder: &Path) -> io::Result<()> {
    let mut folders = vec![(output.to_owned(), String::new())];
    while let Some((place, up)) = folders.pop() {
        for entry in fs::read_dir(&place)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push((path, format!("{up}../")));
                continue;
            }
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let is_bundle = ["js", "mjs", "cjs"].contains(&extension);
            if extension != "map" && !is_bundle {
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let related = |map: &str| related(map, &place, folder, &up);
            let new = if is_bundle { within(&text, related) } else { related(&text) };
            if let Some(new) = new {
                fs::write(&path, new)?;
            }
        }
    }
    Ok(())
}

/// A bundle with its inline map related; `None` where it has none.
fn within(bundle: &str, related: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (code, encoded) = bundle.rsplit_once(INLINE)?;
    let map = BASE64_STANDARD.decode(encoded.trim_end()).ok()?;
    let map = related(std::str::from_utf8(&map).ok()?)?;
    Some(format!("{code}{INLINE}{}\n", BASE64_STANDARD.encode(map)))
}

/// A map whose sources in `folder` are relative to it, as seen from where the map is in the zip: `up` leads to the top. `place` is
/// where it is now. `None` where it is no map.
fn related(map: &str, place: &Path, folder: &Path, up: &str) -> Option<String> {
    let mut map: Value = serde_json::from_str(map).ok()?;
    for source in map.get_mut("sources")?.as_array_mut()? {
        // A source without a name is `null`.
        let Some(name) = source.as_str() else { continue };
        let absolute = normal(&place.join(name));
        if let Ok(below) = absolute.strip_prefix(folder) {
            *source = format!("{up}{}", below.to_str()?).into();
        }
    }
    Some(map.to_string())
}

/// A path without `..`, by its text alone: esbuild makes it so.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_named_as_in_the_users_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let output = scratch.path().join("build/F");
        fs::create_dir_all(output.join("inner")).unwrap();
        let folder = scratch.path().join("app");
        let map = |source: &str| {
            format!(r#"{{"mappings":"AAAA","sources":["{source}","../../../shared/x.ts"],"version":3}}"#)
        };
        fs::write(output.join("index.js.map"), map("../../app/src/index.ts")).unwrap();
        fs::write(output.join("inner/b.js.map"), map("../../../app/src/b.ts")).unwrap();
        let inline = |map: String| format!("code();\n{INLINE}{}\n", BASE64_STANDARD.encode(map));
        fs::write(output.join("c.mjs"), inline(map("../../app/c.ts"))).unwrap();
        fs::write(output.join("plain.js"), "code();\n").unwrap();
        let unnamed = |source: &str| format!(r#"{{"mappings":"AAAA","sources":[null,"{source}"],"version":3}}"#);
        fs::write(output.join("d.js.map"), unnamed("../../app/d.ts")).unwrap();
        relate(&output, &folder).unwrap();
        let read = |name: &str| fs::read_to_string(output.join(name)).unwrap();
        assert_eq!(read("index.js.map"), map("src/index.ts"));
        assert_eq!(read("inner/b.js.map"), map("../src/b.ts"));
        assert_eq!(read("c.mjs"), inline(map("c.ts")));
        assert_eq!(read("plain.js"), "code();\n");
        assert_eq!(read("d.js.map"), unnamed("d.ts"));
    }
}
