//! What the local cloud knows of an operation, apart from the function that runs it. Routing, the limit of a request's
//! body, the conditions, the call log and the checks of callers read it.

/// The largest request body of most operations, in bytes: DynamoDB's limit for a batch, the largest of these limits.
pub const MAX_BODY: usize = 16 << 20;

/// Whether an operation can change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationEffect {
    Reads,
    Changes,
}

/// An operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The service's name in conditions files and in the call log.
    pub service: &'static str,
    /// As AWS's API reference spells it: `CreateFunction`.
    pub name: &'static str,
    pub method: &'static str,
    /// As in AWS's service model: `/v2/apis/{apiId}`. `{name}` matches one segment, a final `{name+}` all that remain.
    pub path: &'static str,
    /// The largest body of a request, in bytes.
    pub body_limit: usize,
    pub effect: OperationEffect,
    /// Whether its URL is the secret, so that a request needs no signature.
    pub presigned: bool,
    /// Whether the body of a request is written to disk as it comes, because it may be larger than memory.
    pub on_disk: bool,
}

impl Operation {
    /// Whether the operation can change anything.
    pub const fn changes(&self) -> bool {
        matches!(self.effect, OperationEffect::Changes)
    }

    /// The segments of a path that stand where this operation's path has names, if the request is for this operation.
    /// The segments are percent-decoded, and none is empty.
    pub fn ids(&self, method: &str, segments: &[String]) -> Option<Vec<String>> {
        if method != self.method {
            return None;
        }
        let mut ids = Vec::new();
        let mut sent = segments.iter();
        for expected in self.path.split('/').skip(1) {
            if expected.ends_with("+}") {
                ids.extend(sent.by_ref().cloned());
                return (!ids.is_empty()).then_some(ids);
            }
            let segment = sent.next()?;
            if expected.starts_with('{') {
                ids.push(segment.clone());
            } else if segment != expected {
                return None;
            }
        }
        sent.next().is_none().then_some(ids)
    }

    /// An operation that reads, for tests.
    #[cfg(test)]
    pub const fn in_test(service: &'static str, name: &'static str) -> Self {
        Self {
            service,
            name,
            method: "POST",
            path: "/",
            body_limit: MAX_BODY,
            effect: OperationEffect::Reads,
            presigned: false,
            on_disk: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_the_ids_at_the_places_of_its_names() {
        let ids = |path: &'static str, method: &str, sent: &str| {
            let segments: Vec<String> = sent.split('/').filter(|one| !one.is_empty()).map(str::to_owned).collect();
            Operation { method: "GET", path, ..Operation::in_test("a", "b") }.ids(method, &segments)
        };
        let found = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(ids("/v2/apis", "GET", "/v2/apis"), found(&[]));
        assert_eq!(ids("/v2/apis", "POST", "/v2/apis"), None);
        assert_eq!(ids("/v2/apis", "GET", "/v2/apis/x"), None);
        assert_eq!(ids("/v2/apis/{apiId}", "GET", "/v2/apis"), None);
        assert_eq!(ids("/v2/apis/{apiId}/routes/{routeId}", "GET", "/v2/apis/x/routes/y"), found(&["x", "y"]));
        assert_eq!(ids("/v2/apis/{apiId}/routes/{routeId}", "GET", "/v2/apis/x/stages/y"), None);
        assert_eq!(ids("/v2/tags/{arn+}", "GET", "/v2/tags/a/b"), found(&["a", "b"]));
        assert_eq!(ids("/v2/tags/{arn+}", "GET", "/v2/tags"), None);
    }
}
