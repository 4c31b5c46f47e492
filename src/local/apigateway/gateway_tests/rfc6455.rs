//! Tests of RFC 6455 frame by frame: bytes that no client library would send, and the required close code.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// How many cases must be answered as the RFC requires.
const FLOOR: usize = 51;

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A masked frame with `first` as its first byte (FIN, RSV, opcode).
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut bytes = vec![first];
    match u8::try_from(length) {
        Ok(short) if short < 126 => bytes.push(0x80 | short),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}

/// A name, what is sent, the code of the close frame that answers it (1005: one without a code).
fn cases() -> Vec<(String, Vec<u8>, u16)> {
    let mut cases: Vec<(String, Vec<u8>, u16)> = Vec::new();
    let mut case = |name: &str, sent: Vec<u8>, code: u16| cases.push((name.to_owned(), sent, code));
    for rsv in [0x40, 0x20, 0x10, 0x70] {
        case(&format!("RSV bits {rsv:#x}"), frame(0x81 | rsv, b"x"), 1002);
    }
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        case(&format!("reserved opcode {opcode:#x}"), frame(0x80 | opcode, b""), 1002);
    }
    case("an unmasked text frame", vec![0x81, 1, b'x'], 1002);
    case("an unmasked ping", vec![0x89, 0], 1002);
    for (name, opcode) in [("close", 0x8), ("ping", 0x9), ("pong", 0xa)] {
        case(&format!("a fragmented {name}"), frame(opcode, b""), 1002);
        case(&format!("a {name} of 126 bytes"), frame(0x80 | opcode, &[b'x'; 126]), 1002);
    }
    case("a continuation of nothing", frame(0x80, b"x"), 1002);
    case("a first fragment that continues nothing", frame(0x00, b"x"), 1002);
    case("a text frame inside a fragmented message", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002);
    case("a close with a body of one byte", frame(0x88, b"x"), 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        case(&format!("the close code {code}"), close(code, b""), 1002);
    }
    case("bad UTF-8 in a close reason", close(1000, &[0xff]), 1007);
    case("bad UTF-8 in a text frame", frame(0x81, &[0xc3, 0x28]), 1007);
    case("bad UTF-8 across two fragments", [frame(0x01, &[0xc3]), frame(0x80, &[0x28])].concat(), 1007);
    case("a character cut off at the end", [frame(0x01, b"a"), frame(0x80, &[0xc3])].concat(), 1007);
    case("a surrogate", frame(0x81, &[0xed, 0xa0, 0x80]), 1007);
    // Valid frames, so that a gateway that closes every connection does not pass.
    case("a close without a code", frame(0x88, b""), 1005);
    for code in [1000, 1001, 1003, 1007, 1011, 3000, 4999] {
        case(&format!("the close code {code}"), close(code, b"bye"), code);
    }
    let split = [frame(0x01, &[0xc3]), frame(0x89, &[b'p'; 125]), frame(0x80, &[0xa4]), close(1000, b"")].concat();
    case("a character in two fragments around a ping", split, 1000);
    case("a binary message", frame(0x82, b"x"), 1003);
    cases
}

/// Sends a raw handshake; returns the socket and the answer's head.
async fn handshake(cloud: &Cloud, line: &str, headers: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(cloud.address).await.unwrap();
    let line = line.replace("PATH", &format!("/{}/prod", cloud.api));
    socket.write_all(format!("{line}\r\nhost: x\r\n{headers}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if within(socket.read(&mut byte)).await.unwrap() == 0 {
            break;
        }
        head.push(byte[0]);
    }
    (socket, String::from_utf8(head).unwrap())
}

fn upgrade(key: &str) -> String {
    format!("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n")
}

/// The code of the final close frame; `None` where the connection ends without one.
async fn closed(socket: &mut TcpStream) -> Option<u16> {
    let mut answered = Vec::new();
    let _ = within(socket.read_to_end(&mut answered)).await;
    let mut rest = &answered[..];
    // Nothing in these answers is longer than a control frame.
    while let [first, length, tail @ ..] = rest {
        let (payload, after) = tail.split_at_checked((*length).into())?;
        if *first == 0x88 {
            return Some(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)));
        }
        rest = after;
    }
    None
}

#[tokio::test]
async fn every_frame_is_answered_as_the_rfc_says() {
    let cloud = Cloud::new(&[("$default", "silent", false)], echo).await;
    let (cases, mut right) = (cases(), 0);
    for (name, sent, code) in &cases {
        let (mut socket, head) = handshake(&cloud, "GET PATH HTTP/1.1", &upgrade(&STANDARD.encode([7; 16]))).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        for byte in sent {
            // The gateway may have closed before the last byte.
            if socket.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        let seen = closed(&mut socket).await;
        if seen == Some(*code) {
            right += 1;
        } else {
            eprintln!("RFC 6455: {name}: {seen:?} instead of {code}");
        }
    }
    eprintln!("RFC 6455: {right} of {} cases are answered as the RFC says", cases.len());
    assert!(right >= FLOOR, "{right} of {} cases", cases.len());
}

#[tokio::test]
async fn only_a_handshake_of_the_rfc_is_answered_with_101() {
    let cloud = Cloud::new(&[("$default", "silent", false)], echo).await;
    let key = STANDARD.encode([7; 16]);
    let long = format!("{}x-long: {}\r\n", upgrade(&key), "x".repeat(10_240));
    for (line, headers, status) in [
        ("GET PATH HTTP/1.1", upgrade(&key), "101"),
        ("POST PATH HTTP/1.1", upgrade(&key), "400"),
        ("GET PATH HTTP/1.0", upgrade(&key), "400"),
        ("GET PATH HTTP/1.1", upgrade("x"), "400"),
        ("GET PATH HTTP/1.1", upgrade(&STANDARD.encode([7; 15])), "400"),
        ("GET PATH HTTP/1.1", upgrade(&STANDARD.encode([7; 17])), "400"),
        ("GET PATH HTTP/1.1", upgrade(&key).replace("13", "8"), "400"),
        ("GET PATH HTTP/1.1", long, "431"),
    ] {
        let (_socket, head) = handshake(&cloud, line, &headers).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{line} {headers:.200}");
    }
}
