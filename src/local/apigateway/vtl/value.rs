//! The values of a template. Lists and maps are shared and can be changed, as in Java; they live in a [`Heap`], which ends with the
//! template, whatever refers to what.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::Value as Json;

use super::ast::Node;
use super::{BYTES_PER_ITEM, Limits, PER_STEP};

/// How deep a value may nest where it is written.
const MAX_NESTING: usize = 100;

/// What a value costs beside its text.
const COST: usize = 32;

#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Rc<str>),
    /// The position of a list in the heap.
    List(usize),
    /// The position of a map in the heap.
    Map(usize),
    /// An element of a map's `entrySet()`.
    Entry(Rc<(Rc<str>, Value)>),
    /// What `#define` made.
    Block(Rc<[Node]>),
    /// `$foreach`: the number of loops around it.
    Loop(usize),
    /// The name of a value's class.
    Class(&'static str),
    /// An object of the host's, by its name.
    Object(&'static str),
}

impl Value {
    pub fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Whether a condition holds: not null, not false.
    pub fn is_true(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The name of its class in Java.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "java.lang.Boolean",
            Self::Integer(number) if i32::try_from(*number).is_ok() => "java.lang.Integer",
            Self::Integer(_) => "java.lang.Long",
            Self::Float(_) => "java.lang.Double",
            Self::Text(_) => "java.lang.String",
            Self::List(_) => "java.util.ArrayList",
            Self::Map(_) => "java.util.LinkedHashMap",
            Self::Entry(_) => "java.util.Map$Entry",
            Self::Block(_) => "org.apache.velocity.runtime.directive.Block$Reference",
            Self::Loop(_) => "org.apache.velocity.runtime.directive.ForeachScope",
            Self::Class(_) => "java.lang.Class",
            Self::Object(name) => name,
        }
    }
}

#[derive(Debug)]
struct List {
    /// Whether it comes from JSON: such a list is written as JSON, one of the template's own as Java writes lists. (Objects are
    /// written as Java writes maps either way. API Gateway's JSON library has an array class of its own, and none for objects.)
    json: bool,
    items: Vec<Value>,
}

/// The lists and maps of a template, and what it may still take.
#[derive(Debug)]
pub struct Heap {
    lists: Vec<List>,
    maps: Vec<Vec<(Rc<str>, Value)>>,
    left: usize,
    steps: Cell<usize>,
    limits: Limits,
}

impl Heap {
    pub fn new(limits: Limits) -> Self {
        Self { lists: Vec::new(), maps: Vec::new(), left: limits.memory, steps: Cell::new(limits.steps), limits }
    }

    /// Takes a step.
    ///
    /// # Errors
    /// When the template has taken as many as it may.
    pub fn step(&self) -> Result<(), String> {
        self.take_steps(1)
    }

    /// Takes the steps for looking at so many items.
    ///
    /// # Errors
    /// When the template has taken as many as it may.
    pub fn look(&self, items: usize) -> Result<(), String> {
        self.take_steps(items / PER_STEP)
    }

    /// Takes the steps for reading or writing so many bytes of text.
    ///
    /// # Errors
    /// When the template has taken as many as it may.
    pub fn read(&self, bytes: usize) -> Result<(), String> {
        self.look(bytes / BYTES_PER_ITEM)
    }

    fn take_steps(&self, count: usize) -> Result<(), String> {
        let left = self.steps.get().checked_sub(count);
        self.steps.set(left.unwrap_or(0));
        left.map(drop).ok_or_else(|| format!("the template takes more than {} steps", self.limits.steps))
    }

    /// Takes memory.
    ///
    /// # Errors
    /// When the template has used up what it may take.
    pub fn take(&mut self, bytes: usize) -> Result<(), String> {
        match self.left.checked_sub(bytes.saturating_add(COST)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err("the template takes too much memory".to_owned()),
        }
    }

    /// A text, paid for.
    pub fn new_text(&mut self, text: &str) -> Result<Value, String> {
        self.take(text.len())?;
        Ok(Value::text(text))
    }

    pub fn new_list(&mut self, items: Vec<Value>) -> Result<Value, String> {
        self.add_list(items, false)
    }

    fn add_list(&mut self, items: Vec<Value>, json: bool) -> Result<Value, String> {
        self.take(items.len().saturating_mul(COST))?;
        self.lists.push(List { json, items });
        Ok(Value::List(self.lists.len() - 1))
    }

    pub fn new_map(&mut self, entries: Vec<(Rc<str>, Value)>) -> Result<Value, String> {
        self.take(0)?;
        self.maps.push(Vec::new());
        let map = self.maps.len() - 1;
        for (key, value) in entries {
            self.put(map, key, value)?;
        }
        Ok(Value::Map(map))
    }

    pub fn items(&self, list: usize) -> &[Value] {
        self.lists.get(list).map_or(&[], |list| &list.items)
    }

    pub fn items_mut(&mut self, list: usize) -> Option<&mut Vec<Value>> {
        self.lists.get_mut(list).map(|list| &mut list.items)
    }

    pub fn entries(&self, map: usize) -> &[(Rc<str>, Value)] {
        self.maps.get(map).map_or(&[], Vec::as_slice)
    }

    /// An entry of a map.
    ///
    /// # Errors
    /// When the template has looked at as much as it may.
    pub fn get(&self, map: usize, key: &str) -> Result<Option<&Value>, String> {
        self.look(self.entries(map).len())?;
        Ok(self.entries(map).iter().find(|(name, _)| &**name == key).map(|(_, value)| value))
    }

    /// Sets an entry of a map; returns what was there.
    pub fn put(&mut self, map: usize, key: Rc<str>, value: Value) -> Result<Value, String> {
        self.look(self.entries(map).len())?;
        let known = self.entries(map).iter().position(|(name, _)| *name == key);
        if known.is_none() {
            self.take(key.len())?;
        }
        let Some(entries) = self.maps.get_mut(map) else { return Ok(Value::Null) };
        Ok(match known.and_then(|position| entries.get_mut(position)) {
            Some((_, old)) => std::mem::replace(old, value),
            None => {
                entries.push((key, value));
                Value::Null
            }
        })
    }

    /// Removes an entry of a map; returns what was there.
    pub fn remove(&mut self, map: usize, key: &str) -> Result<Value, String> {
        self.look(self.entries(map).len())?;
        let Some(entries) = self.maps.get_mut(map) else { return Ok(Value::Null) };
        Ok(match entries.iter().position(|(name, _)| &**name == key) {
            Some(position) => entries.remove(position).1,
            None => Value::Null,
        })
    }

    pub fn clear(&mut self, map: usize) {
        if let Some(entries) = self.maps.get_mut(map) {
            entries.clear();
        }
    }

    /// A JSON document as a value.
    pub fn add_json(&mut self, json: &Json) -> Result<Value, String> {
        Ok(match json {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None => Value::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => self.new_text(text)?,
            Json::Array(items) => {
                let items = items.iter().map(|item| self.add_json(item)).collect::<Result<_, _>>()?;
                self.add_list(items, true)?
            }
            Json::Object(members) => {
                let mut entries = Vec::with_capacity(members.len());
                for (name, value) in members {
                    self.take(name.len())?;
                    entries.push((Rc::from(name.as_str()), self.add_json(value)?));
                }
                // Its names are all different.
                self.take(0)?;
                self.maps.push(entries);
                Value::Map(self.maps.len() - 1)
            }
        })
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// A value that is too large, or contains itself.
    pub fn to_json(&self, value: &Value) -> Result<Json, String> {
        let mut text = String::new();
        self.write_json(value, &mut text, 0)?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Writes a value as Java's `toString()` does.
    pub fn write(&self, value: &Value, out: &mut String) -> Result<(), String> {
        let before = out.len();
        self.write_java(value, out, 0)?;
        self.read(out.len() - before)
    }

    /// A value as text.
    pub fn text_of(&self, value: &Value) -> Result<Rc<str>, String> {
        if let Value::Text(text) = value {
            return Ok(Rc::clone(text));
        }
        let mut out = String::new();
        self.write(value, &mut out)?;
        Ok(out.into())
    }

    fn write_java(&self, value: &Value, out: &mut String, depth: usize) -> Result<(), String> {
        self.check(out, depth)?;
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Value::Integer(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&java_double(*number)),
            Value::Text(text) => out.push_str(text),
            Value::List(list) if self.lists.get(*list).is_some_and(|list| list.json) => {
                self.write_json(value, out, depth)?;
            }
            Value::List(list) => {
                out.push('[');
                for (position, item) in self.items(*list).iter().enumerate() {
                    out.push_str(if position > 0 { ", " } else { "" });
                    self.write_java(item, out, depth + 1)?;
                }
                out.push(']');
            }
            Value::Map(map) => {
                out.push('{');
                for (position, (key, value)) in self.entries(*map).iter().enumerate() {
                    out.push_str(if position > 0 { ", " } else { "" });
                    out.push_str(key);
                    out.push('=');
                    self.write_java(value, out, depth + 1)?;
                }
                out.push('}');
            }
            Value::Entry(entry) => {
                out.push_str(&entry.0);
                out.push('=');
                self.write_java(&entry.1, out, depth + 1)?;
            }
            Value::Class(name) => {
                out.push_str("class ");
                out.push_str(name);
            }
            Value::Block(_) | Value::Loop(_) | Value::Object(_) => out.push_str(value.class()),
        }
        self.check(out, depth)
    }

    fn write_json(&self, value: &Value, out: &mut String, depth: usize) -> Result<(), String> {
        self.check(out, depth)?;
        match value {
            Value::List(list) => {
                out.push('[');
                for (position, item) in self.items(*list).iter().enumerate() {
                    out.push_str(if position > 0 { "," } else { "" });
                    self.write_json(item, out, depth + 1)?;
                }
                out.push(']');
            }
            Value::Map(map) => {
                out.push('{');
                for (position, (key, value)) in self.entries(*map).iter().enumerate() {
                    out.push_str(if position > 0 { "," } else { "" });
                    out.push_str(&Json::from(&**key).to_string());
                    out.push(':');
                    self.write_json(value, out, depth + 1)?;
                }
                out.push('}');
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) => self.write_java(value, out, depth)?,
            Value::Float(number) => out.push_str(&Json::from(*number).to_string()),
            Value::Text(text) => out.push_str(&Json::from(&**text).to_string()),
            _ => {
                let mut text = String::new();
                self.write_java(value, &mut text, depth)?;
                out.push_str(&Json::from(text).to_string());
            }
        }
        self.check(out, depth)
    }

    fn check(&self, out: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_NESTING {
            return Err("a list or a map nests too deeply, or contains itself".to_owned());
        }
        if out.len() > self.limits.output {
            return Err(format!("the output is longer than {} bytes", self.limits.output));
        }
        Ok(())
    }

    /// Whether two values are equal: numbers by their value, whatever their kind; else values of one class as Java compares them,
    /// and others by their text (user guide, "Relational and Logical Operators").
    pub fn equal(&self, one: &Value, other: &Value) -> Result<bool, String> {
        if let (Value::Integer(one), Value::Integer(other)) = (one, other) {
            return Ok(one == other);
        }
        if let (Some(one), Some(other)) = (one.as_number(), other.as_number()) {
            return Ok(one == other);
        }
        Ok(match (one, other) {
            (Value::Null, Value::Null) => true,
            (Value::Null, _) | (_, Value::Null) => false,
            _ => {
                let (one, other) = (self.text_of(one)?, self.text_of(other)?);
                self.read(one.len().min(other.len()))?;
                one == other
            }
        })
    }
}

/// A number as `Double.toString` writes it.
fn java_double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}
