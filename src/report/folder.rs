//! A results folder, read back for the tables.
//!
//! | of the tables | from |
//! |---|---|
//! | the order of points and variants | `configuration.json` |
//! | validity, rates, quorum sizes | `trials.csv` |
//! | floors, operations without an answer, pauses of a closed loop | `latency.csv` |
//! | percentiles of all repeats together, with the waits of unanswered operations | the interval log of each trial |
//! | faults | `recovery.csv` |

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::origin::{Origin, expectations};
use super::outline::{Outline, Point, Variant};
use crate::compare::Conclusions;
use crate::experiment::expectation::{self, Expectation};
use crate::experiment::trial::Trial;
use crate::findings::Finished;
use crate::findings::rows::Measured;
use crate::measure::rows::{LatencyRow, RecoveryRow, SCHEMA_VERSION, SCHEMA_VERSION_MIN, TrialRow};
use crate::measure::{self, Latencies, Omission, OperationKind, hlog, store};
use crate::time::Span;
use crate::topology::Floor;
use crate::trial::{Backend, number};

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A table cannot.
    #[error(transparent)]
    Table(#[from] store::Error),
    /// Another file cannot.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The settings are not those of a run.
    #[error("{} is no configuration of a run", path.display())]
    Configuration {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another version of the program wrote the tables.
    #[error(
        "{} has tables of schema {found}, and this program reads {SCHEMA_VERSION_MIN} to {SCHEMA_VERSION}",
        folder.display()
    )]
    Schema {
        /// Which folder.
        folder: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// A prediction is not one that this program reads.
    #[error("{} has a prediction that cannot be read", path.display())]
    Prediction {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: expectation::Error,
    },
    /// An interval log is damaged.
    #[error("{} is no interval log", path.display())]
    Log {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: measure::Error,
    },
    /// An interval log has other operations than its row.
    #[error(
        "trial {trial}: its interval log has {found} answered operations of {tag}, and latency.csv has {expected}: one of \
         the two is cut"
    )]
    Counts {
        /// Which trial.
        trial: u32,
        /// The client region and the kind of operation.
        tag: String,
        /// In the log.
        found: u64,
        /// In the table.
        expected: u64,
    },
    /// A row of `trials.csv` is of a variant, a point or a backend that the configuration does not have.
    #[error("trial {trial} of trials.csv is not in configuration.json")]
    Stranger {
        /// Which trial.
        trial: u32,
    },
}

/// What the tables are made of.
#[derive(Debug)]
pub struct Results {
    /// The lines.
    pub outline: Outline,
    /// The trials that finished, without what only the run knew: violations, reasons of invalidity, and
    /// disagreements with the floors.
    pub finished: Vec<Finished>,
    /// The predictions of the experiment.
    pub expectations: Vec<Expectation>,
    /// Where they come from.
    pub origin: Origin,
}

/// The settings of a run, as far as the tables need them.
#[derive(Debug, Deserialize)]
struct Configuration {
    points: Vec<ConfiguredPoint>,
}

#[derive(Debug, Deserialize)]
struct ConfiguredPoint {
    label: String,
    /// Absent in folders of older versions.
    #[serde(default)]
    swept: Vec<(String, String)>,
    links: ConfiguredLinks,
    variants: Vec<ConfiguredVariant>,
}

#[derive(Debug, Deserialize)]
struct ConfiguredLinks {
    client_regions: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ConfiguredVariant {
    name: String,
}

/// What the manifest says of the tables.
#[derive(Debug, Deserialize)]
struct Manifest {
    table_schema_version: u32,
}

/// The rows of each trial, by its number and its backend.
type Rows<T> = BTreeMap<(u32, String), Vec<T>>;

impl Results {
    /// Reads a results folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        check_schema(folder)?;
        let trials: Vec<TrialRow> = store::read_csv(&folder.join("trials.csv"))?;
        let latency: Vec<LatencyRow> = store::read_csv(&folder.join("latency.csv"))?;
        let latency = by_trial(latency, |row| (row.trial, row.backend.clone()));
        // A run without a fault has no such table.
        let recovery: Option<Vec<RecoveryRow>> =
            store::read_csv_if_there(&folder.join("recovery.csv"))?;
        let mut recovery =
            by_trial(recovery.unwrap_or_default(), |row| (row.trial, row.backend.clone()));
        let mut outline = outline(folder)?;
        let mut finished = Vec::new();
        for row in trials {
            let key = (row.trial, row.backend.clone());
            let (trial, backend) =
                place(&outline, &row).ok_or(Error::Stranger { trial: row.trial })?;
            let latency = latency.get(&key).map_or(&[][..], Vec::as_slice);
            note(&mut outline.points[trial.point], trial.variant, &row, latency);
            let measured = if row.valid {
                let path = folder.join(format!("{}.hlog", backend.prefix(row.trial)));
                measured(&path, outline.point(&trial), latency)?
            } else {
                Vec::new()
            };
            finished.push(Finished {
                trial,
                backend,
                row,
                measured,
                disagreements: Vec::new(),
                recovery: recovery.remove(&key).unwrap_or_default(),
                probes: None,
                violations: Vec::new(),
                unfit: Vec::new(),
            });
        }
        let variants = outline.points.first().map_or(&[][..], |point| &point.variants);
        let variants: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        let expectations = expectations(folder, &variants)?;
        Ok(Self { outline, finished, expectations, origin: Origin::read(folder)? })
    }

    /// What follows from the trials.
    pub fn conclusions(&self) -> Conclusions {
        Conclusions::of(&self.finished, &self.expectations, self.origin.looks)
    }

    /// Whether trials ran both in virtual time and on real replicas.
    pub fn is_of_both(&self) -> bool {
        let has = |backend| self.finished.iter().any(|ended| ended.backend == backend);
        has(Backend::Sim) && has(Backend::Live)
    }
}

/// Refuses tables of another schema; a run that was killed has no manifest.
fn check_schema(folder: &Path) -> Result<(), Error> {
    let path = folder.join("manifest.json");
    if !path.exists() {
        return Ok(());
    }
    let manifest: Manifest = serde_json::from_slice(&read(&path)?)
        .map_err(|source| Error::Configuration { path, source })?;
    match manifest.table_schema_version {
        SCHEMA_VERSION_MIN..=SCHEMA_VERSION => Ok(()),
        found => Err(Error::Schema { folder: folder.to_owned(), found }),
    }
}

fn by_trial<T>(rows: Vec<T>, key: impl Fn(&T) -> (u32, String)) -> Rows<T> {
    let mut found: Rows<T> = BTreeMap::new();
    for row in rows {
        found.entry(key(&row)).or_default().push(row);
    }
    found
}

/// The lines without quorum sizes and floors.
fn outline(folder: &Path) -> Result<Outline, Error> {
    let path = folder.join("configuration.json");
    let text = read(&path)?;
    let configuration: Configuration =
        serde_json::from_slice(&text).map_err(|source| Error::Configuration { path, source })?;
    let point = |point: ConfiguredPoint| {
        let client_regions = point.links.client_regions;
        let variant = |variant: ConfiguredVariant| Variant {
            name: variant.name,
            floors: vec![None; client_regions.len()],
            read_floors: vec![None; client_regions.len()],
            control_floors: vec![None; client_regions.len()],
            ..Variant::default()
        };
        let variants = point.variants.into_iter().map(variant).collect();
        let (label, mut settings) = (point.label, point.swept);
        if settings.is_empty() && !label.is_empty() {
            settings.push(("point".to_owned(), label.clone()));
        }
        Point { label, settings, client_regions, variants }
    };
    Ok(Outline { points: configuration.points.into_iter().map(point).collect() })
}

/// Which trial this is the row of.
fn place(outline: &Outline, row: &TrialRow) -> Option<(Trial, Backend)> {
    let point = outline.points.iter().position(|point| point.label == row.point)?;
    let mut variants = outline.points[point].variants.iter();
    let variant = variants.position(|variant| variant.name == row.variant)?;
    let backend =
        [Backend::Sim, Backend::Live].into_iter().find(|world| world.name() == row.backend)?;
    let (index, repeat) = (number::index(row.trial)?, number::index(row.repetition)?);
    Some((Trial { index, repeat, variant, point, seed: row.seed.0 }, backend))
}

/// Notes what the rows of a trial say of its variant.
fn note(point: &mut Point, variant: usize, trial: &TrialRow, latency: &[LatencyRow]) {
    let variant = &mut point.variants[variant];
    (variant.q1, variant.q2) = (trial.q1.into(), trial.q2.into());
    for row in latency {
        let client = point.client_regions.iter().position(|region| *region == row.client_region);
        let operation = OperationKind::ALL.into_iter().find(|it| it.name() == row.operation);
        if let (Some(client), Some(floor), Some(operation)) = (client, floor(row), operation) {
            variant.floors_mut(operation)[client].get_or_insert(floor);
        }
    }
}

/// The floor that a row names.
fn floor(row: &LatencyRow) -> Option<Floor> {
    Some(Floor { p50: Span(row.floor_ns_p50?), p99: Span(row.floor_ns_p99?) })
}

/// What the clients of a valid trial measured, by client region.
fn measured(path: &Path, point: &Point, rows: &[LatencyRow]) -> Result<Vec<Measured>, Error> {
    let failed = |source| Error::Log { path: path.to_owned(), source };
    let mut totals: BTreeMap<String, Latencies> = BTreeMap::new();
    let text = read(path)?;
    hlog::for_each(&text, |line| {
        totals.entry(line.tag).or_default().merge(&line.latencies);
    })
    .map_err(failed)?;
    for (tag, waits) in hlog::waits(&text).map_err(failed)? {
        totals.entry(tag).or_default().add_unanswered(&waits);
    }
    let trial = rows.first().map_or(0, |row| row.trial);
    let mut expected: BTreeMap<String, u64> = totals.keys().map(|tag| (tag.clone(), 0)).collect();
    for row in rows {
        expected.insert(format!("{}:{}", row.client_region, row.operation), row.answered_count);
    }
    for (tag, expected) in expected {
        let found = totals.get(&tag).map_or(0, Latencies::count);
        if found != expected {
            return Err(Error::Counts { trial, tag, found, expected });
        }
    }
    let of_region = |region: &String| {
        let mut measured = Measured::default();
        for operation in OperationKind::ALL {
            let tag = format!("{region}:{}", operation.name());
            let latencies = totals.remove(&tag).unwrap_or_default();
            if !latencies.is_empty() {
                measured.latencies.push((operation, latencies));
            }
        }
        let mut rows = rows.iter().filter(|row| row.client_region == *region);
        for row in rows.clone() {
            let kinds = OperationKind::ALL.into_iter().filter(|kind| kind.name() == row.operation);
            measured.floors.extend(kinds.zip(floor(row)));
        }
        if let Some(blocked) = rows.find_map(|row| row.blocked_ns) {
            measured.omission = Omission::of(Span(blocked), &measured.load());
        }
        measured.packed()
    };
    Ok(point.client_regions.iter().map(of_region).collect())
}

/// The latencies of every interval of a trial, by the tag of their series, in nanoseconds.
pub fn intervals(
    folder: &Path,
    ended: &Finished,
) -> Result<BTreeMap<String, Vec<Vec<u64>>>, Error> {
    let path = folder.join(format!("{}.hlog", ended.backend.prefix(ended.trial.number())));
    let mut found: BTreeMap<String, Vec<Vec<u64>>> = BTreeMap::new();
    hlog::for_each(&read(&path)?, |line| {
        found.entry(line.tag).or_default().push(line.latencies.values());
    })
    .map_err(|source| Error::Log { path, source })?;
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}
