//! Servers under load answer as they do without the library; they listen on sockets in their
//! sandboxes.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::hosts::check_traces;
use crate::sandbox::{Host, Sandbox, have, setup, wait_for};

/// A server that is ended with the test, whatever happens.
pub struct Server(Child);

impl Server {
    /// Starts it, and waits until its socket is there.
    pub fn start(host: Host, socket: &Path) -> Server {
        let mut host = host;
        host.command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Server(host.command.spawn().unwrap());
        wait_for("the socket of the server", || {
            assert!(server.0.try_wait().unwrap().is_none(), "the server has ended");
            UnixStream::connect(socket).ok()
        });
        server
    }

    /// Asks it to end, and waits for that.
    pub fn stop(mut self, signal: i32) {
        // SAFETY: our own child, which has not been waited for.
        unsafe { libc::kill(self.0.id() as i32, signal) };
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a client of the server to its end.
pub fn client(program: &str, socket: &Path, arguments: &[&str]) -> Output {
    let flag = if program == "curl" { "--unix-socket" } else { "-s" };
    let output = Command::new(program).arg(flag).arg(socket).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// A server that listens on this socket.
pub fn redis_server<'a>(sandbox: &'a Sandbox, socket: &Path) -> Host<'a> {
    let host = sandbox.command("redis-server").args(["--port", "0", "--save", ""]);
    host.args(["--appendonly", "no", "--unixsocket"]).arg(socket)
}

#[test]
fn redis() {
    if !have("redis", &["redis-server", "redis-benchmark", "redis-cli"]) {
        return;
    }
    let sandbox = setup("redis");
    let socket = sandbox.path().join("socket");
    let serve = |sandbox: &Sandbox, preloaded: bool| -> String {
        let host = redis_server(sandbox, &socket);
        let server = Server::start(if preloaded { host.preloaded() } else { host }, &socket);
        let tests = ["-q", "-n", "4000", "-P", "8", "-t", "set,get,lpush,lrange_100,hset"];
        client("redis-benchmark", &socket, &tests);
        let script = "for i = 1, 2000 do redis.call('set', 'k' .. i, string.rep('v', i)) end
            return redis.call('dbsize')";
        client("redis-cli", &socket, &["flushall"]);
        let answer = client("redis-cli", &socket, &["eval", script, "0"]);
        // A child writes this: a fork under load.
        client("redis-cli", &socket, &["bgsave"]);
        server.stop(libc::SIGTERM);
        String::from_utf8(answer.stdout).unwrap()
    };
    assert_eq!(serve(&sandbox, false), "2000\n");
    assert_eq!(serve(&sandbox, true), "2000\n");
    check_traces(&sandbox, &sandbox.traces("trace"));
}

/// A server of a page, with two workers, that listens on `socket` in the sandbox.
pub fn nginx_server(sandbox: &Sandbox) -> Host<'_> {
    sandbox.file("page.html", "page\n".repeat(3_000));
    let here = sandbox.path().display();
    // SAFETY: asks who we are.
    let root = unsafe { libc::getuid() } == 0;
    let user = if root { "user root;" } else { "" };
    let configuration = format!(
        "daemon off; master_process on; worker_processes 2; {user} pid {here}/pid;
        error_log {here}/log; events {{ worker_connections 64; }}
        http {{
            access_log off; gzip on; gzip_types text/html; default_type text/html;
            client_body_temp_path {here}/b; proxy_temp_path {here}/p; fastcgi_temp_path {here}/f;
            uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;
            server {{ listen unix:{here}/socket; root {here}; }}
        }}"
    );
    let configuration = sandbox.file("nginx.conf", configuration);
    let host = sandbox.command("nginx").args(["-e", "stderr", "-c"]).arg(&configuration);
    host.env("PATH", "/usr/sbin:/usr/bin:/bin")
}

#[test]
fn nginx() {
    if !have("nginx", &["nginx", "curl"]) {
        return;
    }
    let sandbox = setup("nginx");
    let socket = sandbox.path().join("socket");
    let serve = |preloaded: bool| -> Vec<u8> {
        let host = nginx_server(&sandbox);
        let server = Server::start(if preloaded { host.preloaded() } else { host }, &socket);
        let urls = ["-s", "--compressed", "http://localhost/page.html?[1-300]"];
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let socket = socket.clone();
                std::thread::spawn(move || client("curl", &socket, &urls).stdout)
            })
            .collect();
        let answers = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        server.stop(libc::SIGQUIT);
        answers
    };
    let alone = serve(false);
    assert_eq!(alone.len(), 2 * 300 * 15_000);
    assert!(serve(true) == alone, "the answers differ");
    let infos = check_traces(&sandbox, &sandbox.traces("trace"));
    assert_eq!(infos.len(), 3, "the master and two workers: {infos:?}");
}
