//! A real process: faults of its configuration, its admin port, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn example() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let path = folder.join("examples/lifecycle");
    assert!(path.exists(), "{} is missing: run the whole crate's tests, so that it is built", path.display());
    path
}

fn command(vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(example());
    command.env_clear().envs(vars.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running child; killed when the test ends early.
struct Service {
    child: Child,
    lines: Receiver<Value>,
    admin: String,
    seen: Vec<Value>,
}

impl Service {
    /// Starts it and waits for the line with its admin address.
    fn start(mode: &str, vars: &[(&str, &str)]) -> Self {
        let mut service = Self::start_quietly(mode, vars);
        let starting = service.wait_for("starting");
        starting["fields"]["admin"].as_str().expect("the address is logged").clone_into(&mut service.admin);
        service
    }

    fn start_quietly(mode: &str, vars: &[(&str, &str)]) -> Self {
        let mut all = vec![("LIFECYCLE_MODE", mode), ("LIFECYCLE_ADMIN_ADDR", "127.0.0.1:0")];
        all.extend(vars);
        let mut child = command(&all).spawn().expect("the example starts");
        let stdout = child.stdout.take().expect("piped");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let parsed =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a JSON line: {line}"));
                if send.send(parsed).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, admin: String::new(), seen: Vec::new() }
    }

    fn wait_for(&mut self, message: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line {message:?} among {:#?}", self.seen));
            self.seen.push(line.clone());
            if line["message"] == message {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        // The lines end when the process does: an event to wait for, then the status is there.
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
        }
        self.child.wait().expect("waited")
    }

    fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.admin).expect("the admin port is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("settable");
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_fault_is_a_line_on_standard_error_and_the_exit_code_is_64() {
    let vars = [
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("APP_ENV", "staging"),
        ("SYNCLINE_TOKN", "x"),
        ("SYNCLINE_TOKEN", "x"),
        ("LIFECYCLE_PASSWORD", "hunter2"),
        ("LIFECYCLE_PASSWORD_FILE", "/nowhere"),
        ("LIFECYCLE_ADMIN_ADDR", "everywhere"),
    ];
    let output = command(&vars).output().expect("it runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(64), "{text}");
    let names: Vec<&str> = text.lines().map(|line| line.split(':').next().unwrap_or_default()).collect();
    let expected = [
        "APP_ENV",
        "LIFECYCLE_ADMIN_ADDR",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "LIFECYCLE_MODE",
        "LIFECYCLE_PASSWORD",
        "SYNCLINE_TOKN",
    ];
    assert_eq!(names, expected, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn sigterm_finishes_the_work_in_hand_and_exits_0() {
    let mut service = Service::start("work", &[("LIFECYCLE_PASSWORD", "hunter2")]);
    service.wait_for("started");
    assert_eq!(service.request("GET", "/livez", "").0, 200);
    let (status, body) = service.request("GET", "/readyz", "");
    assert_eq!((status, body.contains(r#""status":"ready""#)), (200, true), "{body}");
    service.signal("TERM");
    service.wait_for("shutting down");
    let (status, body) = service.request("GET", "/readyz", "");
    assert_eq!((status, body.contains("shutting_down")), (503, true), "{body}");
    let status = service.ended();
    assert_eq!(status.code(), Some(0), "{:#?}", service.seen);
    assert!(service.seen.iter().any(|line| line["message"] == "work finished"));
    assert!(!format!("{:?}", service.seen).contains("hunter2"));
}

#[test]
fn the_log_level_changes_while_it_runs_and_metrics_are_served() {
    let mut service = Service::start("work", &[]);
    service.wait_for("started");
    assert_eq!(service.request("GET", "/log-level", ""), (200, "info\n".to_owned()));
    assert_eq!(service.request("PUT", "/log-level", "loud").0, 400);
    assert_eq!(service.request("PUT", "/log-level", "warn,chassis::service=debug").0, 200);
    assert_eq!(service.request("GET", "/log-level", "").1, "warn,chassis::service=debug\n");
    let metrics = service.request("GET", "/metrics", "").1;
    assert!(metrics.contains("build_info{service=\"lifecycle\""), "{metrics}");
    assert!(metrics.contains("dependency_up{dependency=\"nothing\"} 1"), "{metrics}");
    service.signal("INT");
    assert_eq!(service.ended().code(), Some(0));
    assert!(service.seen.iter().any(|line| line["message"] == "shutting down"), "still printed");
    assert!(!service.seen.iter().any(|line| line["message"] == "work finished"), "no longer printed");
}

#[test]
fn a_line_carries_the_ids_of_its_spans_whatever_the_level() {
    for level in ["info", "warn"] {
        let mut service = Service::start_quietly("work", &[("LOG_LEVEL", level)]);
        let line = service.wait_for("configured");
        assert_eq!((line["level"].as_str(), line["service"].as_str()), (Some("WARN"), Some("lifecycle")));
        assert_eq!(line["job_id"], 7, "{line}");
        assert_eq!(line["trace_id"].as_str().map(str::len), Some(32), "{line}");
        assert_eq!(line["fields"]["has_password"], false, "{line}");
        assert!(line["timestamp"].as_str().is_some_and(|text| text.ends_with('Z')), "{line}");
    }
}

#[test]
fn a_collector_that_is_away_costs_two_seconds_at_most() {
    let mut service = Service::start("work", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    service.wait_for("started");
    service.signal("TERM");
    service.wait_for("ended");
    let began = Instant::now();
    assert_eq!(service.ended().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn failures_end_the_process_with_a_failing_code() {
    for (mode, message) in [
        ("panic", "critical task failed, the process ends"),
        ("error", "critical task failed, the process ends"),
        ("refuse", "the start failed"),
    ] {
        let mut service = Service::start(mode, &[]);
        let status = service.ended();
        assert_eq!(status.code(), Some(1), "{mode}: {:#?}", service.seen);
        assert!(service.seen.iter().any(|line| line["message"] == message), "{mode}: {:#?}", service.seen);
        let panicked = service.seen.iter().any(|line| line["message"] == "panic: on purpose");
        assert_eq!(panicked, mode == "panic", "{:#?}", service.seen);
    }
}

#[test]
fn a_stuck_task_is_named_and_the_end_comes_within_the_grace() {
    let mut service = Service::start("stuck", &[("SHUTDOWN_GRACE_SECONDS", "1")]);
    service.wait_for("started");
    let began = Instant::now();
    service.signal("TERM");
    let status = service.ended();
    assert_eq!(status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let line =
        service.seen.iter().find(|line| line["message"] == "tasks did not end in time").expect("logged");
    assert!(line["fields"]["running"].as_str().is_some_and(|text| text.contains("stuck")), "{line}");
}

#[test]
fn a_taken_admin_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output =
        command(&[("LIFECYCLE_MODE", "work"), ("LIFECYCLE_ADMIN_ADDR", &address)]).output().expect("runs");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&address) && text.contains("LIFECYCLE_ADMIN_ADDR"), "{text}");
}
