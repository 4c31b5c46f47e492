//! Positions of a template's parts in its text.
//!
//! The template itself carries no positions. To show a problem, and to weigh a text before it is read (how large it is
//! with its aliases expanded), the text is scanned here by YAML events.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Scanned};

use super::{intrinsics, syntax};
use crate::core::words::{Path, Position, Problem, ProblemKind, Step};

/// YAML's merge key; existing keys win over merged ones. CloudFormation itself has no merge keys: SAM's CLI and the AWS
/// CLI resolve them before they send a template.
pub const MERGE: &str = "<<";

/// A range of characters within one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: Position,
    /// In characters; it may exceed the line if the value continues on the next.
    pub width: usize,
}

/// The positions of all keys and values of a text.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    nodes: Vec<Node>,
    root: Option<usize>,
    foreign: Vec<Foreign>,
}

/// A scalar, key or value, that YAML 1.2 reads differently from YAML 1.1.
#[derive(Debug, Clone)]
struct Foreign {
    span: Span,
    written: String,
    /// Its YAML 1.1 meaning, written in YAML 1.2.
    meant: Cow<'static, str>,
}

#[derive(Debug, Clone)]
struct Node {
    span: Span,
    /// The long form of the intrinsic function that the value's tag names.
    intrinsic: Option<String>,
    content: Content,
    /// The size of this node and its children, with aliases expanded.
    weight: u64,
}

#[derive(Debug, Clone)]
enum Content {
    Scalar,
    List(Vec<usize>),
    Map(Vec<Entry>),
    Alias(usize),
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    span: Span,
    value: usize,
}

/// Why a text cannot be scanned.
enum Fault {
    /// It is not YAML, in the parser's words.
    Syntax(ScanError),
    /// It is YAML, but not a template.
    Problem(Problem),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// A list or map that has not ended yet.
struct Open {
    node: usize,
    /// The key whose value is next.
    key: Option<(String, Span)>,
    /// The keys so far.
    keys: HashSet<String>,
}

impl SourceMap {
    /// Scans `text`.
    ///
    /// # Errors
    /// Text that is not YAML, duplicate keys, and aliases inside their own anchor.
    pub fn scan(text: &str) -> Result<Self, Problem> {
        let mut indented = Indented::default();
        loop {
            match Self::scan_strictly(&indented.text(text)) {
                Ok(mut map) => {
                    map.spans().for_each(|span| indented.restore_columns(&mut span.start));
                    return Ok(map);
                }
                Err(Fault::Syntax(error)) if indented.may_fix(text, &error) => {}
                Err(Fault::Syntax(error)) => {
                    let mut position = position(&error);
                    indented.restore_columns(&mut position);
                    return Err(syntax::problem(error.info(), position, text));
                }
                Err(Fault::Problem(mut problem)) => {
                    problem.position.iter_mut().for_each(|position| indented.restore_columns(position));
                    return Err(problem);
                }
            }
        }
    }

    fn spans(&mut self) -> impl Iterator<Item = &mut Span> {
        let foreign = self.foreign.iter_mut().map(|one| &mut one.span);
        let nodes = self.nodes.iter_mut().flat_map(|node| {
            let keys: &mut [Entry] = match &mut node.content {
                Content::Map(entries) => entries,
                _ => &mut [],
            };
            keys.iter_mut().map(|entry| &mut entry.span).chain([&mut node.span])
        });
        foreign.chain(nodes)
    }

    fn scan_strictly(text: &str) -> Result<Self, Fault> {
        let mut map = Self::default();
        let mut open: Vec<Open> = Vec::new();
        let mut anchors: HashMap<usize, usize> = HashMap::new();
        for event in Parser::new_from_str(text) {
            let (event, scanned) = event.map_err(Fault::Syntax)?;
            let span = span(scanned);
            let (anchor, tag, content, weight) = match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let meant = in_yaml_1_1(&text).filter(|_| style == ScalarStyle::Plain && tag.is_none());
                    if let Some(meant) = &meant {
                        map.foreign.push(Foreign { span, written: text.to_string(), meant: meant.clone() });
                    }
                    if let Some(Open { key: key @ None, node, keys }) = open.last_mut()
                        && matches!(map.nodes[*node].content, Content::Map(_))
                    {
                        let text = match meant {
                            Some(truth) if BOOLEANS.contains(&&*truth) => truth,
                            _ => text,
                        };
                        if !keys.insert(text.to_string()) {
                            let what = format!("duplicate key \"{text}\"");
                            return Err(Problem::of_text(Some(span.start), what).kind(ProblemKind::Duplicate).into());
                        }
                        map.nodes[*node].weight = map.nodes[*node].weight.saturating_add(weight(&text));
                        *key = Some((text.into_owned(), span));
                        continue;
                    }
                    (anchor, tag, Content::Scalar, weight(&text))
                }
                Event::SequenceStart(anchor, tag) => (anchor, tag, Content::List(Vec::new()), 1),
                Event::MappingStart(anchor, tag) => (anchor, tag, Content::Map(Vec::new()), 1),
                Event::Alias(anchor) => {
                    let target = anchors.get(&anchor).copied();
                    let inside = open.iter().any(|open| Some(open.node) == target);
                    let Some(target) = target.filter(|_| !inside) else {
                        let what = "an alias inside what it stands for";
                        return Err(Problem::of_text(Some(span.start), what).kind(ProblemKind::Syntax).into());
                    };
                    (0, None, Content::Alias(target), map.nodes[target].weight)
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(closed) = open.pop()
                        && let Some(parent) = open.last()
                    {
                        let weight = map.nodes[closed.node].weight;
                        map.nodes[parent.node].weight = map.nodes[parent.node].weight.saturating_add(weight);
                    }
                    continue;
                }
                Event::DocumentStart(_) if map.root.is_some() => {
                    let what = "a template is one YAML document, and here begins another";
                    return Err(Problem::of_text(Some(span.start), what).kind(ProblemKind::Syntax).into());
                }
                _ => continue,
            };
            let container = matches!(content, Content::List(_) | Content::Map(_));
            let node = map.nodes.len();
            let intrinsic = tag.filter(|tag| tag.handle == "!").map(|tag| intrinsics::long_form(&tag.suffix));
            map.nodes.push(Node { span, intrinsic, content, weight });
            if anchor > 0 {
                anchors.insert(anchor, node);
            }
            match open.last_mut() {
                None => map.root = map.root.or(Some(node)),
                Some(parent) => {
                    match &mut map.nodes[parent.node].content {
                        Content::List(items) => items.push(node),
                        Content::Map(entries) => {
                            // A key that is itself a list or a map: the reader refuses it; here it gets an empty name.
                            let (key, span) = parent.key.take().unwrap_or((String::new(), span));
                            entries.push(Entry { key, span, value: node });
                        }
                        Content::Scalar | Content::Alias(_) => {}
                    }
                    if !container {
                        let sum = map.nodes[parent.node].weight.saturating_add(weight);
                        map.nodes[parent.node].weight = sum;
                    }
                }
            }
            if container {
                open.push(Open { node, key: None, keys: HashSet::new() });
            }
        }
        Ok(map)
    }

    /// Where the text has `yes`, `no`, `on` or `off` without quotes, in the text's order: the path, and whether it is a
    /// key.
    pub fn truths(&self) -> impl Iterator<Item = (Path, bool)> {
        let truths = self.foreign.iter().filter(|one| BOOLEANS.contains(&&*one.meant));
        let truths: HashSet<Position> = truths.map(|one| one.span.start).collect();
        let mut found = BTreeMap::new();
        let mut left: Vec<(Path, usize)> = self.root.map(|root| (Path::default(), root)).into_iter().collect();
        while found.len() < truths.len()
            && let Some((path, node)) = left.pop()
        {
            let Node { span, intrinsic, content, .. } = &self.nodes[node];
            let path = intrinsic.iter().fold(path, |path, function| path.key(function));
            match content {
                Content::List(items) => left.extend(items.iter().enumerate().map(|(at, item)| (path.index(at), *item))),
                Content::Map(entries) => {
                    for Entry { key, span, value } in entries {
                        let path = path.key(key);
                        if truths.contains(&span.start) {
                            found.insert(span.start, (path.clone(), true));
                        }
                        left.push((path, *value));
                    }
                }
                Content::Scalar if truths.contains(&span.start) => {
                    found.insert(span.start, (path, false));
                }
                Content::Scalar | Content::Alias(_) => {}
            }
        }
        found.into_values()
    }

    /// The text rewritten so that a YAML 1.2 reader reads what CloudFormation does with YAML 1.1.
    pub fn for_yaml_1_2<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // JSON is the same in both.
        if self.foreign.is_empty() || text.trim_start().starts_with('{') {
            return Cow::Borrowed(text);
        }
        let mut changed = String::with_capacity(text.len());
        // The scalar is at the end of its span; an anchor may precede it.
        let start = |one: &Foreign| {
            let Span { start, width } = one.span;
            Position { column: start.column + width.saturating_sub(one.written.len()), ..start }
        };
        let mut foreign = self.foreign.iter().map(|one| (start(one), one)).peekable();
        let mut at = Position { line: 1, column: 1 };
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if let Some((_, Foreign { written, meant, .. })) = foreign.next_if(|(start, _)| *start <= at)
                && let Some(behind) = rest.strip_prefix(written.as_str())
            {
                changed.push_str(meant);
                at.column += written.chars().count();
                rest = behind;
                continue;
            }
            changed.push(letter);
            rest = &rest[letter.len_utf8()..];
            at = match letter {
                '\n' => Position { line: at.line + 1, column: 1 },
                _ => Position { column: at.column + 1, ..at },
            };
        }
        Cow::Owned(changed)
    }

    /// The size of the text with aliases expanded: one for each value, and one for every sixteen bytes of text in it.
    pub fn weight(&self) -> u64 {
        self.root.map_or(0, |root| self.nodes[root].weight)
    }

    /// The position of `path`: of its last key (`at_key`, and for lists and maps, which begin on the next line), or of
    /// its value. If the text has no such path, the position of its nearest ancestor.
    pub fn span(&self, path: &Path, at_key: bool) -> Option<Span> {
        let mut node = self.follow(self.root?);
        let mut key = None;
        let mut steps = path.0.iter().peekable();
        while let Some(step) = steps.next() {
            let found = match (&self.nodes[node].content, step) {
                (_, Step::Key(name)) if self.nodes[node].intrinsic.as_ref() == Some(name) => {
                    continue;
                }
                (Content::Map(_), Step::Key(name)) => {
                    self.entry(node, name).map(|entry| (entry.value, Some(entry.span)))
                }
                (Content::List(items), Step::Index(index)) => items.get(*index).map(|item| (*item, None)),
                _ => None,
            };
            let Some((value, span)) = found else { break };
            key = span;
            // If the path continues into an alias, show the anchor's text, else the alias.
            node = if steps.peek().is_some() { self.follow(value) } else { value };
        }
        let value = &self.nodes[node];
        Some(match (&value.content, key) {
            (_, Some(key)) if at_key => key,
            (Content::List(_) | Content::Map(_), Some(key)) => key,
            // For an element of a list that is a map: its first key.
            (Content::Map(entries), None) => entries.first().map_or(value.span, |entry| entry.span),
            _ => value.span,
        })
    }

    /// The entry `name` of a map, or of a map merged into it.
    fn entry(&self, node: usize, name: &str) -> Option<&Entry> {
        let node = self.follow(node);
        let own = |name| match &self.nodes[node].content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == name),
            _ => None,
        };
        own(name).or_else(|| {
            let merged = self.follow(own(MERGE)?.value);
            let maps = match &self.nodes[merged].content {
                Content::List(maps) => maps.as_slice(),
                _ => &[merged],
            };
            maps.iter().find_map(|map| self.entry(*map, name))
        })
    }

    fn follow(&self, node: usize) -> usize {
        match self.nodes[node].content {
            Content::Alias(target) => target,
            _ => node,
        }
    }
}

/// Lines that are read as if they were indented more. In YAML the content of brackets, the closing bracket included,
/// must be indented deeper than the map around it; libyaml, which CloudFormation and most tools read templates with,
/// does not require this.
#[derive(Default)]
struct Indented(BTreeSet<usize>);

impl Indented {
    /// More columns than any text has.
    const BY: usize = 1_000;
    /// How many lines are indented one by one, at the cost of a scan each.
    const MAX: usize = 10;

    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.0.is_empty() {
            return text.into();
        }
        let indent = |(line, text)| {
            let by = if self.0.contains(&line) { Self::BY } else { 0 };
            format!("{:by$}{text}", "")
        };
        (1..).zip(text.split_inclusive('\n')).map(indent).collect::<String>().into()
    }

    /// Indents more lines if that may fix `error`; `false` if not.
    fn may_fix(&mut self, text: &str, error: &ScanError) -> bool {
        if !error.info().contains("invalid indentation") {
            return false;
        }
        let position = position(error);
        let closing = |(number, line): (usize, &str)| line.trim_start().starts_with([']', '}']).then_some(number);
        let closing: BTreeSet<usize> = (1..).zip(text.lines()).filter_map(closing).collect();
        if self.0.is_empty() && closing.contains(&position.line) {
            // An author who writes one bracket like this writes all like this.
            self.0 = closing;
            return true;
        }
        self.0.len() < closing.len() + Self::MAX && self.0.insert(position.line)
    }

    fn restore_columns(&self, position: &mut Position) {
        if self.0.contains(&position.line) {
            position.column = position.column.saturating_sub(Self::BY).max(1);
        }
    }
}

fn weight(text: &str) -> u64 {
    1 + text.len() as u64 / 16
}

fn span(scanned: Scanned) -> Span {
    let start = Position { line: scanned.start.line(), column: scanned.start.col() + 1 };
    Span { start, width: scanned.end.index().saturating_sub(scanned.start.index()).max(1) }
}

/// A plain scalar's YAML 1.1 meaning, written in YAML 1.2, if it differs there: `yes` is `true`, and a commit hash like
/// `7e10` is text, because a number with an exponent needs a point and a sign. Octal and sexagesimal numbers stay text
/// all the same: those are account ids and times.
fn in_yaml_1_1(text: &str) -> Option<Cow<'static, str>> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some("true".into()),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some("false".into()),
        _ => {}
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let point = mantissa.contains('.') && exponent.starts_with(['+', '-']);
            !point && digits(&mantissa.replacen('.', "", 1)) && digits(exponent.trim_start_matches(['+', '-']))
        }
        None => unsigned.starts_with("0o") || unsigned.len() > MAX_DIGITS && digits(unsigned),
    };
    (number && unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.'))
        .then(|| format!("'{text}'").into())
}

/// YAML 1.1's boolean words (`yes`, `off`), written in YAML 1.2.
const BOOLEANS: &[&str] = &["true", "false"];

/// In digits; a longer number is text.
const MAX_DIGITS: usize = 18;

fn position(error: &ScanError) -> Position {
    Position { line: error.marker().line(), column: error.marker().col() + 1 }
}
