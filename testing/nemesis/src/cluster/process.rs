//! A process of somebody else's program that does not outlive this one.
//!
//! A program is started through this one's own binary ([`under`]), which asks the kernel to be
//! killed when its parent dies and then becomes the program. The kernel looks at the thread that
//! started it, so that thread must live as long as the process is wanted.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};

/// A running program; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program with its output appended to a file.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(program: &Command, log: &Path) -> io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let mut command = mortal(program)?;
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        Ok(Self { child: command.spawn()? })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// kill -9, and waits for the end.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops its time.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets its time go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When it has ended.
    pub fn interrupt(&mut self) -> io::Result<()> {
        self.signal(Signal::INT)
    }

    /// Its number is its own as long as nobody has waited for it.
    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if let Some(status) = self.ended()? {
            return Err(io::Error::other(format!("it has ended: {status}")));
        }
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("no such process"))?;
        Ok(rustix::process::kill_process(id, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

/// The command of a program that is killed when this process, or the thread that starts it, ends.
///
/// # Errors
/// When this one's binary is not known.
pub fn mortal(program: &Command) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("under").arg(std::process::id().to_string()).arg("--");
    command.arg(program.get_program()).args(program.get_args());
    Ok(command)
}

/// Becomes a program that is killed when `parent` dies. Returns only when that fails.
#[must_use]
pub fn under(parent: u32, program: &[OsString]) -> io::Error {
    let Some((name, arguments)) = program.split_first() else {
        return io::Error::other("no program is named");
    };
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // It may have died before the kernel was asked.
    let is_there = rustix::process::getppid()
        .is_some_and(|id| u32::try_from(id.as_raw_nonzero().get()) == Ok(parent));
    if !is_there {
        return io::Error::other("the parent is gone");
    }
    Command::new(name).args(arguments).exec()
}
