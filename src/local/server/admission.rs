//! Protection against web pages. AWS is safe from them because every call is signed; here not all are (what everyone may read of a
//! bucket, the process's own endpoints), and any page in a browser on this machine could send those. (WebSockets accept all origins, as
//! on AWS: they are not checked here.)

use http::{HeaderMap, header};

use super::tls::is_api_on_aws;
use crate::local::protocol::host::{Hosts, is_loopback, s3_host};

/// Checks the `Host`, `Origin` and `Sec-Fetch-Site` headers of a request; those about its page only where the page is not
/// `allowed` by its origin. A caller that `is_remote`, on another machine, gets no advice for this one.
///
/// # Errors
/// The message for the sender of a request that is not admitted.
pub fn check(headers: &HeaderMap, hosts: &Hosts, allowed: bool, is_remote: bool) -> Result<(), String> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // DNS rebinding: a foreign host name that resolves to loopback makes a page of that host same-origin with this port.
    if let Some(host) = text(header::HOST)
        && !hosts.admit(host)
        && !is_of_api(host)
        && s3_host(host).is_none()
    {
        let help = if is_remote { "" } else { "; to admit all callers: wschat local start --open" };
        return Err(format!("The local cloud does not serve the host name \"{host}\"{help}"));
    }
    let foreign_origin = text(header::ORIGIN).is_some_and(|origin| {
        let uri = origin.parse::<http::Uri>().ok();
        !uri.as_ref().and_then(http::Uri::host).is_some_and(is_loopback)
    });
    let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if !allowed && (foreign_origin || cross_site) {
        let help = if is_remote { "" } else { "; to allow one: --origin" };
        return Err(format!("Web pages of other origins may not call the local cloud{help}."));
    }
    Ok(())
}

/// Whether a `Host` header names an API Gateway API on AWS, whose traffic is redirected here.
fn is_of_api(host: &str) -> bool {
    host.parse::<http::uri::Authority>().is_ok_and(|authority| is_api_on_aws(&authority.host().to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn request(headers: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        headers.iter().map(pair).collect()
    }

    #[test]
    fn only_names_of_this_machine_are_accepted_as_host() {
        for host in [
            "localhost",
            "localhost:4579",
            "LOCALHOST:4579",
            "a1.execute-api.localhost:4579",
            "127.0.0.1:4579",
            "127.0.0.2",
            "[::1]:4579",
            "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
            "a1b2c3d4e5.execute-api.cn-north-1.amazonaws.com.cn",
        ] {
            assert_eq!(check(&request(&[("host", host)]), &Hosts::default(), false, false), Ok(()), "{host}");
        }
        for host in
            ["example.com", "localhost.example.com:4579", "10.0.0.1", "amazonaws.com", "x.amazonaws.com", "::", ""]
        {
            assert!(check(&request(&[("host", host)]), &Hosts::default(), false, false).is_err(), "{host}");
        }
        let foreign = |is_remote| check(&request(&[("host", "example.com")]), &Hosts::default(), false, is_remote);
        assert!(foreign(false).unwrap_err().contains("--open"));
        assert!(!foreign(true).unwrap_err().contains("--open"));
        assert_eq!(
            check(&HeaderMap::new(), &Hosts::default(), false, false),
            Ok(()),
            "programs that speak HTTP/1.0 name no host"
        );
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        for (name, value, admitted) in [
            ("origin", "http://localhost:3000", true),
            ("origin", "https://example.com", false),
            ("origin", "null", false),
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "same-site", true),
            ("sec-fetch-site", "cross-site", false),
        ] {
            let headers = request(&[("host", "localhost:4579"), (name, value)]);
            assert_eq!(check(&headers, &Hosts::default(), false, false).is_ok(), admitted, "{name}: {value}");
            assert_eq!(check(&headers, &Hosts::default(), true, false), Ok(()), "{name}: {value}");
        }
    }
}
