//! Requests and answers. Nothing of an address is ever a path of a file.

use std::io::Cursor;

use tiny_http::{Header, Method, Request, Response};

use super::job::{Job, Newest};
use super::query;
use super::token::Token;

/// Who is let in: who asks this machine by its own name, knows the secret, and is no page of others.
pub struct Door {
    token: Token,
    hosts: [String; 2],
    newest: Newest,
}

impl Door {
    /// A door at this port.
    pub fn new(token: Token, port: u16) -> Door {
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        Door { token, hosts, newest: Newest::default() }
    }

    /// Which questions count.
    pub fn newest(&self) -> Newest {
        self.newest.clone()
    }

    /// Nobody is let in any more.
    pub fn close(&self) {
        self.newest.close();
    }

    /// What is to be done for a request; `None` if it has been answered.
    pub fn meet(&self, request: Request) -> Option<Job> {
        match self.job(&request) {
            Ok(Wish::Page) => Some(Job::Page(request)),
            Ok(Wish::Data(question)) => {
                let number = self.newest.ask(&question.page);
                Some(Job::Data(request, question, number))
            }
            Err((code, text)) => {
                failure(request, code, &text);
                None
            }
        }
    }

    fn job(&self, request: &Request) -> Result<Wish, (u16, String)> {
        let refuse = |text: &str| Err((403, text.to_owned()));
        let all = |name: &'static str| {
            let is = move |header: &&Header| header.field.equiv(name);
            request.headers().iter().filter(is).map(|header| header.value.as_str())
        };
        // A name of others that leads here is no name of this machine: DNS rebinding.
        let hosts: Vec<_> = all("Host").collect();
        if !matches!(hosts[..], [host] if self.hosts.iter().any(|it| it.eq_ignore_ascii_case(host)))
        {
            return refuse("this server has another name");
        }
        let is_own = |origin: &str| {
            origin.strip_prefix("http://").is_some_and(|it| self.hosts.iter().any(|own| own == it))
        };
        if !all("Origin").all(is_own) {
            return refuse("pages of others may not ask");
        }
        let (path, words) = request.url().split_once('?').unwrap_or((request.url(), ""));
        let (token, rest) =
            path.strip_prefix('/').and_then(|it| it.split_once('/')).unwrap_or_default();
        if !self.token.is(token) {
            return refuse("the address is not the one that mallook serve has printed");
        }
        // A link of others that knows the address opens the page, and no more.
        let is_of_others = all("Sec-Fetch-Site").any(|it| it != "same-origin" && it != "none");
        if is_of_others && !rest.is_empty() {
            return refuse("pages of others may not ask");
        }
        if *request.method() != Method::Get {
            return Err((405, "only GET is understood".to_owned()));
        }
        match rest {
            "" => Ok(Wish::Page),
            "data" => query::question(words).map(Wish::Data).map_err(|error| (400, error)),
            _ => Err((404, "there is nothing here".to_owned())),
        }
    }
}

enum Wish {
    Page,
    Data(query::Question),
}

/// What every answer says.
const HEADERS: [(&str, &str); 6] = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
];

/// Answers with the page.
pub fn page(request: Request, html: &str, policy: &str) {
    let policy = format!("{policy}; frame-ancestors 'none'");
    let more = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", &policy)];
    respond(request, 200, html.as_bytes().to_vec(), &more);
}

/// Answers with data.
pub fn json(request: Request, data: Vec<u8>) {
    respond(request, 200, data, &[("Content-Type", "application/json")]);
}

/// Answers that it cannot be.
pub fn failure(request: Request, code: u16, text: &str) {
    let text = format!("{text}\n").into_bytes();
    let more = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Security-Policy", "default-src 'none'"),
    ];
    respond(request, code, text, &more);
}

fn respond(request: Request, code: u16, body: Vec<u8>, more: &[(&str, &str)]) {
    let headers = HEADERS.iter().chain(more);
    let headers = headers.filter_map(|(name, value)| Header::from_bytes(*name, *value).ok());
    let length = body.len();
    let response =
        Response::new(code.into(), headers.collect(), Cursor::new(body), Some(length), None);
    // The browser may have gone away.
    let _ = request.respond(response);
}
