//! What a template consists of. Every part that can fail when it is evaluated knows where it stands: `at`, in characters from the
//! template's beginning.

use std::rc::Rc;

#[derive(Debug)]
pub enum Node {
    Text(String),
    /// A reference in the text.
    Output(Output),
    Set {
        target: Reference,
        value: Expression,
    },
    If {
        /// Conditions with what follows each: `#if`, `#elseif`.
        branches: Vec<(Expression, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    Foreach {
        at: usize,
        variable: String,
        items: Expression,
        body: Vec<Node>,
    },
    Break,
    Stop,
    Define {
        name: String,
        body: Rc<[Node]>,
    },
    Macro(Rc<Macro>),
    Call {
        at: usize,
        name: String,
        arguments: Vec<Expression>,
    },
}

/// A reference in the text, with the backslashes before it.
#[derive(Debug)]
pub struct Output {
    pub reference: Reference,
    pub backslashes: usize,
    /// The reference as it is written, where an odd number of backslashes escapes it.
    pub escaped: Option<String>,
}

#[derive(Debug)]
pub struct Macro {
    pub name: String,
    pub parameters: Vec<String>,
    pub body: Vec<Node>,
}

/// `$name.property.method(argument)[index]`.
#[derive(Debug)]
pub struct Reference {
    pub at: usize,
    pub name: String,
    pub parts: Vec<Part>,
}

#[derive(Debug)]
pub enum Part {
    Property(String),
    Method { at: usize, name: String, arguments: Vec<Expression> },
    Index { at: usize, index: Expression },
}

#[derive(Debug)]
pub enum Expression {
    Bool(bool),
    Integer(i64),
    Float(f64),
    /// Text in single quotes, or in double quotes without references.
    Text(Rc<str>),
    /// Text in double quotes, which is a template itself.
    Interpolated(Vec<Node>),
    Reference(Reference),
    List(Vec<Expression>),
    Range {
        at: usize,
        from: Box<Expression>,
        to: Box<Expression>,
    },
    Map {
        at: usize,
        entries: Vec<(Expression, Expression)>,
    },
    Not(Box<Expression>),
    /// Operands of operators that bind equally strongly, evaluated from the left. (Flat, so that a long sum is no deep tree.)
    Chain {
        at: usize,
        first: Box<Expression>,
        rest: Vec<(Operator, Expression)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// The operators by how strongly they bind, the weakest first, as symbols and as words.
pub const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or), ("or", Operator::Or)],
    &[("&&", Operator::And), ("and", Operator::And)],
    &[("==", Operator::Equal), ("eq", Operator::Equal), ("!=", Operator::Unequal), ("ne", Operator::Unequal)],
    // The longer symbols first: `<=` begins with `<`.
    &[
        ("<=", Operator::LessOrEqual),
        ("le", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("ge", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        ("lt", Operator::Less),
        (">", Operator::Greater),
        ("gt", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];
