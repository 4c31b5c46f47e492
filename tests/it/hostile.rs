//! Malicious or broken templates: each is rejected quickly and in little memory.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Seek as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use time::macros::date;
use wschat::core::lint;
use wschat::core::template::parse;
use wschat::core::template::render::{Rendering, render};

/// The limit of address space in kilobytes: the program's own mappings, threads' stacks included, and some room.
const MEMORY: u32 = 1_500_000;
/// Much longer than any of them needs; without limits in wschat they would take days.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The size limit of a template.
const LONGEST: usize = 1 << 20;

/// Validates a template; returns the exit status and the output.
fn validate(template: &[u8]) -> (ExitStatus, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    fs::write(&file, template).unwrap();
    run(folder.path(), &file.display().to_string())
}

fn run(folder: &std::path::Path, file: &str) -> (ExitStatus, String) {
    let mut said = tempfile::tempfile().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &MEMORY.to_string()])
        .args([env!("CARGO_BIN_EXE_wschat"), "validate", "--template", file])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said.try_clone().unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > TIMEOUT {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut text = String::new();
    said.rewind().unwrap();
    said.read_to_string(&mut text).unwrap();
    (status, text)
}

/// The template must be rejected with a message that contains `words`.
#[track_caller]
fn refused(what: &str, template: impl AsRef<[u8]>, words: &str) {
    let (status, said) = validate(template.as_ref());
    let start: String = said.chars().take(2_000).collect();
    assert_eq!(status.code(), Some(1), "{what}: {status} {start}");
    assert!(said.contains(words), "{what}: {start}");
}

/// Text that grows by `line` up to the size limit of a template.
fn lines(head: &str, mut line: impl FnMut(usize) -> String) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let line = line(number);
        if text.len() + line.len() > LONGEST {
            break;
        }
        text.push_str(&line);
    }
    text
}

const API: &str = "  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
";

#[test]
fn nesting_is_limited() {
    refused("lists", "[".repeat(LONGEST), "");
    refused("maps", "{a: ".repeat(LONGEST / 4), "");
    refused("closed lists", format!("{}{}", "[".repeat(LONGEST / 2), "]".repeat(LONGEST / 2)), "");
    refused("blocks", (0..1_400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>(), "");
    refused("dashes", "- ".repeat(LONGEST / 2), "");
    refused("functions", format!("Outputs: {{ A: {{ Value: {}", "!Sub [x, {a: ".repeat(LONGEST / 13)), "");
    refused("tags", "!Sub ".repeat(LONGEST / 5), "");
}

#[test]
fn the_expansion_of_aliases_is_limited() {
    let mut laughs = "A0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..40 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(laughs, "A{level}: &a{level} [{below}]");
    }
    refused("lists of lists", laughs, "once its aliases are expanded");
    let head = format!("A: &a {}\nB:\n", "x".repeat(LONGEST / 2));
    refused("one long text", lines(&head, |_| "- *a\n".to_owned()), "once its aliases are expanded");
    let head = format!("A: &a {{ {}: 1 }}\nB:\n", "x".repeat(900));
    refused("one long key", lines(&head, |_| "- *a\n".to_owned()), "once its aliases are expanded");
    refused("inside itself", "A: &a [*a]\n", "an alias inside what it stands for");
    refused("nobody's", "A: *a\n", "");
}

#[test]
fn the_expansion_of_functions_is_limited() {
    let mut value = "x".repeat(100);
    for _ in 0..30 {
        value = format!("!Sub ['${{a}}${{a}}', {{ a: {value} }}]");
    }
    refused("doubling", format!("Resources:\n{API}Outputs:\n  Out: {{ Value: {value} }}\n"), "give more than 32 MB");

    let long = "x".repeat(LONGEST / 2);
    let head = format!("Parameters:\n  P: {{ Type: String, Default: {long} }}\nResources:\n{API}Outputs:\n");
    refused("a long parameter", lines(&head, |at| format!("  O{at}: {{ Value: !Ref P }}\n")), "Outputs has");
    let many = lines(&format!("{head}  Out: {{ Value: !Sub '"), |_| "${P}".to_owned());
    refused("in one text", format!("{}' }}\n", &many[..many.len() - 8]), "give more than 32 MB");
    let items = "a,".repeat(LONGEST / 8);
    let join = format!("Resources:\n{API}Outputs:\n  Out: {{ Value: !Join [{long}, [{items}]] }}\n");
    refused("a long delimiter", join, "give more than 32 MB");

    let names = (0..60).map(|at| {
        let name = format!("!Sub '${{T{}}}${{T{}}}'", at + 1, at + 1);
        format!("  T{at}: {{ Type: AWS::Logs::LogGroup, Properties: {{ LogGroupName: {name} }} }}\n")
    });
    let last = "  T60: { Type: AWS::Logs::LogGroup, Properties: { LogGroupName: long } }\n";
    refused("names", format!("Resources:\n{}{last}", names.collect::<String>()), "may have 512 characters at most");
}

#[test]
fn cycles_and_chains_of_references_are_limited() {
    let conditions = (0..1_999).map(|at| format!("  C{at}: !Not [!Condition C{}]\n", at + 1)).collect::<String>();
    let text = format!("Resources:\n{API}Conditions:\n{conditions}  C1999: !Not [!Condition C0]\n");
    refused("a long circle of conditions", text, "more than 400 deep");
    let all = (0..200).map(|at| format!("T{at}")).collect::<Vec<_>>().join(", ");
    let resources = (0..200).map(|at| format!("  T{at}: {{ Type: AWS::Logs::LogGroup, DependsOn: [{all}] }}\n"));
    refused("everything depends on everything", format!("Resources:\n{}", resources.collect::<String>()), "circular");
    let head = format!("Resources:\n{API}Outputs:\n  Out:\n    Value: !Join\n      - ''\n      -\n");
    let text = lines(&head, |at| format!("        - !Ref R{at}\n"));
    refused("many that are missing", text, "there are more problems than these");
    let name = "x".repeat(LONGEST / 3);
    refused("long names", format!("Resources:\n{API}  {name}: !Ref {name}a\n"), "");
}

#[test]
fn sizes_are_limited() {
    refused("a byte too many", "x".repeat(LONGEST + 1), "the limit is 1048576 bytes");
    refused("many keys", lines("Resources:\n", |at| format!("  A{at}: 1\n")), "the limit is 10000");
    refused("many nulls", lines("Metadata: {}\nMappings:\n  A:\n", |at| format!("    B{at}:\n")), "null values");
    refused("many sections", lines("", |at| format!("S{at}: 1\n")), "unknown section");
    let properties =
        lines("Resources:\n  A:\n    Type: AWS::Logs::LogGroup\n    Properties:\n", |at| format!("      P{at}: 1\n"));
    refused("many properties", properties, "unknown property");
    let pattern = format!("Parameters:\n  P: {{ Type: String, Default: a, AllowedPattern: '{}' }}\n", "(a{999}){999}");
    refused("a large pattern", format!("{pattern}Resources:\n{API}"), "AllowedPattern");

    let folder = tempfile::tempdir().unwrap();
    for endless in ["/dev/zero", "/dev/urandom"] {
        let (status, said) = run(folder.path(), endless);
        assert_eq!(status.code(), Some(1), "{endless}: {said}");
        assert!(said.contains("the limit is 1048576 bytes"), "{endless}: {said}");
    }
    let (status, said) = run(folder.path(), ".");
    assert_eq!(status.code(), Some(1), "{said}");
}

/// Validates the fuzzer's corpus again.
#[test]
fn the_fuzzers_corpus_is_validated_without_a_crash() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/template");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 100, "the corpus is not there");
    for file in files {
        let template = fs::read(&file).unwrap();
        let problems = lint::inspect(parse(&template), &BTreeMap::new(), date!(2026 - 11 - 23), |_| Vec::new());
        let text = String::from_utf8_lossy(&template);
        render(&problems, Rendering { file: &file.display().to_string(), text: &text, colour: true });
    }
}

#[test]
fn unusual_texts_are_rejected_with_a_message() {
    let good = format!("Resources:\n{API}");
    let utf16: Vec<u8> = format!("\u{feff}{good}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused("UTF-16", utf16, "save it as UTF-8");
    refused("Latin-1", [good.as_bytes(), b"# caf\xe9\n"].concat(), "not UTF-8");
    refused("nothing", "", "the template is empty");
    refused("zeros", [0; 100], "");
    refused("control characters", good.replace("Name: api", "Name: \u{1}\u{7}"), "");
    refused("half a character", good.replace("Name: api", r#"Name: "\ud800""#), "");
    refused("characters of ours", good.replace("Name: api", "Name: \u{F0000}Api.Ref\u{F0001}"), "U+F0000");
    refused("two documents", format!("{good}---\n{good}"), "another");
    refused("a number that is none", good.replace("Name: api", "Name: .nan"), "is not a number");
    for (name, text) in [
        ("carriage returns", good.replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("tabs after", good.replace("AWS::", "\tAWS::")),
    ] {
        let (status, said) = validate(text.as_bytes());
        assert_eq!(status.code(), Some(0), "{name}: {said}");
    }
}
