//! Answers.

use std::io::{self, Write};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    code: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// The headers of every answer.
const HEADERS: [(&str, &str); 7] = [
    ("Connection", "close"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
];

/// The page.
pub fn page(html: &str, policy: &str) -> Answer {
    let policy = format!("{policy}; frame-ancestors 'none'");
    let headers = vec![
        ("Content-Type", "text/html; charset=utf-8".to_owned()),
        ("Content-Security-Policy", policy),
    ];
    Answer { code: 200, headers, body: html.as_bytes().to_vec() }
}

/// Data.
pub fn json(data: Vec<u8>) -> Answer {
    let headers = vec![("Content-Type", "application/json".to_owned())];
    Answer { code: 200, headers, body: data }
}

/// It cannot be.
pub fn failure(code: u16, text: &str) -> Answer {
    let mut headers = vec![
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Security-Policy", "default-src 'none'".to_owned()),
    ];
    if code == 405 {
        headers.push(("Allow", "GET".to_owned()));
    }
    Answer { code, headers, body: format!("{text}\n").into_bytes() }
}

impl Answer {
    /// Writes it.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.code, reason(self.code));
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in HEADERS.into_iter().chain(own) {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        to.write_all(head.as_bytes())?;
        to.write_all(&self.body)
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
