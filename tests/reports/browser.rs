//! Chromium without a window and without a network, driven by the DevTools protocol over a pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// The time that a busy machine may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page. It ends with the test.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    next: u64,
    session: Option<String>,
    /// Addresses that were asked for.
    pub requests: Vec<String>,
    /// The exceptions of scripts, and the complaints of the browser.
    pub complaints: Vec<String>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Starts it, with its profile in the sandbox.
    pub fn start(sandbox: &Sandbox) -> Browser {
        let profile = format!("--user-data-dir={}", sandbox.path().join("profile").display());
        // The protocol is spoken on descriptors 3 and 4.
        let script = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", "chromium", "--headless=new", "--no-sandbox"]);
        command.args(["--remote-debugging-pipe", "--disable-gpu", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-dev-shm-usage"]);
        command.args([
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &profile,
            "about:blank",
        ]);
        command.env("HOME", sandbox.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { return };
                let _ = sender.send(serde_json::from_slice(&message).unwrap());
            }
        });
        let mut browser = Browser {
            child,
            to,
            from,
            next: 0,
            session: None,
            requests: Vec::new(),
            complaints: Vec::new(),
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        let screen = json!({"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        browser.ask("Emulation.setDeviceMetricsOverride", screen);
        browser
    }

    /// Sends a command and waits for its result.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        self.to.write_all(&text).unwrap();
        loop {
            let found = self.from.recv_timeout(PATIENCE).expect("the browser answers");
            if found["id"] == json!(self.next) {
                assert!(found["error"].is_null(), "{method}: {found}");
                return found["result"].clone();
            }
            self.note(&found);
        }
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests.push(parameters["request"]["url"].as_str().unwrap().to_owned());
            }
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => {
                self.complaints.push(parameters.to_string());
            }
            _ => {}
        }
    }

    /// Opens a report from its file, with this fragment, and waits until it is drawn.
    pub fn open(&mut self, report: &Path, fragment: &str) {
        self.go(&format!("file://{}#{fragment}", report.canonicalize().unwrap().display()));
    }

    /// Opens an address, and waits until the page is drawn.
    pub fn go(&mut self, url: &str) {
        self.ask("Page.navigate", json!({"url": "about:blank"}));
        self.ask("Page.navigate", json!({ "url": url }));
        self.wait_for("document.documentElement.dataset.ready === 'yes'");
    }

    /// Waits until a condition holds in the page.
    pub fn wait_for(&mut self, condition: &str) {
        for _ in 0..1200 {
            let parameters = json!({"expression": condition, "returnByValue": true});
            if self.ask("Runtime.evaluate", parameters)["result"]["value"] == json!(true) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never: {condition}; {:?}", self.complaints);
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.ask("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// A number of the page.
    pub fn number(&mut self, expression: &str) -> f64 {
        let value = self.value(expression);
        value.as_f64().unwrap_or_else(|| panic!("{expression}: {value}"))
    }

    /// A text of the page.
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Moves the mouse with its button down from one point to the other, in CSS pixels.
    pub fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let middle = (from.0.midpoint(to.0), from.1.midpoint(to.1));
        let steps = [
            ("mouseMoved", from, 0),
            ("mousePressed", from, 1),
            ("mouseMoved", middle, 1),
            ("mouseMoved", to, 1),
            ("mouseReleased", to, 1),
        ];
        for (kind, (x, y), buttons) in steps {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Clicks into the middle of the first element that a selector finds.
    pub fn click(&mut self, selector: &str) {
        let middle = format!(
            "(() => {{ const box = document.querySelector({}).getBoundingClientRect();
                return [box.left + box.width / 2, box.top + box.height / 2]; }})()",
            json!(selector)
        );
        let middle = self.value(&middle);
        let point = (middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap());
        self.drag(point, point);
    }

    /// Presses a key.
    pub fn key(&mut self, key: &str) {
        let mut down = json!({"type": "keyDown", "key": key});
        if key.chars().count() == 1 {
            down["text"] = json!(key);
        }
        self.ask("Input.dispatchKeyEvent", down);
        self.ask("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
    }

    /// Types a text into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// Fails if the page has asked for anything but itself, or a script has failed.
    pub fn was_quiet(&self) {
        self.asked_only("file://");
    }

    /// Fails if the page has asked for what does not start so, or a script has failed.
    pub fn asked_only(&self, start: &str) {
        let known = |url: &String| url.starts_with(start) || url.starts_with("about:");
        assert!(self.requests.iter().all(known), "{:?}", self.requests);
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }
}
