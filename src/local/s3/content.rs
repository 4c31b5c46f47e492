//! The content of objects on its way in: out of the request's file (and out of the chunks in which SDKs send it), hashed, and held
//! against what the client says of it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::checksum::{Algorithm, Sum};
use super::error;
use crate::local::protocol::wire::{ApiError, Request};

/// How many bytes are read at once.
const PIECE: usize = 64 << 10;

/// The longest line between chunks: sizes, signatures, trailing headers.
const LONGEST_LINE: u64 = 8 << 10;

/// Content that lies on disk, and what is known of it.
#[derive(Debug)]
pub struct Content {
    pub size: u64,
    pub md5: [u8; 16],
    /// The checksum that the client sent or asked for, and its value in base64.
    pub checksum: Option<(Algorithm, String)>,
}

/// Writes the content of a request to the file `to`.
///
/// # Errors
/// Content that is not what its headers say; a file that cannot be read or written.
pub fn receive(request: &Request, to: &Path) -> Result<Content, ApiError> {
    // Nothing stays of what is refused.
    receive_into(request, to).inspect_err(|_| drop(fs::remove_file(to)))
}

fn receive_into(request: &Request, to: &Path) -> Result<Content, ApiError> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let hash = header("x-amz-content-sha256").or_else(|| request.query("X-Amz-Content-Sha256")).unwrap_or_default();
    let chunked = hash.starts_with("STREAMING-");
    let given = Algorithm::ALL.into_iter().find_map(|one| Some((one, header(one.header())?.to_owned())));
    let announced = header("x-amz-trailer").and_then(|name| Algorithm::of_header(name.trim()));
    let asked = header("x-amz-sdk-checksum-algorithm").and_then(Algorithm::named);
    let algorithm = given.as_ref().map(|(one, _)| *one).or(announced).or(asked);
    let mut hashes = Hashes::new(algorithm, !chunked && hash.len() == 64);
    let mut trailers = Vec::new();
    match &request.file {
        Some(body) if chunked => {
            let from = BufReader::with_capacity(PIECE, File::open(&body.path).map_err(error::broken)?);
            trailers = unchunk(from, &mut hashes, to)?;
        }
        // Its file becomes the object's.
        Some(body) => {
            hashes.read(File::open(&body.path).map_err(error::broken)?).map_err(error::broken)?;
            fs::rename(&body.path, to).map_err(error::broken)?;
        }
        None if chunked => trailers = unchunk(&request.body[..], &mut hashes, to)?,
        None => {
            hashes.add(&request.body);
            fs::write(to, &request.body).map_err(error::broken)?;
        }
    }
    let (content, sha256) = hashes.end();
    let trailing = trailers.into_iter().find_map(|(name, value)| Some((Algorithm::of_header(&name)?, value)));
    check(&content, sha256.as_deref(), hash, &header, given.or(trailing))?;
    Ok(content)
}

/// Holds content against what the client says of it.
fn check<'a>(
    content: &Content,
    sha256: Option<&str>,
    hash: &str,
    header: &impl Fn(&str) -> Option<&'a str>,
    sent: Option<(Algorithm, String)>,
) -> Result<(), ApiError> {
    if let Some(expected) = header("x-amz-decoded-content-length").and_then(|length| length.parse::<u64>().ok())
        && expected != content.size
    {
        let message = "You did not provide the number of bytes specified by the Content-Length HTTP header".to_owned();
        return Err(ApiError::new(400, "IncompleteBody", message));
    }
    if let Some(md5) = header("content-md5") {
        let sent = STANDARD.decode(md5).ok().filter(|sent| sent.len() == 16);
        let sent =
            sent.ok_or_else(|| ApiError::new(400, "InvalidDigest", "The Content-MD5 you specified was invalid."))?;
        if sent != content.md5 {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(ApiError::new(400, "BadDigest", message));
        }
    }
    if sha256.is_some_and(|found| !found.eq_ignore_ascii_case(hash)) {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(ApiError::new(400, "XAmzContentSHA256Mismatch", message));
    }
    if let (Some((algorithm, sent)), Some((_, found))) = (&sent, &content.checksum)
        && sent != found
    {
        let name = algorithm.name();
        let message = format!("The {name} you specified did not match the calculated checksum.");
        return Err(ApiError::new(400, "BadDigest", message));
    }
    Ok(())
}

/// What content is hashed to.
struct Hashes {
    size: u64,
    md5: md5::Context,
    sha256: Option<Sha256>,
    sum: Option<(Algorithm, Sum)>,
}

impl Hashes {
    fn new(algorithm: Option<Algorithm>, sha256: bool) -> Self {
        Self {
            size: 0,
            md5: md5::Context::new(),
            sha256: sha256.then(Sha256::new),
            sum: algorithm.map(|one| (one, one.sum())),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.md5.consume(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some((_, sum)) = &mut self.sum {
            sum.add(bytes);
        }
    }

    fn read(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            match from.read(&mut piece)? {
                0 => return Ok(()),
                read => self.add(&piece[..read]),
            }
        }
    }

    fn end(self) -> (Content, Option<String>) {
        let checksum = self.sum.map(|(algorithm, sum)| (algorithm, sum.end()));
        let content = Content { size: self.size, md5: self.md5.compute().0, checksum };
        (content, self.sha256.map(|sha256| hex::encode(sha256.finalize())))
    }
}

/// Writes content that came in chunks (`aws-chunked`) to a file, and gives the headers that came after it. Signatures of chunks
/// are not verified, as those of requests are not. (S3 API reference, "Signature Calculations for the Authorization Header:
/// Transferring Payload in Multiple Chunks".)
fn unchunk(mut from: impl BufRead, hashes: &mut Hashes, to: &Path) -> Result<Vec<(String, String)>, ApiError> {
    let cut = || ApiError::new(400, "IncompleteBody", "The request body terminated unexpectedly");
    let mut file = io::BufWriter::with_capacity(PIECE, File::create(to).map_err(error::broken)?);
    let mut piece = vec![0; PIECE];
    loop {
        let line = line(&mut from)?.ok_or_else(cut)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let mut left = u64::from_str_radix(size, 16).map_err(|_| cut())?;
        if left == 0 {
            break;
        }
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
            let read = from.read(&mut piece[..most]).map_err(error::broken)?;
            if read == 0 {
                return Err(cut());
            }
            hashes.add(&piece[..read]);
            file.write_all(&piece[..read]).map_err(error::broken)?;
            left -= read as u64;
        }
        // The line end after a chunk.
        if self::line(&mut from)?.is_none_or(|rest| !rest.is_empty()) {
            return Err(cut());
        }
    }
    file.flush().map_err(error::broken)?;
    let mut trailers = Vec::new();
    while let Some(line) = line(&mut from)?.filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Ok(trailers)
}

/// A line without its end; `None` at the end of the content.
fn line(from: &mut impl BufRead) -> Result<Option<String>, ApiError> {
    let mut line = Vec::new();
    let read = from.take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(error::broken)?;
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
}

/// Joins the contents of parts in the file `to`, and gives their sum.
///
/// # Errors
/// A file that cannot be read or written.
pub fn join<R: Read>(
    parts: impl Iterator<Item = io::Result<R>>,
    to: &Path,
    algorithm: Option<Algorithm>,
) -> io::Result<Content> {
    let mut file = File::create(to)?;
    let mut hashes = Hashes::new(algorithm, false);
    let mut piece = vec![0; PIECE];
    for part in parts {
        let mut from = part?;
        loop {
            let read = from.read(&mut piece)?;
            if read == 0 {
                break;
            }
            hashes.add(&piece[..read]);
            file.write_all(&piece[..read])?;
        }
    }
    Ok(hashes.end().0)
}

/// Copies a part of a file, and gives what is known of it. Nothing stays of what could not be copied.
///
/// # Errors
/// A file that cannot be read or written.
pub fn copy(
    mut from: impl Read + Seek,
    start: u64,
    length: u64,
    to: &Path,
    algorithm: Option<Algorithm>,
) -> Result<Content, ApiError> {
    let mut copied = || {
        from.seek(io::SeekFrom::Start(start))?;
        join(std::iter::once(Ok(Read::by_ref(&mut from).take(length))), to, algorithm)
    };
    copied().map_err(|error| {
        let _ = fs::remove_file(to);
        error::broken(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[(&'static str, &str)], body: &str) -> Result<(Content, String), ApiError> {
        let mut request = Request::in_test("PUT", "/b/k", body);
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("x");
        let content = receive(&request, &to)?;
        Ok((content, fs::read_to_string(to).unwrap()))
    }

    const TRAILER: (&str, &str) = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");

    #[test]
    fn chunks_are_put_together_and_their_trailing_checksum_is_held_against_them() {
        let body = "5;chunk-signature=ab\r\n12345\r\n4\r\n6789\r\n0\r\nx-amz-checksum-crc32: y/Q5Jg==\r\n\r\n";
        let length = ("x-amz-decoded-content-length", "9");
        let (content, text) = sent(&[TRAILER, length, ("x-amz-trailer", "x-amz-checksum-crc32")], body).unwrap();
        assert_eq!((content.size, text.as_str()), (9, "123456789"));
        assert_eq!(content.checksum, Some((Algorithm::Crc32, "y/Q5Jg==".to_owned())));
        let wrong = body.replace("y/Q5", "z/Q5");
        let error = sent(&[TRAILER, length, ("x-amz-trailer", "x-amz-checksum-crc32")], &wrong).unwrap_err();
        assert_eq!(error.code, "BadDigest");
        for cut in ["", "5\r\n1234", "5\r\n12345", "x\r\n", "5\r\n123456\r\n0\r\n\r\n"] {
            assert_eq!(sent(&[TRAILER], cut).unwrap_err().code, "IncompleteBody", "{cut:?}");
        }
        assert_eq!(sent(&[TRAILER, ("x-amz-decoded-content-length", "8")], body).unwrap_err().code, "IncompleteBody");
    }

    #[test]
    fn content_is_held_against_its_headers() {
        let sha256 = hex::encode(Sha256::digest(b"abc"));
        let good = [("x-amz-content-sha256", sha256.as_str()), ("content-md5", "kAFQmDzST7DWlj99KOF/cg==")];
        let (content, text) = sent(&good, "abc").unwrap();
        assert_eq!((hex::encode(content.md5).as_str(), text.as_str()), ("900150983cd24fb0d6963f7d28e17f72", "abc"));
        for (headers, code) in [
            (&[("content-md5", "kAFQmDzST7DWlj99KOF/cQ==")][..], "BadDigest"),
            (&[("content-md5", "x")], "InvalidDigest"),
            (&[("x-amz-content-sha256", &sha256.replace('b', "c"))], "XAmzContentSHA256Mismatch"),
            (&[("x-amz-checksum-sha256", "AAAA")], "BadDigest"),
        ] {
            assert_eq!(sent(headers, "abc").unwrap_err().code, code, "{headers:?}");
        }
    }
}
