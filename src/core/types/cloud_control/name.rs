//! The names that wschat gives to resources whose type says in its schema what a name may be.

use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::core::schemas::{Schema, Shape, TextRule};
use crate::core::types::Naming;

/// The longest name where the schema says nothing, which most services allow.
const LONGEST: usize = 63;

/// Below this a generated name could not be told from others.
const SHORTEST: usize = 24;

/// Services whose limit is shorter than `LONGEST` and not in the schema. (Quotas pages of Elastic Load Balancing and ElastiCache.)
const LIMITS: &[(&str, usize)] =
    &[("ElasticLoadBalancing", 32), ("ElasticLoadBalancingV2", 32), ("ElastiCache", 40), ("MemoryDB", 40)];

/// Services that change names to lower case, or take no other.
const LOWER_CASE: &[&str] = &[
    "DAX",
    "DocDB",
    "ECR",
    "ElastiCache",
    "Elasticsearch",
    "MemoryDB",
    "Neptune",
    "OpenSearchService",
    "RDS",
    "Redshift",
    "S3",
];

/// Names of these end in `.fifo` where a property is true: type, property.
const FIFO: &[(&str, &str)] = &[("AWS::SNS::Topic", "FifoTopic"), ("AWS::SQS::Queue", "FifoQueue")];

/// What becomes of a generated name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Form {
    lower_case: bool,
    no_hyphens: bool,
    fifo: Option<&'static str>,
}

impl Form {
    pub(super) fn of(self, name: String, properties: &Map<String, Value>) -> String {
        let name = if self.lower_case { name.to_ascii_lowercase() } else { name };
        let name = if self.no_hyphens { name.replace('-', "_") } else { name };
        let is_true = |value: &Value| value.as_bool() == Some(true) || value.as_str() == Some("true");
        let fifo = self.fifo.and_then(|property| properties.get(property)).is_some_and(is_true);
        if fifo { name + ".fifo" } else { name }
    }
}

/// How resources of a type are named; `None` where no generated name fits: then AWS gives one.
pub(super) fn of(schema: &'static Schema) -> Option<(Naming, Form)> {
    let property = schema.name.as_deref()?;
    let no_rule = TextRule::default();
    let rule = match schema.properties.get(property) {
        Some(Shape::Text(rule)) => rule,
        _ => &no_rule,
    };
    let service = schema.type_name.split("::").nth(1).unwrap_or_default();
    let limit = LIMITS.iter().find(|(of, _)| *of == service).map_or(LONGEST, |(_, limit)| *limit);
    let longest = rule.longest.map_or(limit, |longest| longest.min(512));
    let pattern = match &rule.pattern {
        // One that cannot be read here cannot be kept either.
        Some(pattern) => Some(Regex::new(pattern).ok()?),
        None => None,
    };
    let fifo = FIFO.iter().find(|(of, _)| *of == schema.type_name).map(|(_, property)| *property);
    let longest = if fifo.is_some() { longest - ".fifo".len() } else { longest };
    let lower_case = LOWER_CASE.contains(&service);
    let forms = [(lower_case, false), (true, false), (false, true), (true, true)];
    let fits = |form: &Form| {
        let names = ["my-chat-Queue2-0a1b2c3d".to_owned(), "a".repeat(longest.saturating_sub(12)) + "-B2-0a1b2c3d"];
        let none = Map::new();
        names.into_iter().all(|name| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&form.of(name, &none))))
    };
    let form = forms.map(|(lower_case, no_hyphens)| Form { lower_case, no_hyphens, fifo }).into_iter().find(fits)?;
    (longest >= SHORTEST).then_some((Naming { property, longest, within: None, path: None }, form))
}
