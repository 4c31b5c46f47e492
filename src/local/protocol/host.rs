//! Host names of this machine.

use std::net::IpAddr;

/// Whether a host, without its port, is a name or an address of the loopback interface.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}
