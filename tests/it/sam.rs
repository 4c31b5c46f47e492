//! SAM's resources are expanded as by SAM's own translator. Its output for each template in `tests/sam` is recorded beside the
//! template; `tests/sam/translate.py` records it, and `.ci/run` checks the records against the translator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use wschat::core::template::expand::{Context, expand};
use wschat::core::template::locate::SourceMap;
use wschat::core::template::render::{Rendering, render};
use wschat::core::template::{Resource, Template, parse};

/// The templates of a folder, in order.
fn templates(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/sam").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut templates: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    templates.retain(|path| {
        let name = path.to_string_lossy();
        (name.ends_with(".yaml") || name.ends_with(".json")) && !name.contains(".expected.")
    });
    templates.sort();
    templates
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `text`, expanded with the parameters of its comments `# with NAME=VALUE`.
fn expanded(text: &str) -> Template {
    let given = text.lines().filter_map(|line| line.strip_prefix("# with ")?.split_once('='));
    let parameters: BTreeMap<String, String> = given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let template = parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    expand(template, Context { partition: "aws", region: "us-east-1", parameters: &parameters })
}

/// The sections that the translator changes, in its form.
fn sections(template: &Template) -> Value {
    let resources: Map<String, Value> =
        template.resources.iter().map(|(id, resource)| (id.clone(), written(resource))).collect();
    let mut sections = json!({ "Resources": resources });
    if !template.conditions.is_empty() {
        sections["Conditions"] = json!(template.conditions);
    }
    if !template.outputs.is_empty() {
        let outputs = template.outputs.iter().map(|(name, output)| {
            let attributes = [
                ("Value", output.value.clone()),
                ("Description", json!(output.description)),
                ("Condition", json!(output.condition)),
            ];
            (name.clone(), given(attributes))
        });
        sections["Outputs"] = outputs.collect::<Map<_, _>>().into();
    }
    sections
}

fn written(resource: &Resource) -> Value {
    // The translator neither drops nor adds empty Properties of other resources.
    given([
        ("Type", json!(resource.type_name)),
        ("Condition", json!(resource.condition)),
        ("DependsOn", json!(resource.depends_on)),
        ("DeletionPolicy", json!(resource.deletion_policy)),
        ("UpdateReplacePolicy", json!(resource.update_replace_policy)),
        ("Metadata", resource.metadata.clone()),
        ("Properties", json!(resource.properties)),
    ])
}

fn given<const N: usize>(attributes: [(&str, Value); N]) -> Value {
    let given = attributes.into_iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn each_template_expands_as_the_translator_expands_it() {
    let templates = templates("");
    let mut different = Vec::new();
    for path in &templates {
        let text = read(path);
        let template = expanded(&text);
        let problems = template.report(template.problems.clone());
        let rendering = Rendering { file: &path.to_string_lossy(), text: &text, colour: false };
        // The hash of a REST API's deployment is another one: that of the translator is of what Python 2 would print.
        let hash = regex_lite::Regex::new("(Deployment|deployment id: )[0-9a-f]{10,40}\\b").unwrap();
        let ours = sections(&template).to_string();
        let ours = serde_json::from_str(&hash.replace_all(&ours, "${1}HASH")).unwrap();
        let theirs: Value = serde_json::from_str(&read(&path.with_extension("expected.json"))).unwrap();
        if !problems.is_empty() {
            different.push(render(&problems, rendering));
        }
        differences(&ours, &theirs, &path.display().to_string(), &mut different);
    }
    assert!(templates.len() >= 70, "{} templates", templates.len());
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Collects the differences between `ours` and `theirs`. The order of keys does not matter.
fn differences(ours: &Value, theirs: &Value, place: &str, different: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys().filter(|key| !one.contains_key(*key))) {
                let place = format!("{place} {key}");
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => differences(one, other, &place, different),
                    (Some(one), None) => different.push(format!("{place}: ours alone: {one}")),
                    (None, other) => different.push(format!("{place}: theirs alone: {}", json!(other))),
                }
            }
        }
        _ if ours == theirs => {}
        _ => different.push(format!("{place}:\n  ours   {ours}\n  theirs {theirs}")),
    }
}

/// In each template, the faulty line ends in `# fault: WORDS`: wschat must report one problem, on that line, and both its
/// message and the translator's must contain the words.
#[test]
fn templates_that_the_translator_rejects_are_rejected_for_the_same_fault() {
    let mut shown = Vec::new();
    let mut different = Vec::new();
    for path in templates("errors") {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let text = read(&path);
        let theirs = read(&path.with_extension("expected.txt"));
        let template = expanded(&text);
        let problems = template.report(template.problems.clone());
        let mut lines = text.lines().enumerate();
        let marked = lines.find_map(|(line, text)| Some((line + 1, text.split_once("# fault: ")?.1)));
        let Some((line, words)) = marked else { panic!("{file}: no line is marked") };
        let source = SourceMap::scan(&text).unwrap();
        let places =
            problems.iter().map(|problem| source.span(&problem.path, problem.at_key).map(|span| span.start.line));
        if places.collect::<Vec<_>>() != [Some(line)] {
            different.push(format!("{file}: not one problem in line {line}: {problems:?}"));
        }
        let ours: Vec<String> = problems.iter().map(|problem| format!("{} {}", problem.path, problem.what)).collect();
        for word in words.split(' ') {
            for (who, says) in [("wschat", &ours.concat()), ("the translator", &theirs)] {
                if !says.contains(word) {
                    different.push(format!("{file}: {who} does not say {word}: {says}"));
                }
            }
        }
        shown.push(render(&problems, Rendering { file: &file, text: &text, colour: false }));
        shown.push(format!("SAM: {theirs}"));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    insta::assert_snapshot!(shown.join("\n"));
}

/// So that each is compared with the translator.
#[test]
fn every_policy_template_is_in_some_template() {
    let data = read(Path::new("src/core/template/expand/policy_templates.txt"));
    let names = data.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic()));
    let names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    let texts: String = templates("").iter().map(|path| read(path)).collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !texts.contains(&format!("- {name}: "))).collect();
    assert_eq!((names.len(), missing), (81, Vec::new()));
}
