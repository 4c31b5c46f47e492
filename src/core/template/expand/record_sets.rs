//! `AWS::Route53::RecordSetGroup`, which AWS Cloud Control does not provision, as the records that are in it.
//!
//! SAM makes such a group of the property `Domain`. Its translator's output is compared with the expansion before this.

use serde_json::{Map, Value, json};

use super::super::{Resource, Template, intrinsics};
use crate::core::words::Path;

const GROUP: &str = "AWS::Route53::RecordSetGroup";
const RECORD: &str = "AWS::Route53::RecordSet";

/// Properties of a group that its records take over where they do not say otherwise.
const OF_ALL: [&str; 3] = ["Comment", "HostedZoneId", "HostedZoneName"];

/// Replaces each group whose records are a list by those: `Group1`, `Group2`.
pub fn split(template: &mut Template) {
    let groups: Vec<String> = template
        .resources
        .iter()
        .filter(|(_, resource)| resource.type_name == GROUP)
        .map(|(logical_id, _)| logical_id.clone())
        .collect();
    for group in groups {
        let Some(records) = template.resources.get(&group).and_then(records) else { continue };
        let ids: Vec<String> = (1..=records.len()).map(|number| format!("{group}{number}")).collect();
        if ids.iter().any(|id| template.resources.contains_key(id)) {
            continue;
        }
        let Some(declared) = template.resources.remove(&group) else { continue };
        for (index, (id, properties)) in ids.iter().zip(records).enumerate() {
            let written = Path::default().key("Resources").key(&group);
            let record = written.key("Properties").key("RecordSets").index(index);
            for (made, written) in [
                (Path::default().key("Resources").key(id), written),
                (Path::default().key("Resources").key(id).key("Properties"), record),
            ] {
                let written = template.origins.trace(&written);
                template.origins.note(made, written);
            }
            let type_name = RECORD.to_owned();
            template.resources.insert(id.clone(), Resource { type_name, properties, ..declared.clone() });
        }
        for other in template.resources.values_mut() {
            other.depends_on = other.depends_on.take().map(|on| depending(on, &group, &ids));
        }
    }
}

/// The properties of a group's records; `None` where they are not written out.
fn records(group: &Resource) -> Option<Vec<Map<String, Value>>> {
    let records = group.properties.get("RecordSets")?.as_array()?;
    let known = |name: &String| name == "RecordSets" || OF_ALL.contains(&name.as_str());
    if !group.properties.keys().all(known) {
        return None;
    }
    let of_all = OF_ALL.iter().filter_map(|name| Some(((*name).to_owned(), group.properties.get(*name)?.clone())));
    let of_all: Vec<(String, Value)> = of_all.collect();
    let whole = |record: &Value| {
        let mut record = record.as_object().filter(|_| intrinsics::call(record).is_none())?.clone();
        let names_zone = record.contains_key("HostedZoneId") || record.contains_key("HostedZoneName");
        for (name, value) in &of_all {
            if !(names_zone && name.starts_with("HostedZone")) {
                record.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Some(record)
    };
    records.iter().map(whole).collect()
}

/// A `DependsOn` with the records in the place of their group.
fn depending(on: Value, group: &str, ids: &[String]) -> Value {
    let others = match &on {
        Value::String(one) if one == group => Vec::new(),
        Value::Array(several) if several.iter().any(|one| one == group) => {
            several.iter().filter(|one| *one != group).cloned().collect()
        }
        _ => return on,
    };
    others.into_iter().chain(ids.iter().map(|id| json!(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::parse;

    #[test]
    fn a_group_becomes_its_records() {
        let text = "\
Resources:
  Records:
    Type: AWS::Route53::RecordSetGroup
    DependsOn: Other
    Properties:
      HostedZoneName: example.com.
      RecordSets:
        - { Name: a.example.com, Type: A }
        - { Name: b.example.com, Type: A, HostedZoneId: Z2 }
  Other: { Type: AWS::SNS::Topic }
  After: { Type: AWS::SNS::Topic, DependsOn: [Other, Records] }
  Computed: { Type: AWS::Route53::RecordSetGroup, Properties: { RecordSets: !Ref Other } }
";
        let mut template = parse(text.as_bytes()).unwrap();
        split(&mut template);
        let mut ids: Vec<&str> = template.resources.keys().map(String::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["After", "Computed", "Other", "Records1", "Records2"]);
        let properties = |id: &str| Value::Object(template.resources[id].properties.clone());
        let first = json!({ "Name": "a.example.com", "Type": "A", "HostedZoneName": "example.com." });
        assert_eq!(properties("Records1"), first);
        assert_eq!(properties("Records2"), json!({ "Name": "b.example.com", "Type": "A", "HostedZoneId": "Z2" }));
        assert_eq!(template.resources["Records2"].depends_on, Some(json!("Other")));
        assert_eq!(template.resources["After"].depends_on, Some(json!(["Other", "Records1", "Records2"])));
        let written =
            template.origins.trace(&Path::default().key("Resources").key("Records2").key("Properties").key("Name"));
        assert_eq!(written.to_string(), "Resources/Records/Properties/RecordSets/1/Name");
    }
}
