//! Reads a JSON object of resource properties into a resource's own struct, and finds *all* errors in it.
//!
//! `serde` stops at the first error, and accepts unknown keys silently. Users need the whole list, with the place of
//! each and a suggestion. So this deserializer compares keys with the fields of the struct, converts scalars as
//! CloudFormation does (`"128"` is a number where a number is expected, `true` a string where a string is), and after
//! an error reads again with a harmless *placeholder* in that place, until it finds nothing new.
//!
//! Inside what serde buffers itself (untagged and internally tagged enums, `flatten`) places and conversions are lost;
//! resource types avoid those.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde_json::Value;

use super::{Path, Problem, ProblemKind, Step, Token, instead, nearest};

/// How many ill-typed values of one resource are reported at most.
const MAX_ROUNDS: usize = 100;

/// Reads `properties` as a `T`.
///
/// # Errors
/// Every unknown key, missing field and value of a wrong type or outside its enum, in order of discovery; paths are
/// relative to `properties`. A sentence about the properties themselves does not name their type (`unknown property
/// "Foo"`), which only the caller knows.
pub fn read<T: DeserializeOwned>(properties: &Value) -> Result<T, Vec<Problem>> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut placeholders = BTreeSet::new();
    let mut unknown = HashSet::new();
    loop {
        let seen = std::cell::RefCell::new(Vec::new());
        let place = Place { path: Path::default(), placeholders: &placeholders, unknown: &seen };
        let result = T::deserialize(Reader { value: Some(properties), place });
        // Every round finds the same unknown keys again.
        problems.extend(seen.into_inner().into_iter().filter(|problem| unknown.insert(problem.clone())));
        match result {
            Ok(value) if problems.is_empty() => return Ok(value),
            Ok(_) => return Err(problems),
            Err(failure) => {
                // A place that fails again was reported already, and no placeholder satisfies it: another round would
                // find nothing.
                if !placeholders.insert(failure.placeholder_path()) {
                    return Err(problems);
                }
                problems.push(failure.problem());
                if placeholders.len() == MAX_ROUNDS {
                    return Err(problems);
                }
            }
        }
    }
}

/// Records the structs and enums of a type, for the test against CloudFormation's schemas.
#[cfg(test)]
pub(crate) mod trace {
    use std::cell::RefCell;

    use super::Path;

    thread_local! {
        static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
    }

    #[derive(Debug, Default)]
    pub(crate) struct Seen {
        /// Where a struct was read, and its fields.
        pub(crate) structs: Vec<(Path, &'static [&'static str])>,
        /// Where an enum was read, and its variants.
        pub(crate) enums: Vec<(Path, &'static [&'static str])>,
    }

    /// Everything that this thread reads while `reading` runs.
    pub(crate) fn of(reading: impl FnOnce()) -> Seen {
        SEEN.set(Some(Seen::default()));
        reading();
        SEEN.take().unwrap_or_default()
    }

    pub(super) fn note(what: impl FnOnce(&mut Seen)) {
        SEEN.with_borrow_mut(|seen| seen.as_mut().map(what));
    }
}

/// The position of the reader.
#[derive(Clone)]
struct Place<'a> {
    path: Path,
    /// Paths that failed in an earlier round.
    placeholders: &'a BTreeSet<Path>,
    unknown: &'a std::cell::RefCell<Vec<Problem>>,
}

impl Place<'_> {
    fn key(&self, key: &str) -> Self {
        Self { path: self.path.key(key), ..self.clone() }
    }

    fn index(&self, index: usize) -> Self {
        Self { path: self.path.index(index), ..self.clone() }
    }
}

/// Why reading stopped.
#[derive(Debug)]
struct Failure {
    /// `None` until the innermost reader has set its position.
    path: Option<Path>,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// A sentence about the value: `must be a whole number, not "many"`.
    Value(String),
    Missing(&'static str),
    Variant {
        given: String,
        allowed: &'static [&'static str],
    },
}

impl Failure {
    fn new(cause: Cause) -> Self {
        Self { path: None, cause }
    }

    fn at(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.clone());
        self
    }

    /// Where to put a placeholder.
    fn placeholder_path(&self) -> Path {
        let path = self.path.clone().unwrap_or_default();
        match self.cause {
            Cause::Missing(field) => path.key(field),
            _ => path,
        }
    }

    fn problem(&self) -> Problem {
        let path = self.path.clone().unwrap_or_default();
        match &self.cause {
            Cause::Value(sentence) => {
                let what = format!("{} {sentence}", subject(&path));
                Problem::new(path, what).kind(ProblemKind::IllTyped)
            }
            Cause::Missing(field) => {
                let what = format!("missing property \"{field}\"{}", of_parent(&path));
                Problem::new(path, what).kind(ProblemKind::Missing)
            }
            Cause::Variant { given, allowed } => {
                let what = format!("{} cannot be \"{}\"", subject(&path), Token::readable(given));
                Problem::new(path, what).help(instead(given, allowed))
            }
        }
    }
}

/// The value at `path`, as the subject of a sentence.
pub(crate) fn subject(path: &Path) -> String {
    let indexes = path.0.iter().rev().map_while(|step| match step {
        Step::Index(index) => Some(index + 1),
        Step::Key(_) => None,
    });
    let elements: String = indexes.map(|position| format!("element {position} of ")).collect();
    let name = path.0.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    format!("{elements}{}", name.unwrap_or("Properties"))
}

/// ` of KeySchema`; empty at the root, which the caller can name.
fn of_parent(path: &Path) -> String {
    if path.0.is_empty() { String::new() } else { format!(" of {}", subject(path)) }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem().what)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Cause::Value(format!("is wrong: {message}")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Cause::Missing(field))
    }

    fn unknown_variant(given: &str, allowed: &'static [&'static str]) -> Self {
        Self::new(Cause::Variant { given: given.to_owned(), allowed })
    }

    fn invalid_type(given: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Cause::Value(format!("must be {expected}, not {given}")))
    }

    fn invalid_value(given: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Cause::Value(format!("must be {expected}, not {given}")))
    }
}

/// The deserializer of one value; `None` is a placeholder, which gives every type a valid value.
struct Reader<'a, 'de> {
    value: Option<&'de Value>,
    place: Place<'a>,
}

impl<'a, 'de> Reader<'a, 'de> {
    /// A reader of `value` at `place`, or a placeholder if that place failed before.
    fn new(value: &'de Value, place: Place<'a>) -> Self {
        let failed = place.placeholders.contains(&place.path);
        Self { value: (!failed).then_some(value), place }
    }

    fn mismatch(&self, wanted: impl fmt::Display) -> Failure {
        let given = self.value.map_or_else(String::new, describe);
        Failure::new(Cause::Value(format!("must be {wanted}, not {given}"))).at(&self.place.path)
    }
}

/// A value as an error message shows it.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", Token::readable(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        scalar => scalar.to_string(),
    }
}

/// A whole number, from a number or from its text.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => number
            .as_i128()
            .or_else(|| number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i128)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The entry of a map with a single one: an enum's variant with content.
fn only_entry(value: &Value) -> Option<(&String, &Value)> {
    value.as_object().filter(|entries| entries.len() == 1)?.iter().next()
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            let Some(value) = self.value else { return visitor.$visit(0) };
            let Some(number) = integer(value) else { return Err(self.mismatch("a whole number")) };
            match <$type>::try_from(number) {
                Ok(number) => visitor.$visit(number).map_err(|failure: Failure| failure.at(&self.place.path)),
                Err(_) => Err(self.mismatch(format_args!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Failure;

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value {
            None | Some(Value::Null) => visitor.visit_unit(),
            Some(Value::Bool(truth)) => visitor.visit_bool(*truth),
            Some(Value::String(text)) => visitor.visit_borrowed_str(text),
            Some(Value::Array(_)) => return self.deserialize_seq(visitor),
            Some(Value::Object(_)) => return self.deserialize_map(visitor),
            Some(number @ Value::Number(_)) => number.deserialize_any(visitor).map_err(<Failure as de::Error>::custom),
        }
        .map_err(|failure: Failure| failure.at(&self.place.path))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value {
            None => visitor.visit_bool(false),
            Some(Value::Bool(truth)) => visitor.visit_bool(*truth),
            Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                _ => Err(self.mismatch("true or false")),
            },
            Some(_) => Err(self.mismatch("true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let number = match self.value {
            None => Some(0.0),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Some(_) => None,
        };
        number.map_or_else(|| Err(self.mismatch("a number")), |number| visitor.visit_f64(number))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value {
            None => visitor.visit_borrowed_str(""),
            Some(Value::String(text)) => visitor.visit_borrowed_str(text),
            Some(scalar @ (Value::Bool(_) | Value::Number(_))) => visitor.visit_string(scalar.to_string()),
            Some(_) => return Err(self.mismatch("a string")),
        }
        .map_err(|failure: Failure| failure.at(&self.place.path))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        let path = self.place.path.clone();
        visitor.visit_newtype_struct(self).map_err(|failure| failure.at(&path))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let items = match self.value {
            None => &[][..],
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.mismatch("a list")),
        };
        visitor.visit_seq(Items { items, next: 0, place: &self.place }).map_err(|failure| failure.at(&self.place.path))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let entries: Vec<_> = match self.value {
            None => Vec::new(),
            Some(Value::Object(entries)) => entries.iter().map(|(key, value)| (key.as_str(), Some(value))).collect(),
            Some(_) => return Err(self.mismatch("a map")),
        };
        let entries = Entries { entries: entries.into_iter(), value: None, place: &self.place };
        visitor.visit_map(entries).map_err(|failure| failure.at(&self.place.path))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        #[cfg(test)]
        trace::note(|seen| seen.structs.push((self.place.path.clone(), fields)));
        let mut entries: Vec<(&str, Option<&Value>)> = Vec::new();
        match self.value {
            None => {}
            Some(Value::Object(given)) => {
                for (key, value) in given {
                    if fields.contains(&key.as_str()) {
                        entries.push((key, Some(value)));
                    } else {
                        let meant = nearest(key, fields);
                        // The property that is probably meant is not reported as missing as well.
                        if let Some(meant) = meant
                            && !given.contains_key(meant)
                            && !entries.iter().any(|(key, _)| *key == meant)
                        {
                            entries.push((meant, None));
                        }
                        let what = format!("unknown property \"{key}\"{}", of_parent(&self.place.path));
                        let problem = Problem::of_key(self.place.path.key(key), what).kind(ProblemKind::Unknown);
                        self.place.unknown.borrow_mut().push(problem.meant(meant, fields));
                    }
                }
            }
            Some(_) => return Err(self.mismatch("a map")),
        }
        for field in fields {
            let present = entries.iter().any(|(key, _)| key == field);
            if !present && (self.value.is_none() || self.place.placeholders.contains(&self.place.path.key(field))) {
                entries.push((field, None));
            }
        }
        let entries = Entries { entries: entries.into_iter(), value: None, place: &self.place };
        visitor.visit_map(entries).map_err(|failure| failure.at(&self.place.path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        #[cfg(test)]
        trace::note(|seen| seen.enums.push((self.place.path.clone(), variants)));
        let (variant, content) = match (self.value, self.value.and_then(only_entry)) {
            (None, _) => (variants.first().copied().unwrap_or_default().to_owned(), Content::Placeholder),
            (Some(Value::String(text)), _) => (text.clone(), Content::Nothing),
            (Some(scalar @ (Value::Bool(_) | Value::Number(_))), _) => (scalar.to_string(), Content::Nothing),
            (_, Some((key, value))) => (key.clone(), Content::Given(value)),
            _ => return Err(self.mismatch(format_args!("one of {}", variants.join(", ")))),
        };
        let path = self.place.path.clone();
        visitor.visit_enum(Variant { variant, content, place: self.place }).map_err(|failure| failure.at(&path))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit_struct identifier }
}

/// The elements of a list.
struct Items<'a, 'p, 'de> {
    items: &'de [Value],
    next: usize,
    place: &'p Place<'a>,
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_, 'de> {
    type Error = Failure;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let place = self.place.index(self.next);
        self.next += 1;
        let path = place.path.clone();
        seed.deserialize(Reader::new(item, place)).map(Some).map_err(|failure| failure.at(&path))
    }
}

/// The entries of a map or a struct; no value means a placeholder.
struct Entries<'a, 'p, 'de> {
    entries: std::vec::IntoIter<(&'de str, Option<&'de Value>)>,
    value: Option<(&'de str, Option<&'de Value>)>,
    place: &'p Place<'a>,
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_, 'de> {
    type Error = Failure;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failure> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let place = self.place.key(key);
        let path = place.path.clone();
        let reader = match value {
            Some(value) => Reader::new(value, place),
            None => Reader { value: None, place },
        };
        seed.deserialize(reader).map_err(|failure| failure.at(&path))
    }
}

/// A variant by name, with its content.
struct Variant<'a, 'de> {
    variant: String,
    content: Content<'de>,
    place: Place<'a>,
}

enum Content<'de> {
    Nothing,
    Placeholder,
    Given(&'de Value),
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Failure> {
        let name: StrDeserializer<'_, Failure> = self.variant.as_str().into_deserializer();
        let read = seed.deserialize(name)?;
        Ok((read, self))
    }
}

impl<'a, 'de> Variant<'a, 'de> {
    fn content(self) -> Result<Reader<'a, 'de>, Failure> {
        let place = self.place.key(&self.variant);
        match self.content {
            Content::Given(content) => Ok(Reader::new(content, place)),
            Content::Placeholder => Ok(Reader { value: None, place }),
            Content::Nothing => Err(Failure::new(Cause::Value(format!("needs a value under \"{}\"", self.variant)))),
        }
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        match self.content {
            Content::Nothing | Content::Placeholder => Ok(()),
            Content::Given(_) => Err(Failure::new(Cause::Value(format!("takes nothing under \"{}\"", self.variant)))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failure> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.content()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.content()?.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Props {
        name: String,
        #[serde(default)]
        memory_size: Option<u16>,
        #[serde(default)]
        enabled: bool,
        #[serde(default)]
        rate: f64,
        #[serde(default)]
        mode: Mode,
        #[serde(default)]
        key_schema: Vec<Key>,
        #[serde(default)]
        variables: BTreeMap<String, String>,
        #[serde(default)]
        document: Value,
        #[serde(default)]
        source: Option<Source>,
        #[serde(default)]
        arn: Arn,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    enum Mode {
        #[default]
        #[serde(rename = "PAY_PER_REQUEST")]
        PayPerRequest,
        #[serde(rename = "PROVISIONED")]
        Provisioned,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Key {
        attribute_name: String,
        key_type: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Source {
        None,
        ZipFile(String),
        Bucket { key: String },
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Arn(String);

    fn problems(properties: Value) -> Vec<String> {
        let show = |problem: Problem| {
            let key = if problem.at_key { " (key)" } else { "" };
            let help = problem.help.map_or_else(String::new, |help| format!(" [{help}]"));
            format!("{}{key}: {}{help}", problem.path, problem.what)
        };
        read::<Props>(&properties).expect_err("wrong properties").into_iter().map(show).collect()
    }

    /// The result of reading `given`, next to a name, and serializing it again.
    fn reread(given: Value) -> Value {
        let mut properties = json!({ "Name": "n" });
        for (key, value) in given.as_object().unwrap() {
            properties[key] = value.clone();
        }
        let props: Props = read(&properties).unwrap_or_else(|problems| panic!("{given}: {problems:?}"));
        let mut written = serde_json::to_value(props).unwrap();
        given.as_object().unwrap().keys().map(|key| (key.clone(), written[key].take())).collect()
    }

    #[test]
    fn scalars_are_converted_as_cloudformation_does() {
        for (given, expected) in [
            (json!({ "MemorySize": "128" }), json!({ "MemorySize": 128 })),
            (json!({ "MemorySize": 128.0 }), json!({ "MemorySize": 128 })),
            (json!({ "MemorySize": null }), json!({ "MemorySize": null })),
            (json!({ "Enabled": "true" }), json!({ "Enabled": true })),
            (json!({ "Enabled": "False" }), json!({ "Enabled": false })),
            (json!({ "Rate": "2.5" }), json!({ "Rate": 2.5 })),
            (json!({ "Rate": 2 }), json!({ "Rate": 2.0 })),
            (json!({ "Name": 12 }), json!({ "Name": "12" })),
            (json!({ "Name": false }), json!({ "Name": "false" })),
            (json!({ "Arn": 1.5 }), json!({ "Arn": "1.5" })),
            (json!({ "Variables": { "A": 1, "B": true } }), json!({ "Variables": { "A": "1", "B": "true" } })),
        ] {
            assert_eq!(reread(given), expected);
        }
    }

    #[test]
    fn documents_and_enums_are_not_converted() {
        for given in [
            json!({ "Document": { "Version": "2012-10-17", "Number": 1, "List": [true, null, 1.5, "x"] } }),
            json!({ "Mode": "PROVISIONED" }),
            json!({ "Source": "None" }),
            json!({ "Source": { "ZipFile": "x" } }),
            json!({ "Source": { "Bucket": { "key": "k" } } }),
            json!({ "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }] }),
        ] {
            assert_eq!(reread(given.clone()), given);
        }
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let problems = problems(json!({
            "MemorySize": "big",
            "Enabled": "maybe",
            "Rate": [],
            "Mode": "PAY_PER_REQUST",
            "KeySchema": [{ "AttributeName": "id", "KeyTyp": "HASH" }, "id", { "AttributeName": {} }],
            "Variables": { "A": ["x"] },
            "Sourc": 1,
        }));
        insta::assert_snapshot!(problems.join("\n"), @r#"
        Sourc (key): unknown property "Sourc" [did you mean "Source"?]
        MemorySize: MemorySize must be a whole number, not "big"
        Enabled: Enabled must be true or false, not "maybe"
        Rate: Rate must be a number, not a list
        Mode: Mode cannot be "PAY_PER_REQUST" [did you mean "PAY_PER_REQUEST"?]
        KeySchema/0/KeyTyp (key): unknown property "KeyTyp" of element 1 of KeySchema [did you mean "KeyType"?]
        KeySchema/1: element 2 of KeySchema must be a map, not "id"
        KeySchema/2/AttributeName: AttributeName must be a string, not a map
        KeySchema/2: missing property "KeyType" of element 3 of KeySchema
        Variables/A: A must be a string, not a list
        : missing property "Name"
        "#);
    }

    #[test]
    fn each_problem_says_what_is_allowed() {
        let table = [
            json!({ "MemorySize": 70000 }),
            json!({ "MemorySize": 1.5 }),
            json!({ "MemorySize": format!("{}", Token::text("Api", "Ref")) }),
            json!({ "Mode": "ON" }),
            json!({ "Mode": {} }),
            json!({ "Source": "ZipFile" }),
            json!({ "Source": { "None": 1 } }),
            json!({ "Source": { "Bucket": {} } }),
            json!({ "Source": { "Bucket": { "Key": "k" } } }),
            json!({ "Source": { "Nowhere": {} } }),
            json!({ "KeySchema": {} }),
            json!({ "Variables": "A=1" }),
            json!({ "Arn": ["a"] }),
            json!({ "Name": null }),
        ];
        let shown: Vec<String> = table
            .into_iter()
            .flat_map(|mut given| {
                if given.get("Name").is_none() {
                    given["Name"] = json!("n");
                }
                problems(given)
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        MemorySize: MemorySize must be a whole number from 0 to 65535, not 70000
        MemorySize: MemorySize must be a whole number, not 1.5
        MemorySize: MemorySize must be a whole number, not "<Api>"
        Mode: Mode cannot be "ON" [allowed: PAY_PER_REQUEST, PROVISIONED]
        Mode: Mode must be one of PAY_PER_REQUEST, PROVISIONED, not a map
        Source: Source needs a value under "ZipFile"
        Source: Source takes nothing under "None"
        Source/Bucket: missing property "key" of Bucket
        Source/Bucket/Key (key): unknown property "Key" of Bucket [did you mean "key"?]
        Source: Source cannot be "Nowhere" [allowed: None, ZipFile, Bucket]
        KeySchema: KeySchema must be a list, not a map
        Variables: Variables must be a map, not "A=1"
        Arn: Arn must be a string, not a list
        Name: Name must be a string, not null
        "#);
    }

    #[test]
    fn properties_that_are_not_a_map_are_refused() {
        assert_eq!(problems(json!(["Name"])), [": Properties must be a map, not a list"]);
    }
}
