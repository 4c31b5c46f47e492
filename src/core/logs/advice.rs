//! What sort of failure it is, and what to do about it.

use super::{Failure, FailureKind, Function};

/// The sort of a failure, by the names and messages that Lambda, its runtimes and the AWS SDKs give.
pub(super) fn kind(error_type: &str, message: &str, rejection: bool) -> FailureKind {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let denied = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];
    match error_type {
        _ if denied.contains(&error_type) || says(&["is not authorized to perform: ", "(AccessDenied"]) => {
            FailureKind::AccessDenied
        }
        "Sandbox.Timedout" => FailureKind::Timeout,
        "Runtime.OutOfMemory" | "MemoryError" => FailureKind::OutOfMemory,
        "Runtime.ExitError" if says(&["signal: killed"]) => FailureKind::OutOfMemory,
        "Runtime.ExitError" => FailureKind::Exit,
        "Runtime.ImportModuleError" | "ModuleNotFoundError" => FailureKind::MissingModule,
        _ if error_type.ends_with("Error") && says(&["Cannot find module '", "Cannot find package '"]) => {
            FailureKind::MissingModule
        }
        "Runtime.UserCodeSyntaxError" | "SyntaxError" | "IndentationError" => FailureKind::SyntaxError,
        "Runtime.HandlerNotFound" | "Runtime.MalformedHandlerName" | "Runtime.CallbackHandlerDeprecated" => {
            FailureKind::HandlerNotFound
        }
        "Runtime.InvalidEntrypoint" | "Runtime.InvalidWorkingDir" => FailureKind::NoEntrypoint,
        "Runtime.MarshalError" | "Function.ResponseSizeTooLarge" => FailureKind::Response,
        _ if rejection => FailureKind::UnhandledRejection,
        _ => FailureKind::Exception,
    }
}

/// What is to be added where an API waits for the function that timed out (API Gateway's quotas).
pub(super) const GATEWAY_LIMIT: &str = "; API Gateway waits for 29 s at most";

/// What to do about a failure, in one sentence; empty where its stack says all there is to say.
pub(super) fn help(failure: &Failure, function: &Function, last_words: Option<&str>) -> String {
    let name = &function.name;
    let message = failure.message.as_str();
    let place = failure.stack.first().map(super::StackFrame::place);
    match failure.kind {
        FailureKind::AccessDenied => access_denied(message, function)
            .unwrap_or_else(|| format!("give {} a policy that allows the call", role(function))),
        FailureKind::Timeout => {
            let now = function.timeout.map(|seconds| format!(" (now {seconds} s)")).unwrap_or_default();
            let after = match last_words.and_then(|text| text.lines().next()) {
                Some(last) => format!("; the last that it logged: {last}"),
                None => "; it logged nothing".to_owned(),
            };
            format!("find out what {name} waits for, or raise its Timeout{now}{after}")
        }
        FailureKind::OutOfMemory => {
            let now = function.memory.map(|megabytes| format!(" (now {megabytes} MB)")).unwrap_or_default();
            format!("raise MemorySize{now} of {name}, or have it use less")
        }
        FailureKind::MissingModule => missing_module(message, function),
        FailureKind::SyntaxError => match place {
            Some(place) => format!("correct {place}"),
            None => format!("find the place with: {}", syntax_check(function)),
        },
        FailureKind::HandlerNotFound => {
            format!("export the function that Handler of {name} names ({}), or change Handler", function.handler)
        }
        FailureKind::NoEntrypoint => {
            format!("the code of {name} needs an executable file `bootstrap` for Lambda's architecture at its root")
        }
        FailureKind::Exception | FailureKind::UnhandledRejection | FailureKind::Panic => match place {
            Some(place) if failure.kind == FailureKind::UnhandledRejection => {
                format!("await the promise, or catch its error; it comes from {place}")
            }
            // Its first line is the place.
            Some(_) => String::new(),
            None if failure.message.contains("log does not say") => {
                format!("log the error in {name} before it is returned")
            }
            None => "the stack names no line of yours".to_owned(),
        },
        FailureKind::Exit => {
            let call = if function.runtime.starts_with("python") { "sys.exit" } else { "process.exit" };
            let call = if function.runtime.starts_with("provided") { "process::exit" } else { call };
            match last_words.and_then(|text| text.lines().next_back()) {
                Some(last) => {
                    format!("the process of {name} ended by itself ({call}, or a crash); its last line: {last}")
                }
                None => {
                    format!("the process of {name} ended by itself ({call}, or a crash), and logged nothing before")
                }
            }
        }
        FailureKind::Response => format!("have {name} return a value that JSON can hold, of at most 6 MB"),
        FailureKind::Gateway => String::new(),
    }
}

/// `the role ConnectRole`
fn role(function: &Function) -> String {
    match &function.role {
        Some(role) => format!("the role {role}"),
        None => format!("the role of {}", function.name),
    }
}

/// What to do where a text has AWS's sentence about a missing permission: `User: ARN is not authorized to perform: ACTION on
/// resource: RESOURCE because ...`.
pub(super) fn access_denied(text: &str, function: &Function) -> Option<String> {
    let (before, rest) = text.split_once("is not authorized to perform: ")?;
    let word = |text: &str| {
        text.split([' ', '\n', '"', ',']).next().unwrap_or_default().trim_end_matches(['.', ')']).to_owned()
    };
    let action = word(rest);
    let resource = rest.split_once("on resource: ").map(|(_, rest)| word(rest)).filter(|resource| !resource.is_empty());
    // The caller may be another role than the function's: the code may have assumed one.
    let caller =
        before.rsplit_once(":assumed-role/").map(|(_, role)| role.split('/').next().unwrap_or_default().trim());
    let role = match (caller, &function.role) {
        (Some(physical), Some(logical)) if physical.contains(logical.as_str()) => format!("the role {logical}"),
        (Some(physical), _) if !physical.is_empty() => format!("the role {physical}"),
        _ => role(function),
    };
    let resource = resource.map(|resource| format!(" on {resource}")).unwrap_or_default();
    let explicit = rest.contains("explicit deny");
    Some(match explicit {
        true => format!("remove the Deny of {action}{resource} from the policies of {role}"),
        false => format!("allow {action}{resource} in a policy of {role}"),
    })
}

fn missing_module(message: &str, function: &Function) -> String {
    let quoted = |begin: &str| {
        let (_, rest) = message.split_once(begin)?;
        rest.split('\'').next().map(str::to_owned)
    };
    let folder = match function.folder.as_str() {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    if let Some(module) = quoted("No module named '") {
        let top = module.split('.').next().unwrap_or(&module);
        let own = function.handler.split(['.', '/']).next().is_some_and(|own| own == top);
        return match own {
            true => format!("there is no {folder}{top}.py: check Handler and CodeUri of {}", function.name),
            false => format!("add {top} (or the package that has it) to {folder}requirements.txt"),
        };
    }
    match quoted("Cannot find module '").or_else(|| quoted("Cannot find package '")) {
        Some(module) if module.starts_with(['.', '/']) => {
            format!(
                "there is no file {module}: check the path of the import, and that the file is in {}",
                where_code(function)
            )
        }
        Some(module) => {
            // A package may be asked for one of its files.
            let scoped = module.starts_with('@');
            let parts: Vec<&str> = module.split('/').take(if scoped { 2 } else { 1 }).collect();
            let package = parts.join("/");
            let at = if folder.is_empty() { String::new() } else { format!("--prefix {} ", function.folder) };
            format!("add the package to {folder}package.json: npm install {at}{package}")
        }
        None => "check the import, and that what it names is in the function's code".to_owned(),
    }
}

fn where_code(function: &Function) -> String {
    if function.folder.is_empty() { "the function's code".to_owned() } else { format!("{}/", function.folder) }
}

/// The command that finds a syntax error where the runtime names no file.
fn syntax_check(function: &Function) -> String {
    let file = function.handler.rsplit_once('.').map_or(function.handler.as_str(), |(file, _)| file);
    let folder = if function.folder.is_empty() { String::new() } else { format!("{}/", function.folder) };
    if function.runtime.starts_with("python") {
        format!("python3 -m py_compile {folder}{}.py", file.replace('.', "/"))
    } else {
        format!("node --check {folder}{file}.mjs (or .js)")
    }
}
