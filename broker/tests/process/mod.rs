//! A real broker process and a bare connection to it, for tests that look at bytes.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod broker;
pub mod cluster;
pub mod small_disk;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::api::header::{RequestHeader, ResponseHeader};
use milena_protocol::api::{Request, request_header_version, response_header_version};
use milena_protocol::codec::{Reader, Writer};
use milena_protocol::message::Message;

/// The program.
pub const MILENA: &str = env!("CARGO_BIN_EXE_milena");

/// How long an answer may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that takes nothing for so long takes nothing more.
const FULL_AFTER: Duration = Duration::from_millis(300);

/// A broker; killed when it is dropped.
pub struct Process {
    child: Child,
    pub address: String,
    /// Where HTTP is served, if it is.
    pub http: Option<String>,
}

impl Process {
    /// Starts a broker on a directory and a free port, with more settings.
    pub fn start(directory: &Path, settings: &[&str]) -> Self {
        Self::launch(Command::new(MILENA), directory, settings)
    }

    /// Starts a broker by a command that ends in the name of its program.
    pub fn launch(mut command: Command, directory: &Path, settings: &[&str]) -> Self {
        Self::arguments(&mut command, directory, settings);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the broker starts");
        let screen = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut address = None;
        let mut http = None;
        for line in screen.lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("PLAINTEXT://") {
                address = Some(rest.trim().to_owned());
            } else if let Some((_, rest)) = line.split_once("CONTROLLER://") {
                // What a node that is only a controller has.
                address = address.or_else(|| Some(rest.trim().to_owned()));
            } else if let Some((_, rest)) = line.split_once("  http     http://") {
                http = Some(rest.trim().to_owned());
            } else if line.contains("started") {
                break;
            }
        }
        let address = address.expect("the screen names the listener");
        Self { child, address, http }
    }

    /// Starts a broker and kills it after a moment, wherever it is then.
    pub fn interrupted(directory: &Path, settings: &[&str], after: Duration) {
        let mut command = Command::new(MILENA);
        Self::arguments(&mut command, directory, settings);
        let mut child = command.stdout(Stdio::null()).spawn().expect("the broker starts");
        moment(after);
        child.kill().expect("the process is ours");
        child.wait().expect("it ends");
    }

    fn arguments(command: &mut Command, directory: &Path, settings: &[&str]) {
        command
            .arg("serve")
            .args(["--set", &format!("log.dirs={}", directory.display())])
            .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners="])
            .args(["--log-level", "error"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("it ends");
    }

    /// SIGSTOP: it stays, and does nothing until it is resumed or killed.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process is ours");
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is ours")
    }

    /// A connection.
    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Connection { stream, correlation_id: 0 }
    }
}

/// Lets a moment pass, for kills at random moments. Nothing is waited for here.
pub fn moment(moment: Duration) {
    let until = std::time::Instant::now() + moment;
    while std::time::Instant::now() < until {
        std::thread::yield_now();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bare connection.
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection is open");
    }

    /// Sends a request without waiting for its answer.
    pub fn send<R: Request>(&mut self, request: &R, version: i16) {
        let frame = self.request(request, version);
        self.send_raw(&frame);
    }

    /// Sends a request; false when the broker takes no more of them.
    pub fn send_unless_full<R: Request>(&mut self, request: &R, version: i16) -> bool {
        let frame = self.request(request, version);
        self.stream.set_write_timeout(Some(FULL_AFTER)).expect("a timeout");
        self.stream.write_all(&frame).is_ok()
    }

    fn request<R: Request>(&mut self, request: &R, version: i16) -> Bytes {
        self.correlation_id += 1;
        let mut writer = Writer::new();
        writer.plain().extend_from_slice(&[0; 4]);
        let header = RequestHeader {
            api_key: R::KEY.number(),
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("test".into()),
        };
        header.write(&mut writer, request_header_version::<R>(version));
        request.write(&mut writer, version);
        writer.patch_frame_length();
        writer.into_bytes().expect("a request that can be written")
    }

    /// The correlation id of what was sent last.
    pub fn sent(&self) -> i32 {
        self.correlation_id
    }

    /// The next frame; none when the broker closed the connection.
    pub fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(Bytes::from(frame))
    }

    /// Whether nothing comes for a moment, and the connection stays open.
    pub fn is_silent(&mut self) -> bool {
        let stream = &self.stream;
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        let peeked = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// The answer to a request that was sent.
    pub fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let mut reader = Reader::new(self.frame().expect("an answer"));
        ResponseHeader::read(&mut reader, response_header_version::<R>(version)).expect("header");
        let response = R::Response::read(&mut reader, version).expect("a body");
        reader.finish().expect("nothing behind it");
        response
    }

    /// Sends a request and waits for its answer.
    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.send(request, version);
        self.receive::<R>(version)
    }
}
