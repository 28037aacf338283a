//! What ran, where, and how to repeat it.

use std::fs;
use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use crate::measure::store::MANIFEST;
use crate::report::folder::Error;

/// What the manifest of a run says of where it comes from.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// The name of the experiment.
    pub name: String,
    /// Its question.
    pub question: String,
    /// What its author expects.
    pub prediction: String,
    /// Its text.
    pub text: String,
    /// The command that ran it.
    pub command: String,
    /// Facts with their names.
    pub facts: Vec<(&'static str, String)>,
}

impl Provenance {
    /// That of a folder; a run that was killed has no manifest, and nothing is known of it.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(MANIFEST);
        if !path.exists() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Self { name, ..Self::default() });
        }
        let text = fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let manifest: Value = serde_json::from_slice(&text)
            .map_err(|source| Error::Configuration { path: path.clone(), source })?;
        Ok(Self::of(&manifest))
    }

    fn of(manifest: &Value) -> Self {
        let experiment = &manifest["experiment"];
        let text = word(&experiment["text"]);
        // The text is that of a run that was accepted; a key that is not there is empty.
        let table: toml::Table = text.parse().unwrap_or_default();
        let key = |name: &str| {
            let value = table.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            value.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let (code, host) = (&manifest["code"], &manifest["host"]);
        let arguments = manifest["arguments"].as_array().cloned().unwrap_or_default();
        // The first is the path of the program, which is of one machine.
        let arguments: Vec<String> = arguments.iter().skip(1).map(word).collect();
        let trials = format!(
            "{} of {} finished",
            word(&manifest["trials_finished"]),
            word(&manifest["trials_planned"])
        );
        let facts = vec![
            ("began", word(&manifest["started_at"])),
            ("ended", word(&manifest["ended_at"])),
            ("trials", trials),
            ("seed", word(&experiment["seed"])),
            ("program", format!("flexpaxos {}", word(&code["version"]))),
            ("commit", word(&code["commit"])),
            ("sources", word(&code["source_hash"])),
            ("compiler", word(&code["rustc"])),
            ("experiment (SHA-256)", word(&experiment["sha256"])),
            (
                "processor",
                format!("{}, {} threads", word(&host["cpu_model"]), word(&host["core_count"])),
            ),
            ("memory", memory(&host["memory_bytes"])),
            ("kernel", word(&host["kernel"])),
            ("schema of the tables", word(&manifest["table_schema_version"])),
        ];
        Self {
            name: word(&experiment["name"]),
            question: key("question"),
            prediction: key("prediction"),
            text,
            command: format!("flexpaxos {}", arguments.join(" ")),
            facts: facts.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect(),
        }
    }

    /// The title of a page.
    pub fn title(&self) -> String {
        if self.name.is_empty() { "results".to_owned() } else { self.name.clone() }
    }

    /// When and where it ran, in one sentence.
    pub fn line(&self) -> String {
        let fact = |name: &str| {
            let found = self.facts.iter().find(|(other, _)| *other == name);
            found.map_or("unknown", |(_, value)| value.as_str())
        };
        format!("Run on {} on {}, by {}.", fact("began"), fact("processor"), fact("program"))
    }

    /// The section of a page.
    pub fn html(&self) -> Markup {
        html! {
            @if !self.text.is_empty() {
                p { "The folder holds the text of the experiment; with the commit below, this command ran it:" }
                pre { code { (self.command) } }
            }
            dl { @for (name, value) in &self.facts { dt { (name) } dd { (value) } } }
            @if !self.text.is_empty() {
                details { summary { "The experiment file" } pre { code { (self.text) } } }
            }
        }
    }
}

/// A value as plain text; nothing for one that is not there.
fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn memory(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(String::new, |bytes| format!("{:.1} GiB", bytes / f64::from(1 << 30)))
}
