//! The process at the other end of a loopback connection.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Whether the peer of a connection is a process of a group or a descendant of it; `None` where the system does not provide
/// this (only Linux does).
pub fn is_of_group(peer: SocketAddr, here: SocketAddr, group: u32) -> Option<bool> {
    let inode = inode(peer, here)?;
    if inode == 0 {
        // The peer has already closed the connection.
        return Some(false);
    }
    let socket = format!("socket:[{inode}]");
    // In the order of likelihood: the group's leader, its descendants, then all other processes of the group.
    let leader = std::iter::once(group);
    let line = std::iter::once_with(|| descendants(group)).flatten();
    let others = std::iter::once_with(|| fs::read_dir("/proc").into_iter().flatten().flatten()).flatten();
    let others = others.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut known = true;
    for pid in leader.chain(line).chain(others.filter(|pid| group_of(*pid) == Some(group))) {
        match holds(pid, &socket) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

/// The descendants of a process, by the current parent of each.
fn descendants(pid: u32) -> Vec<u32> {
    let mut line = Vec::new();
    let mut parents = vec![pid];
    while let Some(pid) = parents.pop() {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            parents.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        line.push(pid);
    }
    line
}

/// The inode of the socket that is bound to `peer` and connected to `here`, 0 where it is closed. Queries the kernel for this
/// one socket (sock_diag(7)): the table of all sockets is long on a busy machine.
#[cfg(target_os = "linux")]
fn inode(peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    use std::net::IpAddr;

    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    /// The size of a header in bytes.
    const HEADER: usize = 16;
    /// The offset of `idiag_inode` in the answer.
    const INODE: usize = HEADER + 68;
    let (IpAddr::V4(from), IpAddr::V4(to)) = (peer.ip(), here.ip()) else { return None };
    // struct inet_diag_req_v2: family, protocol, two bytes of padding, all states.
    let mut request = vec![2, 6, 0, 0];
    request.extend(u32::MAX.to_ne_bytes());
    // struct inet_diag_sockid: the ports and addresses as on the wire, any interface, no cookie.
    request.extend(peer.port().to_be_bytes());
    request.extend(here.port().to_be_bytes());
    for address in [from, to] {
        request.extend(address.octets());
        request.extend([0; 12]);
    }
    request.extend([0; 4]);
    request.extend([u8::MAX; 8]);
    // struct nlmsghdr.
    let mut message = ((HEADER + request.len()) as u32).to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(request);

    let kernel =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG)).ok()?;
    send(&kernel, &message, SendFlags::empty()).ok()?;
    let mut answer = [0; 1024];
    let (_, length) = recv(&kernel, &mut answer, RecvFlags::empty()).ok()?;
    let kind = u16::from_ne_bytes(answer[4..6].try_into().ok()?);
    let inode = answer[..length].get(INODE..INODE + 4).filter(|_| kind == SOCK_DIAG_BY_FAMILY)?;
    Some(u32::from_ne_bytes(inode.try_into().ok()?))
}

#[cfg(not(target_os = "linux"))]
fn inode(_peer: SocketAddr, _here: SocketAddr) -> Option<u32> {
    None
}

fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and can contain any character.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// Whether a process has a socket open; `None` where this is not permitted, as for executables with capabilities of their
/// own (ptrace(2), dumpable).
fn holds(pid: u32, socket: &str) -> Option<bool> {
    let files = match fs::read_dir(format!("/proc/{pid}/fd")) {
        // It has ended.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(false),
        files => files.ok()?,
    };
    Some(files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target == Path::new(socket)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_connection_is_matched_to_its_process_group() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        // The shell leads the group; it is its child that connects.
        let script = format!("(exec 3<>/dev/tcp/127.0.0.1/{}; echo >&3; sleep 600) & wait", here.port());
        let mut child = Command::new("bash").args(["-c", &script]).process_group(0).spawn().unwrap();
        let (mut stream, peer) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        assert_eq!(is_of_group(peer, here, child.id()), Some(true));
        let mut other = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        assert_eq!(is_of_group(peer, here, other.id()), Some(false));
        assert_eq!(is_of_group("127.0.0.1:1".parse().unwrap(), here, child.id()), None);
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
