//! Templates as data that tests can change, and code for their functions.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{Cloud, repository};

/// A template as data.
#[derive(Clone)]
pub struct Template(pub Value);

impl Template {
    /// The echo template: one resource of each type, with a function that answers (`tests/fixtures/echo`).
    pub fn echo() -> Self {
        let text = fs::read_to_string(repository().join("tests/fixtures/echo/template.yaml")).unwrap();
        Self(serde_yaml::from_str(&text).unwrap())
    }

    /// A template of this repository.
    pub fn of(path: &str) -> Self {
        Self(serde_yaml::from_str(&fs::read_to_string(repository().join(path)).unwrap()).unwrap())
    }

    /// `Echo.MemorySize` is the function's property, `Echo` the resource.
    pub fn get(&mut self, path: &str) -> &mut Value {
        path.split('.').enumerate().fold(&mut self.0["Resources"], |value, (depth, key)| {
            let value = if depth == 1 { &mut value["Properties"] } else { value };
            match key.parse::<usize>() {
                Ok(index) => &mut value[index],
                Err(_) => &mut value[key],
            }
        })
    }

    pub fn set(&mut self, path: &str, value: Value) {
        *self.get(path) = value;
    }

    pub fn set_depends_on(&mut self, resource: &str, others: &[&str]) {
        self.get(resource)["DependsOn"] = json!(others);
    }

    /// Removes and returns a resource or property.
    pub fn remove(&mut self, path: &str) -> Value {
        let (above, key) = match path.split_once('.') {
            None => (&mut self.0["Resources"], path),
            Some((resource, property)) if !property.contains('.') => {
                (&mut self.0["Resources"][resource]["Properties"], property)
            }
            Some(_) => {
                let (above, key) = path.rsplit_once('.').unwrap();
                (self.get(above), key)
            }
        };
        above.as_object_mut().unwrap().shift_remove(key).unwrap_or_else(|| panic!("there is no {path}"))
    }

    /// Changes a logical id, with all references to it.
    pub fn rename(&mut self, old: &str, new: &str) {
        let text = self.0.to_string();
        assert!(text.contains(old));
        self.0 = serde_json::from_str(&text.replace(old, new)).unwrap();
    }

    /// Writes it to the path that `wschat up` reads.
    pub fn save(&self, cloud: &Cloud) {
        self.save_as(cloud, "template.json");
    }
}

impl Template {
    /// The same, under another name.
    pub fn save_as(&self, cloud: &Cloud, name: &str) {
        fs::write(cloud.folder().join(name), self.0.to_string()).unwrap();
    }
}

/// Writes a gateway without functions into a cloud's folder (`tests/fixtures/gateway`).
pub fn gateway(cloud: &Cloud) -> Template {
    let template = Template::of("tests/fixtures/gateway/template.yaml");
    template.save(cloud);
    template
}

/// Writes the echo template and its code into a cloud's folder.
pub fn echo(cloud: &Cloud) -> Template {
    let template = Template::echo();
    template.save(cloud);
    echo_code(cloud, "hello");
    template
}

/// Writes the echo template into a cloud's folder, with code that is never run: for tests without clients, and for tests that
/// use the local cloud as if it were AWS, where code must be built for Lambda's machine.
pub fn echo_without_handler(cloud: &Cloud) -> Template {
    let template = Template::echo();
    template.save(cloud);
    script(&cloud.folder().join("echo"), "#!/bin/sh\nexit 1\n");
    template
}

/// Changes the echo template in a cloud's folder, and its code: a route, an integration, a function, a permission.
pub fn echo_changed(cloud: &Cloud) -> Template {
    let mut template = Template::echo();
    template.set("PingRoute.RouteKey", "pong".into());
    template.set("PingIntegration.TimeoutInMillis", 6000.into());
    template.set("Echo.MemorySize", 512.into());
    template.set(
        "EchoPermission.SourceArn",
        json!({"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/*"}),
    );
    template.save(cloud);
    script(&cloud.folder().join("echo"), "#!/bin/sh\n# changed\nexit 1\n");
    template
}

/// Conditions under which resources pass through every state without delay.
pub const SWIFT: &str = r#"
    [eventual_s]
    iam_role_assumable = 0.001
    table_creating = 0.002
    table_deleting = 0.002
    function_pending = 0.002
    function_updating = 0.002
    resource_changing = 0.002
    mapping_changing = 0.002
"#;

/// A cloud with fast conditions and the echo template in its folder; nothing is deployed.
pub fn fast_echo() -> Cloud {
    let cloud = Cloud::start().conditions(SWIFT).go();
    echo_without_handler(&cloud);
    cloud
}

/// Writes the code of the echo template's function, which answers with `greeting`.
pub fn echo_code(cloud: &Cloud, greeting: &str) {
    let folder = cloud.folder().join("echo");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(echo_binary(), folder.join("bootstrap")).unwrap();
    fs::write(folder.join("greeting"), greeting).unwrap();
}

/// Writes the complete chat template, with handlers that are never run: for tests without clients.
pub fn chat_without_handlers(cloud: &Cloud) {
    let template = cloud.folder().join("templates/chat.yaml");
    fs::create_dir_all(template.parent().unwrap()).unwrap();
    fs::copy(repository().join("templates/chat.yaml"), template).unwrap();
    for handler in ["connect", "disconnect", "send-message", "default"] {
        script(&cloud.folder().join("lambdas").join(handler), &format!("#!/bin/sh\n# {handler}\nexit 1\n"));
    }
}

/// An example app.
pub struct App {
    pub name: String,
    template: PathBuf,
    /// The folder with its code; `None` for handlers that are never run.
    code: Option<PathBuf>,
}

/// The example apps of this repository, and those whose templates `WSCHAT_TEMPLATES` names, with the handlers of the Node.js
/// example.
pub fn apps() -> Vec<App> {
    let shipped = |name: &str, template: &str| App {
        name: name.to_owned(),
        template: repository().join(template),
        code: Path::new(template)
            .parent()
            .filter(|folder| folder.starts_with("examples"))
            .map(|it| repository().join(it)),
    };
    let mut apps = vec![
        shipped("chat", "templates/chat.yaml"),
        shipped("node-chat", "examples/node-chat/template.yaml"),
        shipped("python-chat", "examples/python-chat/template.yaml"),
        App::services(),
        App::web(),
        App::gateway(),
        App::queue(),
        App::layers(),
        App::custom(),
    ];
    let given = std::env::var_os("WSCHAT_TEMPLATES").unwrap_or_default();
    for template in std::env::split_paths(&given).filter(|path| !path.as_os_str().is_empty()) {
        let code = Some(repository().join("examples/node-chat"));
        apps.push(App { name: template.display().to_string(), template, code });
    }
    apps
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl App {
    /// One whose resources stand beside the chat, with code that is never run (`tests/fixtures/services`).
    pub fn services() -> Self {
        let folder = repository().join("tests/fixtures/services");
        Self { name: "services".to_owned(), template: folder.join("template.yaml"), code: Some(folder) }
    }

    /// A chat with a queue, a topic and event source mappings (`tests/fixtures/queue`).
    pub fn queue() -> Self {
        let folder = repository().join("tests/fixtures/queue");
        Self { name: "queue".to_owned(), template: folder.join("template.yaml"), code: Some(folder) }
    }

    /// A chat with a bucket (`tests/fixtures/bucket`).
    pub fn bucket() -> Self {
        let folder = repository().join("tests/fixtures/bucket");
        Self { name: "bucket".to_owned(), template: folder.join("template.yaml"), code: Some(folder) }
    }

    /// A gateway without functions (`tests/fixtures/gateway`).
    pub fn gateway() -> Self {
        Self {
            name: "gateway".to_owned(),
            template: repository().join("tests/fixtures/gateway/template.yaml"),
            code: None,
        }
    }

    /// HTTP APIs and a REST API beside a socket (`tests/fixtures/web`).
    pub fn web() -> Self {
        let folder = repository().join("tests/fixtures/web");
        Self { name: "web".to_owned(), template: folder.join("template.yaml"), code: Some(folder) }
    }

    /// One whose function has layers (`tests/fixtures/layers`).
    pub fn layers() -> Self {
        let folder = repository().join("tests/fixtures/layers");
        Self { name: "layers".to_owned(), template: folder.join("template.yaml"), code: Some(folder) }
    }

    /// One with custom resources (`tests/fixtures/custom`).
    pub fn custom() -> Self {
        let folder = repository().join("tests/fixtures/custom");
        Self { name: "custom".to_owned(), template: folder.join("template.yaml"), code: Some(folder) }
    }

    /// A cloud with fast conditions and this app in its folder; nothing is deployed.
    pub fn fast(&self) -> Cloud {
        let cloud = Cloud::start().conditions(SWIFT).go();
        match &self.code {
            Some(code) => {
                copy(code, &cloud.folder());
                fs::copy(&self.template, cloud.folder().join("template.yaml")).unwrap();
            }
            None if self.name == "chat" => chat_without_handlers(&cloud),
            None => drop(fs::copy(&self.template, cloud.folder().join("template.yaml")).unwrap()),
        }
        cloud
    }
}

/// Copies a folder's content.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Creates a folder with this script as `bootstrap`.
pub fn script(folder: &Path, text: &str) {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("bootstrap");
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The handler in `tests/fixtures/echo`, compiled once per process.
fn echo_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let scratch = tempfile::tempdir_in(folder).unwrap();
        let made = scratch.path().join("echo");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc)
            .args(["--edition=2024", "-Copt-level=1", "-Cstrip=symbols", "-o"])
            .arg(&made)
            .arg(repository().join("tests/fixtures/echo/echo.rs"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        // Other test processes may compile it, too: the last one wins, and all results are equal.
        let path = folder.join("echo");
        fs::rename(made, &path).unwrap();
        path
    })
}

/// `[{"Key": .., "Value": ..}]`.
pub fn tags(tags: &[(&str, &str)]) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}
