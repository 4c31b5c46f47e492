//! Event patterns: which events a rule, or a filter of Lambda's event source mappings, takes. (EventBridge user guide, "Comparison
//! operators for use in event patterns"; Lambda developer guide, "Event filtering".)

use core::net::IpAddr;

use serde_json::{Map, Value};

/// How deep a pattern may be nested.
const MAX_DEPTH: usize = 64;

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPattern(Node);

/// What holds of an object: of each of the fields, and of one of the alternatives of each `$or`.
#[derive(Debug, Clone, PartialEq, Default)]
struct Node {
    fields: Vec<(String, Rule)>,
    alternatives: Vec<Vec<Node>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    /// One of these holds of the field's value, or of one of its elements.
    Values(Vec<Matcher>),
    /// The field is an object of which this holds, or a list with one.
    Object(Node),
}

#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    Is(Value),
    Exists(bool),
    /// None of these.
    AnythingBut(Vec<Matcher>),
    Prefix {
        text: String,
        ignore_case: bool,
    },
    Suffix {
        text: String,
        ignore_case: bool,
    },
    IsIgnoringCase(String),
    /// The texts between the `*`.
    Wildcard(Vec<String>),
    Numeric(Vec<(Comparison, f64)>),
    Cidr {
        address: IpAddr,
        bits: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl EventPattern {
    /// Reads a pattern from JSON text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        Self::of(&serde_json::from_str(text).map_err(|error| error.to_string())?)
    }

    /// A pattern that is JSON already.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(pattern: &Value) -> Result<Self, String> {
        let Value::Object(fields) = pattern else { return Err("Filter is not an object".to_owned()) };
        if fields.is_empty() {
            return Err("Empty event patterns are not allowed".to_owned());
        }
        Node::read(fields, 0).map(Self)
    }

    /// Whether it asks for an object under a name, or for a value; `None` where it asks for nothing there.
    pub fn asks_for_object(&self, name: &str) -> Option<bool> {
        let rule = self.0.fields.iter().find(|(known, _)| known == name).map(|(_, rule)| rule)?;
        Some(matches!(rule, Rule::Object(_)))
    }

    /// Whether an event fits.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.matches(event)
    }
}

impl Node {
    fn read(fields: &Map<String, Value>, depth: usize) -> Result<Self, String> {
        if depth > MAX_DEPTH {
            return Err("Event pattern is nested too deeply".to_owned());
        }
        let mut node = Self::default();
        for (name, rule) in fields {
            match rule {
                // A field can have this name too: then its values are no objects.
                Value::Array(items)
                    if name == "$or" && items.iter().all(|item| item.is_object() && !is_operator(item)) =>
                {
                    if items.len() < 2 {
                        return Err("There must have at least 2 Objects in $or relationship.".to_owned());
                    }
                    let alternatives =
                        items.iter().filter_map(Value::as_object).map(|item| Self::read(item, depth + 1));
                    node.alternatives.push(alternatives.collect::<Result<_, _>>()?);
                }
                Value::Array(items) if items.is_empty() => return Err("Empty arrays are not allowed".to_owned()),
                Value::Array(items) => {
                    let matchers = items.iter().map(Matcher::read).collect::<Result<_, _>>()?;
                    node.fields.push((name.clone(), Rule::Values(matchers)));
                }
                Value::Object(inside) if inside.is_empty() => return Err("Empty objects are not allowed".to_owned()),
                Value::Object(inside) => node.fields.push((name.clone(), Rule::Object(Self::read(inside, depth + 1)?))),
                _ => return Err(format!("\"{name}\" must be an object or an array")),
            }
        }
        Ok(node)
    }

    fn matches(&self, value: &Value) -> bool {
        self.fields.iter().all(|(name, rule)| rule.matches(value.get(name)))
            && self.alternatives.iter().all(|nodes| nodes.iter().any(|node| node.matches(value)))
    }

    /// Whether it holds where there is no object at all: everything that it asks for must be absent.
    fn holds_of_nothing(&self) -> bool {
        self.matches(&Value::Null)
    }
}

impl Rule {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Object(node), Some(Value::Array(items))) if items.iter().any(Value::is_object) => {
                items.iter().any(|item| node.matches(item))
            }
            (Self::Object(node), Some(value @ Value::Object(_))) => node.matches(value),
            (Self::Object(node), _) => node.holds_of_nothing(),
            (Self::Values(matchers), value) => {
                let leaves = value.map(leaves).unwrap_or_default();
                matchers.iter().any(|matcher| match matcher {
                    Matcher::Exists(wanted) => *wanted != leaves.is_empty(),
                    _ => leaves.iter().any(|leaf| matcher.matches(leaf)),
                })
            }
        }
    }
}

/// The value, or the elements of a list, in lists of lists, too. Objects have none: patterns are about leaves.
fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        Value::Object(_) => Vec::new(),
        leaf => vec![leaf],
    }
}

/// Whether an object is an operator (`{"prefix": "a"}`) and no pattern of an object with such a field.
fn is_operator(value: &Value) -> bool {
    let Some(members) = value.as_object() else { return false };
    members.len() == 1
        && members.iter().all(|(name, operand)| match name.as_str() {
            "anything-but" | "numeric" => true,
            "prefix" | "suffix" | "equals-ignore-case" | "wildcard" | "exists" | "cidr" => !operand.is_array(),
            _ => false,
        })
}

impl Matcher {
    fn read(value: &Value) -> Result<Self, String> {
        let members = match value {
            Value::Object(members) => members,
            Value::Array(_) => return Err("Match value must be String, number, true, false, or null".to_owned()),
            leaf => return Ok(Self::Is(leaf.clone())),
        };
        let mut all = members.iter();
        let (Some((name, operand)), None) = (all.next(), all.next()) else {
            return Err("Only one key allowed in match expression".to_owned());
        };
        let text = || operand.as_str().map(str::to_owned);
        match name.as_str() {
            "exists" => operand.as_bool().map(Self::Exists).ok_or_else(|| "exists must be true or false".to_owned()),
            "prefix" => affix(operand, "prefix").map(|(text, ignore_case)| Self::Prefix { text, ignore_case }),
            "suffix" => affix(operand, "suffix").map(|(text, ignore_case)| Self::Suffix { text, ignore_case }),
            "equals-ignore-case" => {
                text().map(Self::IsIgnoringCase).ok_or_else(|| "equals-ignore-case must be a string".to_owned())
            }
            "wildcard" => wildcard(&text().ok_or_else(|| "wildcard must be a string".to_owned())?).map(Self::Wildcard),
            "numeric" => numeric(operand).map(Self::Numeric),
            "cidr" => text().and_then(|text| cidr(&text)).ok_or_else(|| format!("Malformed CIDR: {operand}")),
            "anything-but" => anything_but(operand).map(Self::AnythingBut),
            _ => Err(format!("Unrecognized match type {name}")),
        }
    }

    fn matches(&self, leaf: &Value) -> bool {
        let text = leaf.as_str();
        match self {
            Self::Is(value) => match (value.as_f64(), leaf.as_f64()) {
                (Some(wanted), Some(number)) => wanted == number,
                _ => value == leaf,
            },
            Self::Exists(wanted) => *wanted,
            Self::AnythingBut(matchers) => !matchers.iter().any(|matcher| matcher.matches(leaf)),
            Self::Prefix { text: wanted, ignore_case } => {
                text.and_then(|text| text.get(..wanted.len())).is_some_and(|start| same(start, wanted, *ignore_case))
            }
            Self::Suffix { text: wanted, ignore_case } => text
                .and_then(|text| text.get(text.len().checked_sub(wanted.len())?..))
                .is_some_and(|end| same(end, wanted, *ignore_case)),
            Self::IsIgnoringCase(wanted) => text.is_some_and(|text| same(text, wanted, true)),
            Self::Wildcard(parts) => text.is_some_and(|text| fits(parts, text)),
            Self::Numeric(conditions) => {
                leaf.as_f64().is_some_and(|number| conditions.iter().all(|(how, other)| how.holds(number, *other)))
            }
            Self::Cidr { address, bits } => {
                text.and_then(|text| text.parse().ok()).is_some_and(|ip| is_within(ip, *address, *bits))
            }
        }
    }
}

fn same(text: &str, wanted: &str, ignore_case: bool) -> bool {
    text == wanted || ignore_case && text.to_lowercase() == wanted.to_lowercase()
}

/// The operand of `prefix` and `suffix`, and whether the case counts.
fn affix(operand: &Value, name: &str) -> Result<(String, bool), String> {
    match operand {
        Value::String(text) => Ok((text.clone(), false)),
        Value::Object(inside) if inside.len() == 1 => inside
            .get("equals-ignore-case")
            .and_then(Value::as_str)
            .map(|text| (text.to_owned(), true))
            .ok_or_else(|| format!("Unsupported {name} pattern")),
        _ => Err(format!("{name} match pattern must be a string")),
    }
}

/// What is excluded: values, or what begins, ends or looks in a certain way.
fn anything_but(operand: &Value) -> Result<Vec<Matcher>, String> {
    let each = |operand: &Value, read: &dyn Fn(&Value) -> Result<Matcher, String>| match operand {
        Value::Array(items) if items.is_empty() => Err("Empty arrays are not allowed".to_owned()),
        Value::Array(items) => items.iter().map(read).collect(),
        one => Ok(vec![read(one)?]),
    };
    match operand {
        Value::Object(inside) => {
            let mut members = inside.iter();
            match (members.next(), members.next()) {
                (Some((name, operand)), None)
                    if ["prefix", "suffix", "equals-ignore-case", "wildcard"].contains(&name.as_str()) =>
                {
                    each(operand, &|one| {
                        let mut single = Map::new();
                        single.insert(name.clone(), one.clone());
                        Matcher::read(&Value::Object(single))
                    })
                }
                _ => Err("Unsupported anything-but pattern".to_owned()),
            }
        }
        Value::Null | Value::Bool(_) => Err("anything-but must be a string, a number or a list of them".to_owned()),
        _ => each(operand, &|one| match one {
            Value::String(_) | Value::Number(_) => Ok(Matcher::Is(one.clone())),
            _ => Err("Inside anything-but list, only strings and numbers are supported".to_owned()),
        }),
    }
}

/// The texts between the `*` of a wildcard; `\*` and `\\` stand for the characters themselves.
fn wildcard(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let literal = match letter {
            '*' if letters.peek() == Some(&'*') => {
                return Err("Consecutive wildcard characters are not allowed".to_owned());
            }
            '*' => {
                parts.push(String::new());
                continue;
            }
            '\\' => match letters.next() {
                Some(escaped @ ('*' | '\\')) => escaped,
                _ => return Err("Invalid escape character in wildcard".to_owned()),
            },
            literal => literal,
        };
        if let Some(last) = parts.last_mut() {
            last.push(literal);
        }
    }
    Ok(parts)
}

/// Whether a text is made of these parts, in their order, with anything between them.
fn fits(parts: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return parts.first().is_some_and(|only| only == text) };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        let Some(at) = rest.find(part.as_str()) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last.as_str())
}

/// `[">", 0, "<=", 5]`.
fn numeric(operand: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let wrong = || "Value of numeric must be an array of operators and numbers".to_owned();
    let Value::Array(items) = operand else { return Err(wrong()) };
    if !matches!(items.len(), 2 | 4) {
        return Err(wrong());
    }
    let pairs = items.chunks(2).map(|pair| {
        let comparison = match pair[0].as_str() {
            Some("=") => Comparison::Equal,
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some(">") => Comparison::Greater,
            Some(">=") => Comparison::GreaterOrEqual,
            _ => return Err(format!("Unrecognized numeric range operator: {}", pair[0])),
        };
        Ok((comparison, pair[1].as_f64().ok_or_else(wrong)?))
    });
    pairs.collect()
}

impl Comparison {
    fn holds(self, number: f64, other: f64) -> bool {
        match self {
            Self::Equal => number == other,
            Self::Less => number < other,
            Self::LessOrEqual => number <= other,
            Self::Greater => number > other,
            Self::GreaterOrEqual => number >= other,
        }
    }
}

fn cidr(text: &str) -> Option<Matcher> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
    Some(Matcher::Cidr { address, bits })
}

fn is_within(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (one, other, width) = match (ip, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    // Shifting by the whole width is not defined: a network of no bits has every address.
    bits == 0 || (one ^ other) >> (width - u32::from(bits)) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn matches(pattern: &Value, event: &Value) -> bool {
        EventPattern::of(pattern).unwrap().matches(event)
    }

    #[test]
    fn an_event_fits_where_all_of_the_pattern_holds() {
        let event = json!({
            "source": "chat", "detail-type": "Joined", "region": "eu-west-1", "resources": ["arn:a", "arn:b"],
            "detail": {
                "room": "Lobby", "size": 7, "ratio": 0.5, "vip": true, "left": null, "empty": "", "none": [],
                "ip": "10.1.2.3", "ip6": "2001:db8::1", "path": "img/a/cat.png",
                "people": [{ "name": "ada", "age": 36 }, { "name": "bob", "age": 20 }],
            },
        });
        for (pattern, expected) in [
            (json!({ "source": ["chat"] }), true),
            (json!({ "source": ["other", "chat"] }), true),
            (json!({ "source": ["Chat"] }), false),
            (json!({ "source": ["chat"], "region": ["us-east-1"] }), false),
            (json!({ "resources": ["arn:b"] }), true),
            (json!({ "resources": ["arn:c"] }), false),
            (json!({ "missing": ["x"] }), false),
            (json!({ "detail": { "size": [7] } }), true),
            (json!({ "detail": { "size": [7.0] } }), true),
            (json!({ "detail": { "size": ["7"] } }), false),
            (json!({ "detail": { "vip": [true] } }), true),
            (json!({ "detail": { "vip": ["true"] } }), false),
            (json!({ "detail": { "left": [null] } }), true),
            (json!({ "detail": { "gone": [null] } }), false),
            (json!({ "detail": { "empty": [""] } }), true),
            // Several fields of one element of a list.
            (json!({ "detail": { "people": { "name": ["ada"], "age": [36] } } }), true),
            (json!({ "detail": { "people": { "name": ["ada"], "age": [20] } } }), false),
            // Beginnings and ends.
            (json!({ "detail": { "room": [{ "prefix": "Lo" }] } }), true),
            (json!({ "detail": { "room": [{ "prefix": "lo" }] } }), false),
            (json!({ "detail": { "room": [{ "prefix": { "equals-ignore-case": "lo" } }] } }), true),
            (json!({ "detail": { "path": [{ "suffix": ".png" }] } }), true),
            (json!({ "detail": { "path": [{ "suffix": { "equals-ignore-case": ".PNG" } }] } }), true),
            (json!({ "detail": { "path": [{ "suffix": "longer than the text itself" }] } }), false),
            (json!({ "detail": { "room": [{ "equals-ignore-case": "LOBBY" }] } }), true),
            (json!({ "detail": { "size": [{ "prefix": "7" }] } }), false),
            // Everything else.
            (json!({ "detail": { "room": [{ "anything-but": "Lobby" }] } }), false),
            (json!({ "detail": { "room": [{ "anything-but": ["a", "b"] }] } }), true),
            (json!({ "detail": { "size": [{ "anything-but": [7, 8] }] } }), false),
            (json!({ "detail": { "room": [{ "anything-but": { "prefix": "Lo" } }] } }), false),
            (json!({ "detail": { "room": [{ "anything-but": { "prefix": ["x", "y"] } }] } }), true),
            (json!({ "detail": { "path": [{ "anything-but": { "suffix": ".png" } }] } }), false),
            (json!({ "detail": { "path": [{ "anything-but": { "wildcard": "*/b/*" } }] } }), true),
            (json!({ "detail": { "room": [{ "anything-but": { "equals-ignore-case": ["lobby"] } }] } }), false),
            (json!({ "detail": { "gone": [{ "anything-but": "x" }] } }), false),
            // Numbers.
            (json!({ "detail": { "size": [{ "numeric": [">", 0, "<=", 7] }] } }), true),
            (json!({ "detail": { "size": [{ "numeric": ["<", 7] }] } }), false),
            (json!({ "detail": { "ratio": [{ "numeric": ["=", 0.5] }] } }), true),
            (json!({ "detail": { "room": [{ "numeric": [">", 0] }] } }), false),
            // What is there.
            (json!({ "detail": { "room": [{ "exists": true }] } }), true),
            (json!({ "detail": { "room": [{ "exists": false }] } }), false),
            (json!({ "detail": { "gone": [{ "exists": false }] } }), true),
            (json!({ "detail": { "left": [{ "exists": true }] } }), true),
            (json!({ "detail": { "none": [{ "exists": true }] } }), false),
            (json!({ "gone": { "inside": [{ "exists": false }] } }), true),
            (json!({ "gone": { "inside": [{ "exists": true }] } }), false),
            // Only leaves exist.
            (json!({ "detail": [{ "exists": true }] }), false),
            // Wildcards.
            (json!({ "detail": { "path": [{ "wildcard": "img/*/*.png" }] } }), true),
            (json!({ "detail": { "path": [{ "wildcard": "*.jpg" }] } }), false),
            (json!({ "detail": { "path": [{ "wildcard": "img/a/cat.png" }] } }), true),
            (json!({ "detail": { "path": [{ "wildcard": "img/a/cat.png*" }] } }), true),
            (json!({ "detail": { "path": [{ "wildcard": "img/\\*" }] } }), false),
            // Networks.
            (json!({ "detail": { "ip": [{ "cidr": "10.0.0.0/8" }] } }), true),
            (json!({ "detail": { "ip": [{ "cidr": "10.1.2.0/31" }] } }), false),
            (json!({ "detail": { "ip": [{ "cidr": "0.0.0.0/0" }] } }), true),
            (json!({ "detail": { "ip6": [{ "cidr": "2001:db8::/32" }] } }), true),
            (json!({ "detail": { "ip6": [{ "cidr": "10.0.0.0/8" }] } }), false),
            // Either.
            (json!({ "$or": [{ "source": ["other"] }, { "detail": { "size": [7] } }] }), true),
            (json!({ "$or": [{ "source": ["other"] }, { "region": ["none"] }] }), false),
            (json!({ "source": ["other"], "$or": [{ "source": ["chat"] }, { "region": ["none"] }] }), false),
            (json!({ "detail": { "$or": [{ "size": [1] }, { "room": ["Lobby"] }] } }), true),
        ] {
            assert_eq!(matches(&pattern, &event), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_are_none_are_refused() {
        for (pattern, why) in [
            ("", "EOF"),
            ("[]", "not an object"),
            ("{}", "Empty"),
            (r#"{"source": "chat"}"#, "\"source\" must be an object or an array"),
            (r#"{"source": []}"#, "Empty arrays"),
            (r#"{"detail": {}}"#, "Empty objects"),
            (r#"{"source": [["a"]]}"#, "Match value"),
            (r#"{"source": [{"starts": "a"}]}"#, "Unrecognized match type starts"),
            (r#"{"source": [{"prefix": "a", "suffix": "b"}]}"#, "Only one key"),
            (r#"{"source": [{"prefix": 1}]}"#, "prefix"),
            (r#"{"source": [{"anything-but": null}]}"#, "anything-but"),
            (r#"{"source": [{"anything-but": []}]}"#, "Empty arrays"),
            (r#"{"source": [{"anything-but": {"numeric": [1]}}]}"#, "anything-but"),
            (r#"{"a": [{"numeric": [">"]}]}"#, "numeric"),
            (r#"{"a": [{"numeric": ["~", 1]}]}"#, "operator"),
            (r#"{"a": [{"numeric": [">", "1"]}]}"#, "numeric"),
            (r#"{"a": [{"exists": "yes"}]}"#, "exists"),
            (r#"{"a": [{"cidr": "10.0.0.0/33"}]}"#, "CIDR"),
            (r#"{"a": [{"wildcard": "a**"}]}"#, "Consecutive"),
            (r#"{"$or": [{"a": ["b"]}]}"#, "at least 2"),
        ] {
            let error = EventPattern::read(pattern).unwrap_err();
            assert!(error.contains(why), "{pattern}: {error}");
        }
    }

    /// Any JSON of a few levels.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..4_i64).prop_map(Value::from),
            "[ab*]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let name =
                prop_oneof!["[ab]", Just("$or".to_owned()), Just("prefix".to_owned()), Just("exists".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The pattern that asks for just what an event is.
    fn of(event: &Value) -> Option<Value> {
        match event {
            Value::Object(members) if members.is_empty() => None,
            Value::Object(members) => {
                let fields: Option<Map<String, Value>> =
                    members.iter().map(|(name, value)| Some((name.clone(), of(value)?))).collect();
                fields.map(Value::Object)
            }
            Value::Array(_) => None,
            leaf => Some(json!([leaf])),
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(pattern in json(), event in json()) {
            if let Ok(pattern) = EventPattern::of(&pattern) {
                pattern.matches(&event);
            }
        }

        #[test]
        fn an_event_fits_the_pattern_of_itself(event in json()) {
            if let Some(pattern @ Value::Object(_)) = of(&event) {
                prop_assert!(matches(&pattern, &event), "{pattern}");
            }
        }

        #[test]
        fn a_wildcard_is_as_a_regular_expression(pattern in "[ab*]{0,6}", text in "[ab]{0,6}") {
            prop_assume!(!pattern.contains("**"));
            let expression = regex_lite::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            let parts = wildcard(&pattern).unwrap();
            prop_assert_eq!(fits(&parts, &text), expression.is_match(&text));
        }
    }
}
