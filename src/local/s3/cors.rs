//! Which web pages may call a bucket: its CORS configuration, as S3 evaluates it. (S3 user guide, "Using cross-origin resource sharing
//! (CORS)"; API reference, "OPTIONS object".)

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;

use super::Bucket;
use super::xml::{Element, element, leaf};
use crate::local::protocol::wire::Request;

/// What caches must tell answers apart by.
const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    id: String,
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Vec<String>,
    /// For how many seconds a browser may keep the answer to a preflight.
    max_age: Option<String>,
}

impl Rule {
    fn of_xml(rule: &Element) -> Self {
        let all = |name: &str| rule.all(name).map(|one| one.text.trim().to_owned()).collect();
        let text = |name: &str| rule.text_of(name).map(str::to_owned);
        Self {
            id: text("ID").unwrap_or_default(),
            origins: all("AllowedOrigin"),
            methods: all("AllowedMethod"),
            headers: all("AllowedHeader"),
            exposed: all("ExposeHeader"),
            max_age: text("MaxAgeSeconds"),
        }
    }

    /// Reads one of CloudFormation's `CorsRules`.
    fn of_property(rule: &Value) -> Self {
        let all = |name: &str| {
            let texts = rule[name].as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let max_age = match &rule["MaxAge"] {
            Value::String(text) => Some(text.clone()),
            age => age.as_u64().map(|age| age.to_string()),
        };
        Self {
            id: rule["Id"].as_str().unwrap_or_default().to_owned(),
            origins: all("AllowedOrigins"),
            methods: all("AllowedMethods"),
            headers: all("AllowedHeaders"),
            exposed: all("ExposedHeaders"),
            max_age,
        }
    }

    fn to_xml(&self) -> String {
        let all = |name: &str, values: &[String]| values.iter().map(|value| leaf(name, value)).collect::<String>();
        let id = if self.id.is_empty() { String::new() } else { leaf("ID", &self.id) };
        let max_age = self.max_age.as_ref().map(|age| leaf("MaxAgeSeconds", age)).unwrap_or_default();
        let inner = format!(
            "{id}{}{}{}{}{max_age}",
            all("AllowedOrigin", &self.origins),
            all("AllowedMethod", &self.methods),
            all("AllowedHeader", &self.headers),
            all("ExposeHeader", &self.exposed)
        );
        element("CORSRule", &inner)
    }

    /// Whether it lets pages of an origin send a method with these headers.
    fn allows(&self, origin: &str, method: &str, headers: &[&str]) -> bool {
        self.origins.iter().any(|allowed| fits(allowed, origin))
            && self.methods.iter().any(|allowed| allowed == method)
            && headers.iter().all(|name| {
                let name = name.to_ascii_lowercase();
                self.headers.iter().any(|allowed| fits(&allowed.to_ascii_lowercase(), &name))
            })
    }
}

/// Whether a text is as a pattern with at most one `*` says.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, end)) => text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end),
    }
}

impl Bucket {
    /// The rules: those that a call of S3's set, else those of the template.
    pub fn cors(&self) -> Vec<Rule> {
        if let Some(document) = self.settings.get("cors") {
            let root = Element::read(document.as_bytes()).unwrap_or_default();
            return root.all("CORSRule").map(Rule::of_xml).collect();
        }
        let property = self.properties.get("CorsConfiguration").map(|property| &property["CorsRules"]);
        property.and_then(Value::as_array).into_iter().flatten().map(Rule::of_property).collect()
    }

    /// The document of the template's rules; `None` where it has none.
    pub fn cors_of_property(&self) -> Option<String> {
        self.properties.get("CorsConfiguration")?;
        let rules: String = self.cors().iter().map(Rule::to_xml).collect();
        Some(format!(
            "<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</CORSConfiguration>"
        ))
    }

    /// What the answer to a request of a web page says to its browser, also to a preflight; `None` where pages of that origin may
    /// not send such requests.
    pub fn shared(&self, request: &Request) -> Option<HeaderMap> {
        let header = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
        let origin = header(header::ORIGIN)?;
        let asked = header(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|_| request.method == Method::OPTIONS);
        let listed = header(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|_| asked.is_some()).unwrap_or_default();
        let listed: Vec<&str> = listed.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let method = asked.unwrap_or(request.method.as_str());
        let rules = self.cors();
        let rule = rules.iter().find(|rule| rule.allows(origin, method, &listed))?;
        let mut answer = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value)
                && !value.is_empty()
            {
                answer.insert(name, value);
            }
        };
        let is_any = rule.origins.iter().any(|allowed| allowed == "*");
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, if is_any { "*" } else { origin });
        if !is_any {
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        set(header::ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
        if asked.is_some() {
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, &listed.join(", ").to_ascii_lowercase());
            set(header::ACCESS_CONTROL_MAX_AGE, rule.max_age.as_deref().unwrap_or_default());
        }
        set(header::VARY, VARY);
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bucket() -> Bucket {
        let properties = json!({ "CorsConfiguration": { "CorsRules": [
            { "AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["content-*", "X-Amz-Meta-A"],
              "ExposedHeaders": ["ETag"], "MaxAge": 300 },
            { "AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"] },
        ] } });
        Bucket { properties: properties.as_object().cloned().unwrap(), ..Bucket::default() }
    }

    fn shared(bucket: &Bucket, method: &str, headers: &[(&'static str, &str)]) -> Option<Vec<String>> {
        let mut request = Request::in_test(method, "/files/a", "");
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        let answer = bucket.shared(&request)?;
        let mut shown: Vec<String> = answer
            .iter()
            .filter(|(name, _)| *name != header::VARY)
            .map(|(name, value)| {
                format!("{}: {}", name.as_str().trim_start_matches("access-control-"), value.to_str().unwrap())
            })
            .collect();
        shown.sort();
        Some(shown)
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let (page, other) = (("origin", "https://app.example.com"), ("origin", "http://localhost:5173"));
        let asks = |method| ("access-control-request-method", method);
        let with = |names| ("access-control-request-headers", names);
        let put = [
            "allow-credentials: true",
            "allow-headers: content-type, x-amz-meta-a",
            "allow-methods: PUT",
            "allow-origin: https://app.example.com",
            "expose-headers: ETag",
            "max-age: 300",
        ];
        let (preflight, bucket) = ([page, asks("PUT"), with("Content-Type, x-amz-meta-a")], bucket());
        assert_eq!(shared(&bucket, "OPTIONS", &preflight).unwrap(), put);
        assert_eq!(shared(&bucket, "GET", &[other]).unwrap(), ["allow-methods: GET, HEAD", "allow-origin: *"]);
        for refused in [
            &[page, asks("PUT"), with("x-amz-acl")][..],
            &[page, asks("DELETE")],
            &[other, asks("PUT")],
            &[asks("PUT")],
            &[("origin", "https://.example.com.evil.example"), asks("PUT")],
        ] {
            assert_eq!(shared(&bucket, "OPTIONS", refused), None, "{refused:?}");
        }
        assert_eq!(shared(&bucket, "GET", &[]), None, "not sent by a page of another origin");
        assert_eq!(shared(&Bucket::default(), "GET", &[page]), None);
    }

    #[test]
    fn a_template_s_rules_and_those_of_a_call_are_the_same() {
        let by_template = bucket();
        let document = by_template.cors_of_property().unwrap();
        let by_call = Bucket { settings: [("cors".to_owned(), document)].into(), ..Bucket::default() };
        assert_eq!(by_call.cors(), by_template.cors());
        assert_eq!(Bucket::default().cors_of_property(), None);
    }
}
