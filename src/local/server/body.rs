//! The bodies of requests and answers: in memory, or on disk where they may be larger than that.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::local::console::Answer;
use crate::local::context::link::Link;
use crate::local::protocol::wire::{BodyFile, FilePart, Response, read_at};

/// How many bytes of a file are read or written at once.
const PIECE: usize = 256 << 10;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("its body stood still for too long")]
    Idle,
    #[error("it could not be written to disk: {0}")]
    Unwritten(#[from] io::Error),
}

/// Reads a body as fast as the link carries it; `None` where it is over `limit` bytes. The rest of a body that is too long
/// is read and discarded: a client that is still sending would not see the answer.
///
/// # Errors
/// A body that breaks off, or stands still for longer than `idle_timeout`.
pub async fn read(
    mut body: Incoming,
    limit: usize,
    link: &Link,
    idle_timeout: Option<Duration>,
) -> Result<Option<Bytes>, Unread> {
    let mut read = BytesMut::new();
    let mut fits = true;
    while let Some(data) = next(&mut body, link, idle_timeout).await? {
        fits &= read.len() + data.len() <= limit;
        if fits {
            read.extend_from_slice(&data);
        } else {
            read.clear();
        }
    }
    Ok(fits.then(|| read.freeze()))
}

/// As [`read`], into a file in `folder`.
///
/// # Errors
/// As [`read`], and a file that cannot be written.
pub async fn receive(
    mut body: Incoming,
    limit: usize,
    link: &Link,
    idle_timeout: Option<Duration>,
    folder: &Path,
) -> Result<Option<BodyFile>, Unread> {
    let (file, path) = NamedTempFile::new_in(folder)?.into_parts();
    let mut file = BufWriter::with_capacity(PIECE, tokio::fs::File::from_std(file));
    let (limit, mut size) = (limit as u64, 0);
    while let Some(data) = next(&mut body, link, idle_timeout).await? {
        size += data.len() as u64;
        if size <= limit {
            file.write_all(&data).await?;
        }
    }
    file.flush().await?;
    Ok((size <= limit).then_some(BodyFile { path, size }))
}

/// The next bytes of a body; `None` at its end.
async fn next(body: &mut Incoming, link: &Link, idle_timeout: Option<Duration>) -> Result<Option<Bytes>, Unread> {
    loop {
        let frame = match idle_timeout {
            Some(timeout) => tokio::time::timeout(timeout, body.frame()).await.map_err(|_| Unread::Idle)?,
            None => body.frame().await,
        };
        let Some(frame) = frame else { return Ok(None) };
        let Ok(data) = frame?.into_data() else { continue };
        if !link.buffers_bodies {
            link.carry(data.len()).await;
        }
        return Ok(Some(data));
    }
}

/// An answer as it is sent.
pub fn into_hyper(response: Response) -> Answer {
    let body = match response.file {
        None => Full::new(response.body).boxed_unsync(),
        Some(part) => of_file(part),
    };
    let mut answer = Answer::new(body);
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}

/// A body that is read as it is sent. One that cannot be read ends early, and the connection with it.
fn of_file(part: FilePart) -> crate::local::console::Body {
    let pieces = stream::unfold((part.file, part.start, part.length), async |(file, start, left)| {
        if left == 0 {
            return None;
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let piece = read_piece(Arc::clone(&file), start, length).await?;
        let read = piece.len() as u64;
        Some((Ok::<_, Infallible>(Frame::data(piece)), (file, start + read, left - read)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

async fn read_piece(file: Arc<File>, start: u64, length: usize) -> Option<Bytes> {
    let read = tokio::task::spawn_blocking(move || read_at(&file, start, length)).await;
    match read.map_err(io::Error::other).flatten() {
        Ok(piece) if !piece.is_empty() => Some(piece),
        Ok(_) => None,
        Err(error) => {
            tracing::error!("a file could not be read while it was sent: {error}");
            None
        }
    }
}
