//! JSONPath as API Gateway evaluates it: Jayway's dialect (github.com/jayway/JsonPath), which differs from RFC 9535 in what it
//! gives. A path that can only lead to one place gives that value, not a list with it; names may have hyphens; `length()` is a
//! function at a path's end. Crates have the RFC's (`serde_json_path`) or bring a parser generator with them (`jsonpath-rust`).

use serde_json::Value;

/// How many values a path may pass through.
const MAX_VISITED: usize = 100_000;
/// How deep filters may nest.
const MAX_NESTING: usize = 20;

/// What a path leads to: `None` where there is nothing at a definite path, a list for an indefinite one (with `*`, `..`, a slice, a
/// filter or several names).
///
/// # Errors
/// Why the text is no path, or how it goes too far.
pub fn find(document: &Value, path: &str) -> Result<Option<Value>, String> {
    let path = path.trim();
    let wrong = |why: String| format!("\"{path}\" is not a JSONPath: {why}");
    let mut parser = Parser { letters: path.chars().collect(), next: 0, depth: 0 };
    if !parser.take("$") {
        // Jayway's puts `$.` before such a path.
        parser = Parser { letters: format!("$.{path}").chars().collect(), next: 1, depth: 0 };
    }
    let steps = parser.steps(|_| false).map_err(wrong)?;
    let mut budget = MAX_VISITED;
    let (found, function) = match steps.split_last() {
        Some((Step::Length, rest)) => (walk(document, rest, &mut budget)?, true),
        _ => (walk(document, &steps, &mut budget)?, false),
    };
    let definite = steps.iter().all(Step::is_definite);
    if function {
        return Ok(found.first().and_then(|value| length(value)).map(Value::from));
    }
    Ok(if definite {
        found.first().map(|value| (*value).clone())
    } else {
        Some(Value::Array(found.into_iter().cloned().collect()))
    })
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(i64),
    Names(Vec<String>),
    Indexes(Vec<i64>),
    Slice(Option<i64>, Option<i64>, i64),
    All,
    /// `..`: the value itself and everything in it.
    Descend,
    Filter(Condition),
    Length,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Exists(Operand),
    Compare(Operand, &'static str, Operand),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    /// A path from the value that is looked at.
    Path(Vec<Step>),
    Literal(Value),
}

impl Step {
    fn is_definite(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Index(_) | Self::Length)
    }
}

fn walk<'v>(document: &'v Value, steps: &[Step], budget: &mut usize) -> Result<Vec<&'v Value>, String> {
    let mut current = vec![document];
    for step in steps {
        let mut next = Vec::new();
        for value in current {
            take(value, step, &mut next, budget)?;
            spend(budget, 1)?;
        }
        spend(budget, next.len())?;
        current = next;
    }
    Ok(current)
}

fn spend(budget: &mut usize, count: usize) -> Result<(), String> {
    *budget =
        budget.checked_sub(count).ok_or_else(|| format!("a JSONPath passes through more than {MAX_VISITED} values"))?;
    Ok(())
}

/// Adds what a step leads to from one value.
fn take<'v>(value: &'v Value, step: &Step, next: &mut Vec<&'v Value>, budget: &mut usize) -> Result<(), String> {
    match step {
        Step::Name(name) => next.extend(value.get(name)),
        Step::Names(names) => next.extend(names.iter().filter_map(|name| value.get(name))),
        Step::Index(index) => next.extend(at(value, *index)),
        Step::Indexes(indexes) => next.extend(indexes.iter().filter_map(|index| at(value, *index))),
        Step::Slice(from, to, step) => {
            let Value::Array(items) = value else { return Ok(()) };
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let bound = |bound: i64| if bound < 0 { length.saturating_add(bound) } else { bound }.clamp(0, length);
            let range = bound(from.unwrap_or(0))..bound(to.unwrap_or(length));
            let step = usize::try_from(*step).unwrap_or(1).max(1);
            next.extend(range.step_by(step).filter_map(|index| at(value, index)));
        }
        Step::All => children(value, next),
        Step::Descend => {
            let mut waiting = vec![value];
            while let Some(value) = waiting.pop() {
                spend(budget, 1)?;
                next.push(value);
                let mut inner = Vec::new();
                children(value, &mut inner);
                waiting.extend(inner.into_iter().rev());
            }
        }
        Step::Filter(condition) => {
            let mut candidates = Vec::new();
            match value {
                Value::Array(_) => children(value, &mut candidates),
                Value::Object(_) => candidates.push(value),
                _ => {}
            }
            for candidate in candidates {
                if holds(condition, candidate, budget)? {
                    next.push(candidate);
                }
            }
        }
        Step::Length => {}
    }
    Ok(())
}

fn at(value: &Value, index: i64) -> Option<&Value> {
    let items = value.as_array()?;
    let index = if index < 0 { i64::try_from(items.len()).ok()?.checked_add(index)? } else { index };
    items.get(usize::try_from(index).ok()?)
}

fn children<'v>(value: &'v Value, into: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => into.extend(items),
        Value::Object(members) => into.extend(members.values()),
        _ => {}
    }
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(members) => Some(members.len()),
        Value::String(text) => Some(text.encode_utf16().count()),
        _ => None,
    }
}

fn holds(condition: &Condition, value: &Value, budget: &mut usize) -> Result<bool, String> {
    Ok(match condition {
        Condition::Exists(operand) => resolve(operand, value, budget)?.is_some(),
        Condition::Not(inner) => !holds(inner, value, budget)?,
        Condition::All(inner) => {
            for condition in inner {
                if !holds(condition, value, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        Condition::Any(inner) => {
            for condition in inner {
                if holds(condition, value, budget)? {
                    return Ok(true);
                }
            }
            false
        }
        Condition::Compare(left, operator, right) => {
            let (left, right) = (resolve(left, value, budget)?, resolve(right, value, budget)?);
            let order = match (&left, &right) {
                (Some(Value::Number(left)), Some(Value::Number(right))) => {
                    left.as_f64().zip(right.as_f64()).and_then(|(left, right)| left.partial_cmp(&right))
                }
                (Some(Value::String(left)), Some(Value::String(right))) => Some(left.cmp(right)),
                _ => None,
            };
            let equal = order.map_or(left == right, std::cmp::Ordering::is_eq);
            match *operator {
                "==" => equal,
                "!=" => !equal,
                "<" => order.is_some_and(std::cmp::Ordering::is_lt),
                "<=" => order.is_some_and(std::cmp::Ordering::is_le),
                ">" => order.is_some_and(std::cmp::Ordering::is_gt),
                _ => order.is_some_and(std::cmp::Ordering::is_ge),
            }
        }
    })
}

fn resolve(operand: &Operand, value: &Value, budget: &mut usize) -> Result<Option<Value>, String> {
    match operand {
        Operand::Literal(literal) => Ok(Some(literal.clone())),
        Operand::Path(steps) => match steps.split_last() {
            Some((Step::Length, rest)) => {
                let found = walk(value, rest, budget)?;
                Ok(found.first().and_then(|value| length(value)).map(Value::from))
            }
            _ => Ok(walk(value, steps, budget)?.first().map(|value| (*value).clone())),
        },
    }
}

struct Parser {
    letters: Vec<char>,
    next: usize,
    depth: usize,
}

impl Parser {
    /// Reads steps until the end, or until a letter that ends them.
    fn steps(&mut self, ends: impl Fn(char) -> bool) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        while let Some(letter) = self.peek().filter(|letter| !ends(*letter)) {
            match letter {
                '.' => {
                    self.next += 1;
                    if self.take(".") {
                        steps.push(Step::Descend);
                        if self.peek() == Some('[') {
                            continue;
                        }
                    }
                    if self.take("*") {
                        steps.push(Step::All);
                    } else {
                        steps.push(self.name()?);
                    }
                }
                '[' => {
                    self.next += 1;
                    steps.push(self.bracket()?);
                }
                other => return Err(format!("a dot or a bracket must be where \"{other}\" is")),
            }
        }
        Ok(steps)
    }

    fn name(&mut self) -> Result<Step, String> {
        let mut name = String::new();
        while let Some(letter) =
            self.peek().filter(|letter| !letter.is_whitespace() && !".[]()=<>!&|,".contains(*letter))
        {
            name.push(letter);
            self.next += 1;
        }
        if self.take("()") {
            return match name.as_str() {
                "length" | "size" => Ok(Step::Length),
                _ => Err(format!("the function {name}() is not supported")),
            };
        }
        if name.is_empty() { Err("a name is missing after a dot".to_owned()) } else { Ok(Step::Name(name)) }
    }

    fn bracket(&mut self) -> Result<Step, String> {
        self.blanks();
        let step = if self.take("*") {
            Step::All
        } else if self.take("?") {
            self.blanks();
            if !self.take("(") {
                return Err("a filter is written [?(...)]".to_owned());
            }
            let condition = self.any()?;
            self.blanks();
            if !self.take(")") {
                return Err("a filter has no closing parenthesis".to_owned());
            }
            Step::Filter(condition)
        } else if matches!(self.peek(), Some('\'' | '"')) {
            let mut names = vec![self.quoted()?];
            while self.comma() {
                names.push(self.quoted()?);
            }
            match names.pop() {
                Some(name) if names.is_empty() => Step::Name(name),
                last => {
                    names.extend(last);
                    Step::Names(names)
                }
            }
        } else {
            self.indexes()?
        };
        self.blanks();
        if self.take("]") { Ok(step) } else { Err("a bracket is not closed".to_owned()) }
    }

    fn indexes(&mut self) -> Result<Step, String> {
        let first = self.integer();
        self.blanks();
        if self.take(":") {
            self.blanks();
            let to = self.integer();
            self.blanks();
            let step = if self.take(":") { self.integer() } else { None };
            return Ok(Step::Slice(first, to, step.unwrap_or(1)));
        }
        let mut indexes = vec![first.ok_or("a bracket has a name in quotes, a number, a slice, a filter or *")?];
        while self.comma() {
            indexes.push(self.integer().ok_or("a number is missing after a comma")?);
        }
        Ok(match indexes[..] {
            [index] => Step::Index(index),
            _ => Step::Indexes(indexes),
        })
    }

    fn any(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err("its filters nest too deeply".to_owned());
        }
        let mut conditions = vec![self.all()?];
        while self.symbol("||") {
            conditions.push(self.all()?);
        }
        self.depth -= 1;
        Ok(Condition::Any(conditions))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut conditions = vec![self.condition()?];
        while self.symbol("&&") {
            conditions.push(self.condition()?);
        }
        Ok(Condition::All(conditions))
    }

    fn condition(&mut self) -> Result<Condition, String> {
        self.blanks();
        let mut negations = 0;
        while self.peek() == Some('!') {
            self.next += 1;
            self.blanks();
            negations += 1;
        }
        let condition = if self.take("(") {
            let inner = self.any()?;
            if !self.symbol(")") {
                return Err("a filter has no closing parenthesis".to_owned());
            }
            inner
        } else {
            let left = self.operand()?;
            let operators = ["==", "!=", "<=", ">=", "<", ">"];
            match operators.into_iter().find(|operator| self.symbol(operator)) {
                Some(operator) => Condition::Compare(left, operator, self.operand()?),
                None => Condition::Exists(left),
            }
        };
        Ok(if negations % 2 == 1 { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.blanks();
        match self.peek() {
            Some('@') => {
                self.next += 1;
                self.depth += 1;
                if self.depth > MAX_NESTING {
                    return Err("its filters nest too deeply".to_owned());
                }
                let steps = self.steps(|letter| letter.is_whitespace() || ")=<>!&|,".contains(letter))?;
                self.depth -= 1;
                Ok(Operand::Path(steps))
            }
            Some('\'' | '"') => Ok(Operand::Literal(self.quoted()?.into())),
            _ => {
                let mut word = String::new();
                while let Some(letter) =
                    self.peek().filter(|letter| letter.is_alphanumeric() || "+-.".contains(*letter))
                {
                    word.push(letter);
                    self.next += 1;
                }
                serde_json::from_str(&word)
                    .map(Operand::Literal)
                    .map_err(|_| format!("\"{word}\" is not a value in a filter"))
            }
        }
    }

    fn quoted(&mut self) -> Result<String, String> {
        let Some(quote @ ('\'' | '"')) = self.peek() else { return Err("a name in quotes is missing".to_owned()) };
        self.next += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err("a quote is not closed".to_owned()),
                Some('\\') => {
                    self.next += 1;
                    text.extend(self.peek());
                }
                Some(letter) if letter == quote => {
                    self.next += 1;
                    return Ok(text);
                }
                Some(letter) => text.push(letter),
            }
            self.next += 1;
        }
    }

    fn integer(&mut self) -> Option<i64> {
        self.blanks();
        let mut text = String::new();
        while let Some(letter) =
            self.peek().filter(|letter| letter.is_ascii_digit() || *letter == '-' && text.is_empty())
        {
            text.push(letter);
            self.next += 1;
        }
        text.parse().ok()
    }

    fn comma(&mut self) -> bool {
        let comma = self.symbol(",");
        self.blanks();
        comma
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.blanks();
        self.take(symbol)
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.letters.get(self.next).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let same = text.chars().enumerate().all(|(ahead, letter)| self.letters.get(self.next + ahead) == Some(&letter));
        if same {
            self.next += text.chars().count();
        }
        same
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_where_jayways_readme_says() {
        let store = json!({ "store": { "book": [
            { "category": "reference", "title": "Sayings", "price": 8.95 },
            { "category": "fiction", "title": "Sword", "price": 12.99 },
            { "category": "fiction", "title": "Moby", "isbn": "0-553", "price": 8.99 },
        ], "bicycle": { "color": "red", "frame-size": 52 } } });
        for (path, expected) in [
            ("$", Some(store.clone())),
            ("$.store.bicycle.color", Some(json!("red"))),
            ("store.bicycle.color", Some(json!("red"))),
            ("$['store']['bicycle']['color']", Some(json!("red"))),
            ("$.store.bicycle.frame-size", Some(json!(52))),
            ("$.store.book[0].title", Some(json!("Sayings"))),
            ("$.store.book[-1].title", Some(json!("Moby"))),
            ("$.store.book[9].title", None),
            ("$.nothing", None),
            ("$.store.book[*].title", Some(json!(["Sayings", "Sword", "Moby"]))),
            ("$..title", Some(json!(["Sayings", "Sword", "Moby"]))),
            ("$.store.book[0,2].title", Some(json!(["Sayings", "Moby"]))),
            ("$.store.book[1:].title", Some(json!(["Sword", "Moby"]))),
            ("$.store.book[:-2].title", Some(json!(["Sayings"]))),
            ("$.store.book[?(@.isbn)].title", Some(json!(["Moby"]))),
            ("$.store.book[?(@.price < 10)].title", Some(json!(["Sayings", "Moby"]))),
            ("$.store.book[?(@.price < 10 && @.category == 'fiction')].title", Some(json!(["Moby"]))),
            ("$.store.book[?(!@.isbn || @.price >= 12.99)].title", Some(json!(["Sayings", "Sword"]))),
            ("$.store.book[?(@.title.length() > 5)].title", Some(json!(["Sayings"]))),
            ("$.store.book.length()", Some(json!(3))),
            ("$.store.bicycle['color', 'x']", Some(json!(["red"]))),
            ("$.store.bicycle.*", Some(json!(["red", 52]))),
        ] {
            assert_eq!(find(&store, path), Ok(expected), "{path}");
        }
        for path in ["$.", "$[", "$['a", "$[?(@.a", "$x", "$.a.keys()", "$[?(@.a == )]"] {
            assert!(find(&store, path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_path_that_multiplies_ends() {
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(find(&deep, &format!("${}", "..*".repeat(40))).unwrap_err().contains("passes through"));
        assert!(find(&deep, &format!("$[?{}", "(".repeat(1000))).is_err());
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "[$.@a*\\[\\]()'?<=&|!:,0-9 -]{0,40}") {
            let _ = find(&json!({ "a": [1, { "a": "x" }] }), &path);
        }
    }
}
