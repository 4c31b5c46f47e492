//! Who gets in. The console shows what clients send and can change tables, so it is for the developer's browser alone:
//!
//! - The `Host` must be a name of this machine (`protocol::host`): a web page whose own name resolves to it is refused (DNS
//!   rebinding).
//! - `Origin` and `Sec-Fetch-Site`, which browsers set, must be the console's own: other pages are refused, and so are pages of
//!   other ports of this machine, which get the same cookies.
//! - A browser needs a cookie, and gets it for a ticket. Only who can read the data folder can ask for a ticket; it works
//!   once. So a URL from a list of processes or a history opens nothing.
//!
//! The cookie is `HttpOnly` and `SameSite=Strict`, and the same for as long as the data folder exists: a page that is open
//! survives a restart. All of this also holds under `--open`.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::local::context::store::Store;
use crate::local::lock::lock;
use crate::local::protocol::host::Hosts;
use crate::local::protocol::wire::Request;

/// How a browser gets in.
pub const HOW_TO_ENTER: &str = "The console opens with `wschat open`, which gives this browser its key.";

/// How long a ticket can be used.
const TICKET_LIFE: Duration = Duration::from_secs(10 * 60);

/// How many tickets can be open; more replace the oldest.
const MAX_TICKETS: usize = 16;

/// How long a browser keeps the cookie, in seconds: 30 days.
const COOKIE_AGE: u32 = 30 * 24 * 60 * 60;

/// The key of a data folder's cookies.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Key {
    cookie: String,
}

/// The guard of the console.
pub struct Entry {
    hosts: Hosts,
    cookie_name: String,
    key: String,
    tickets: Mutex<VecDeque<(String, Instant)>>,
}

impl Entry {
    const FILE: &str = "console-key";

    /// Reads the key of a data folder, or creates it.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(store: &Store, port: u16, hosts: Hosts) -> io::Result<Self> {
        let mut key: Key = store.load(Self::FILE)?;
        if key.cookie.is_empty() {
            key.cookie = secret();
            store.save(Self::FILE, &key)?;
        }
        // Browsers send a cookie to all ports of a host, so its name has the port.
        let cookie_name = format!("wschat-console-{port}");
        Ok(Self { hosts, cookie_name, key: key.cookie, tickets: Mutex::default() })
    }

    /// A new ticket.
    pub fn ticket(&self) -> String {
        let ticket = secret();
        let mut tickets = lock(&self.tickets);
        tickets.push_back((ticket.clone(), Instant::now()));
        while tickets.len() > MAX_TICKETS {
            tickets.pop_front();
        }
        ticket
    }

    /// Whether a ticket is good; it is used up by this.
    pub fn redeem(&self, ticket: &str) -> bool {
        self.redeem_at(ticket, Instant::now())
    }

    fn redeem_at(&self, ticket: &str, now: Instant) -> bool {
        let mut tickets = lock(&self.tickets);
        tickets.retain(|(_, made)| now.duration_since(*made) < TICKET_LIFE);
        let found = tickets.iter().position(|(known, _)| known == ticket);
        found.and_then(|position| tickets.remove(position)).is_some()
    }

    /// The value of `Set-Cookie` that lets a browser in.
    pub fn cookie(&self) -> String {
        let Self { cookie_name, key, .. } = self;
        format!("{cookie_name}={key}; Path=/_wschat; Max-Age={COOKIE_AGE}; HttpOnly; SameSite=Strict")
    }

    /// Checks where a request comes from; whether it has the cookie.
    ///
    /// # Errors
    /// The message for a request for another host or from another page.
    pub fn check(&self, request: &Request) -> Result<bool, String> {
        let headers = &request.headers;
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text(header::HOST).unwrap_or_default();
        if !self.hosts.admit(host) {
            return Err(format!("The console does not serve the host name \"{host}\"."));
        }
        let own = |origin: &str| {
            let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        };
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if text(header::ORIGIN).is_some_and(|origin| !own(origin))
            || site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
        {
            return Err("Other web pages may not use the console.".to_owned());
        }
        Ok(self.has_cookie(headers))
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = sent.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == self.cookie_name && value == self.key)
    }
}

/// An answer with the headers that protect the page: it loads nothing from elsewhere, runs no script but its own, makes no
/// HTML out of texts, and is shown in no frame. Its sockets lead to `host`.
pub fn protect(mut answer: Answer, host: &str) -> Answer {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// 256 random bits.
fn secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn entry() -> (tempfile::TempDir, Store, Entry) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let entry = Entry::open(&store, 4579, Hosts::default()).unwrap();
        (folder, store, entry)
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::in_test("GET", "/_wschat/console", "");
        for (name, value) in headers {
            request
                .headers
                .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        request
    }

    #[test]
    fn a_ticket_is_used_once_and_the_cookie_survives_a_restart() {
        let (_folder, store, entry) = entry();
        let (one, two) = (entry.ticket(), entry.ticket());
        assert!(entry.redeem(&two) && entry.redeem(&one));
        assert!(!entry.redeem(&one) && !entry.redeem("") && !entry.redeem("x"));
        let cookie = entry.cookie();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
        assert_eq!(Entry::open(&store, 4579, Hosts::default()).unwrap().cookie(), cookie);
    }

    #[test]
    fn tickets_expire_and_are_few() {
        let (_folder, _store, entry) = entry();
        let old = entry.ticket();
        assert!(!entry.redeem_at(&old, Instant::now() + TICKET_LIFE));
        let first = entry.ticket();
        for _ in 0..MAX_TICKETS {
            entry.ticket();
        }
        assert!(!entry.redeem(&first));
    }

    #[test]
    fn only_a_browser_with_the_cookie_is_inside() {
        let (_folder, _store, entry) = entry();
        let pair = entry.cookie().split(';').next().unwrap().to_owned();
        let host = ("host", "localhost:4579");
        for (headers, inside) in [
            (vec![host], false),
            (vec![host, ("cookie", pair.as_str())], true),
            (vec![host, ("cookie", &format!("a=b; {pair}; c=d"))], true),
            (vec![host, ("cookie", "a=b"), ("cookie", &pair)], true),
            (vec![host, ("cookie", "wschat-console-4579=")], false),
            (vec![host, ("cookie", &pair.replace("4579", "4580"))], false),
            (vec![("host", "127.0.0.1:4579"), ("cookie", &pair)], true),
        ] {
            assert_eq!(entry.check(&request(&headers)), Ok(inside), "{headers:?}");
        }
    }

    #[test]
    fn other_hosts_and_other_pages_are_refused() {
        let (_folder, _store, entry) = entry();
        let host = ("host", "localhost:4579");
        for headers in [
            vec![],
            vec![("host", "example.com")],
            vec![("host", "localhost.example.com:4579")],
            vec![("host", "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com")],
            vec![host, ("origin", "https://example.com")],
            vec![host, ("origin", "http://localhost:3000")],
            vec![host, ("origin", "http://127.0.0.1:4579")],
            vec![host, ("origin", "null")],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "same-site")],
        ] {
            assert!(entry.check(&request(&headers)).is_err(), "{headers:?}");
        }
        for headers in [
            vec![host, ("origin", "http://localhost:4579"), ("sec-fetch-site", "same-origin")],
            vec![host, ("origin", "https://localhost:4579")],
            vec![host, ("sec-fetch-site", "none")],
        ] {
            assert_eq!(entry.check(&request(&headers)), Ok(false), "{headers:?}");
        }
    }
}
