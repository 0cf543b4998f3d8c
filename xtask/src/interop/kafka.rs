//! Apache Kafka itself: its tools, and a single node of it.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::check::{Failure, Outcome};
use super::packages;
use super::place::Place;
use super::program::Program;

/// How long a tool may take.
const TOOL_LIMIT: Duration = Duration::from_secs(90);
/// How long a node may take to start or to stop.
const NODE_LIMIT: Duration = Duration::from_secs(60);
/// How often a starting node is asked.
const POLL: Duration = Duration::from_millis(100);
/// The cluster that nodes are formatted for.
pub const CLUSTER_ID: &str = "bWlsZW5hLWludGVyb3AtMQ";
/// What makes a short-lived Java program start quickly.
const QUICK: [&str; 4] =
    ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx512m"];

/// A Java program on Kafka's jars.
#[must_use]
pub fn java(class_path: &str, class: &str, limit: Duration) -> Program {
    let name = class.rsplit('.').next().unwrap_or(class);
    Program::new("java", limit).args(QUICK).args(["-cp", class_path, class]).called(name)
}

/// Kafka's command-line tools.
#[derive(Clone, Debug)]
pub struct Tools {
    class_path: String,
}

impl Tools {
    /// Installs them.
    ///
    /// # Errors
    /// When they cannot be installed.
    pub fn install(place: &Place) -> Outcome<Self> {
        Ok(Self { class_path: packages::kafka(place)? })
    }

    /// A tool by its class.
    #[must_use]
    pub fn tool(&self, class: &str) -> Program {
        java(&self.class_path, class, TOOL_LIMIT)
    }

    /// A program by its class that serves until it is stopped.
    #[must_use]
    pub fn service(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(QUICK).args(["-cp", &self.class_path, class]).stdin(Stdio::null());
        command
    }
}

/// A running node of Apache Kafka, broker and controller in one; killed when it is dropped.
#[derive(Debug)]
pub struct Kafka {
    child: Child,
    /// Where clients reach it.
    pub address: String,
    /// Its data directory.
    pub data: PathBuf,
}

impl Kafka {
    /// Formats a directory unless it is formatted, starts a node on it, and waits until it serves.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(tools: &Tools, data: &Path, settings: &[&str]) -> Outcome<Self> {
        let port = free_port()?;
        let controller = free_port()?;
        let mut text = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             log.dirs={}\noffsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n",
            data.display()
        );
        for setting in settings {
            text.push_str(setting);
            text.push('\n');
        }
        Self::format(tools, data, &text, &[])?;
        let mut kafka = Self::spawn(tools, data, port)?;
        kafka.wait_until_ready()?;
        Ok(kafka)
    }

    /// Writes a node's settings beside its directory, and formats that unless it is formatted, with
    /// these levels of features (`NAME=LEVEL`) in place of Kafka's own.
    ///
    /// # Errors
    /// When Kafka refuses.
    pub fn format(tools: &Tools, data: &Path, settings: &str, features: &[&str]) -> Outcome {
        let properties = data.with_extension("properties");
        fs::write(&properties, settings)
            .map_err(Failure::while_doing("cannot write Kafka's settings"))?;
        if data.join("meta.properties").exists() {
            return Ok(());
        }
        let levels = features.iter().flat_map(|level| ["--feature", level]);
        tools
            .tool("kafka.tools.StorageTool")
            .args(["format", "--cluster-id", CLUSTER_ID, "--config"])
            .arg(&properties)
            .args(levels)
            .out()?;
        Ok(())
    }

    /// Starts a node on a formatted directory without waiting for it. Its log goes to a file beside
    /// the directory.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn spawn(tools: &Tools, data: &Path, port: u16) -> Outcome<Self> {
        let log = File::options().create(true).append(true).open(data.with_extension("log"));
        let log = log.map_err(Failure::while_doing("cannot write Kafka's log"))?;
        let errors = log.try_clone().map_err(Failure::while_doing("cannot write Kafka's log"))?;
        let child = tools
            .service("kafka.Kafka")
            .arg(data.with_extension("properties"))
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(Failure::while_doing("cannot run java"))?;
        Ok(Self { child, address: format!("127.0.0.1:{port}"), data: data.to_owned() })
    }

    /// Waits until it listens, which it does only once it can serve.
    ///
    /// # Errors
    /// When it ends before that, or takes too long.
    pub fn wait_until_ready(&mut self) -> Outcome {
        let deadline = Instant::now() + NODE_LIMIT;
        while TcpStream::connect(&self.address).is_err() {
            let has_ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            if has_ended || Instant::now() > deadline {
                let log = fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
                return Err(Failure::new(format!("Apache Kafka did not start:\n{log}")));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Stops it in order, so that its files are as it leaves them at rest.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(mut self) -> Outcome {
        stop(&mut self.child, "Apache Kafka")
    }

    /// kill -9, and waits for the end.
    ///
    /// # Errors
    /// When it had already ended by itself.
    pub fn kill(mut self) -> Outcome {
        let ended = self.child.try_wait().map_err(Failure::while_doing("cannot ask for it"))?;
        if let Some(status) = ended {
            let log = fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
            return Err(Failure::new(format!("Apache Kafka ended by itself: {status}\n{log}")));
        }
        self.child.kill().map_err(Failure::while_doing("cannot kill Apache Kafka"))?;
        self.child.wait().map_err(Failure::while_doing("cannot wait for Apache Kafka"))?;
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has a process end in order, and waits for that.
///
/// # Errors
/// When it does not end.
pub fn stop(child: &mut Child, name: &str) -> Outcome {
    Program::new("kill", TOOL_LIMIT).args(["-TERM", &child.id().to_string()]).out()?;
    let deadline = Instant::now() + NODE_LIMIT;
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("{name} did not stop")));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// A port that is free now; Kafka cannot be asked which one it took, nor can Connect.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Outcome<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Failure::while_doing("no free port"))
}
