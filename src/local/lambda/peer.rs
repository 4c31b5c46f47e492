//! Which process is at the other end of a connection over loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Whether the peer of a connection is a process of a group; `None` where the system does not tell, which it does on Linux
/// alone.
pub fn is_of_group(peer: SocketAddr, here: SocketAddr, group: u32) -> Option<bool> {
    let inode = inode(peer, here)?;
    if inode == 0 {
        // It has hung up already, and takes no answer.
        return Some(false);
    }
    let socket = format!("socket:[{inode}]");
    // The leader is nearly always the one, then what it has started; what has left that line of descent is sought last.
    let leader = std::iter::once(group);
    let line = std::iter::once_with(|| line_of(group)).flatten();
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

/// All that descend from a process, by their parents as they are now.
fn line_of(pid: u32) -> Vec<u32> {
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

/// The number of the socket that is bound to `peer` and connected to `here`, 0 for one that is closed. The kernel is asked for
/// that one alone (sock_diag(7)): its table of all is long on a busy machine.
#[cfg(target_os = "linux")]
fn inode(peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    use std::net::IpAddr;

    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    /// Of a header, in bytes.
    const HEADER: usize = 16;
    /// Where `idiag_inode` stands in the answer, behind the header.
    const INODE: usize = HEADER + 68;
    let (IpAddr::V4(from), IpAddr::V4(to)) = (peer.ip(), here.ip()) else { return None };
    // struct inet_diag_req_v2: family, protocol, two bytes of nothing, all states.
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
    // The name, which can hold anything, is in parentheses.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// Whether a process has a socket open; `None` where the system does not let us look: it is so with executables that have
/// capabilities of their own (ptrace(2), dumpable).
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
    fn a_connection_is_its_process_group_s() {
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
