//! The close codes of WebSockets (RFC 6455, 7.4.1, and IANA's registry), and what API Gateway means by them.

/// No close frame came: the connection broke. No peer sends this code (RFC 6455, 7.1.5).
pub const BROKEN: u16 = 1006;

/// A close frame without a code.
pub const WITHOUT_CODE: u16 = 1005;

/// What a close code says, as a part of a sentence.
pub fn meaning(code: u16) -> &'static str {
    match code {
        1000 => "closed normally",
        1001 => {
            "going away: API Gateway closes a connection that was idle for 10 minutes or is 2 hours old, and when its stage or \
             API is deleted; the local cloud, when it stops"
        }
        1002 => "protocol error: the other side got something that is not a WebSocket frame",
        1003 => "data that is not accepted: API Gateway takes text messages only, no binary ones",
        WITHOUT_CODE => "closed without a code",
        BROKEN => "the connection broke without a close frame: a network, a proxy or the server ended it",
        1007 => "a text message was not valid UTF-8",
        1008 => "against a policy of the server",
        1009 => "message too big: API Gateway takes messages of up to 128 KB, in frames of up to 32 KB",
        1010 => "the server did not agree to an extension that the client needs",
        1011 => "internal error of the server: on API Gateway, that of the service itself and not of a handler",
        1012 => "the server restarts",
        1013 => "the server is overloaded: try again later",
        1014 => "a gateway got an invalid answer from the server behind it",
        1015 => "the TLS handshake failed",
        3000..=3999 => "a code of a library or framework",
        4000..=4999 => "a code of the application",
        _ => "a code that the protocol does not define",
    }
}

/// Whether the connection ended as it should: it was closed on purpose, and not because of an error.
pub fn is_orderly(code: u16) -> bool {
    matches!(code, 1000 | 1001 | WITHOUT_CODE | 1012 | 3000..=4999)
}

/// Whether a client may send the code in a close frame (RFC 6455, 7.4.2).
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning() {
        for (code, words, orderly, sent) in [
            (1000, "closed normally", true, true),
            (1001, "idle for 10 minutes or is 2 hours old", true, true),
            (1002, "protocol error", false, true),
            (1003, "no binary ones", false, true),
            (1005, "without a code", true, false),
            (1006, "without a close frame", false, false),
            (1007, "UTF-8", false, true),
            (1008, "policy", false, true),
            (1009, "128 KB, in frames of up to 32 KB", false, true),
            (1011, "internal error", false, true),
            (1012, "restarts", true, true),
            (1015, "TLS", false, false),
            (2000, "does not define", false, false),
            (3001, "framework", true, true),
            (4000, "application", true, true),
            (5000, "does not define", false, false),
        ] {
            assert!(meaning(code).contains(words), "{code}: {}", meaning(code));
            assert_eq!((is_orderly(code), may_be_sent(code)), (orderly, sent), "{code}");
        }
    }
}
