//! Reads a template. What Velocity 1.7's grammar does with white space is kept where output can show it: a directive that ends its
//! line takes the line's end with it, and `#set` the blanks before it.

use std::collections::HashSet;
use std::rc::Rc;

use super::ast::{Expression, LEVELS, Macro, Node, Operator, Output, Part, Reference};
use super::{Fault, Limits};

/// Directives that the local cloud does not have, and which API Gateway has no files for.
const UNSUPPORTED: [&str; 3] = ["parse", "include", "evaluate"];

/// Reads a template's text.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(text: &str, limits: Limits) -> Result<Vec<Node>, Fault> {
    let letters: Vec<(char, usize)> = text.chars().enumerate().map(|(at, letter)| (letter, at)).collect();
    if letters.len() > limits.template {
        return Err(Fault::new(0, format!("the template is longer than {} characters", limits.template)));
    }
    let end = letters.len();
    let mut parser = Parser { letters, end, next: 0, depth: 0, max_depth: limits.depth, macros: HashSet::new() };
    parser.template()
}

/// What ends a part of a template.
enum Ender {
    Text,
    End(usize),
    Else(usize),
    ElseIf(usize),
}

struct Parser {
    /// Each with its place in the whole template. (A text in quotes is a template of its own, in which a doubled quote is one.)
    letters: Vec<(char, usize)>,
    /// The place after the last one.
    end: usize,
    next: usize,
    depth: usize,
    max_depth: usize,
    /// The macros that are defined so far.
    macros: HashSet<String>,
}

impl Parser {
    fn template(&mut self) -> Result<Vec<Node>, Fault> {
        let (nodes, ender) = self.nodes()?;
        match ender {
            Ender::Text => Ok(nodes),
            Ender::End(at) => Err(Fault::new(at, "#end ends nothing")),
            Ender::Else(at) => Err(Fault::new(at, "#else without an #if")),
            Ender::ElseIf(at) => Err(Fault::new(at, "#elseif without an #if")),
        }
    }

    /// Reads until the text or a block ends.
    fn nodes(&mut self) -> Result<(Vec<Node>, Ender), Fault> {
        self.deeper()?;
        let mut nodes = Vec::new();
        let mut text = String::new();
        let ender = loop {
            let Some(letter) = self.peek(0) else { break Ender::Text };
            let at = self.at();
            match letter {
                '\\' => self.backslashes(&mut text, &mut nodes)?,
                '$' => match self.reference()? {
                    Some(reference) => {
                        flush(&mut text, &mut nodes);
                        nodes.push(Node::Output(Output { reference, backslashes: 0, escaped: None }));
                    }
                    None => self.copy(&mut text),
                },
                '#' => match self.directive_name() {
                    Some(name) => {
                        if name == "set" {
                            text.truncate(text.trim_end_matches([' ', '\t']).len());
                        }
                        match name.as_str() {
                            "end" => {
                                self.line_end();
                                break Ender::End(at);
                            }
                            "else" => {
                                self.line_end();
                                break Ender::Else(at);
                            }
                            "elseif" => break Ender::ElseIf(at),
                            _ => {
                                flush(&mut text, &mut nodes);
                                nodes.push(self.directive(&name, at)?);
                            }
                        }
                    }
                    None => self.comment_or_text(&mut text, at)?,
                },
                _ => self.copy(&mut text),
            }
        };
        flush(&mut text, &mut nodes);
        self.depth -= 1;
        Ok((nodes, ender))
    }

    /// Reads backslashes, which escape what is after them if it is a reference or a directive (user guide, "Escaping").
    fn backslashes(&mut self, text: &mut String, nodes: &mut Vec<Node>) -> Result<(), Fault> {
        let mut count = 0;
        while self.peek(0) == Some('\\') {
            self.next += 1;
            count += 1;
        }
        let begin = self.next;
        match self.peek(0) {
            Some('$') => {
                if let Some(reference) = self.reference()? {
                    flush(text, nodes);
                    let written = self.letters[begin..self.next].iter().map(|(letter, _)| *letter);
                    let escaped = (count % 2 == 1).then(|| written.collect());
                    nodes.push(Node::Output(Output { reference, backslashes: count, escaped }));
                    return Ok(());
                }
            }
            Some('#') => {
                let is_directive = self.directive_name().is_some();
                self.next = begin;
                if is_directive {
                    text.extend(std::iter::repeat_n('\\', count / 2));
                    if count % 2 == 1 {
                        self.copy(text);
                    }
                    return Ok(());
                }
            }
            _ => {}
        }
        text.extend(std::iter::repeat_n('\\', count));
        Ok(())
    }

    /// Reads a comment or text that is not evaluated, or one `#`.
    fn comment_or_text(&mut self, text: &mut String, at: usize) -> Result<(), Fault> {
        if self.take("##") {
            while let Some(letter) = self.peek(0) {
                self.next += 1;
                if letter == '\n' {
                    break;
                }
            }
        } else if self.take("#*") {
            while !self.take("*#") {
                if self.peek(0).is_none() {
                    return Err(Fault::new(at, "the comment #* has no *#"));
                }
                self.next += 1;
            }
        } else if self.take("#[[") {
            while !self.take("]]#") {
                if self.peek(0).is_none() {
                    return Err(Fault::new(at, "the text #[[ has no ]]#"));
                }
                self.copy(text);
            }
        } else {
            self.copy(text);
        }
        Ok(())
    }

    /// The name of the directive that begins here: `#if`, `#{else}`, `#name` of a macro that is followed by a parenthesis. Reads it;
    /// reads nothing where there is none.
    fn directive_name(&mut self) -> Option<String> {
        let begin = self.next;
        self.next += 1;
        let braces = self.take("{");
        let name = self.word();
        let closed = !braces || self.take("}");
        let known = match name.as_str() {
            "set" | "if" | "elseif" | "foreach" | "macro" | "define" => self.is_followed_by('('),
            "else" | "end" | "break" | "stop" => true,
            name if UNSUPPORTED.contains(&name) => self.is_followed_by('('),
            name => self.macros.contains(name) && self.is_followed_by('('),
        };
        if closed && known {
            return Some(name);
        }
        self.next = begin;
        None
    }

    /// Whether a letter comes next, after blanks.
    fn is_followed_by(&self, letter: char) -> bool {
        let mut ahead = 0;
        while matches!(self.peek(ahead), Some(' ' | '\t')) {
            ahead += 1;
        }
        self.peek(ahead) == Some(letter)
    }

    /// Reads the rest of a directive.
    fn directive(&mut self, name: &str, at: usize) -> Result<Node, Fault> {
        Ok(match name {
            "set" => {
                self.open()?;
                let Some(target) = self.reference_here()? else {
                    return Err(Fault::new(self.at(), "#set sets a reference: #set($name = value)"));
                };
                if matches!(target.parts.last(), Some(Part::Method { .. })) {
                    return Err(Fault::new(target.at, "#set cannot set what a method returns"));
                }
                self.expect('=', "after the reference of #set")?;
                let value = self.expression()?;
                self.close("#set")?;
                self.line_end();
                Node::Set { target, value }
            }
            "if" => self.conditional(at)?,
            "foreach" => {
                self.open()?;
                let variable = self.variable("#foreach names a variable first: #foreach($item in $list)")?;
                self.blanks();
                let place = self.at();
                if self.word() != "in" {
                    return Err(Fault::new(place, "#foreach needs \"in\" after its variable"));
                }
                let items = self.expression()?;
                self.close("#foreach")?;
                self.line_end();
                Node::Foreach { at, variable, items, body: self.body("#foreach", at)? }
            }
            "break" => {
                self.line_end();
                Node::Break
            }
            "stop" => {
                self.line_end();
                Node::Stop
            }
            "define" => {
                self.open()?;
                let name = self.variable("#define names a variable: #define($name)")?;
                self.close("#define")?;
                self.line_end();
                Node::Define { name, body: self.body("#define", at)?.into() }
            }
            "macro" => {
                self.open()?;
                self.blanks();
                let name = self.word();
                if name.is_empty() {
                    return Err(Fault::new(self.at(), "#macro needs a name: #macro(name $parameter)"));
                }
                let mut parameters = Vec::new();
                loop {
                    self.blanks();
                    self.take(",");
                    self.blanks();
                    match self.peek(0) {
                        Some('$') => parameters.push(self.variable("a parameter of #macro is a variable")?),
                        _ => break,
                    }
                }
                self.close("#macro")?;
                self.line_end();
                self.macros.insert(name.clone());
                Node::Macro(Rc::new(Macro { name, parameters, body: self.body("#macro", at)? }))
            }
            name if UNSUPPORTED.contains(&name) => {
                return Err(Fault::new(at, format!("#{name} is not supported")));
            }
            name => {
                self.open()?;
                let mut arguments = Vec::new();
                loop {
                    self.blanks();
                    self.take(",");
                    self.blanks();
                    if self.take(")") {
                        break;
                    }
                    arguments.push(self.operand()?);
                }
                Node::Call { at, name: name.to_owned(), arguments }
            }
        })
    }

    fn conditional(&mut self, at: usize) -> Result<Node, Fault> {
        let mut branches = Vec::new();
        loop {
            self.open()?;
            let condition = self.expression()?;
            self.close("#if")?;
            self.line_end();
            let (body, ender) = self.nodes()?;
            branches.push((condition, body));
            match ender {
                Ender::ElseIf(_) => {}
                Ender::End(_) => return Ok(Node::If { branches, otherwise: Vec::new() }),
                Ender::Else(_) => return Ok(Node::If { branches, otherwise: self.body("#if", at)? }),
                Ender::Text => return Err(Fault::new(at, "#if has no #end")),
            }
        }
    }

    /// Reads until `#end`.
    fn body(&mut self, directive: &str, at: usize) -> Result<Vec<Node>, Fault> {
        match self.nodes()? {
            (body, Ender::End(_)) => Ok(body),
            (_, Ender::Text) => Err(Fault::new(at, format!("{directive} has no #end"))),
            (_, Ender::Else(at) | Ender::ElseIf(at)) => {
                Err(Fault::new(at, format!("{directive} can have no #else here")))
            }
        }
    }

    /// Reads `$name`.
    fn variable(&mut self, help: &str) -> Result<String, Fault> {
        self.blanks();
        let at = self.at();
        match self.reference()? {
            Some(reference) if reference.parts.is_empty() => Ok(reference.name),
            _ => Err(Fault::new(at, help)),
        }
    }

    /// Reads a reference after blanks.
    fn reference_here(&mut self) -> Result<Option<Reference>, Fault> {
        self.blanks();
        if self.peek(0) == Some('$') { self.reference() } else { Ok(None) }
    }

    /// Reads a reference: `$name`, `$!name`, `${name}`, with properties, methods and indexes. Reads nothing where there is none.
    fn reference(&mut self) -> Result<Option<Reference>, Fault> {
        let (begin, at) = (self.next, self.at());
        self.next += 1;
        self.take("!");
        let formal = self.take("{");
        let name = self.identifier();
        if name.is_empty() {
            self.next = begin;
            return Ok(None);
        }
        let mut parts = Vec::new();
        loop {
            match self.peek(0) {
                Some('.') if self.peek(1).is_some_and(begins_name) => {
                    self.next += 1;
                    let at = self.at();
                    let name = self.identifier();
                    if self.take("(") {
                        let arguments = self.arguments(')')?;
                        parts.push(Part::Method { at, name, arguments });
                    } else {
                        parts.push(Part::Property(name));
                    }
                }
                Some('[') => {
                    let at = self.at();
                    self.next += 1;
                    let index = self.expression()?;
                    self.expect(']', "after an index")?;
                    parts.push(Part::Index { at, index });
                }
                _ => break,
            }
        }
        if formal && !self.take("}") {
            return Err(Fault::new(at, format!("the reference ${{{name} has no closing brace")));
        }
        Ok(Some(Reference { at, name, parts }))
    }

    /// Reads expressions between commas up to a closing bracket.
    fn arguments(&mut self, closing: char) -> Result<Vec<Expression>, Fault> {
        let mut arguments = Vec::new();
        self.blanks();
        if self.peek(0) == Some(closing) {
            self.next += 1;
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            self.blanks();
            match self.peek(0) {
                Some(',') => self.next += 1,
                Some(letter) if letter == closing => {
                    self.next += 1;
                    return Ok(arguments);
                }
                _ => {
                    let message = format!("a comma or \"{closing}\" is missing (a quote in a text is written twice)");
                    return Err(Fault::new(self.at(), message));
                }
            }
        }
    }

    fn expression(&mut self) -> Result<Expression, Fault> {
        self.deeper()?;
        let expression = self.chain(0)?;
        self.depth -= 1;
        Ok(expression)
    }

    fn chain(&mut self, level: usize) -> Result<Expression, Fault> {
        let Some(operators) = LEVELS.get(level) else { return self.negated() };
        let first = self.chain(level + 1)?;
        self.blanks();
        let at = self.at();
        let mut rest = Vec::new();
        while let Some(operator) = self.operator(operators) {
            rest.push((operator, self.chain(level + 1)?));
            self.blanks();
        }
        Ok(if rest.is_empty() { first } else { Expression::Chain { at, first: Box::new(first), rest } })
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        self.blanks();
        operators.iter().find_map(|(symbol, operator)| {
            let begin = self.next;
            let is_word = symbol.starts_with(|letter: char| letter.is_ascii_alphabetic());
            if self.take(symbol) && !(is_word && self.peek(0).is_some_and(continues_name)) {
                return Some(*operator);
            }
            self.next = begin;
            None
        })
    }

    fn negated(&mut self) -> Result<Expression, Fault> {
        let mut negations = 0;
        loop {
            self.blanks();
            if self.peek(0) == Some('!') && self.peek(1) != Some('=') {
                self.next += 1;
            } else if self.operator(&[("not", Operator::And)]).is_none() {
                break;
            }
            negations += 1;
        }
        let operand = self.operand()?;
        // Two of them are none, but for the kind of the value.
        Ok(match negations {
            0 => operand,
            count if count % 2 == 1 => Expression::Not(Box::new(operand)),
            _ => Expression::Not(Box::new(Expression::Not(Box::new(operand)))),
        })
    }

    fn operand(&mut self) -> Result<Expression, Fault> {
        self.blanks();
        let at = self.at();
        match self.peek(0) {
            Some('$') => match self.reference()? {
                Some(reference) => Ok(Expression::Reference(reference)),
                None => Err(Fault::new(at, "a reference has a name: $name")),
            },
            Some('(') => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(')', "after an expression in parentheses")?;
                Ok(inner)
            }
            Some('[') => {
                self.next += 1;
                self.list(at)
            }
            Some('{') => {
                self.next += 1;
                self.map(at)
            }
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            Some(letter) if letter.is_ascii_digit() || letter == '-' => self.number(),
            _ => match self.word().as_str() {
                "true" => Ok(Expression::Bool(true)),
                "false" => Ok(Expression::Bool(false)),
                _ => Err(Fault::new(
                    at,
                    "a value is missing: a reference, a text in quotes, a number, true, false, [ or {",
                )),
            },
        }
    }

    /// Reads a list or a range after its bracket.
    fn list(&mut self, at: usize) -> Result<Expression, Fault> {
        self.blanks();
        if self.take("]") {
            return Ok(Expression::List(Vec::new()));
        }
        let first = self.expression()?;
        self.blanks();
        if self.take("..") {
            let to = Box::new(self.expression()?);
            self.expect(']', "after a range")?;
            return Ok(Expression::Range { at, from: Box::new(first), to });
        }
        let mut items = vec![first];
        if self.take(",") {
            items.extend(self.arguments(']')?);
        } else {
            self.expect(']', "after a list")?;
        }
        Ok(Expression::List(items))
    }

    /// Reads a map after its brace.
    fn map(&mut self, at: usize) -> Result<Expression, Fault> {
        let mut entries = Vec::new();
        self.blanks();
        if self.take("}") {
            return Ok(Expression::Map { at, entries });
        }
        loop {
            let key = self.expression()?;
            self.expect(':', "after the key of a map")?;
            entries.push((key, self.expression()?));
            self.blanks();
            if !self.take(",") {
                self.expect('}', "after a map")?;
                return Ok(Expression::Map { at, entries });
            }
        }
    }

    /// Reads a text in quotes. A quote in it is written twice; a backslash means nothing, but for `\u0041`. A text in double quotes
    /// with a reference or a directive is a template.
    fn quoted(&mut self, quote: char) -> Result<Expression, Fault> {
        let at = self.at();
        self.next += 1;
        let mut letters = Vec::new();
        loop {
            let Some(&(letter, place)) = self.letters.get(self.next) else {
                return Err(Fault::new(at, format!("the text has no closing {quote}")));
            };
            self.next += 1;
            if letter == quote {
                if self.peek(0) != Some(quote) {
                    break;
                }
                self.next += 1;
            }
            if letter == '\\'
                && let Some(decoded) = self.unicode()
            {
                letters.push((decoded, place));
                continue;
            }
            letters.push((letter, place));
        }
        let is_template = quote == '"' && letters.iter().any(|(letter, _)| matches!(letter, '$' | '#'));
        if !is_template {
            return Ok(Expression::Text(letters.iter().map(|(letter, _)| *letter).collect::<String>().into()));
        }
        self.deeper()?;
        let end = letters.last().map_or(at, |(_, place)| place + 1);
        let macros = std::mem::take(&mut self.macros);
        let mut inner = Self { letters, end, next: 0, depth: self.depth, max_depth: self.max_depth, macros };
        let nodes = inner.template()?;
        self.macros = inner.macros;
        self.depth -= 1;
        Ok(Expression::Interpolated(nodes))
    }

    /// Reads what is after the backslash of `\u0041`.
    fn unicode(&mut self) -> Option<char> {
        if self.peek(0) != Some('u') {
            return None;
        }
        let digits: Option<String> = (1..=4).map(|ahead| self.peek(ahead).filter(char::is_ascii_hexdigit)).collect();
        let letter = char::from_u32(u32::from_str_radix(&digits?, 16).ok()?)?;
        self.next += 5;
        Some(letter)
    }

    fn number(&mut self) -> Result<Expression, Fault> {
        let at = self.at();
        let mut text = String::new();
        if self.peek(0) == Some('-') {
            self.copy(&mut text);
        }
        self.digits(&mut text);
        let is_range = self.peek(1) == Some('.');
        let has_fraction =
            self.peek(0) == Some('.') && !is_range && self.peek(1).is_some_and(|letter| letter.is_ascii_digit());
        if has_fraction {
            self.copy(&mut text);
            self.digits(&mut text);
        }
        let exponent = matches!(self.peek(0), Some('e' | 'E'))
            && match self.peek(1) {
                Some('+' | '-') => self.peek(2).is_some_and(|letter| letter.is_ascii_digit()),
                letter => letter.is_some_and(|letter| letter.is_ascii_digit()),
            };
        if exponent {
            self.copy(&mut text);
            self.copy(&mut text);
            self.digits(&mut text);
        }
        if !has_fraction
            && !exponent
            && let Ok(integer) = text.parse()
        {
            return Ok(Expression::Integer(integer));
        }
        text.parse().map(Expression::Float).map_err(|_| Fault::new(at, format!("{text} is not a number")))
    }

    fn digits(&mut self, text: &mut String) {
        while self.peek(0).is_some_and(|letter| letter.is_ascii_digit()) {
            self.copy(text);
        }
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(Fault::new(self.at(), "the template nests too deeply"));
        }
        Ok(())
    }

    /// A name in a reference: letters, digits, hyphens and underscores, a letter or an underscore first.
    fn identifier(&mut self) -> String {
        let mut name = String::new();
        if self.peek(0).is_some_and(begins_name) {
            while self.peek(0).is_some_and(continues_name) {
                self.copy(&mut name);
            }
        }
        name
    }

    /// A name of a directive or a macro, without hyphens.
    fn word(&mut self) -> String {
        let mut name = String::new();
        if self.peek(0).is_some_and(begins_name) {
            while self.peek(0).is_some_and(|letter| continues_name(letter) && letter != '-') {
                self.copy(&mut name);
            }
        }
        name
    }

    fn open(&mut self) -> Result<(), Fault> {
        self.expect('(', "here")
    }

    fn close(&mut self, directive: &str) -> Result<(), Fault> {
        self.expect(')', &format!("after what is in the parentheses of {directive}"))
    }

    fn expect(&mut self, letter: char, place: &str) -> Result<(), Fault> {
        self.blanks();
        if self.peek(0) == Some(letter) {
            self.next += 1;
            return Ok(());
        }
        Err(Fault::new(self.at(), format!("\"{letter}\" is missing {place}")))
    }

    /// Reads blanks and the end of the line, if nothing else is before it.
    fn line_end(&mut self) {
        let begin = self.next;
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.next += 1;
        }
        if !self.take("\r\n") && !self.take("\n") {
            self.next = begin;
        }
    }

    fn blanks(&mut self) {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.next += 1;
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.next + ahead).map(|(letter, _)| *letter)
    }

    /// The place of the next letter in the template.
    fn at(&self) -> usize {
        self.letters.get(self.next).map_or(self.end, |(_, at)| *at)
    }

    fn take(&mut self, text: &str) -> bool {
        let length = text.chars().count();
        let same = text.chars().enumerate().all(|(ahead, letter)| self.peek(ahead) == Some(letter));
        if same {
            self.next += length;
        }
        same
    }

    /// Reads one letter into a text.
    fn copy(&mut self, text: &mut String) {
        text.extend(self.peek(0));
        self.next += 1;
    }
}

fn flush(text: &mut String, nodes: &mut Vec<Node>) {
    if !text.is_empty() {
        nodes.push(Node::Text(std::mem::take(text)));
    }
}

fn begins_name(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

fn continues_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}
