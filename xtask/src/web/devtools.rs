//! A browser, told what to do over the DevTools protocol: JSON messages through two named pipes, so that no port is open and no
//! other program is needed.
//!
//! This knows messages, sessions and what the console says; it knows no page.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a browser may take over one answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page.
pub(super) struct Browser {
    process: Child,
    commands: File,
    messages: Receiver<Value>,
    /// Where its profile and the pipes are.
    folder: PathBuf,
    session: Option<String>,
    number: u64,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts a program that speaks the protocol, with a profile of its own that is gone afterwards.
    pub(super) fn start(program: &Path, options: &[&str], folder: &Path) -> Result<Browser, String> {
        let failed = |error: std::io::Error| format!("{} cannot be started: {error}", program.display());
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(failed)?;
        }
        std::fs::create_dir_all(folder).map_err(failed)?;
        let (towards, from) = (folder.join("commands"), folder.join("answers"));
        super::toolchain::run(Command::new("mkfifo").arg(&towards).arg(&from))?;
        // Opened to read and to write, a pipe lets nobody wait for the other end.
        let both_ways = |path: &Path| OpenOptions::new().read(true).write(true).open(path).map_err(failed);
        let (commands, answers) = (both_ways(&towards)?, both_ways(&from)?);
        // The protocol's pipes are the file descriptors 3 and 4, which a shell can give to a program.
        let process = Command::new("sh")
            .args([
                "-c",
                "program=$1 towards=$2 from=$3; shift 3; exec \"$program\" \"$@\" 3<>\"$towards\" 4<>\"$from\"",
                "sh",
            ])
            .args([program, &towards, &from])
            .args(["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-extensions"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .args(options)
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log")).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            loop {
                let mut message = Vec::new();
                if answers.read_until(0, &mut message).is_err() || message.pop().is_none() {
                    return;
                }
                // What is no JSON would be a question that gets no answer, which is told by its time.
                if serde_json::from_slice(&message).is_ok_and(|message: Value| send.send(message).is_err()) {
                    return;
                }
            }
        });
        let folder = folder.to_owned();
        let mut browser =
            Browser { process, commands, messages, folder, session: None, number: 0, complaints: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }))?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Calls a method of the protocol and waits for its answer.
    pub(super) fn call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).map_err(|error| format!("the browser cannot be told {method}: {error}"))?;
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = match self.messages.recv_timeout(Duration::from_millis(500)) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    if let Ok(Some(status)) = self.process.try_wait() {
                        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                        let end: Vec<&str> = log.lines().rev().take(5).collect();
                        return Err(format!("the browser has ended ({status}): {}", end.join(" | ")));
                    }
                    if Instant::now() > until {
                        return Err(format!("{method} had no answer within {} s", PATIENCE.as_secs()));
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Err("the browser says no more".to_owned()),
            };
            self.note(&answer);
            if answer["id"].as_u64() == Some(self.number) {
                return match answer.get("error") {
                    Some(error) => Err(format!("{method}: {error}")),
                    None => Ok(answer["result"].clone()),
                };
            }
        }
    }

    /// The value of a script; of a promise, what it gives.
    pub(super) fn evaluate(&mut self, script: &str) -> Result<Value, String> {
        let parameters =
            json!({ "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.call("Runtime.evaluate", parameters)?;
        match answer.get("exceptionDetails") {
            Some(exception) => {
                let thrown = exception["exception"]["description"].as_str().or(exception["text"].as_str());
                Err(format!("{script}: {}", thrown.unwrap_or("it threw")))
            }
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Waits until a script says true.
    pub(super) fn wait_until(&mut self, script: &str, most: Duration) -> Result<(), String> {
        let start = Instant::now();
        while self.evaluate(script)? != Value::Bool(true) {
            if start.elapsed() > most {
                let status = self.evaluate("document.getElementById('status')?.textContent ?? ''")?;
                return Err(format!("not within {} s: {script}; the page says {status}", most.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        Ok(())
    }

    /// Goes to an address and waits until it is loaded.
    pub(super) fn go(&mut self, address: &str) -> Result<(), String> {
        let answer = self.call("Page.navigate", json!({ "url": address }))?;
        if let Some(error) = answer["errorText"].as_str() {
            return Err(format!("{address}: {error}"));
        }
        self.wait_until("document.readyState === 'complete' && location.href !== 'about:blank'", PATIENCE)
    }

    /// What the console has complained of since it was asked last: errors, and exceptions that nobody caught.
    pub(super) fn complaints(&mut self) -> Result<Vec<String>, String> {
        // What was said before this answer has arrived before it.
        self.evaluate("0")?;
        Ok(std::mem::take(&mut self.complaints))
    }

    /// The processes of this browser.
    pub(super) fn processes(&self) -> Vec<u32> {
        let profile = self.folder.join("profile").display().to_string();
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_ours = |number: &u32| {
            let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&profile)
        };
        let mut found: Vec<u32> = numbers.filter(is_ours).collect();
        // Most of them are named by their parents alone.
        let mut place = 0;
        while let Some(parent) = found.get(place).copied() {
            let children =
                std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|child| child.parse().ok());
            for child in children {
                if !found.contains(&child) {
                    found.push(child);
                }
            }
            place += 1;
        }
        found
    }

    /// Keeps what is an error of the page.
    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                let details = &parameters["exceptionDetails"];
                details["exception"]["description"].as_str().or(details["text"].as_str()).map(str::to_owned)
            }
            Some("Runtime.consoleAPICalled") if parameters["type"] == "error" => {
                let words = parameters["args"].as_array().into_iter().flatten();
                let words = words.filter_map(|word| word["value"].as_str().or(word["description"].as_str()));
                Some(words.collect::<Vec<_>>().join(" "))
            }
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                Some(format!("{} {}", parameters["entry"]["text"], parameters["entry"]["url"]))
            }
            Some(_) | None => None,
        };
        self.complaints.extend(complaint);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its own processes when it is asked to; killed, it would leave them behind.
        self.session = None;
        let _ = self.call("Browser.close", json!({}));
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
