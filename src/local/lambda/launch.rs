//! The command that runs a function's runtime, and its environment variables.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::failure::InvocationFailure;
use super::interpreters::Interpreters;
use super::packages;
use super::sandbox::{OPT, TASK};
use super::settings::LogFormat;
use super::spec::{EnvironmentSpec, LambdaHost};
use crate::local::context::ports::Credentials;
use crate::machine::interpreter::{Language, release};
use crate::machine::program;

/// The name by which functions always reach S3 at the usual port: addresses for answers that they are given have it.
const S3_NAME: &str = "s3.localhost";

/// The environment variable that marks the processes of functions and their children; its value is Lambda's folder.
pub const OWNER_VARIABLE: &str = "_WSCHAT_LAMBDA";

/// The command for a runtime, without its environment. `root` is the code's folder as the process sees it, `opt` that of its layers.
///
/// # Errors
/// `Runtime.InvalidEntrypoint` where the code has no executable, the runtime is not supported, or its interpreter is not
/// installed on this machine.
pub async fn launch(
    spec: &EnvironmentSpec,
    root: &Path,
    opt: Option<&Path>,
    interpreters: &Interpreters,
) -> Result<Command, InvocationFailure> {
    if let Some(uri) = &spec.deployment.settings.image_uri {
        let message =
            format!("The local cloud does not run container images ({uri}): the rest of the application works.");
        return Err(InvocationFailure::no_entrypoint(message));
    }
    let runtime = spec.deployment.settings.runtime.as_str();
    let memory = spec.deployment.settings.memory_size;
    let mut command = match (runtime, Language::of(runtime)) {
        ("provided.al2" | "provided.al2023", _) => bootstrap(spec, root, opt)?,
        (_, Some(language)) => {
            let mut command = interpreters
                .command(language, runtime, memory, spec.inspect.as_ref())
                .await
                .map_err(InvocationFailure::no_entrypoint)?;
            if language == Language::Python {
                command.arg(packages::bytecode(&spec.folder));
            }
            command
        }
        _ => match client(spec, root) {
            Some(command) => command,
            None => {
                let lacks = match runtime {
                    java if java.starts_with("java") => {
                        " without java in the PATH and the runtime client in the code's lib (aws-lambda-java-runtime-interface-client)"
                    }
                    ruby if ruby.starts_with("ruby") => {
                        " without aws_lambda_ric in the PATH (gem install aws_lambda_ric)"
                    }
                    dotnet if dotnet.starts_with("dotnet") => {
                        " without dotnet in the PATH and a program of the handler's name in the code (an executable assembly)"
                    }
                    _ => "",
                };
                let message = format!(
                    "The local cloud does not run {runtime}{lacks}. It runs nodejs, python3, provided.al2023 and provided.al2."
                );
                return Err(InvocationFailure::no_entrypoint(message));
            }
        },
    };
    if let Some(wrapper) = wrapper(spec, root, opt) {
        let wrapped = command.as_std();
        let mut wrapping = Command::new(wrapper);
        wrapping.arg(wrapped.get_program()).args(wrapped.get_args());
        command = wrapping;
    }
    command.current_dir(&spec.folder).env_clear();
    Ok(command)
}

/// AWS's own client of the Runtime API for another language, where this machine and the code have what it takes (the clients' READMEs:
/// aws/aws-lambda-java-libs, aws/aws-lambda-ruby-runtime-interface-client, aws/aws-lambda-dotnet).
fn client(spec: &EnvironmentSpec, root: &Path) -> Option<Command> {
    let settings = &spec.deployment.settings;
    let handler = settings.handler.as_str();
    let here = |name: &str| program::locate(name, None);
    let has = |name: String| spec.folder.join(name).is_file();
    match settings.runtime.as_str() {
        java if java.starts_with("java") => {
            let jars = std::fs::read_dir(spec.folder.join("lib")).into_iter().flatten().flatten();
            let is_client = |name: &str| name.starts_with("aws-lambda-java-runtime-interface-client");
            jars.map(|jar| jar.file_name()).find(|name| is_client(&name.to_string_lossy()))?;
            let mut command = Command::new(here("java")?);
            command.arg("-cp").arg(format!("{0}:{0}/lib/*", root.display()));
            command.arg("com.amazonaws.services.lambda.runtime.api.client.AWSLambda").arg(handler);
            Some(command)
        }
        ruby if ruby.starts_with("ruby") => {
            let mut command = Command::new(here("aws_lambda_ric")?);
            command.arg(handler);
            Some(command)
        }
        dotnet if dotnet.starts_with("dotnet") && has(format!("{handler}.runtimeconfig.json")) => {
            let mut command = Command::new(here("dotnet")?);
            command.arg(root.join(format!("{handler}.dll")));
            Some(command)
        }
        _ => None,
    }
}

/// The wrapper script in `AWS_LAMBDA_EXEC_WRAPPER`, which gets the runtime's command as arguments. For managed runtimes only
/// (Lambda developer guide, modifying the runtime environment).
fn wrapper(spec: &EnvironmentSpec, root: &Path, opt: Option<&Path>) -> Option<PathBuf> {
    let settings = &spec.deployment.settings;
    let named = settings.environment.as_ref()?.get("AWS_LAMBDA_EXEC_WRAPPER").filter(|path| !path.is_empty())?;
    if settings.runtime.starts_with("provided") {
        return None;
    }
    // Without a file system of its own, the code is not at /var/task, and layers are not at /opt.
    let own = Path::new(named).strip_prefix(TASK).ok().map(|own| root.join(own));
    let of_layer = || Some(opt?.join(Path::new(named).strip_prefix(OPT).ok()?));
    Some(own.or_else(of_layer).unwrap_or_else(|| PathBuf::from(named)))
}

/// The executable of a custom runtime: the code's own, or that of a layer.
fn bootstrap(spec: &EnvironmentSpec, root: &Path, opt: Option<&Path>) -> Result<Command, InvocationFailure> {
    let of_layers = spec.layers.as_ref().zip(opt).map(|((_, merged), opt)| (merged.as_path(), opt));
    let places = std::iter::once((spec.folder.as_path(), root)).chain(of_layers);
    let mut found = places.filter(|(folder, _)| folder.join("bootstrap").is_file());
    let Some((path, shown)) = found.next().map(|(folder, seen)| (folder.join("bootstrap"), seen.join("bootstrap")))
    else {
        return Err(InvocationFailure::no_entrypoint(
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
        ));
    };
    // The C library's `exec` falls back to a shell where the kernel refuses a file.
    let mut first = [0; 4];
    let length = File::open(&path).and_then(|mut file| file.read(&mut first)).unwrap_or_default();
    if cfg!(target_os = "linux") && length > 0 && first != *b"\x7fELF" && !first.starts_with(b"#!") {
        return Err(InvocationFailure::no_entrypoint("fork/exec /var/task/bootstrap: exec format error"));
    }
    Ok(Command::new(shown))
}

/// Lambda's failure for a command that could not be started.
pub fn not_started(command: &Command, error: &io::Error) -> InvocationFailure {
    let reason = match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        // Rust has no stable kind for ENOEXEC.
        _ if error.raw_os_error() == Some(8) => "exec format error".to_owned(),
        _ => error.to_string(),
    };
    let program = Path::new(command.as_std().get_program());
    let shown = match program.file_name().filter(|name| *name == "bootstrap") {
        Some(_) => Path::new("/var/task/bootstrap"),
        None => program,
    };
    InvocationFailure::no_entrypoint(format!("fork/exec {}: {reason}", shown.display()))
}

/// A variable's value with the AWS host names of this cloud's APIs replaced by their local addresses. (Templates build these
/// names from the API's id. Any scheme before the name works, since this port serves both HTTP and TLS.)
fn with_local_addresses(value: &str, addresses: &[(String, String)]) -> String {
    addresses.iter().fold(value.to_owned(), |value, (name, address)| value.replace(name, address))
}

/// The environment of a function's process: variables that direct the SDKs to this cloud, then the function's own variables,
/// then those of Lambda, which take precedence (Lambda developer guide, defined runtime environment variables). `root` is
/// the code's folder as the process sees it, `opt` that of its layers. Nothing is inherited from the environment of the local cloud itself.
pub fn variables(
    spec: &EnvironmentSpec,
    (root, opt): (&Path, Option<&Path>),
    host: &LambdaHost,
    credentials: &Credentials,
    log_stream: &str,
    runtime_api: SocketAddr,
) -> Vec<(String, String)> {
    let (settings, context) = (&spec.deployment.settings, &host.context);
    let addresses = host.addresses();
    let folder = root.display().to_string();
    let bundle = context.ca_bundle.display().to_string();
    let mut variables = Vec::new();
    let mut set = |name: &str, value: &str| variables.push((name.to_owned(), value.to_owned()));

    set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", context.port));
    for name in ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
        set(name, &bundle);
    }
    set("LANG", "en_US.UTF-8");
    set("TZ", ":UTC");
    let layers = opt.unwrap_or(Path::new(OPT)).display().to_string();
    set("PATH", &format!("/usr/local/bin:/usr/bin:/bin:{layers}/bin"));
    set("LD_LIBRARY_PATH", &format!("{folder}:{folder}/lib:{layers}/lib"));
    // Where the runtimes look for what layers bring, after what the function itself sets (Lambda developer guide, layer paths).
    let of_layers = opt.and_then(|_| {
        let release = release(&settings.runtime);
        Some(match Language::of(&settings.runtime)? {
            Language::Node => {
                ("NODE_PATH", format!("{layers}/nodejs/node{release}/node_modules:{layers}/nodejs/node_modules"))
            }
            Language::Python => {
                ("PYTHONPATH", format!("{layers}/python/lib/python{release}/site-packages:{layers}/python"))
            }
        })
    });
    if let Some((name, value)) = &of_layers {
        set(name, value);
    }
    if settings.logging.log_format == LogFormat::Json {
        set("AWS_LAMBDA_LOG_LEVEL", settings.logging.application_log_level.as_deref().unwrap_or("INFO"));
        set("AWS_LAMBDA_LOG_FORMAT", "JSON");
    } else {
        set("AWS_LAMBDA_LOG_FORMAT", "Text");
    }

    if Language::of(&settings.runtime).is_some() {
        // The host names that our clients of the Runtime API redirect here, and the port. They remove the variable.
        set("_WSCHAT_APIS", &format!("{} {S3_NAME} {}", context.port, host.names().join(" ")));
    }

    for (name, value) in settings.environment.iter().flatten() {
        let value = with_local_addresses(value, &addresses);
        match of_layers.iter().find(|(path, _)| path == name) {
            Some((_, layers)) => set(name, &format!("{value}:{layers}")),
            None => set(name, &value),
        }
    }

    set("_HANDLER", &settings.handler);
    set("AWS_REGION", &spec.id.region);
    set("AWS_DEFAULT_REGION", &spec.id.region);
    // Defined for managed runtimes only.
    if !settings.runtime.starts_with("provided") {
        set("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{}", settings.runtime));
    }
    set("AWS_LAMBDA_FUNCTION_NAME", &spec.id.name);
    set("AWS_LAMBDA_FUNCTION_VERSION", &spec.version);
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &settings.memory_size.to_string());
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
    set("AWS_LAMBDA_LOG_GROUP_NAME", &settings.logging.log_group);
    set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
    set("AWS_LAMBDA_RUNTIME_API", &runtime_api.to_string());
    set("AWS_ACCESS_KEY_ID", &credentials.access_key_id);
    set("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key);
    set("AWS_SESSION_TOKEN", &credentials.session_token);
    set("LAMBDA_TASK_ROOT", &folder);
    set("LAMBDA_RUNTIME_DIR", "/var/runtime");
    set(OWNER_VARIABLE, &host.folder().display().to_string());
    variables
}
