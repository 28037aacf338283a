//! Where the results of a folder come from, as its manifest says.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::folder::Error;
use crate::experiment::expectation::Expectation;

/// Where results come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The name of the experiment.
    pub experiment: String,
    /// When the run began, in UTC.
    pub started_at: String,
    /// The commit of the program; empty if nobody knows.
    pub commit: String,
    /// The hash of the experiment's text.
    pub experiment_sha256: String,
    /// The processor, the number of threads and the kernel.
    pub host: String,
    /// How often the run looked at its trials before it ended, if it did.
    pub looks: Option<u32>,
}

#[derive(Deserialize)]
struct Manifest {
    started_at: String,
    experiment: Experiment,
    code: Code,
    host: Host,
    #[serde(default)]
    looks: std::collections::BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct Experiment {
    name: String,
    sha256: String,
}

#[derive(Deserialize)]
struct Code {
    commit: Option<String>,
}

#[derive(Deserialize)]
struct Host {
    kernel: Option<String>,
    cpu_model: Option<String>,
    core_count: Option<usize>,
}

/// What `configuration.json` says of predictions.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    expectations: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    that: String,
    because: String,
}

impl Origin {
    /// That of a folder; a run that was killed has no manifest, and its origin says nothing.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("manifest.json");
        if !path.exists() {
            return Ok(Self::default());
        }
        let Manifest { started_at, experiment, code, host, looks } = json(path)?;
        let Host { kernel, cpu_model, core_count } = host;
        let host = format!(
            "{}, {} threads, kernel {}",
            cpu_model.unwrap_or_else(|| "unknown processor".into()),
            core_count.unwrap_or_default(),
            kernel.unwrap_or_else(|| "unknown".into())
        );
        Ok(Self {
            experiment: experiment.name,
            started_at,
            commit: code.commit.unwrap_or_default(),
            experiment_sha256: experiment.sha256,
            host,
            looks: looks.values().max().copied(),
        })
    }
}

/// The predictions of a run about these variants.
pub fn expectations(folder: &Path, variants: &[&str]) -> Result<Vec<Expectation>, Error> {
    let path = folder.join("configuration.json");
    let Configuration { expectations } = json(path.clone())?;
    let parse = |Expected { that, because }: Expected| {
        Expectation::parse(&that, &because, variants)
            .map_err(|source| Error::Prediction { path: path.clone(), source })
    };
    expectations.into_iter().map(parse).collect()
}

fn json<T: for<'de> Deserialize<'de>>(path: PathBuf) -> Result<T, Error> {
    let text = fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| Error::Configuration { path, source })
}
