//! The upper and lower case of a client's header names. HTTP/1 keeps it and AWS passes it to `$connect`, but hyper makes
//! header names lower case.

use std::sync::{Arc, Mutex};

use http::HeaderName;
use tokio::io::AsyncRead;
use tokio_util::io::InspectReader;

use crate::local::lock::lock;

/// How much of a connection's first request is recorded, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The head of a connection's first request, as it was received.
#[derive(Debug, Clone, Default)]
pub struct HeaderCase(Arc<Mutex<Vec<u8>>>);

impl HeaderCase {
    /// Records what is read from `stream` until the end of the first head.
    pub fn watch<S: AsyncRead>(self, stream: S) -> InspectReader<S, impl FnMut(&[u8]) + Send + 'static> {
        let mut ended = false;
        InspectReader::new(stream, move |read| {
            if !ended {
                let mut head = lock(&self.0);
                head.extend_from_slice(read);
                ended = head.len() > MAX_HEAD || head.windows(4).any(|four| four == b"\r\n\r\n");
            }
        })
    }

    /// A header name in the client's case, if the first request has that header.
    pub fn of(&self, name: &HeaderName) -> Option<String> {
        let head = lock(&self.0);
        let mut lines = head.split(|byte| *byte == b'\n').skip(1);
        let found = lines.find_map(|line| {
            let (sent, rest) = line.split_at_checked(name.as_str().len())?;
            (rest.starts_with(b":") && sent.eq_ignore_ascii_case(name.as_str().as_bytes())).then_some(sent)
        })?;
        String::from_utf8(found.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_first_request_gives_the_case() {
        let sent = b"GET /x HTTP/1.1\r\nHOST: a\r\nx-TeNaNt: b\r\nX: c\r\n\r\nGET / HTTP/1.1\r\nOTHER: d\r\n\r\n";
        for step in [1, 7, sent.len()] {
            let header_case = HeaderCase::default();
            let mut stream = header_case.clone().watch(&sent[..]);
            let mut buffer = vec![0; step];
            while stream.read(&mut buffer).await.unwrap() > 0 {}
            for (name, expected) in
                [("host", Some("HOST")), ("x-tenant", Some("x-TeNaNt")), ("x", Some("X")), ("none", None)]
            {
                assert_eq!(header_case.of(&HeaderName::from_static(name)).as_deref(), expected, "{name}, {step}");
            }
        }
    }
}
