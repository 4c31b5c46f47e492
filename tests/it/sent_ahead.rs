//! Code that is sent ahead of its role, on lines that break: each function is created once, and nothing is worse than if its
//! request had been sent when the role could be assumed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::common::inventory::{Inventory, same};
use crate::common::{Cloud, DEPLOYER, Run, template};

/// Roles take long enough that all code is on its way before the first can be assumed.
const CONDITIONS: &str = "[eventual_s]\niam_role_assumable = 2.0\n[link]\nupload_mbit_s = 100\n";

/// What happens to connections that carry a `CreateFunction`.
#[derive(Debug, Clone, Copy)]
struct Break {
    /// After this many bytes of the request.
    after: usize,
    /// The answer before the connection is closed; empty for none.
    answer: &'static str,
    /// How often.
    times: usize,
}

const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
const TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// A line to the cloud that breaks; returns its address. It lives as long as the test's process.
fn line(cloud: &Cloud, how: Break) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (port, left) = (cloud.port(), Arc::new(AtomicUsize::new(how.times)));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, left) = (client.unwrap(), Arc::clone(&left));
            std::thread::spawn(move || {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                carry(client, server, how, &left);
            });
        }
    });
    address
}

/// Carries one connection's requests until it ends, or breaks.
fn carry(mut client: TcpStream, mut server: TcpStream, how: Break, left: &AtomicUsize) {
    // The bytes of the `CreateFunction` that the connection carries; a probe's are few.
    let mut create = None;
    let mut piece = vec![0; 4096];
    while let Ok(bytes @ 1..) = client.read(&mut piece) {
        let piece = &piece[..bytes];
        if piece.starts_with(b"POST /2015-03-31/functions HTTP") {
            create = Some(0);
        } else if piece.starts_with(b"GET ") || piece.starts_with(b"POST ") || piece.starts_with(b"PUT ") {
            create = None;
        }
        let before = create.unwrap_or_default();
        create = create.map(|sent| sent + bytes);
        if create.is_some_and(|sent| sent >= how.after)
            && left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
        {
            let _ = server.write_all(&piece[..how.after - before]);
            let _ = client.write_all(how.answer.as_bytes());
            // The client sees the answer and then the end; unread bytes would make it a reset.
            let _ = client.shutdown(Shutdown::Write);
            let _ = server.shutdown(Shutdown::Both);
            let _ = std::io::copy(&mut client, &mut std::io::sink());
            return;
        }
        if server.write_all(piece).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// A cloud with the chat template in its folder, with code of some size.
fn chat() -> Cloud {
    let cloud = Cloud::start().conditions(CONDITIONS).go();
    template::chat_without_handlers(&cloud);
    let mut random = StdRng::seed_from_u64(4);
    for handler in ["connect", "disconnect", "send-message", "default"] {
        let mut noise = vec![0_u8; 100_000];
        random.fill(&mut noise[..]);
        std::fs::write(cloud.folder().join("lambdas").join(handler).join("noise"), noise).unwrap();
    }
    cloud
}

fn up(cloud: &Cloud, endpoint: &str) -> Run {
    let mut command = cloud.command(&["up", "--yes", "--endpoint-url", endpoint]);
    command.envs([("AWS_ACCESS_KEY_ID", DEPLOYER), ("AWS_SECRET_ACCESS_KEY", DEPLOYER), ("AWS_REGION", "us-east-1")]);
    cloud.begin_command(&mut command).end()
}

#[tokio::test]
async fn functions_are_created_once_over_lines_that_break_anywhere() {
    let cloud = chat();
    let whole = {
        up(&cloud, &format!("http://127.0.0.1:{}", cloud.port())).ok();
        cloud.inventory().await
    };
    cloud.down();
    let mut random = StdRng::seed_from_u64(15);
    // In the head, in the code, and for good: then no request is whole but those that come after four are broken.
    let mut cases = vec![Break { after: 10, answer: "", times: 4 }, Break { after: 2000, answer: "", times: 8 }];
    for answer in [FORBIDDEN, TIMEOUT, UNAVAILABLE] {
        cases.push(Break { after: 60_000, answer, times: 4 });
    }
    cases.extend((0..5).map(|_| Break { after: random.random_range(5_000..134_000), answer: "", times: 4 }));
    for case in cases {
        let run = up(&cloud, &line(&cloud, case)).ok();
        let made = run.calls.iter().filter(|call| call.operation == "CreateFunction" && call.code.is_none());
        assert_eq!(made.count(), 4, "{case:?}");
        same(&cloud.inventory().await, &whole);
        cloud.down();
        same(&cloud.inventory().await, &Inventory::new());
    }
}
