//! What the strings, lists, maps and numbers of a template can do: the methods of Java's classes that templates use. A method that
//! is not here is an error with its name, not silently nothing.

use std::rc::Rc;

use regex_lite::{Regex, RegexBuilder};

use super::PER_STEP;
use super::value::{Heap, Value};

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

type Returned = Result<Option<Value>, String>;

/// A property: an entry of a map, what `getName()` or `isName()` would return.
///
/// # Errors
/// When the template has looked at as much as it may.
pub fn property(value: &Value, name: &str, heap: &Heap) -> Result<Value, String> {
    if let Value::Map(map) = value
        && let Some(value) = heap.get(*map, name)?
    {
        return Ok(value.clone());
    }
    Ok(match (value, name) {
        (Value::Map(map), "empty") => Value::Bool(heap.entries(*map).is_empty()),
        (Value::List(list), "empty") => Value::Bool(heap.items(*list).is_empty()),
        (Value::Text(text), "empty") => Value::Bool(text.is_empty()),
        (Value::Entry(entry), "key") => Value::Text(Rc::clone(&entry.0)),
        (Value::Entry(entry), "value") => entry.1.clone(),
        (Value::Class(class), "name") => Value::text(*class),
        (Value::Class(class), "simpleName") => Value::text(simple_name(class)),
        (Value::Map(_), _) => Value::Null,
        (value, "class") => Value::Class(value.class()),
        _ => Value::Null,
    })
}

/// What is at an index of a list, or at a key of a map.
pub fn index(value: &Value, index: &Value, heap: &Heap) -> Result<Value, String> {
    match value {
        Value::Map(map) => Ok(heap.get(*map, &heap.text_of(index)?)?.cloned().unwrap_or(Value::Null)),
        Value::List(list) => {
            let items = heap.items(*list);
            let found = position(index, items.len()).and_then(|position| items.get(position)).cloned();
            found.ok_or_else(|| out_of_range(items.len(), index))
        }
        other => Err(format!("{} has no index", described(other))),
    }
}

/// The position that an index means in a list of `length`; a negative one counts from the end.
pub fn position(index: &Value, length: usize) -> Option<usize> {
    let index = whole(index)?;
    let length = i64::try_from(length).ok()?;
    let index = if index < 0 { length.checked_add(index)? } else { index };
    usize::try_from(index).ok().filter(|_| index < length)
}

/// What a method returns; `None` where the value has no such method.
///
/// # Errors
/// Why it failed: Java would throw an exception.
pub fn call(value: &Value, name: &str, arguments: &[Value], heap: &mut Heap) -> Returned {
    match (name, arguments) {
        ("toString", []) => return Ok(Some(Value::Text(heap.text_of(value)?))),
        ("equals", [other]) => {
            let same_kind = std::mem::discriminant(value) == std::mem::discriminant(other);
            return Ok(Some(Value::Bool(same_kind && heap.equal(value, other)?)));
        }
        ("getClass", []) => return Ok(Some(Value::Class(value.class()))),
        _ => {}
    }
    match value {
        Value::Text(text) => on_text(text, name, arguments, heap),
        Value::List(list) => on_list(*list, name, arguments, heap),
        Value::Map(map) => on_map(*map, name, arguments, heap),
        Value::Integer(_) | Value::Float(_) => on_number(value, name, arguments, heap),
        Value::Entry(entry) => Ok(match (name, arguments) {
            ("getKey", []) => Some(Value::Text(Rc::clone(&entry.0))),
            ("getValue", []) => Some(entry.1.clone()),
            _ => None,
        }),
        Value::Class(class) => Ok(match (name, arguments) {
            ("getName", []) => Some(Value::text(*class)),
            ("getSimpleName", []) => Some(Value::text(simple_name(class))),
            _ => None,
        }),
        _ => Ok(None),
    }
}

/// The error for a method that a value does not have.
pub fn unknown(value: &Value, name: &str, arguments: usize) -> String {
    let arguments = match arguments {
        0 => "without arguments".to_owned(),
        1 => "with 1 argument".to_owned(),
        count => format!("with {count} arguments"),
    };
    format!("{} has no method {name} {arguments} that the local cloud knows", described(value))
}

fn described(value: &Value) -> String {
    match value {
        Value::Object(name) => format!("${name}"),
        value => format!("a value of class {}", value.class()),
    }
}

fn simple_name(class: &str) -> &str {
    class.rsplit(['.', '$']).next().unwrap_or(class)
}

fn on_text(text: &Rc<str>, name: &str, arguments: &[Value], heap: &mut Heap) -> Returned {
    // What is done with a long text takes time, too.
    heap.take(text.len() / 16)?;
    heap.read(text.len())?;
    let given: Vec<Rc<str>> = arguments.iter().map(|value| heap.text_of(value)).collect::<Result<_, _>>()?;
    let argument = |position: usize| given.get(position).map_or("", |text| &**text);
    Ok(Some(match (name, arguments) {
        ("length", []) => integer(text.encode_utf16().count()),
        ("isEmpty", []) => Value::Bool(text.is_empty()),
        ("trim", []) => Value::text(text.trim_matches(|letter: char| letter <= ' ')),
        ("toLowerCase", []) => heap.new_text(&text.to_lowercase())?,
        ("toUpperCase", []) => heap.new_text(&text.to_uppercase())?,
        ("contains", [_]) => Value::Bool(text.contains(argument(0))),
        ("startsWith", [_]) => Value::Bool(text.starts_with(argument(0))),
        ("endsWith", [_]) => Value::Bool(text.ends_with(argument(0))),
        ("equalsIgnoreCase", [_]) => Value::Bool(text.to_lowercase() == argument(0).to_lowercase()),
        ("compareTo", [_]) => {
            let order = text.encode_utf16().cmp(argument(0).encode_utf16());
            Value::Integer(order as i64)
        }
        ("concat", [_]) => heap.new_text(&format!("{text}{}", argument(0)))?,
        ("indexOf", [_]) => position_of(text, text.find(argument(0))),
        ("lastIndexOf", [_]) => position_of(text, text.rfind(argument(0))),
        ("charAt", [index]) => {
            let units: Vec<u16> = text.encode_utf16().collect();
            let index = whole(index).and_then(|index| usize::try_from(index).ok());
            let unit = index.and_then(|index| units.get(index)).ok_or("charAt is given an index out of the text")?;
            Value::text(String::from_utf16_lossy(&[*unit]))
        }
        ("substring", [from]) => substring(text, from, None, heap)?,
        ("substring", [from, to]) => substring(text, from, Some(to), heap)?,
        ("replace", [_, _]) => {
            let count = text.matches(argument(0)).count();
            heap.take(count.saturating_mul(argument(1).len()))?;
            heap.new_text(&text.replace(argument(0), argument(1)))?
        }
        ("replaceAll", [_, _]) => replace(text, argument(0), argument(1), 0, heap)?,
        ("replaceFirst", [_, _]) => replace(text, argument(0), argument(1), 1, heap)?,
        ("matches", [_]) => Value::Bool(pattern(&format!("^(?:{})$", argument(0)), text, heap)?.is_match(text)),
        ("split", [_]) => split(text, argument(0), 0, heap)?,
        ("split", [_, limit]) => split(text, argument(0), whole(limit).unwrap_or_default(), heap)?,
        ("valueOf", [_]) => Value::text(argument(0)),
        _ => return Ok(None),
    }))
}

/// Replaces what matches a pattern: the first `limit` times, or all.
fn replace(text: &str, old: &str, new: &str, limit: usize, heap: &mut Heap) -> Result<Value, String> {
    let pattern = pattern(old, text, heap)?;
    let new = replacement(new);
    let count = pattern.find_iter(text).take(if limit == 0 { usize::MAX } else { limit }).count();
    // A group may be as long as the text.
    let groups = new.matches("${").count();
    heap.take(count.saturating_mul(new.len().saturating_add(groups.saturating_mul(text.len()))))?;
    heap.new_text(&pattern.replacen(text, limit, new.as_str()))
}

fn substring(text: &str, from: &Value, to: Option<&Value>, heap: &mut Heap) -> Result<Value, String> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let bound = |value: &Value| whole(value).and_then(|bound| usize::try_from(bound).ok());
    let from = bound(from);
    let to = to.map_or(Some(units.len()), bound);
    let part = from.zip(to).and_then(|(from, to)| units.get(from..to));
    let part =
        part.ok_or_else(|| format!("substring is given a range out of the text, which has {} letters", units.len()))?;
    heap.new_text(&String::from_utf16_lossy(part))
}

/// `String.split`: empty texts at the end are left out unless there is a limit.
fn split(text: &str, by: &str, limit: i64, heap: &mut Heap) -> Result<Value, String> {
    let pattern = pattern(by, text, heap)?;
    let mut parts: Vec<&str> = Vec::new();
    let mut from = 0;
    for found in pattern.find_iter(text) {
        if limit > 0 && i64::try_from(parts.len() + 1).is_ok_and(|next| next >= limit) {
            break;
        }
        // A match of nothing at the beginning makes no empty text before it.
        if found.end() == 0 || found.is_empty() && found.start() == text.len() {
            continue;
        }
        parts.push(text.get(from..found.start()).unwrap_or_default());
        from = found.end();
    }
    parts.push(text.get(from..).unwrap_or_default());
    if limit == 0 {
        while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
    }
    let parts = parts.into_iter().map(|part| heap.new_text(part)).collect::<Result<_, _>>()?;
    heap.new_list(parts)
}

/// Compiles a pattern of Java's, for a text; what both kinds have in common is what templates use.
fn pattern(pattern: &str, text: &str, heap: &Heap) -> Result<Regex, String> {
    // It is compiled each time. A match may try each letter of the pattern at each letter of the text.
    heap.look(pattern.len().saturating_mul(PER_STEP))?;
    heap.read(text.len().saturating_mul(pattern.len() / 8))?;
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
    compiled.map_err(|error| format!("\"{pattern}\" is not a pattern that the local cloud knows: {error}"))
}

/// A replacement of Java's: `$1` is a group, `\` takes the next letter as it is.
fn replacement(text: &str) -> String {
    let mut written = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('$') => written.push_str("$$"),
                Some(next) => written.push(next),
                None => {}
            },
            '$' if letters.peek().is_some_and(char::is_ascii_digit) => {
                written.push_str("${");
                written.extend(letters.next());
                written.push('}');
            }
            '$' => written.push_str("$$"),
            letter => written.push(letter),
        }
    }
    written
}

fn on_list(list: usize, name: &str, arguments: &[Value], heap: &mut Heap) -> Returned {
    let length = heap.items(list).len();
    let place = |index: &Value, length: usize| {
        let place = whole(index).and_then(|index| usize::try_from(index).ok()).filter(|index| *index < length);
        place.ok_or_else(|| out_of_range(length, index))
    };
    Ok(Some(match (name, arguments) {
        // `count()` is the developer guide's: `$input.path('$.pets').count()`.
        ("size" | "count", []) => integer(length),
        ("isEmpty", []) => Value::Bool(length == 0),
        ("get", [index]) => {
            let place = place(index, length)?;
            heap.items(list).get(place).cloned().unwrap_or(Value::Null)
        }
        ("set", [index, value]) => {
            let place = place(index, length)?;
            let slot = heap.items_mut(list).and_then(|items| items.get_mut(place));
            slot.map_or(Value::Null, |slot| std::mem::replace(slot, value.clone()))
        }
        ("add", [value]) => {
            heap.take(0)?;
            heap.items_mut(list).into_iter().for_each(|items| items.push(value.clone()));
            Value::Bool(true)
        }
        ("add", [index, value]) => {
            let place = place(index, length + 1)?;
            heap.take(0)?;
            heap.look(length - place)?;
            heap.items_mut(list).into_iter().for_each(|items| items.insert(place, value.clone()));
            Value::Null
        }
        ("addAll", [Value::List(other)]) => {
            let added = heap.items(*other).to_vec();
            heap.take(added.len().saturating_mul(32))?;
            let changed = !added.is_empty();
            heap.items_mut(list).into_iter().for_each(|items| items.extend(added.clone()));
            Value::Bool(changed)
        }
        ("contains", [value]) => Value::Bool(find(list, value, heap)?.is_some()),
        ("indexOf", [value]) => find(list, value, heap)?.map_or(Value::Integer(-1), integer),
        ("remove", [index @ Value::Integer(_)]) => {
            let place = place(index, length)?;
            heap.look(length - place)?;
            heap.items_mut(list).map_or(Value::Null, |items| items.remove(place))
        }
        ("remove", [value]) => {
            let found = find(list, value, heap)?;
            if let Some(place) = found {
                heap.items_mut(list).into_iter().for_each(|items| drop(items.remove(place)));
            }
            Value::Bool(found.is_some())
        }
        ("clear", []) => {
            heap.items_mut(list).into_iter().for_each(Vec::clear);
            Value::Null
        }
        ("subList", [from, to]) => {
            let (from, to) = (place(from, length + 1)?, place(to, length + 1)?);
            let part = heap.items(list).get(from..to).map(<[Value]>::to_vec);
            heap.new_list(part.ok_or_else(|| "subList is given a range that ends before it begins".to_owned())?)?
        }
        _ => return Ok(None),
    }))
}

fn find(list: usize, value: &Value, heap: &Heap) -> Result<Option<usize>, String> {
    heap.look(heap.items(list).len())?;
    for (place, item) in heap.items(list).iter().enumerate() {
        if std::mem::discriminant(item) == std::mem::discriminant(value) && heap.equal(item, value)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn on_map(map: usize, name: &str, arguments: &[Value], heap: &mut Heap) -> Returned {
    let key = |heap: &Heap, value: &Value| heap.text_of(value);
    Ok(Some(match (name, arguments) {
        ("size", []) => integer(heap.entries(map).len()),
        ("isEmpty", []) => Value::Bool(heap.entries(map).is_empty()),
        ("get", [name]) => heap.get(map, &key(heap, name)?)?.cloned().unwrap_or(Value::Null),
        ("getOrDefault", [name, default]) => heap.get(map, &key(heap, name)?)?.unwrap_or(default).clone(),
        ("put", [name, value]) => {
            let name = key(heap, name)?;
            heap.put(map, name, value.clone())?
        }
        ("putAll", [Value::Map(other)]) => {
            for (name, value) in heap.entries(*other).to_vec() {
                heap.put(map, name, value)?;
            }
            Value::Null
        }
        ("remove", [name]) => {
            let name = key(heap, name)?;
            heap.remove(map, &name)?
        }
        ("clear", []) => {
            heap.clear(map);
            Value::Null
        }
        ("containsKey", [name]) => Value::Bool(heap.get(map, &key(heap, name)?)?.is_some()),
        ("containsValue", [value]) => {
            heap.look(heap.entries(map).len())?;
            let mut found = false;
            for (_, held) in heap.entries(map) {
                found = found || heap.equal(held, value)?;
            }
            Value::Bool(found)
        }
        ("keySet", []) => {
            let names = heap.entries(map).iter().map(|(name, _)| Value::Text(Rc::clone(name))).collect();
            heap.new_list(names)?
        }
        ("values", []) => {
            let values = heap.entries(map).iter().map(|(_, value)| value.clone()).collect();
            heap.new_list(values)?
        }
        ("entrySet", []) => {
            let entries = heap.entries(map).iter().map(|entry| Value::Entry(Rc::new(entry.clone()))).collect();
            heap.new_list(entries)?
        }
        _ => return Ok(None),
    }))
}

/// Methods of numbers, and the static ones by which templates parse text: `#set($Integer = 0)`, `$Integer.parseInt("7")`.
fn on_number(value: &Value, name: &str, arguments: &[Value], heap: &Heap) -> Returned {
    let truncated = |value: &Value| value.as_number().map_or(0, |number| number as i64);
    Ok(Some(match (name, arguments) {
        ("intValue" | "longValue", []) => match value {
            Value::Integer(number) => Value::Integer(*number),
            value => Value::Integer(truncated(value)),
        },
        ("doubleValue" | "floatValue", []) => Value::Float(value.as_number().unwrap_or_default()),
        ("compareTo", [other]) => {
            let order = value.as_number().partial_cmp(&other.as_number());
            Value::Integer(order.map_or(0, |order| order as i64))
        }
        ("parseInt" | "parseLong", [text]) => {
            let text = heap.text_of(text)?;
            Value::Integer(
                text.parse().map_err(|_| format!("{name} is given \"{text}\", which is not a whole number"))?,
            )
        }
        ("parseDouble" | "parseFloat", [text]) => Value::Float(parse_double(name, &heap.text_of(text)?)?),
        ("valueOf", [text]) => {
            let text = heap.text_of(text)?;
            match (value, text.parse()) {
                (Value::Integer(_), Ok(number)) => Value::Integer(number),
                _ => Value::Float(parse_double(name, &text)?),
            }
        }
        _ => return Ok(None),
    }))
}

fn parse_double(name: &str, text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("{name} is given \"{text}\", which is not a number"))
}

/// A whole number, also as text: `.get("0")` is no index in Java, but `[$index]` may come from JSON.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn integer(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A place in bytes, as Java counts it.
fn position_of(text: &str, place: Option<usize>) -> Value {
    match place.and_then(|place| text.get(..place)) {
        Some(before) => integer(before.encode_utf16().count()),
        None => Value::Integer(-1),
    }
}

fn out_of_range(length: usize, index: &Value) -> String {
    let index = match index {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => format!("\"{text}\""),
        _ => "this value".to_owned(),
    };
    format!("the list has {length} items, and none at {index}")
}
