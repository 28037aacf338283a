//! What tests share: a good experiment file to spoil, and errors as a user sees them.

use std::path::PathBuf;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::file::{Error, Source};

/// An experiment without a fault.
pub(crate) const GOOD: &str = r#"question = "What does it cost?"
prediction = "What the closed form says."
seed = 7
trials = 2

[topology]
profile = "aws-2025-07"
replicas = ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"]
clients = ["us-east-1", "eu-west-1"]

[workload]
arrival = { poisson = { rate_per_s = 200 } }
warmup = "1s"
duration = "10s"
keys = { uniform = { count = 1000 } }
value_bytes = 100
reads = 0.5

[durability]
mode = "fsync"

[[variant]]
name = "classic"
protocol = { classic = {} }
quorums = { majority = {} }

[[variant]]
name = "flex"
protocol = { multi = { leader = "us-west-2" } }
quorums = { counts = { phase1 = 4, phase2 = 2 } }

[[fault]]
at = "5s"
crash = "eu-west-1"
restart_after = "2s"
"#;

/// The good file with one place changed.
pub(crate) fn spoil(from: &str, to: &str) -> Source {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must occur once");
    source(&GOOD.replace(from, to))
}

/// A file of this text.
pub(crate) fn source(text: &str) -> Source {
    Source { path: PathBuf::from("experiments/test.toml"), text: text.to_owned() }
}

/// The error as a user sees it, on one line and without the drawing.
pub(crate) fn render(error: &Error) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none()).with_width(1000);
    let mut text = String::new();
    handler.render_report(&mut text, error).unwrap();
    text
}

/// Asserts that the error says each of these.
pub(crate) fn assert_says(error: &Error, phrases: &[&str]) {
    let text = render(error);
    for phrase in phrases {
        assert!(text.contains(phrase), "{phrase:?} is missing in:\n{text}");
    }
}
