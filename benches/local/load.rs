//! Loads the gateway of the local cloud with WebSocket clients. Only uses the standard library, so that the client costs as
//! little as possible: `rustc -O load.rs`.
//!
//! `load round-trips ADDRESS PATH CLIENTS SECONDS` prints how many messages a second were answered.
//! `load sockets ADDRESS PATH CLIENTS` opens this many connections, prints `open`, and keeps them until its input ends.

use std::env::args;
use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// A masked text frame of `{}`: it matches no route, so the gateway itself answers.
const MESSAGE: [u8; 8] = [0x81, 0x82, 0, 0, 0, 0, b'{', b'}'];

fn connect(address: &str, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// Reads one frame of a server: unmasked and, here, shorter than 64 kB.
fn read_frame(stream: &mut TcpStream) -> Result<()> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut length = usize::from(head[1]);
    if length == 126 {
        let mut longer = [0; 2];
        stream.read_exact(&mut longer)?;
        length = usize::from(u16::from_be_bytes(longer));
    }
    let mut payload = [0; 65_536];
    stream.read_exact(&mut payload[..length])
}

/// Every client has one message in flight; two threads share the clients.
fn round_trips(address: &str, path: &str, clients: usize, seconds: u64) -> Result<u64> {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let mut streams: Vec<TcpStream> = (0..clients / 2).map(|_| connect(address, path).unwrap()).collect();
            thread::spawn(move || -> Result<u64> {
                let mut answered = 0;
                while Instant::now() < until {
                    for stream in &mut streams {
                        stream.write_all(&MESSAGE)?;
                    }
                    for stream in &mut streams {
                        read_frame(stream)?;
                        answered += 1;
                    }
                }
                Ok(answered)
            })
        })
        .collect();
    let mut answered = 0;
    for thread in threads {
        answered += thread.join().unwrap()?;
    }
    Ok((answered as f64 / begun.elapsed().as_secs_f64()) as u64)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = args().collect();
    let (address, path) = (arguments[2].as_str(), arguments[3].as_str());
    let clients: usize = arguments[4].parse().unwrap();
    if arguments[1] == "round-trips" {
        println!("{}", round_trips(address, path, clients, arguments[5].parse().unwrap())?);
        return Ok(());
    }
    let held: Vec<TcpStream> = (0..clients).map(|_| connect(address, path)).collect::<Result<_>>()?;
    println!("open");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
