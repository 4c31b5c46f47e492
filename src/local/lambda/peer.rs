//! Which process is at the other end of a connection over loopback.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Whether the peer of a connection is a process of a group; `None` where the system does not tell, which it does on Linux
/// alone (proc(5)). It reads files of the kernel's, more of them the more sockets and processes there are.
pub fn is_of_group(peer: SocketAddr, here: SocketAddr, group: u32) -> Option<bool> {
    let socket = format!("socket:[{}]", inode(peer, here)?);
    // The leader is nearly always the one.
    let others = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut members = std::iter::once(group).chain(others.filter(|pid| group_of(*pid) == Some(group)));
    Some(members.any(|pid| holds(pid, &socket)))
}

/// The number of the socket that is bound to `peer` and connected to `here`.
fn inode(peer: SocketAddr, here: SocketAddr) -> Option<String> {
    let (peer, here) = (written(peer)?, written(here)?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is_it = fields.nth(1)? == peer && fields.next()? == here;
        is_it.then(|| fields.nth(6).map(str::to_owned)).flatten()
    })
}

/// An address as that table has it: the bytes of the address in the machine's order, the port as a number.
fn written(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
}

fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which can hold anything, is in parentheses.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

fn holds(pid: u32, socket: &str) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target == Path::new(socket))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_connection_is_its_process_group_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        // The shell leads the group; it is its child that connects.
        let script = format!("(exec 3<>/dev/tcp/127.0.0.1/{}; echo >&3; sleep 600) & wait", here.port());
        let mut child = Command::new("bash").args(["-c", &script]).process_group(0).spawn().unwrap();
        let (mut stream, peer) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        assert_eq!(is_of_group(peer, here, child.id()), Some(true));
        assert_eq!(is_of_group(peer, here, std::process::id()), Some(false));
        assert_eq!(is_of_group("127.0.0.1:1".parse().unwrap(), here, child.id()), None);
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
    }
}
