//! How to build a function's code: SAM's `Metadata` of a function (SAM developer guide, "Default build" and "Building
//! Node.js functions with esbuild").

use serde_json::{Map, Value};

use crate::core::words::{Path, Problem, ProblemKind, runtimes};

/// How SAM would build a function's code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Build {
    /// The runtime's own build: dependencies are installed, a crate is compiled.
    #[default]
    Ordinary,
    /// No build: the code is deployed as it is (`SkipBuild: true`).
    Skip,
    Makefile(Makefile),
    Esbuild(Esbuild),
    /// `go build` (`BuildMethod: go1.x`).
    Go,
    /// A layer's content is built as a function's code of this runtime is, and put where that runtime looks for it.
    LayerOf(String),
}

/// `BuildMethod: makefile`: `make build-LOGICAL-ID` puts the code into the folder `ARTIFACTS_DIR`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Makefile {
    /// The folder of the Makefile, relative to the template; `None` for the code's.
    pub context: Option<String>,
    /// Where make runs, relative to the template; `None` for the copy of the code.
    pub working_directory: Option<String>,
}

/// `BuildMethod: esbuild`, with its `BuildProperties`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Esbuild {
    /// Relative to the code, with or without extension; empty for the file that the handler names.
    pub entry_points: Vec<String>,
    /// Whether imports are bundled.
    pub bundle: bool,
    /// Whether the output is ES modules.
    pub modules: bool,
    /// The output's extension in place of `.js`: `.mjs`.
    pub extension: Option<String>,
    /// Options in the form of esbuild's command line, including SAM's defaults.
    pub flags: Vec<String>,
}

/// The variable with Node.js's options, and the option with which it reads source maps.
const NODE_OPTIONS: &str = "NODE_OPTIONS";
const SOURCE_MAPS: &str = "--enable-source-maps";

impl Build {
    /// Adds to a function's properties what its build asks for: with `Sourcemap`, that Node.js reads the maps (SAM developer guide,
    /// "Building Node.js Lambda functions with esbuild").
    pub fn add_to(&self, properties: &mut Value) {
        let (Self::Esbuild(esbuild), Value::Object(properties)) = (self, properties) else { return };
        if !esbuild.flags.iter().any(|flag| flag.starts_with("--sourcemap")) {
            return;
        }
        let empty = || Value::Object(Map::new());
        let Value::Object(environment) = properties.entry("Environment").or_insert_with(empty) else { return };
        let Value::Object(variables) = environment.entry("Variables").or_insert_with(empty) else { return };
        // With a space before it, also where it is alone: so SAM's command line writes it, and a function that SAM has built is not changed.
        match variables.entry(NODE_OPTIONS).or_insert_with(|| "".into()) {
            Value::String(options) if !options.contains(SOURCE_MAPS) => options.push_str(&format!(" {SOURCE_MAPS}")),
            _ => {}
        }
    }
}

/// The form of a build property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `--minify`
    Flag,
    /// `--target=es2022`; several are joined with commas.
    Value,
    /// `--sourcemap` or `--sourcemap=inline`
    FlagOrValue,
    /// `--external:sharp`, one option for each.
    Each,
}

/// Build properties for esbuild. The first nine (and EntryPoints) are SAM's; the others are esbuild's own options,
/// named in SAM's style (esbuild.github.io/api).
const PROPERTIES: &[(&str, Form)] = &[
    ("Banner", Form::Each),
    ("External", Form::Each),
    ("Format", Form::Value),
    ("Loader", Form::Each),
    ("MainFields", Form::Value),
    ("Minify", Form::Flag),
    ("OutExtension", Form::Each),
    ("Sourcemap", Form::FlagOrValue),
    ("SourcesContent", Form::Value),
    ("Target", Form::Value),
    ("Alias", Form::Each),
    ("Bundle", Form::Flag),
    ("Conditions", Form::Value),
    ("Define", Form::Each),
    ("Drop", Form::Each),
    ("Footer", Form::Each),
    ("Inject", Form::Each),
    ("KeepNames", Form::Flag),
    ("LegalComments", Form::Value),
    ("Packages", Form::Value),
    ("Splitting", Form::Flag),
    ("TreeShaking", Form::Value),
    ("Tsconfig", Form::Value),
];

/// Build methods that mean the runtime's own build.
const ORDINARY: &[&str] = &["provided", "provided.al2", "provided.al2023", "python-uv", "rust-cargolambda"];

/// The prefixes of SAM's build methods that wschat does not support yet.
const UNSUPPORTED: &[&str] = &["dotnet", "java", "ruby"];

/// Reads the build settings from the `metadata` of a function with `runtime`; the metadata is at `place`.
///
/// # Errors
/// A problem, at its place.
pub fn read(metadata: &Value, runtime: &str, place: &Path) -> Result<Build, Problem> {
    if boolean(&metadata["SkipBuild"]) == Some(true) {
        return Ok(Build::Skip);
    }
    let method = match &metadata["BuildMethod"] {
        Value::Null => return Ok(Build::Ordinary),
        Value::String(method) => method.as_str(),
        _ => {
            return Err(
                Problem::new(place.key("BuildMethod"), "BuildMethod must be a string").kind(ProblemKind::IllTyped)
            );
        }
    };
    let failed = |what: String| Problem::new(place.key("BuildMethod"), what);
    let language = |name: &str| ["nodejs", "python", "provided"].into_iter().find(|known| name.starts_with(known));
    let version = |name: &str| {
        let release = name.strip_prefix("nodejs").and_then(|rest| rest.strip_suffix(".x"));
        let release = release.or_else(|| name.strip_prefix("python3."));
        release.is_some_and(|release| !release.is_empty() && release.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match method {
        "makefile" => {
            let text = |name: &str| metadata[name].as_str().map(str::to_owned);
            let makefile = Makefile { context: text("ContextPath"), working_directory: text("WorkingDirectory") };
            Ok(Build::Makefile(makefile))
        }
        "esbuild" if !runtime.is_empty() && !runtime.starts_with("nodejs") => {
            Err(failed(format!("esbuild makes code for nodejs, and the Runtime is {runtime}")))
        }
        "esbuild" => esbuild(&metadata["BuildProperties"], &place.key("BuildProperties")),
        "go1.x" if runtime.is_empty() || runtime.starts_with("provided") || runtime == "go1.x" => Ok(Build::Go),
        "go1.x" => {
            Err(failed(format!("BuildMethod go1.x makes code for provided.al2023, and the Runtime is {runtime}")))
        }
        _ if ORDINARY.contains(&method) || version(method) => {
            let meant = match method {
                "python-uv" => Some("python"),
                "rust-cargolambda" => Some("provided"),
                _ => language(method),
            };
            if runtime.is_empty() || meant == language(runtime) {
                return Ok(Build::Ordinary);
            }
            Err(failed(format!("BuildMethod {method} does not make code for the Runtime {runtime}")))
        }
        _ if UNSUPPORTED.iter().any(|start| method.starts_with(start)) => Err(failed(format!(
            "BuildMethod {method} is not supported yet"
        ))
        .kind(ProblemKind::Unsupported)
        .help(
            "build it with a Makefile (BuildMethod: makefile), or name in CodeUri the folder or zip that a build made",
        )),
        _ => {
            let mut known = vec!["esbuild", "go1.x", "makefile", "rust-cargolambda", "python-uv", "provided.al2023"];
            if language(runtime).is_some() {
                known.push(runtime);
            }
            Err(failed(format!("there is no BuildMethod \"{method}\""))
                .kind(ProblemKind::Unknown)
                .suggest(method, known))
        }
    }
}

/// Reads the build settings from the `metadata` of a layer (SAM developer guide, "Building Lambda layers"); the metadata is at
/// `place`. Without them its content is taken as it is.
///
/// # Errors
/// A problem, at its place.
pub fn read_of_layer(metadata: &Value, place: &Path) -> Result<Build, Problem> {
    let runtime = match &metadata["BuildMethod"] {
        Value::Null => return Ok(Build::Skip),
        Value::String(method) if method == "python-uv" => runtimes::newest_of("python").unwrap_or_default(),
        Value::String(method) => method.as_str(),
        _ => "",
    };
    if ["esbuild", "go1.x", "provided", "rust-cargolambda"].iter().any(|method| runtime.starts_with(method)) {
        let what = format!("BuildMethod {runtime} does not make layers");
        return Err(Problem::new(place.key("BuildMethod"), what)
            .help("BuildMethod: nodejs24.x, python3.14 or makefile; without one, ContentUri is taken as it is"));
    }
    Ok(match read(metadata, "", place)? {
        Build::Ordinary => Build::LayerOf(runtime.to_owned()),
        other => other,
    })
}

/// A boolean, quoted or not.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::String(text) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

/// A text in the form of esbuild's command line.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A list of texts; a single text is a list of one.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(word).collect(),
        value => word(value).map(|word| vec![word]),
    }
}

fn esbuild(properties: &Value, place: &Path) -> Result<Build, Problem> {
    let none = serde_json::Map::new();
    let given = match properties {
        Value::Null => &none,
        Value::Object(properties) => properties,
        _ => return Err(Problem::new(place.clone(), "BuildProperties must be a map").kind(ProblemKind::IllTyped)),
    };
    let mut made = Esbuild { bundle: true, ..Esbuild::default() };
    for (name, value) in given {
        let at = place.key(name);
        let wrong = |what: &str| Problem::new(at.clone(), format!("{name} must be {what}")).kind(ProblemKind::IllTyped);
        if name == "EntryPoints" {
            let Value::Array(points) = value else { return Err(wrong("a list of files")) };
            made.entry_points =
                points.iter().map(word).collect::<Option<_>>().ok_or_else(|| wrong("a list of files"))?;
            continue;
        }
        let Some((_, form)) = PROPERTIES.iter().find(|(known, _)| known == name) else {
            let known = PROPERTIES.iter().map(|(known, _)| *known).chain(["EntryPoints"]);
            let what = format!("esbuild has no build property \"{name}\"");
            return Err(Problem::of_key(at, what).kind(ProblemKind::Unknown).suggest(name, known));
        };
        let option = kebab(name);
        match form {
            Form::Flag | Form::FlagOrValue => match (boolean(value), form, value) {
                (Some(boolean), ..) if name == "Bundle" => made.bundle = boolean,
                (Some(true), ..) => made.flags.push(format!("--{option}")),
                (Some(false), ..) => {}
                (None, Form::FlagOrValue, Value::String(text)) => made.flags.push(format!("--{option}={text}")),
                _ => return Err(wrong("true or false")),
            },
            Form::Value => {
                let words = words(value).ok_or_else(|| wrong("a string or a list of strings"))?;
                if name == "Format" {
                    made.modules = words == ["esm"];
                }
                made.flags.push(format!("--{option}={}", words.join(",")));
            }
            Form::Each => {
                let words = words(value).ok_or_else(|| wrong("a list of strings"))?;
                for word in words {
                    if name == "OutExtension"
                        && let Some(extension) = word.strip_prefix(".js=")
                    {
                        made.extension = Some(extension.to_owned());
                    }
                    made.flags.push(format!("--{option}:{word}"));
                }
            }
        }
    }
    // The defaults of SAM's builder (aws-lambda-builders, nodejs_npm_esbuild).
    for (name, flag) in [("Target", "--target=es2020"), ("Format", "--format=cjs"), ("Minify", "--minify")] {
        if !given.contains_key(name) {
            made.flags.push(flag.to_owned());
        }
    }
    Ok(Build::Esbuild(made))
}

/// `MainFields` as `main-fields`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (index, character) in name.char_indices() {
        if index > 0 && character.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(character.to_ascii_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(metadata: &Value, runtime: &str) -> (String, String, Option<String>) {
        let problem = read(metadata, runtime, &Path::default().key("Metadata")).unwrap_err();
        (problem.path.to_string(), problem.what, problem.help)
    }

    #[test]
    fn every_method_is_done_or_refused_by_name() {
        for (method, runtime) in [
            ("nodejs20.x", "nodejs22.x"),
            ("python3.12", "python3.12"),
            ("rust-cargolambda", "provided.al2023"),
            ("provided.al2023", "provided.al2023"),
            ("python-uv", "python3.13"),
        ] {
            assert_eq!(
                read(&json!({ "BuildMethod": method }), runtime, &Path::default()),
                Ok(Build::Ordinary),
                "{method}"
            );
        }
        assert_eq!(read(&Value::Null, "nodejs20.x", &Path::default()), Ok(Build::Ordinary));
        let skip = json!({ "SkipBuild": true, "BuildMethod": "esbuild" });
        assert_eq!(read(&skip, "nodejs20.x", &Path::default()), Ok(Build::Skip));
        let make = json!({ "BuildMethod": "makefile", "WorkingDirectory": "fn/sub" });
        let made = Makefile { context: None, working_directory: Some("fn/sub".to_owned()) };
        assert_eq!(read(&make, "python3.12", &Path::default()), Ok(Build::Makefile(made)));
        assert_eq!(read(&json!({ "BuildMethod": "go1.x" }), "provided.al2023", &Path::default()), Ok(Build::Go));
        for method in ["dotnet8", "java21", "ruby3.4"] {
            let (place, what, _) = problem(&json!({ "BuildMethod": method }), "nodejs20.x");
            assert_eq!(
                (place.as_str(), what),
                ("Metadata/BuildMethod", format!("BuildMethod {method} is not supported yet"))
            );
        }
        for (method, runtime, what, help) in [
            ("makefiel", "nodejs20.x", "there is no BuildMethod \"makefiel\"", "did you mean \"makefile\"?"),
            ("nodejs20", "nodejs20.x", "there is no BuildMethod \"nodejs20\"", "did you mean \"nodejs20.x\"?"),
            ("python3.12", "nodejs20.x", "BuildMethod python3.12 does not make code for the Runtime nodejs20.x", ""),
            ("esbuild", "python3.12", "esbuild makes code for nodejs, and the Runtime is python3.12", ""),
        ] {
            let (_, said, helped) = problem(&json!({ "BuildMethod": method }), runtime);
            assert_eq!((said.as_str(), helped.unwrap_or_default().as_str()), (what, help));
        }
        assert_eq!(problem(&json!({ "BuildMethod": { "Ref": "P" } }), "nodejs20.x").1, "BuildMethod must be a string");
    }

    #[test]
    fn a_layer_is_built_for_the_runtime_that_its_method_names() {
        let of_layer = |metadata: Value| read_of_layer(&metadata, &Path::default().key("Metadata"));
        assert_eq!(of_layer(Value::Null), Ok(Build::Skip));
        for runtime in ["nodejs22.x", "python3.12"] {
            assert_eq!(of_layer(json!({ "BuildMethod": runtime })), Ok(Build::LayerOf(runtime.to_owned())));
        }
        assert_eq!(of_layer(json!({ "BuildMethod": "makefile" })), Ok(Build::Makefile(Makefile::default())));
        for (method, what) in [
            ("esbuild", "BuildMethod esbuild does not make layers"),
            ("java21", "BuildMethod java21 is not supported yet"),
            ("nodejs22", "there is no BuildMethod \"nodejs22\""),
        ] {
            assert_eq!(of_layer(json!({ "BuildMethod": method })).unwrap_err().what, what);
        }
        assert_eq!(of_layer(json!({ "BuildMethod": {} })).unwrap_err().what, "BuildMethod must be a string");
    }

    #[test]
    fn node_reads_the_source_maps_of_a_bundle() {
        let added = |sourcemap: Value, environment: Value| {
            let metadata = json!({ "BuildMethod": "esbuild", "BuildProperties": { "Sourcemap": sourcemap } });
            let mut properties = match environment {
                Value::Null => json!({}),
                environment => json!({ "Environment": environment }),
            };
            read(&metadata, "nodejs20.x", &Path::default()).unwrap().add_to(&mut properties);
            properties
        };
        let variables = |options: &str| json!({ "Environment": { "Variables": { "NODE_OPTIONS": options } } });
        assert_eq!(added(json!(true), Value::Null), variables(" --enable-source-maps"));
        assert_eq!(added(json!("inline"), json!({})), variables(" --enable-source-maps"));
        assert_eq!(added(json!(false), Value::Null), json!({}));
        let given = |options: &str| variables(options)["Environment"].clone();
        assert_eq!(added(json!(true), given("--trace-warnings")), variables("--trace-warnings --enable-source-maps"));
        assert_eq!(added(json!(true), given("--enable-source-maps")), variables("--enable-source-maps"));
    }

    #[test]
    fn build_properties_become_esbuilds_options() {
        let made = |properties: Value| {
            let metadata = json!({ "BuildMethod": "esbuild", "BuildProperties": properties });
            match read(&metadata, "nodejs20.x", &Path::default()) {
                Ok(Build::Esbuild(made)) => made,
                other => panic!("{other:?}"),
            }
        };
        let least = made(Value::Null);
        assert_eq!(least.flags, ["--target=es2020", "--format=cjs", "--minify"]);
        assert!(least.bundle && least.entry_points.is_empty());
        let full = made(json!({
            "EntryPoints": ["src/app.ts"], "Minify": false, "Target": "es2022", "Sourcemap": true, "Format": "esm",
            "External": ["sharp", "@aws-sdk/*"], "Loader": [".png=file"], "MainFields": ["module", "main"],
            "OutExtension": [".js=.mjs"], "Banner": ["js=//x"], "SourcesContent": false, "Bundle": "false",
        }));
        let flags = [
            "--target=es2022",
            "--sourcemap",
            "--format=esm",
            "--external:sharp",
            "--external:@aws-sdk/*",
            "--loader:.png=file",
            "--main-fields=module,main",
            "--out-extension:.js=.mjs",
            "--banner:js=//x",
            "--sources-content=false",
        ];
        assert_eq!(full.flags, flags);
        assert_eq!((full.bundle, full.modules, full.extension.as_deref()), (false, true, Some(".mjs")));
        let wrong = |properties: Value| {
            problem(&json!({ "BuildMethod": "esbuild", "BuildProperties": properties }), "nodejs20.x")
        };
        let (place, what, help) = wrong(json!({ "Minifi": true }));
        assert_eq!(
            (place.as_str(), what.as_str()),
            ("Metadata/BuildProperties/Minifi", "esbuild has no build property \"Minifi\"")
        );
        assert_eq!(help.unwrap(), "did you mean \"Minify\"?");
        assert_eq!(wrong(json!({ "EntryPoints": "app.ts" })).1, "EntryPoints must be a list of files");
        assert_eq!(wrong(json!({ "Minify": "perhaps" })).1, "Minify must be true or false");
    }
}
