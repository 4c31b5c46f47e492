//! Host names under which this cloud is called.

use std::net::IpAddr;

use http::uri::Authority;

/// Whether a host, without its port, is a name or an address of the loopback interface.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || address(host).is_some_and(|address| address.is_loopback())
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The bucket that a `Host` header of S3's names; empty where the header is S3's own and the path names the bucket.
/// `None` for other hosts. On AWS `BUCKET.s3.REGION.amazonaws.com` and its older forms (S3 user guide, "Virtual hosting of general
/// purpose buckets"); here `BUCKET.s3.localhost`.
pub fn s3_host(header: &str) -> Option<&str> {
    let host = header
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(header, |(host, _)| host);
    let before = match host.strip_suffix(".localhost") {
        Some(before) => before,
        None => host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?,
    };
    let is_aws = !host.ends_with(".localhost");
    let of_service = |label: &str| label == "s3" || (is_aws && label.starts_with("s3-"));
    // From the right: a region, `dualstack`, the service, the bucket, which may have dots itself.
    let mut rest = before;
    for _ in 0..=2 {
        let (front, label) = rest.rsplit_once('.').unwrap_or(("", rest));
        if of_service(label) {
            return Some(front);
        }
        if !is_aws || front.is_empty() {
            return None;
        }
        rest = front;
    }
    None
}

/// The names of this machine that containers on it have: those of Docker and Podman. `internal` is a top-level domain that is
/// reserved for private use (ICANN, 2024), so nobody else's web page has such a name.
const OF_CONTAINERS: &[&str] = &["host.docker.internal", "host.containers.internal"];

/// The host names under which a cloud is called: those that a `Host` header may have, and the one that clients are given.
///
/// A web page can call this cloud under its own host name if that resolves to this machine (DNS rebinding), and is then of the
/// same origin. So names that others could own are refused. An address cannot be rebound.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// `None` if loopback alone is listened on.
    beyond: Option<Beyond>,
}

#[derive(Debug, Clone)]
struct Beyond {
    /// The first label of the machine's own name. Some machines have a whole domain as their name, which others could own.
    machine: String,
    /// The host that clients on other machines can use; `None` if none is known.
    of_clients: Option<String>,
}

impl Hosts {
    /// For a cloud that other machines reach: any address, this machine's name, also below `.local`, and the names of this
    /// machine in containers. `of_clients` is the host that clients on other machines can use, if one is known.
    pub fn beyond_loopback(of_clients: Option<String>) -> Self {
        let machine = first_label(&rustix::system::uname().nodename().to_string_lossy());
        Self { beyond: Some(Beyond { machine, of_clients }) }
    }

    /// The host in the addresses that clients are given.
    pub fn of_clients(&self) -> &str {
        self.beyond.as_ref().and_then(|beyond| beyond.of_clients.as_deref()).unwrap_or("localhost")
    }

    /// Whether a `Host` header is admitted.
    pub fn admit(&self, header: &str) -> bool {
        let Ok(authority) = header.parse::<Authority>() else { return false };
        let host = authority.host().to_ascii_lowercase();
        is_loopback(&host) || self.beyond.as_ref().is_some_and(|beyond| beyond.has(&host))
    }
}

/// The first label of a machine's name, in lower case.
fn first_label(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_ascii_lowercase()
}

impl Beyond {
    fn has(&self, host: &str) -> bool {
        let is_machine = !self.machine.is_empty() && host.strip_suffix(".local").unwrap_or(host) == self.machine;
        is_machine || address(host).is_some() || OF_CONTAINERS.contains(&host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_in_the_host() {
        for (host, bucket) in [
            ("files.s3.localhost:4579", Some("files")),
            ("a.b.s3.localhost", Some("a.b")),
            ("s3.localhost", Some("")),
            ("files.s3.eu-west-1.amazonaws.com", Some("files")),
            ("a.b.s3.eu-west-1.amazonaws.com:443", Some("a.b")),
            ("files.s3.amazonaws.com", Some("files")),
            ("files.s3-us-west-2.amazonaws.com", Some("files")),
            ("files.s3.dualstack.us-east-1.amazonaws.com", Some("files")),
            ("files.s3.cn-north-1.amazonaws.com.cn", Some("files")),
            ("s3.us-east-1.amazonaws.com", Some("")),
            ("sqs.us-east-1.amazonaws.com", None),
            ("a1.execute-api.us-east-1.amazonaws.com", None),
            ("a1.execute-api.localhost:4579", None),
            ("localhost:4579", None),
            ("127.0.0.1:4579", None),
            ("s3.example.com", None),
            ("amazonaws.com", None),
        ] {
            assert_eq!(s3_host(host), bucket, "{host}");
        }
    }

    #[test]
    fn names_that_others_can_own_are_never_admitted() {
        let beyond = Hosts { beyond: Some(Beyond { machine: "laptop".to_owned(), of_clients: None }) };
        for (host, loopback, reached) in [
            ("localhost:4579", true, true),
            ("laptop.local.local", false, false),
            ("[::1]:4579", true, true),
            ("192.168.1.5:4579", false, true),
            ("[2001:db8::1]:4579", false, true),
            ("laptop:4579", false, true),
            ("LAPTOP.local:4579", false, true),
            ("host.docker.internal:4579", false, true),
            ("example.com", false, false),
            ("laptop.example.com", false, false),
            ("192.168.1.5.example.com", false, false),
            ("host.docker.internal.example.com", false, false),
            ("localhost.example.com", false, false),
            ("", false, false),
        ] {
            assert_eq!((Hosts::default().admit(host), beyond.admit(host)), (loopback, reached), "{host}");
        }
        assert!(!Hosts { beyond: Some(Beyond { machine: String::new(), of_clients: None }) }.admit(".local"));
        let named = |name: &str| Hosts { beyond: Some(Beyond { machine: first_label(name), of_clients: None }) };
        for name in ["Laptop", "laptop.example.com", "laptop.local"] {
            assert!(named(name).admit("laptop") && named(name).admit("laptop.local"), "{name}");
            assert!(!named(name).admit("laptop.example.com"), "{name}");
        }
    }
}
