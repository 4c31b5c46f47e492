//! The XML of requests, as a tree, and of answers, as text.

use std::fmt::Display;

use xmlparser::{ElementEnd, Token, Tokenizer};

use super::error;
use crate::local::protocol::wire::{ApiError, Response, xml_escape};

/// How deep elements may lie in each other.
const DEPTH: usize = 32;

/// An element: its name without a prefix, its text, and the elements in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// `MalformedXML` for anything else.
    pub fn read(bytes: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(bytes).map_err(|_| error::malformed())?;
        let mut open: Vec<Self> = vec![Self::default()];
        for token in Tokenizer::from(text.trim_start_matches('\u{feff}')) {
            match token.map_err(|_| error::malformed())? {
                Token::ElementStart { local, .. } => {
                    if open.len() > DEPTH {
                        return Err(error::malformed());
                    }
                    open.push(Self { name: local.as_str().to_owned(), ..Self::default() });
                }
                Token::ElementEnd { end: ElementEnd::Open, .. } => {}
                Token::ElementEnd { end: ElementEnd::Empty, .. } => close(&mut open)?,
                Token::ElementEnd { end: ElementEnd::Close(_, name), .. } => {
                    if open.last().is_none_or(|last| last.name != name.as_str()) {
                        return Err(error::malformed());
                    }
                    close(&mut open)?;
                }
                Token::Text { text } => {
                    let unescaped = unescape(text.as_str()).ok_or_else(error::malformed)?;
                    open.last_mut().ok_or_else(error::malformed)?.text.push_str(&unescaped);
                }
                Token::Cdata { text, .. } => open.last_mut().ok_or_else(error::malformed)?.text.push_str(text.as_str()),
                _ => {}
            }
        }
        match &mut open[..] {
            [document] if document.children.len() == 1 => document.children.pop().ok_or_else(error::malformed),
            _ => Err(error::malformed()),
        }
    }

    /// The first element of a name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All elements of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of a name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }
}

fn close(open: &mut Vec<Element>) -> Result<(), ApiError> {
    let element = open.pop().ok_or_else(error::malformed)?;
    open.last_mut().ok_or_else(error::malformed)?.children.push(element);
    Ok(())
}

/// A text without escapes; `None` for one that XML does not have.
fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('&') {
        plain.push_str(before);
        let (name, after) = escape.split_once(';')?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

/// An element with a text.
pub fn leaf(name: &str, text: impl Display) -> String {
    let text = xml_escape(&text.to_string());
    // What a document cannot have as it is, and a key can.
    let text: String = text
        .chars()
        .map(|letter| if letter < ' ' { format!("&#x{:x};", letter as u32) } else { letter.to_string() })
        .collect();
    format!("<{name}>{text}</{name}>")
}

/// An element with others in it.
pub fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

/// An answer: the document with the root `name`.
pub fn answer(name: &str, inner: &str) -> Response {
    document(format!("<{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{name}>"))
}

/// An answer with a document that is there already.
pub fn document(text: String) -> Response {
    let text =
        if text.starts_with("<?xml") { text } else { format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}") };
    Response::new(200, "application/xml", text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_a_tree() {
        let text = b"<?xml version='1.0'?><!-- x --><s3:Delete xmlns:s3='y'><Object><Key>a &amp; &#x62;<![CDATA[<c>]]></Key></Object>\
                     <Object/><Quiet>true</Quiet></s3:Delete>";
        let read = Element::read(text).unwrap();
        assert_eq!(read.name, "Delete");
        assert_eq!(read.all("Object").count(), 2);
        assert_eq!(read.child("Object").unwrap().text_of("Key"), Some("a & b<c>"));
        assert_eq!(read.text_of("Quiet"), Some("true"));
        assert_eq!(Element::read(leaf("Key", "a\u{1}<\n").replace("&#x1;", "").as_bytes()).unwrap().text, "a<\n");
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in ["", "x", "<a>", "<a></b>", "<a>&x;</a>", "<a/><b/>", "</a>", "<a>&#x110000;</a>"] {
            assert_eq!(Element::read(text.as_bytes()).unwrap_err().code, "MalformedXML", "{text}");
        }
        let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
        assert!(Element::read(deep.as_bytes()).is_err());
    }
}
