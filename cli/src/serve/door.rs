//! Who is let in. Nothing of an address is ever a path of a file.

use super::head::Head;
use super::job::Newest;
use super::query::{self, Question};
use super::token::Token;

/// Who is let in: who asks this machine by its own name, knows the secret, and is no page of others.
pub struct Door {
    token: Token,
    hosts: [String; 2],
    newest: Newest,
}

/// The wish of whoever is let in.
#[derive(Debug)]
pub enum Wish {
    /// The page.
    Page,
    /// Data.
    Data(Question),
}

impl Door {
    /// A door at this port.
    pub fn new(token: Token, port: u16) -> Door {
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        Door { token, hosts, newest: Newest::default() }
    }

    /// Which questions count.
    pub fn newest(&self) -> &Newest {
        &self.newest
    }

    /// The wish of a request; an error is the status and the reason.
    pub fn meet(&self, head: &Head) -> Result<Wish, (u16, String)> {
        let refuse = |text: &str| Err((403, text.to_owned()));
        // A name of others that leads here is no name of this machine: DNS rebinding.
        let hosts: Vec<_> = head.all("Host").collect();
        if !matches!(hosts[..], [host] if self.hosts.iter().any(|it| it.eq_ignore_ascii_case(host)))
        {
            return refuse("this server has another name");
        }
        let is_own = |origin: &str| {
            origin.strip_prefix("http://").is_some_and(|it| self.hosts.iter().any(|own| own == it))
        };
        if !head.all("Origin").all(is_own) {
            return refuse("pages of others may not ask");
        }
        let (path, words) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let (token, rest) =
            path.strip_prefix('/').and_then(|it| it.split_once('/')).unwrap_or_default();
        if !self.token.is(token) {
            return refuse("the address is not the one that mallook serve has printed");
        }
        // A link of others that knows the address opens the page, and no more.
        let is_of_others = head.all("Sec-Fetch-Site").any(|it| it != "same-origin" && it != "none");
        if is_of_others && !rest.is_empty() {
            return refuse("pages of others may not ask");
        }
        if head.method != "GET" {
            return Err((405, "only GET is understood".to_owned()));
        }
        match rest {
            "" => Ok(Wish::Page),
            "data" => query::question(words).map(Wish::Data).map_err(|error| (400, error)),
            _ => Err((404, "there is nothing here".to_owned())),
        }
    }
}
