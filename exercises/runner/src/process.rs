//! Programs that are started: each in a process group of its own, so that it can be ended with all that it has started.

use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How often a running program is looked after.
const TICK: Duration = Duration::from_millis(30);

/// Whether work is to end before its end, as after a signal.
pub type Stopped<'a> = &'a dyn Fn() -> bool;

/// The error of work that was stopped.
pub fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "stopped")
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its standard output.
    pub stdout: String,
    /// Its error output, unless that went elsewhere.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Whether it was killed because patience had run out.
    pub stalled: bool,
}

/// Runs a program to its end and keeps its output; kills its group when it is to stop.
///
/// `patience` is called with its output so far, and says whether to wait on.
///
/// # Errors
/// If the program cannot be started; [`interrupted`] if it was stopped.
pub fn run(
    command: &mut Command,
    stopped: Stopped,
    patience: &mut dyn FnMut(&str) -> io::Result<bool>,
) -> io::Result<Finished> {
    let mut group = Group::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let (sender, lines) = mpsc::channel();
    let output = group.0.stdout.take();
    thread::spawn(move || {
        let Some(output) = output else { return };
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    let errors = group.0.stderr.take().map(|mut errors| {
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let (mut stdout, mut stalled, mut looked) = (String::new(), false, Instant::now());
    let status = loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => stdout.push_str(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => match group.0.try_wait()? {
                Some(status) => break status,
                None => thread::sleep(TICK),
            },
        }
        if looked.elapsed() < TICK {
            continue; // many lines at once
        }
        looked = Instant::now();
        if stopped() {
            return Err(interrupted());
        }
        if stalled {
            // its output may be held open by a process that has left the group
            if let Some(status) = group.0.try_wait()? {
                break status;
            }
        } else if !patience(&stdout)? {
            stalled = true;
            group.kill();
        }
    };
    let stderr = errors.filter(|_| !stalled).and_then(|errors| errors.join().ok()).unwrap_or_default();
    Ok(Finished { stdout, stderr, status, stalled })
}

/// As long as it takes.
pub fn patient(_: &str) -> io::Result<bool> {
    Ok(true)
}

/// A program and all that it has started; whatever is left of them is killed with this value.
struct Group(Child);

impl Group {
    fn start(command: &mut Command) -> io::Result<Group> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        command.spawn().map(Group)
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        if let Ok(id) = i32::try_from(self.0.id()) {
            use nix::{sys::signal, unistd::Pid};
            let _ = signal::killpg(Pid::from_raw(id), signal::Signal::SIGKILL);
        }
        let _ = self.0.kill();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.0.wait();
        }
    }
}
