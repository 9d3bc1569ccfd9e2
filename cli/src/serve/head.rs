//! The head of a request: its first line and its headers. Nothing behind them is read.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes of a head at the most. Browsers send the cookies of every server of this machine.
const MOST: usize = 1 << 15;
/// Headers at the most.
const MOST_HEADERS: usize = 100;

/// A head.
#[derive(Debug)]
pub struct Head {
    /// The action on the target.
    pub method: String,
    /// The address that is asked for.
    pub target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head that is there by then; an error is the status that says what is wrong, or none if
    /// nobody is there any more.
    pub fn read(mut stream: &TcpStream, deadline: Instant) -> Result<Head, Option<u16>> {
        let (mut text, mut piece) = (Vec::new(), [0; 1 << 10]);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                return Err(Some(408));
            }
            stream.set_read_timeout(Some(left)).map_err(|_| None)?;
            let count = match stream.read(&mut piece) {
                Ok(0) => return Err(None),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Some(408)),
                Err(_) => return Err(None),
            };
            // The empty line may have begun in what was there before.
            let looked_at = text.len().saturating_sub(3);
            text.extend_from_slice(&piece[..count]);
            if text.len() > MOST {
                return Err(Some(431));
            }
            let rest = &text[looked_at..];
            if rest.windows(2).any(|it| it == b"\n\n") || rest.windows(3).any(|it| it == b"\n\r\n")
            {
                return Head::of(&text).ok_or(Some(400));
            }
        }
    }

    /// The head that a text starts with.
    fn of(text: &[u8]) -> Option<Head> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        if !request.parse(text).ok()?.is_complete() {
            return None;
        }
        let header = |it: &httparse::Header| {
            (it.name.to_owned(), String::from_utf8_lossy(it.value).into_owned())
        };
        Some(Head {
            method: request.method?.to_owned(),
            target: request.path?.to_owned(),
            headers: request.headers.iter().map(header).collect(),
        })
    }

    /// The values of all headers of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let is = move |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(is).map(|header| header.1.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = Head::of(b"GET /a?b HTTP/1.1\r\nHost: one\r\nhost:two \r\n\r\nrest").unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/a?b"));
        assert_eq!(head.all("HOST").collect::<Vec<_>>(), ["one", "two"]);
        let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
        let wrong = ["\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "\0 / HTTP/1.1\r\n\r\n"];
        let wrong = wrong.map(str::to_owned).into_iter();
        for text in wrong.chain([format!("GET / HTTP/1.1\r\n{many}\r\n")]) {
            assert!(Head::of(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
