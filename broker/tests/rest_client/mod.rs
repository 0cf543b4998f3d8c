//! A real broker process and a bare HTTP client to it, for tests that look at statuses, headers
//! and bytes.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod schema;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::Process;
use crate::process::cluster::Node;

/// A broker that serves HTTP, on a directory of its own.
pub struct Rest {
    _directory: tempfile::TempDir,
    /// The process.
    pub process: Process,
    /// Where HTTP is served.
    pub address: String,
    /// The id of its cluster.
    pub cluster: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers as they came.
    pub head: String,
    /// The body, out of its chunks.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The lines of the body as JSON.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.body.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.collect()
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = headers.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    /// Reads an answer to the end of the connection.
    pub fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("an answer") > 0, "no answer: {head}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Self { status: status.expect("a status"), head, body: String::new() };
        let mut body = Vec::new();
        // A connection that is reset after its answer has still answered.
        let _ = reader.read_to_end(&mut body);
        if answer.header("transfer-encoding") == Some("chunked") {
            body = unchunk(&body);
        }
        answer.body = String::from_utf8(body).expect("text");
        answer
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    whole
}

/// A request with JSON to a node of a cluster.
pub fn call(node: &Node, method: &str, path: &str, body: &str) -> Answer {
    let address = node.process().http.clone().expect("a node that serves HTTP");
    let mut stream = TcpStream::connect(&address).expect("the node listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("it is read");
    Answer::read(stream)
}

/// The address of a cluster at one of its nodes.
pub fn cluster_path(node: &Node) -> String {
    let clusters = call(node, "GET", "/v3/clusters", "").json();
    format!("/v3/clusters/{}", clusters["data"][0]["cluster_id"].as_str().expect("an id"))
}

impl Rest {
    /// Starts a broker with more settings.
    pub fn start_with(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut all = vec!["http.listeners=http://127.0.0.1:0"];
        all.extend(settings);
        let process = Process::start(directory.path(), &all);
        let address = process.http.clone().expect("the screen names the HTTP address");
        let mut rest = Self { _directory: directory, process, address, cluster: String::new() };
        let (status, clusters) = rest.get("/v3/clusters");
        assert_eq!(status, 200);
        rest.cluster = clusters["data"][0]["cluster_id"].as_str().unwrap().to_owned();
        rest
    }

    /// Starts a broker.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the broker listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    /// Sends bytes as they are and reads the answer.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The other end may have refused before it read everything.
        let _ = stream.write_all(request);
        Answer::read(stream)
    }

    /// A request with JSON.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.raw(&[head.as_bytes(), body.as_bytes()].concat())
    }

    /// The status and the JSON of a request with JSON.
    pub fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = self.call(method, path, body);
        (answer.status, answer.json())
    }

    /// The status and the JSON of what is at a path.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, "")
    }

    /// A path below the cluster.
    pub fn at(&self, path: &str) -> String {
        format!("/v3/clusters/{}{path}", self.cluster)
    }

    /// Creates a topic.
    pub fn create(&self, topic: &str, partitions: i32) {
        let new = json!({ "topic_name": topic, "partitions_count": partitions });
        let (status, made) = self.json("POST", &self.at("/topics"), &new.to_string());
        assert_eq!(status, 201, "{made}");
    }
}
