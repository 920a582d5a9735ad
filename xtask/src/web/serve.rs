//! A server of static files, for browsers on this machine: a page needs `http`, and WebGPU an address of this machine or `https`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread::JoinHandle;

/// A server that runs as long as the program.
pub(super) struct Server {
    port: u16,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves a folder on a port; 0 takes any that is free.
    pub(super) fn start(folder: &Path, port: u16) -> Result<Server, String> {
        let unusable = |error: std::io::Error| format!("port {port} cannot be served: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        let folder = folder.to_owned();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                // A browser that goes away in the middle is no mistake of ours.
                std::thread::spawn(move || answer(&stream, &folder).ok());
            }
        });
        Ok(Server { port, thread })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the program is ended from outside.
    pub(super) fn wait(self) {
        // The thread ends with the listener, which it owns.
        let _ = self.thread.join();
    }
}

/// Answers one request.
fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    // The rest of the request says nothing that matters here, and is read so that the browser gets its answer.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = first.split(' ');
    let (method, address) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = path_of(address).map(|path| folder.join(path));
    let (status, kind, body) = match found.and_then(|path| Some((fs::read(&path).ok()?, path))) {
        _ if !matches!(method, "GET" | "HEAD") => ("405 Method Not Allowed", "text/plain", Vec::new()),
        Some((body, path)) => ("200 OK", kind_of(&path), body),
        None => ("404 Not Found", "text/plain", b"there is no such file".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&body) }
}

/// The file that an address names, below the folder that is served; nothing for one that would leave it.
fn path_of(address: &str) -> Option<PathBuf> {
    let path = address.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    let path = PathBuf::from(path);
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

/// What a browser must be told that a file is.
fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        Some("md" | "jsonl") => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn addresses_name_files_below_the_folder_alone() {
        let path = |address| path_of(address).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(path("/").as_deref(), Some("index.html"));
        assert_eq!(path("/cases/?device=gpu").as_deref(), Some("cases/index.html"));
        assert_eq!(path("/data/a.gz").as_deref(), Some("data/a.gz"));
        for outside in ["/../Cargo.toml", "//etc/passwd", "/data/../../a", "etc", ""] {
            assert_eq!(path(outside), None, "{outside}");
        }
    }

    #[test]
    fn files_are_served_with_their_kind() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let server = Server::start(folder, 0).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
            write!(stream, "{request}\r\nHost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let found = ask("GET /Cargo.toml HTTP/1.1");
        assert!(found.starts_with("HTTP/1.1 200 OK\r\n") && found.contains("[package]"), "{found}");
        assert!(ask("GET /none HTTP/1.1").starts_with("HTTP/1.1 404"));
        assert!(ask("POST /Cargo.toml HTTP/1.1").starts_with("HTTP/1.1 405"));
    }
}
