//! Connections, each of which has a thread, and is closed when its request is answered.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::door::{Door, Wish};
use super::head::Head;
use super::http::{self, Answer};
use super::job::Job;

/// Connections of those who are not let in yet, or never will be. When another one comes, the oldest of
/// these is closed.
const MOST_STRANGERS: usize = 64;
/// Connections of those who are let in.
const MOST_GUESTS: usize = 64;
/// All of them, and those that were closed and whose threads have not ended.
const MOST: usize = MOST_STRANGERS + MOST_GUESTS + 64;
/// How long a request may take to come.
const COMES: Duration = Duration::from_secs(10);
/// How long nothing of an answer may be taken.
const TAKES: Duration = Duration::from_secs(30);
/// How long an answer has time to arrive before the connection is closed, whose unread rest makes the
/// system take the answer back.
const ARRIVES: Duration = Duration::from_secs(1);
/// Time to the next attempt where no connection can be accepted.
const AGAIN: Duration = Duration::from_millis(100);

/// The connections, and who is let in.
struct Connections {
    door: Door,
    jobs: Sender<Job>,
    open: Mutex<Open>,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Open {
    threads: usize,
    guests: usize,
    /// By number, the oldest one first.
    strangers: VecDeque<(u64, TcpStream)>,
}

/// Accepts connections for ever, and hands on what is to be done for who is let in.
pub fn accept(listener: &TcpListener, door: Door, jobs: Sender<Job>) {
    let all = Connections { door, jobs, open: Mutex::default(), ended: Condvar::new() };
    let all = Arc::new(all);
    for number in 0.. {
        let stream = listener.accept().and_then(|(stream, _)| Ok((stream.try_clone()?, stream)));
        let Ok((stranger, stream)) = stream else {
            thread::sleep(AGAIN);
            continue;
        };
        all.begin(number, stranger);
        let of_thread = Arc::clone(&all);
        let work = move || {
            of_thread.serve(number, &stream);
            of_thread.end(number);
        };
        if thread::Builder::new().spawn(work).is_err() {
            all.end(number);
        }
    }
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more has come. The threads of those that are closed end soon.
    fn begin(&self, number: u64, stream: TcpStream) {
        let mut open = self.open();
        open.strangers.push_back((number, stream));
        if open.strangers.len() > MOST_STRANGERS
            && let Some((_, oldest)) = open.strangers.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
        while open.threads >= MOST {
            open = self.ended.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        open.threads += 1;
    }

    fn end(&self, number: u64) {
        let mut open = self.open();
        open.strangers.retain(|stranger| stranger.0 != number);
        open.threads -= 1;
        self.ended.notify_one();
    }

    /// Lets one in, if there is room.
    fn let_in(&self, number: u64) -> bool {
        let mut open = self.open();
        let has_room = open.guests < MOST_GUESTS;
        if has_room {
            open.guests += 1;
            open.strangers.retain(|stranger| stranger.0 != number);
        }
        has_room
    }

    /// Reads the request of a connection, and answers.
    fn serve(&self, number: u64, stream: &TcpStream) {
        let wish = match Head::read(stream, Instant::now() + COMES) {
            Ok(head) => self.door.meet(&head),
            Err(Some(code)) => Err((code, "this is no request that is understood".to_owned())),
            Err(None) => return,
        };
        match wish {
            Ok(wish) if self.let_in(number) => {
                if let Some(answer) = self.ask(wish) {
                    put(stream, &answer);
                }
                self.open().guests -= 1;
            }
            Ok(_) => put(stream, &http::failure(503, "too many questions at once")),
            Err((code, text)) => put(stream, &http::failure(code, &text)),
        }
    }

    /// Waits for the answer of the worker.
    fn ask(&self, wish: Wish) -> Option<Answer> {
        let (reply, answer) = channel();
        let job = match wish {
            Wish::Page => Job::Page(reply),
            Wish::Data(question) => {
                let number = self.door.newest().ask(&question.page);
                Job::Data(reply, question, number)
            }
        };
        self.jobs.send(job).ok()?;
        answer.recv().ok()
    }
}

/// Writes an answer, and waits until it has arrived: nothing that comes after the request is looked at.
fn put(mut stream: &TcpStream, answer: &Answer) {
    // The browser may have gone away.
    let is_set = stream.set_write_timeout(Some(TAKES));
    if is_set.and_then(|()| answer.write(stream)).is_err() {
        return;
    }
    let _ = stream.shutdown(Shutdown::Write);
    let (deadline, mut rest) = (Instant::now() + ARRIVES, [0; 1 << 12]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_set = left.is_zero() || stream.set_read_timeout(Some(left)).is_err();
        if is_set || !matches!(stream.read(&mut rest), Ok(1..)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::Ipv4Addr;
    use std::sync::mpsc::Receiver;

    use super::*;
    use crate::serve::token::Token;

    /// The time that a busy machine may take.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A server without a worker: its port, the secret, and what is to be done.
    fn server() -> (u16, String, Receiver<Job>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let token = Token::new().unwrap();
        let text = token.text().to_owned();
        let (sender, jobs) = channel();
        thread::spawn(move || accept(&listener, Door::new(token, port), sender));
        (port, text, jobs)
    }

    fn connect(port: u16) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Asks for the page.
    fn ask(port: u16, token: &str) -> TcpStream {
        let mut stream = connect(port);
        let request = format!("GET /{token}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn reply(jobs: &Receiver<Job>, html: &str) {
        let Ok(Job::Page(reply)) = jobs.recv_timeout(PATIENCE) else { panic!("no page is wanted") };
        reply.send(http::page(html, "")).unwrap();
    }

    fn read(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn who_does_not_read_the_answer_holds_up_nobody() {
        let (port, token, jobs) = server();
        // More than the system keeps for a connection.
        let idle = ask(port, &token);
        reply(&jobs, &"x".repeat(1 << 26));
        let other = ask(port, &token);
        reply(&jobs, "short");
        assert!(read(other).ends_with("\r\n\r\nshort"));
        assert!(read(idle).ends_with("xxx"));
    }

    #[test]
    fn the_oldest_silent_connection_makes_room() {
        let (port, token, jobs) = server();
        let mut silent: Vec<_> = (0..2 * MOST_STRANGERS).map(|_| connect(port)).collect();
        for stream in &mut silent {
            // It may be closed already.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost:");
        }
        let asked = ask(port, &token);
        reply(&jobs, "short");
        assert!(read(asked).ends_with("short"));
        // Closed without a word, or with the rest unread.
        let mut text = Vec::new();
        let end = silent[0].read_to_end(&mut text);
        assert!(
            text.is_empty()
                && !matches!(end, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        );
    }

    #[test]
    fn guests_are_counted() {
        let (port, token, jobs) = server();
        let mut guests = Vec::new();
        for _ in 0..MOST_GUESTS {
            let guest = ask(port, &token);
            guests.push((guest, jobs.recv_timeout(PATIENCE).unwrap()));
        }
        assert!(read(ask(port, &token)).starts_with("HTTP/1.1 503 "));
        for (guest, job) in guests {
            let Job::Page(reply) = job else { panic!("no page is wanted") };
            reply.send(http::page("short", "")).unwrap();
            assert!(read(guest).ends_with("short"));
        }
    }
}
