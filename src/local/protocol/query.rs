//! The query protocol (IAM, STS, CloudFormation): a form in, XML out.

use std::collections::HashMap;
use std::fmt::{Display, Write};

use super::wire::{ApiError, Caller, Request, Response, xml_escape};

/// One call of the query protocol: who sent it, and its parameters.
#[derive(Debug, Clone)]
pub struct Query {
    pub caller: Caller,
    /// The first value of each name. A map, since a form may have thousands of parameters.
    parameters: HashMap<String, String>,
}

impl Query {
    /// Reads the parameters from the form in the body, or from the query string of a request without a body.
    pub fn read(request: &Request) -> Self {
        let sent: Vec<(String, String)> = if request.body.is_empty() {
            request.query.clone()
        } else {
            form_urlencoded::parse(&request.body).into_owned().collect()
        };
        let mut parameters = HashMap::with_capacity(sent.len());
        for (name, value) in sent {
            parameters.entry(name).or_insert(value);
        }
        Self { caller: request.caller.clone(), parameters }
    }

    /// The name of the operation that the call asks for.
    ///
    /// # Errors
    /// `MissingAction` (400), as AWS answers.
    pub fn action(&self) -> Result<&str, ApiError> {
        let missing = "The request must contain the parameter Action or Operation";
        self.get("Action").ok_or_else(|| ApiError::new(400, "MissingAction", missing))
    }

    /// AWS's refusal of an unknown operation: `InvalidAction` (400).
    pub fn unknown_action(&self, action: &str) -> ApiError {
        let version = self.get("Version").unwrap_or_default();
        ApiError::new(400, "InvalidAction", format!("Could not find operation {action} for version {version}"))
    }

    /// A parameter, where it was sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A required parameter.
    ///
    /// # Errors
    /// `ValidationError` (400) where it was not sent.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name)
            .ok_or_else(|| constraint(&format!("Value null at '{}'", member(name)), "Member must not be null"))
    }

    /// A whole number within `range`, where it was sent.
    ///
    /// # Errors
    /// `ValidationError` (400) for anything else.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let value: u32 = text
            .parse()
            .map_err(|_| ApiError::new(400, "MalformedInput", format!("Could not parse {name} as a number")))?;
        let sent = format!("Value '{value}' at '{}'", member(name));
        if value < *range.start() {
            let rule = format!("Member must have value greater than or equal to {}", range.start());
            return Err(constraint(&sent, &rule));
        }
        if value > *range.end() {
            let rule = format!("Member must have value less than or equal to {}", range.end());
            return Err(constraint(&sent, &rule));
        }
        Ok(Some(value))
    }

    /// A list of strings: `NAME.member.1`, `NAME.member.2`, …
    pub fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|index| self.get(&format!("{name}.member.{index}"))).collect()
    }

    /// A list of tags: `NAME.member.1.Key`, `NAME.member.1.Value`, …
    pub fn tags(&self, name: &str) -> Vec<(String, String)> {
        (1..)
            .map_while(|index| {
                let key = self.get(&format!("{name}.member.{index}.Key"))?;
                let value = self.get(&format!("{name}.member.{index}.Value")).unwrap_or_default();
                Some((key.to_owned(), value.to_owned()))
            })
            .collect()
    }

    /// Checks a name's length and alphabet.
    ///
    /// # Errors
    /// `ValidationError` (400) in the words of AWS's request validation; `pattern` is how AWS writes `allowed`.
    pub fn check_name(
        &self,
        name: &str,
        longest: usize,
        pattern: &str,
        allowed: fn(char) -> bool,
    ) -> Result<&str, ApiError> {
        let value = self.required(name)?;
        let sent = format!("Value '{value}' at '{}'", member(name));
        if value.is_empty() {
            return Err(constraint(&sent, "Member must have length greater than or equal to 1"));
        }
        if value.chars().count() > longest {
            return Err(constraint(&sent, &format!("Member must have length less than or equal to {longest}")));
        }
        if !value.chars().all(allowed) {
            return Err(constraint(&sent, &format!("Member must satisfy regular expression pattern: {pattern}")));
        }
        Ok(value)
    }
}

/// One broken constraint of a request, in the words of AWS's request validation.
pub fn constraint(sent: &str, rule: &str) -> ApiError {
    let message = format!("1 validation error detected: {sent} failed to satisfy constraint: {rule}");
    ApiError::new(400, "ValidationError", message)
}

/// A parameter's name as AWS's request validation writes it: `RoleName` is `roleName`.
fn member(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// XML elements, written in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xml(String);

impl Xml {
    pub fn new() -> Self {
        Self::default()
    }

    /// Text alone, for a list of strings.
    pub fn of_text(value: impl Display) -> Self {
        Self(xml_escape(&value.to_string()))
    }

    /// Adds an element with text in it.
    #[must_use]
    pub fn text(mut self, name: &str, value: impl Display) -> Self {
        let _ = write!(self.0, "<{name}>{}</{name}>", xml_escape(&value.to_string()));
        self
    }

    /// Adds an element with text in it, where there is a value.
    #[must_use]
    pub fn optional(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds an element with elements in it.
    #[must_use]
    pub fn element(mut self, name: &str, children: Xml) -> Self {
        let _ = write!(self.0, "<{name}>{}</{name}>", children.0);
        self
    }

    /// Adds a list: an element with a `member` for each item.
    #[must_use]
    pub fn list(self, name: &str, items: impl IntoIterator<Item = Xml>) -> Self {
        let members = items.into_iter().fold(Xml::new(), |list, item| list.element("member", item));
        self.element(name, members)
    }
}

/// The answer to `operation` with `result` in it.
pub fn answer(namespace: &str, operation: &str, result: Xml) -> Response {
    let id = uuid::Uuid::new_v4();
    let body = format!(
        "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{}</{operation}Result>\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>",
        result.0
    );
    Response::xml(200, body).with_header("x-amzn-requestid", &id.to_string())
}

#[cfg(test)]
pub mod testing {
    //! Calls of the query protocol, for the tests of its services.

    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use crate::local::protocol::service::AnyService;
    use crate::local::protocol::wire::{ApiError, Caller, Request};

    /// Calls `action` with `parameters`; the XML of the answer, or the refusal.
    pub async fn call(
        service: &impl AnyService,
        access_key: Option<&str>,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", "2010-05-08").extend_pairs(parameters);
        let request = Request {
            method: Method::POST,
            path: "/".into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::from(form.finish()),
            file: None,
            caller: Caller { access_key: access_key.map(str::to_owned), region: "us-east-1".into() },
        };
        let response = service.call(service.prepare(request)?).await?;
        Ok(String::from_utf8(response.body.to_vec()).unwrap())
    }

    /// The text of every element called `name`.
    pub fn texts(xml: &str, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close)).map(|(text, _)| text.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    fn query(form: &'static str) -> Query {
        Query::read(&Request {
            method: Method::POST,
            path: "/".into(),
            query: vec![("Action".into(), "FromTheUrl".into())],
            headers: HeaderMap::new(),
            body: Bytes::from_static(form.as_bytes()),
            file: None,
            caller: Caller::default(),
        })
    }

    #[test]
    fn forms_are_decoded() {
        let query = query("Description=a+b%26c&TagKeys.member.1=x&TagKeys.member.2=y&Tags.member.1.Key=k");
        assert_eq!(query.get("Description"), Some("a b&c"));
        assert_eq!(query.list("TagKeys"), ["x", "y"]);
        assert_eq!(query.tags("Tags"), [("k".to_owned(), String::new())]);
    }

    #[test]
    fn the_first_value_of_a_repeated_parameter_is_used() {
        assert_eq!(query("A=1&A=2").get("A"), Some("1"));
    }

    #[test]
    fn a_request_without_a_body_is_read_from_its_url() {
        assert_eq!(query("").get("Action"), Some("FromTheUrl"));
    }

    #[test]
    fn errors_have_aws_messages() {
        let sent = query("Action=Nope&Version=2010-05-08&RoleName=a/b&MaxItems=0&Long=abc");
        let cases = [
            (Err(sent.unknown_action(sent.action().unwrap())), "Could not find operation Nope for version 2010-05-08"),
            (
                sent.required("PolicyName").map(drop),
                "1 validation error detected: Value null at 'policyName' failed to satisfy constraint: Member must not \
                 be null",
            ),
            (
                sent.number("MaxItems", 1..=1000).map(drop),
                "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have \
                 value greater than or equal to 1",
            ),
            (
                sent.check_name("RoleName", 64, "[\\w+=,.@-]+", |letter| letter != '/').map(drop),
                "1 validation error detected: Value 'a/b' at 'roleName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: [\\w+=,.@-]+",
            ),
            (
                sent.check_name("Long", 2, "", |_| true).map(drop),
                "1 validation error detected: Value 'abc' at 'long' failed to satisfy constraint: Member must have \
                 length less than or equal to 2",
            ),
        ];
        for (result, message) in cases {
            assert_eq!(result.unwrap_err().message, message);
        }
    }

    #[test]
    fn text_is_escaped() {
        let xml = Xml::new().text("A", "<&>").optional("B", None::<&str>).list("C", ["1", "2"].map(Xml::of_text));
        assert_eq!(xml.0, "<A>&lt;&amp;&gt;</A><C><member>1</member><member>2</member></C>");
    }
}
