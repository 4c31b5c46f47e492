//! Refused handshakes: what an HTTP status means where a WebSocket was asked for.

/// What to do about a refused handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the status means, as a part of a sentence.
    pub why: &'static str,
    /// Whether the reason is in the logs of a handler.
    pub is_in_logs: bool,
}

/// What an HTTP status in place of 101 means at API Gateway.
pub fn refusal(status: u16) -> Refusal {
    let refusal = |why, is_in_logs| Refusal { why, is_in_logs };
    match status {
        400 => refusal("the handshake is not valid, or the handler of $connect answered 400", true),
        401 => {
            refusal("the authorizer refused it, or a header or parameter that the authorizer asks for is missing", true)
        }
        403 => refusal(
            "no stage has this address, the authorizer denied it, or the handler of $connect answered 403",
            true,
        ),
        404 => refusal("nothing has this address", false),
        410 => refusal("the API or its stage is gone", false),
        414 => refusal("the address is longer than 4,096 characters", false),
        426 => refusal("the server wants another protocol", false),
        429 => refusal(
            "throttled: by the stage's limits, or by the account's 500 new connections a second; try again later",
            false,
        ),
        431 => refusal("the headers are larger than 10,240 bytes", false),
        500 => refusal("the authorizer failed, or the handler of $connect answered 500", true),
        502 => refusal("the handler of $connect failed, or gave an answer that API Gateway cannot read", true),
        503 => refusal("the service is not available; try again later", false),
        504 => refusal("the handler of $connect took longer than 29 seconds", true),
        200..=299 => {
            refusal("the server answered without changing to WebSockets: this is no address of a WebSocket API", false)
        }
        300..=399 => refusal("the server redirects, which WebSocket clients do not follow", false),
        _ => refusal("the server, or the handler of $connect, refused it", true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_say_where_to_look() {
        for (status, words, in_logs) in [
            (401, "authorizer", true),
            (403, "$connect answered 403", true),
            (429, "throttled", false),
            (500, "the authorizer failed", true),
            (502, "the handler of $connect failed", true),
            (200, "no address of a WebSocket API", false),
            (302, "redirects", false),
            (418, "refused", true),
        ] {
            let found = refusal(status);
            assert!(found.why.contains(words), "{status}: {}", found.why);
            assert_eq!(found.is_in_logs, in_logs, "{status}");
        }
    }
}
