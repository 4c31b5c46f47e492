//! Facts about Lambda's runtimes that the deployer and the local cloud share: end-of-life dates and reserved variables.

use time::Date;
use time::macros::date;

use super::nearest;

/// The end-of-life dates of a runtime.
#[derive(Debug, Clone, Copy)]
pub struct EndOfSupport {
    pub name: &'static str,
    /// No security patches from this day on.
    pub deprecated: Date,
    /// No new functions.
    pub no_create: Date,
    /// No updates of functions that have it.
    pub no_update: Date,
}

/// The end-of-life dates of a runtime, where they are known.
pub fn end(runtime: &str) -> Option<EndOfSupport> {
    ENDS.iter().find(|end| end.name == runtime).copied()
}

impl EndOfSupport {
    /// Since when Lambda refuses to create a function with it, or to update one that has it already (`exists`); `None` while it does not.
    pub fn refused_since(&self, exists: bool) -> Option<Date> {
        let since = if exists { self.no_update } else { self.no_create };
        (since <= KNOWN_ON).then_some(since)
    }
}

/// The date of the list of ends: what ends up to this day has ended. Not the current date, since AWS postpones ends, and what worked
/// yesterday must not fail without a change.
const KNOWN_ON: Date = date!(2026 - 11 - 30);

/// The runtime of the same language that is supported longest.
pub fn newest(runtime: &str) -> Option<&'static str> {
    newest_of(match language(end(runtime)?.name) {
        // Go no longer has a runtime of its own.
        "go" => "provided",
        "dotnetcore" => "dotnet",
        other => other,
    })
}

/// The runtime of a language (`nodejs`) that is supported longest.
pub fn newest_of(own: &str) -> Option<&'static str> {
    ENDS.iter().filter(|end| language(end.name) == own).max_by_key(|end| end.deprecated).map(|end| end.name)
}

/// `nodejs` of `nodejs22.x`.
fn language(runtime: &str) -> &str {
    runtime.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or(runtime)
}

/// What to write for a `runtime` that Lambda does not have; `None` if Lambda has it, or may have it by now: a version
/// after all that are known of its language.
pub fn unknown(runtime: &str) -> Option<String> {
    let known: Vec<&str> = ENDS.iter().map(|end| end.name).chain(WITHOUT_END.iter().copied()).collect();
    if known.contains(&runtime) || is_newer(runtime, &known) {
        return None;
    }
    let near = |known: &&&str| known.starts_with(runtime) || strsim::osa_distance(known, runtime) <= 1;
    let near: Vec<&&str> = known.iter().filter(near).collect();
    Some(match (near.as_slice(), newest_of(language(runtime))) {
        ([meant], _) => format!("did you mean \"{meant}\"?"),
        (_, Some(newest)) => format!("the newest one is {newest}"),
        (_, None) => match nearest(runtime, &known) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => "runtimes are named like nodejs24.x, python3.14 or provided.al2023".to_owned(),
        },
    })
}

/// Whether a runtime is named like a known one of its language and has a higher version than all of them.
fn is_newer(runtime: &str, known: &[&str]) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    // `python#.#`, and 3 and 14.
    let shape = |name: &str| {
        let mut shape: Vec<char> = name.chars().map(|c| if is_digit(c) { '#' } else { c }).collect();
        shape.dedup_by(|a, b| (*a, *b) == ('#', '#'));
        shape
    };
    let version = |name: &str| -> Vec<u32> {
        name.split(|c: char| !is_digit(c)).filter(|part| part.len() < 5).filter_map(|part| part.parse().ok()).collect()
    };
    let alike: Vec<&&str> = known.iter().filter(|name| shape(name) == shape(runtime)).collect();
    !alike.is_empty() && alike.into_iter().all(|name| version(name) < version(runtime))
}

/// Runtimes whose end is not known, among them those that Lambda's API accepts ahead of their release (CloudFormation's
/// schema and botocore's model).
const WITHOUT_END: &[&str] =
    &["java11.al2023", "java17.al2023", "java8.al2023", "nodejs26.x", "nodejs4.3-edge", "python3.15"];

/// Variables that Lambda sets and a function may not (Lambda developer guide, reserved environment variables).
pub const RESERVED_VARIABLES: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// The most bytes of JSON that all variables of a function may have together (Lambda developer guide, quotas; its
/// refusal shows what is measured: "String measured: {...}").
pub const LONGEST_ENVIRONMENT: usize = 4096;

/// From AWS's Lambda developer guide, "Lambda runtimes" and "Runtime deprecation", as collected by cfn-lint 1.58.0
/// (`LmbdRuntimeLifecycle.json`). AWS sometimes moves these dates, usually to later ones. `dotnet9` is for container
/// images only and has no such dates.
const ENDS: &[EndOfSupport] = &[
    EndOfSupport {
        name: "dotnet6",
        deprecated: date!(2024 - 12 - 20),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "dotnet8",
        deprecated: date!(2026 - 11 - 10),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "dotnet10",
        deprecated: date!(2028 - 11 - 14),
        no_create: date!(2028 - 12 - 14),
        no_update: date!(2029 - 01 - 15),
    },
    EndOfSupport {
        name: "dotnetcore1.0",
        deprecated: date!(2019 - 06 - 27),
        no_create: date!(2019 - 06 - 30),
        no_update: date!(2019 - 07 - 30),
    },
    EndOfSupport {
        name: "dotnetcore2.0",
        deprecated: date!(2019 - 05 - 30),
        no_create: date!(2019 - 04 - 30),
        no_update: date!(2019 - 05 - 30),
    },
    EndOfSupport {
        name: "dotnetcore2.1",
        deprecated: date!(2022 - 01 - 05),
        no_create: date!(2022 - 01 - 05),
        no_update: date!(2022 - 04 - 13),
    },
    EndOfSupport {
        name: "dotnetcore3.1",
        deprecated: date!(2023 - 04 - 03),
        no_create: date!(2023 - 04 - 03),
        no_update: date!(2023 - 05 - 03),
    },
    EndOfSupport {
        name: "go1.x",
        deprecated: date!(2024 - 01 - 08),
        no_create: date!(2024 - 02 - 08),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "java8",
        deprecated: date!(2024 - 01 - 08),
        no_create: date!(2024 - 02 - 08),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "java8.al2",
        deprecated: date!(2027 - 06 - 30),
        no_create: date!(2027 - 07 - 31),
        no_update: date!(2027 - 08 - 31),
    },
    EndOfSupport {
        name: "java11",
        deprecated: date!(2027 - 06 - 30),
        no_create: date!(2027 - 07 - 31),
        no_update: date!(2027 - 08 - 31),
    },
    EndOfSupport {
        name: "java17",
        deprecated: date!(2027 - 06 - 30),
        no_create: date!(2027 - 07 - 31),
        no_update: date!(2027 - 08 - 31),
    },
    EndOfSupport {
        name: "java21",
        deprecated: date!(2029 - 06 - 30),
        no_create: date!(2029 - 07 - 31),
        no_update: date!(2029 - 08 - 31),
    },
    EndOfSupport {
        name: "java25",
        deprecated: date!(2029 - 06 - 30),
        no_create: date!(2029 - 07 - 31),
        no_update: date!(2029 - 08 - 31),
    },
    EndOfSupport {
        name: "nodejs",
        deprecated: date!(2016 - 08 - 30),
        no_create: date!(2016 - 09 - 30),
        no_update: date!(2016 - 10 - 31),
    },
    EndOfSupport {
        name: "nodejs4.3",
        deprecated: date!(2020 - 03 - 05),
        no_create: date!(2020 - 02 - 03),
        no_update: date!(2020 - 03 - 05),
    },
    EndOfSupport {
        name: "nodejs6.10",
        deprecated: date!(2019 - 08 - 12),
        no_create: date!(2019 - 07 - 12),
        no_update: date!(2019 - 08 - 12),
    },
    EndOfSupport {
        name: "nodejs8.10",
        deprecated: date!(2020 - 03 - 06),
        no_create: date!(2020 - 02 - 04),
        no_update: date!(2020 - 03 - 06),
    },
    EndOfSupport {
        name: "nodejs10.x",
        deprecated: date!(2021 - 07 - 30),
        no_create: date!(2021 - 07 - 30),
        no_update: date!(2022 - 02 - 14),
    },
    EndOfSupport {
        name: "nodejs12.x",
        deprecated: date!(2023 - 03 - 31),
        no_create: date!(2023 - 03 - 31),
        no_update: date!(2023 - 04 - 30),
    },
    EndOfSupport {
        name: "nodejs14.x",
        deprecated: date!(2023 - 12 - 04),
        no_create: date!(2024 - 01 - 09),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "nodejs16.x",
        deprecated: date!(2024 - 06 - 12),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "nodejs18.x",
        deprecated: date!(2025 - 09 - 01),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "nodejs20.x",
        deprecated: date!(2026 - 04 - 30),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "nodejs22.x",
        deprecated: date!(2027 - 04 - 30),
        no_create: date!(2027 - 06 - 01),
        no_update: date!(2027 - 07 - 01),
    },
    EndOfSupport {
        name: "nodejs24.x",
        deprecated: date!(2028 - 04 - 30),
        no_create: date!(2028 - 06 - 01),
        no_update: date!(2028 - 07 - 01),
    },
    EndOfSupport {
        name: "provided",
        deprecated: date!(2024 - 01 - 08),
        no_create: date!(2024 - 02 - 08),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "provided.al2",
        deprecated: date!(2026 - 07 - 31),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "provided.al2023",
        deprecated: date!(2029 - 06 - 30),
        no_create: date!(2029 - 07 - 31),
        no_update: date!(2029 - 08 - 31),
    },
    EndOfSupport {
        name: "python2.7",
        deprecated: date!(2021 - 07 - 15),
        no_create: date!(2021 - 07 - 15),
        no_update: date!(2022 - 05 - 30),
    },
    EndOfSupport {
        name: "python3.6",
        deprecated: date!(2022 - 07 - 18),
        no_create: date!(2022 - 07 - 18),
        no_update: date!(2022 - 08 - 29),
    },
    EndOfSupport {
        name: "python3.7",
        deprecated: date!(2023 - 12 - 04),
        no_create: date!(2024 - 01 - 09),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "python3.8",
        deprecated: date!(2024 - 10 - 14),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "python3.9",
        deprecated: date!(2025 - 12 - 15),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "python3.10",
        deprecated: date!(2026 - 10 - 31),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "python3.11",
        deprecated: date!(2027 - 06 - 30),
        no_create: date!(2027 - 07 - 31),
        no_update: date!(2027 - 08 - 31),
    },
    EndOfSupport {
        name: "python3.12",
        deprecated: date!(2028 - 10 - 31),
        no_create: date!(2028 - 11 - 30),
        no_update: date!(2029 - 01 - 10),
    },
    EndOfSupport {
        name: "python3.13",
        deprecated: date!(2029 - 06 - 30),
        no_create: date!(2029 - 07 - 31),
        no_update: date!(2029 - 08 - 31),
    },
    EndOfSupport {
        name: "python3.14",
        deprecated: date!(2029 - 06 - 30),
        no_create: date!(2029 - 07 - 31),
        no_update: date!(2029 - 08 - 31),
    },
    EndOfSupport {
        name: "ruby2.5",
        deprecated: date!(2021 - 07 - 30),
        no_create: date!(2021 - 07 - 30),
        no_update: date!(2022 - 03 - 31),
    },
    EndOfSupport {
        name: "ruby2.7",
        deprecated: date!(2023 - 12 - 07),
        no_create: date!(2024 - 01 - 09),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "ruby3.2",
        deprecated: date!(2026 - 03 - 31),
        no_create: date!(2027 - 02 - 01),
        no_update: date!(2027 - 03 - 03),
    },
    EndOfSupport {
        name: "ruby3.3",
        deprecated: date!(2027 - 03 - 31),
        no_create: date!(2027 - 04 - 30),
        no_update: date!(2027 - 05 - 31),
    },
    EndOfSupport {
        name: "ruby3.4",
        deprecated: date!(2028 - 03 - 31),
        no_create: date!(2028 - 04 - 30),
        no_update: date!(2028 - 05 - 31),
    },
    EndOfSupport {
        name: "ruby4.0",
        deprecated: date!(2029 - 03 - 31),
        no_create: date!(2029 - 04 - 30),
        no_update: date!(2029 - 05 - 31),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_that_ends_has_a_successor() {
        for end in ENDS {
            assert!(
                newest(end.name).and_then(super::end).is_some_and(|newest| newest.deprecated >= end.deprecated),
                "{}",
                end.name
            );
        }
        let cases = [
            ("nodejs12.x", "nodejs24.x"),
            ("python2.7", "python3.14"),
            ("dotnetcore3.1", "dotnet10"),
            ("go1.x", "provided.al2023"),
            ("provided", "provided.al2023"),
            ("java8.al2", "java25"),
        ];
        for (old, new) in cases {
            assert_eq!(newest(old), Some(new), "{old}");
        }
        assert_eq!(newest("cobol85"), None);
    }

    #[test]
    fn an_unknown_runtime_gets_a_name_that_exists() {
        let schema = include_str!("../types/schemas.tsv");
        let line = schema.lines().find(|line| line.starts_with("AWS::Lambda::Function\tRuntime\t")).unwrap();
        for name in line.rsplit_once("one of=").unwrap().1.split('|') {
            assert_eq!(unknown(name), None, "{name}");
        }
        for (given, help) in [
            ("nodejs22", "did you mean \"nodejs22.x\"?"),
            ("Python3.12", "did you mean \"python3.12\"?"),
            ("nodejs21.x", "the newest one is nodejs24.x"),
            ("python3", "the newest one is python3.14"),
            ("node22.x", "did you mean \"nodejs22.x\"?"),
            ("cobol85", "runtimes are named like nodejs24.x, python3.14 or provided.al2023"),
        ] {
            assert_eq!(unknown(given).as_deref(), Some(help), "{given}");
        }
        // AWS adds versions faster than people update their tools.
        for newer in ["nodejs28.x", "python3.16", "java29", "provided.al2027"] {
            assert_eq!(unknown(newer), None, "{newer}");
        }
    }

    #[test]
    fn a_runtime_ends_step_by_step() {
        for EndOfSupport { name, deprecated, no_create, no_update } in ENDS {
            // For a few of the first runtimes, AWS blocked creation before it deprecated them.
            assert!(no_create <= no_update && deprecated <= no_update, "{name}");
        }
    }
}
