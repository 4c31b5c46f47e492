//! Evaluates a template.

use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Expression, Macro, Node, Operator, Output, Part, Reference};
use super::value::{Heap, Value};
use super::{Fault, Host, Limits, Rendered, methods};

/// Evaluates a template that begins with `variables`.
///
/// # Errors
/// What went wrong, and where.
pub fn render(
    nodes: &[Node],
    host: &dyn Host,
    limits: Limits,
    heap: Heap,
    variables: Vec<(&'static str, Value)>,
) -> Result<Rendered, Fault> {
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut evaluator =
        Evaluator { host, limits, heap, variables, macros: HashMap::new(), loops: Vec::new(), depth: 0 };
    let mut text = String::new();
    evaluator.nodes(nodes, &mut text)?;
    Ok(Rendered { text, heap: evaluator.heap, variables: evaluator.variables })
}

/// How a part of a template ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Stop,
}

/// A loop in progress.
struct Loop {
    /// From 0.
    index: usize,
    has_next: bool,
}

struct Evaluator<'h> {
    host: &'h dyn Host,
    limits: Limits,
    heap: Heap,
    variables: HashMap<String, Value>,
    macros: HashMap<String, Rc<Macro>>,
    loops: Vec<Loop>,
    depth: usize,
}

impl Evaluator<'_> {
    fn nodes(&mut self, nodes: &[Node], out: &mut String) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = self.node(node, out)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, out: &mut String) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => {
                self.step(0)?;
                self.append(out, text, 0)?;
            }
            Node::Output(output) => self.output(output, out)?,
            Node::Set { target, value } => {
                let value = self.expression(value)?;
                // What is no value (a division by 0) sets nothing.
                if !matches!(value, Value::Null) {
                    self.set(target, value)?;
                }
            }
            Node::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.expression(condition)?.is_true() {
                        return self.inside(0, |this| this.nodes(body, out));
                    }
                }
                return self.inside(0, |this| this.nodes(otherwise, out));
            }
            Node::Foreach { at, variable, items, body } => return self.foreach(*at, variable, items, body, out),
            Node::Break => return Ok(Flow::Break),
            Node::Stop => return Ok(Flow::Stop),
            Node::Define { name, body } => {
                self.variables.insert(name.clone(), Value::Block(Rc::clone(body)));
            }
            Node::Macro(defined) => {
                self.macros.insert(defined.name.clone(), Rc::clone(defined));
            }
            Node::Call { at, name, arguments } => return self.call(*at, name, arguments, out),
        }
        Ok(Flow::Next)
    }

    fn output(&mut self, output: &Output, out: &mut String) -> Result<(), Fault> {
        let at = output.reference.at;
        let value = self.reference(&output.reference)?;
        let backslashes = |count| "\\".repeat(count);
        match &output.escaped {
            // What has no value is not escaped either.
            Some(written) if matches!(value, Value::Null) => {
                self.append(out, &(backslashes(output.backslashes) + written), at)
            }
            Some(written) => self.append(out, &(backslashes(output.backslashes / 2) + written), at),
            None => {
                self.append(out, &backslashes(output.backslashes / 2), at)?;
                match value {
                    Value::Null => Ok(()),
                    value => self.heap.write(&value, out).map_err(|message| Fault::new(at, message)),
                }
            }
        }
    }

    fn foreach(
        &mut self,
        at: usize,
        variable: &str,
        items: &Expression,
        body: &[Node],
        out: &mut String,
    ) -> Result<Flow, Fault> {
        let items = match self.expression(items)? {
            Value::List(list) => self.heap.items(list).to_vec(),
            Value::Map(map) => self.heap.entries(map).iter().map(|(_, value)| value.clone()).collect(),
            _ => Vec::new(),
        };
        self.take(at, items.len())?;
        let before = self.variables.remove(variable);
        let count = items.len();
        let mut flow = Flow::Next;
        for (index, item) in items.into_iter().enumerate() {
            if index >= self.limits.iterations {
                let message = format!("#foreach runs more than {} times", self.limits.iterations);
                return Err(Fault::new(at, message));
            }
            self.variables.insert(variable.to_owned(), item);
            self.loops.push(Loop { index, has_next: index + 1 < count });
            flow = self.inside(at, |this| this.nodes(body, out))?;
            self.loops.pop();
            if flow != Flow::Next {
                break;
            }
        }
        self.restore(variable, before);
        Ok(if flow == Flow::Stop { flow } else { Flow::Next })
    }

    fn call(&mut self, at: usize, name: &str, arguments: &[Expression], out: &mut String) -> Result<Flow, Fault> {
        let Some(called) = self.macros.get(name).cloned() else { return Ok(Flow::Next) };
        let mut before = Vec::new();
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.expression(argument)?);
        }
        for (position, parameter) in called.parameters.iter().enumerate() {
            let value = given.get(position).cloned().unwrap_or(Value::Null);
            before.push((parameter, self.variables.insert(parameter.clone(), value)));
        }
        let flow = self.inside(at, |this| this.nodes(&called.body, out))?;
        for (parameter, value) in before.into_iter().rev() {
            self.restore(parameter, value);
        }
        Ok(if flow == Flow::Stop { flow } else { Flow::Next })
    }

    /// Gives a variable back what it was.
    fn restore(&mut self, variable: &str, before: Option<Value>) {
        match before {
            Some(value) => {
                self.variables.insert(variable.to_owned(), value);
            }
            None => {
                self.variables.remove(variable);
            }
        }
    }

    fn set(&mut self, target: &Reference, value: Value) -> Result<(), Fault> {
        let Some((last, parts)) = target.parts.split_last() else {
            self.variables.insert(target.name.clone(), value);
            return Ok(());
        };
        let holder = self.path(target, parts)?;
        let fault = |message: String| Fault::new(target.at, message);
        match (holder, last) {
            (Value::Map(map), Part::Property(name)) => {
                self.heap.put(map, name.as_str().into(), value).map_err(fault)?;
            }
            (Value::Map(map), Part::Index { at, index }) => {
                let key = self.expression(index)?;
                let key = self.heap.text_of(&key).map_err(|message| Fault::new(*at, message))?;
                self.heap.put(map, key, value).map_err(fault)?;
            }
            (Value::List(list), Part::Index { at, index }) => {
                let index = self.expression(index)?;
                let length = self.heap.items(list).len();
                let items = self.heap.items_mut(list);
                match methods::position(&index, length).zip(items).and_then(|(place, items)| items.get_mut(place)) {
                    Some(place) => *place = value,
                    None => {
                        return Err(Fault::new(*at, format!("the list has {length} items, and none at this index")));
                    }
                }
            }
            _ => return Err(fault(format!("${} has nothing here that could be set", target.name))),
        }
        Ok(())
    }

    /// The value of a reference, [`Value::Null`] where it has none.
    fn reference(&mut self, reference: &Reference) -> Result<Value, Fault> {
        let value = self.path(reference, &reference.parts)?;
        match value {
            Value::Block(body) => {
                let mut text = String::new();
                self.inside(reference.at, |this| this.nodes(&body, &mut text))?;
                self.take(reference.at, text.len())?;
                Ok(Value::text(text))
            }
            value => Ok(value),
        }
    }

    /// The value of the first parts of a reference.
    fn path(&mut self, reference: &Reference, parts: &[Part]) -> Result<Value, Fault> {
        self.step(reference.at)?;
        let mut value = self.variable(&reference.name);
        for part in parts {
            self.step(reference.at)?;
            value = match (value, part) {
                (Value::Null, _) => return Ok(Value::Null),
                (value, Part::Property(name)) => {
                    self.property(&value, name).map_err(|message| Fault::new(reference.at, message))?
                }
                (value, Part::Method { at, name, arguments }) => {
                    let mut given = Vec::with_capacity(arguments.len());
                    for argument in arguments {
                        given.push(self.expression(argument)?);
                    }
                    self.method(&value, name, &given).map_err(|message| Fault::new(*at, message))?
                }
                (value, Part::Index { at, index }) => {
                    let index = self.expression(index)?;
                    methods::index(&value, &index, &self.heap).map_err(|message| Fault::new(*at, message))?
                }
            };
        }
        Ok(value)
    }

    fn variable(&self, name: &str) -> Value {
        match (self.variables.get(name), self.loops.last()) {
            (Some(value), _) => value.clone(),
            (None, Some(_)) if name == "foreach" => Value::Loop(self.loops.len()),
            (None, Some(now)) if name == "velocityCount" => integer(now.index + 1),
            (None, Some(now)) if name == "velocityHasNext" => Value::Bool(now.has_next),
            (None, _) => Value::Null,
        }
    }

    fn property(&mut self, value: &Value, name: &str) -> Result<Value, String> {
        match value {
            Value::Object(object) => self.host.property(object, name, &mut self.heap),
            Value::Loop(number) => {
                let Some(now) = number.checked_sub(1).and_then(|index| self.loops.get(index)) else {
                    return Ok(Value::Null);
                };
                Ok(match name {
                    "index" => integer(now.index),
                    "count" => integer(now.index + 1),
                    "hasNext" => Value::Bool(now.has_next),
                    "first" => Value::Bool(now.index == 0),
                    "last" => Value::Bool(!now.has_next),
                    "parent" | "topmost" if *number < 2 => Value::Null,
                    "parent" => Value::Loop(number - 1),
                    "topmost" => Value::Loop(1),
                    _ => Value::Null,
                })
            }
            value => methods::property(value, name, &self.heap),
        }
    }

    fn method(&mut self, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let returned = match value {
            Value::Object(object) => self.host.call(object, name, arguments, &mut self.heap)?,
            value => methods::call(value, name, arguments, &mut self.heap)?,
        };
        match returned {
            Some(value) => Ok(value),
            None => Err(methods::unknown(value, name, arguments.len())),
        }
    }

    fn expression(&mut self, expression: &Expression) -> Result<Value, Fault> {
        self.inside(0, |this| this.value(expression))
    }

    fn value(&mut self, expression: &Expression) -> Result<Value, Fault> {
        Ok(match expression {
            Expression::Bool(truth) => Value::Bool(*truth),
            Expression::Integer(number) => Value::Integer(*number),
            Expression::Float(number) => Value::Float(*number),
            Expression::Text(text) => Value::Text(Rc::clone(text)),
            Expression::Interpolated(nodes) => {
                let mut text = String::new();
                self.nodes(nodes, &mut text)?;
                self.take(0, text.len())?;
                Value::text(text)
            }
            // What has no value is the empty text in API Gateway.
            Expression::Reference(reference) => match self.reference(reference)? {
                Value::Null => Value::text(""),
                value => value,
            },
            Expression::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    list.push(self.expression(item)?);
                }
                self.heap.new_list(list).map_err(|message| Fault::new(0, message))?
            }
            Expression::Range { at, from, to } => {
                let (from, to) = (self.expression(from)?, self.expression(to)?);
                let (Value::Integer(from), Value::Integer(to)) = (from, to) else { return Ok(Value::Null) };
                let length = usize::try_from(from.abs_diff(to)).unwrap_or(usize::MAX);
                self.take(*at, length.saturating_mul(64))?;
                let numbers: Vec<Value> = match from <= to {
                    true => (from..=to).map(Value::Integer).collect(),
                    false => (to..=from).rev().map(Value::Integer).collect(),
                };
                self.heap.new_list(numbers).map_err(|message| Fault::new(*at, message))?
            }
            Expression::Map { at, entries } => {
                let mut map = Vec::new();
                for (key, value) in entries {
                    let key = self.expression(key)?;
                    let key = self.heap.text_of(&key).map_err(|message| Fault::new(*at, message))?;
                    map.push((key, self.expression(value)?));
                }
                self.heap.new_map(map).map_err(|message| Fault::new(*at, message))?
            }
            Expression::Not(operand) => Value::Bool(!self.expression(operand)?.is_true()),
            Expression::Chain { at, first, rest } => {
                let mut value = self.expression(first)?;
                for (operator, operand) in rest {
                    value = self.operate(*at, *operator, value, operand)?;
                }
                value
            }
        })
    }

    fn operate(&mut self, at: usize, operator: Operator, left: Value, right: &Expression) -> Result<Value, Fault> {
        self.step(at)?;
        match operator {
            Operator::Or if left.is_true() => return Ok(Value::Bool(true)),
            Operator::And if !left.is_true() => return Ok(Value::Bool(false)),
            _ => {}
        }
        let right = self.expression(right)?;
        let fault = |message| Fault::new(at, message);
        Ok(match operator {
            Operator::Or | Operator::And => Value::Bool(right.is_true()),
            Operator::Equal => Value::Bool(self.heap.equal(&left, &right).map_err(fault)?),
            Operator::Unequal => Value::Bool(!self.heap.equal(&left, &right).map_err(fault)?),
            Operator::Less => ordered(&left, &right, |order| order.is_lt()),
            Operator::LessOrEqual => ordered(&left, &right, |order| order.is_le()),
            Operator::Greater => ordered(&left, &right, |order| order.is_gt()),
            Operator::GreaterOrEqual => ordered(&left, &right, |order| order.is_ge()),
            Operator::Add if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
                let (left, right) =
                    (self.heap.text_of(&left).map_err(fault)?, self.heap.text_of(&right).map_err(fault)?);
                self.take(at, left.len() + right.len())?;
                Value::text(format!("{left}{right}"))
            }
            _ => calculated(operator, &left, &right),
        })
    }

    /// Evaluates something one level deeper.
    fn inside<T>(&mut self, at: usize, evaluate: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.step(at)?;
        self.depth += 1;
        // A block that contains itself and a macro that calls itself end here, too.
        if self.depth > 2 * self.limits.depth {
            return Err(Fault::new(at, "the template nests too deeply, or a macro calls itself"));
        }
        let result = evaluate(self);
        self.depth -= 1;
        result
    }

    fn step(&mut self, at: usize) -> Result<(), Fault> {
        self.heap.step().map_err(|message| Fault::new(at, message))
    }

    fn take(&mut self, at: usize, bytes: usize) -> Result<(), Fault> {
        self.heap.take(bytes).map_err(|message| Fault::new(at, message))
    }

    fn append(&self, out: &mut String, text: &str, at: usize) -> Result<(), Fault> {
        if out.len() + text.len() > self.limits.output {
            return Err(Fault::new(at, format!("the output is longer than {} bytes", self.limits.output)));
        }
        out.push_str(text);
        Ok(())
    }
}

fn integer(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The comparison of two numbers; other values are in no order.
fn ordered(left: &Value, right: &Value, holds: impl Fn(std::cmp::Ordering) -> bool) -> Value {
    let order = match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        _ => match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => None,
        },
    };
    Value::Bool(order.is_some_and(holds))
}

/// Arithmetic. Integers stay integers; what cannot be calculated has no value.
fn calculated(operator: Operator, left: &Value, right: &Value) -> Value {
    if let (Value::Integer(left), Value::Integer(right)) = (left, right) {
        let exact = match operator {
            Operator::Add => left.checked_add(*right),
            Operator::Subtract => left.checked_sub(*right),
            Operator::Multiply => left.checked_mul(*right),
            _ if *right == 0 => return Value::Null,
            Operator::Divide => left.checked_div(*right),
            _ => left.checked_rem(*right),
        };
        if let Some(number) = exact {
            return Value::Integer(number);
        }
    }
    let (Some(left), Some(right)) = (left.as_number(), right.as_number()) else { return Value::Null };
    match operator {
        Operator::Add => Value::Float(left + right),
        Operator::Subtract => Value::Float(left - right),
        Operator::Multiply => Value::Float(left * right),
        _ if right == 0.0 => Value::Null,
        Operator::Divide => Value::Float(left / right),
        _ => Value::Float(left % right),
    }
}
