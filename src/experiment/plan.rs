//! The experiment as meant: everything that a run needs, and nothing that a run would have to doubt.
//!
//! A [`Plan`] exists only if its regions do, its quorums meet (or are marked unsafe), its leaders are
//! replicas and its numbers make sense; whoever has one need not check it again.
//! What is wrong is [`Refused`] with its place in the file.
//! Predictions are the closed form of [`crate::topology::floor`].

mod error;
pub use error::{Error, Refused};
mod faults;
mod places;
mod variants;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::file::{self, Congestion, File};
use super::sweep::{self, Point};
use crate::paxos::{Mode, SendPolicy};
use crate::quorum::{NodeId, QuorumSystem};
use crate::time::Span;
use crate::topology::Links;
use places::Places;

/// The warm-up of a file that names none: leaders are elected and windows open within a second.
const WARMUP: Span = Span::from_millis(2_000);

/// The time for outstanding operations of a file that names none: some retries at any round trip.
const DRAIN: Span = Span::from_millis(5_000);

/// An experiment as meant.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is to find out.
    pub question: String,
    /// What is expected, and what would refute it.
    pub prediction: String,
    /// Where all chance comes from.
    pub seed: u64,
    /// The latency profile, as given.
    pub profile: String,
    /// The delays between replicas and clients, and their regions.
    pub links: Links,
    /// The congestion controller of every connection.
    pub congestion: Congestion,
    /// What is compared.
    pub variants: Vec<Variant>,
    /// The combinations of settings that each variant runs at; one if nothing is swept.
    pub points: Vec<Point>,
    /// How often every variant runs at every point.
    pub repeats: usize,
    /// All runs, in their order.
    pub trials: Vec<Trial>,
    /// The time before the measurement.
    pub warmup: Span,
    /// The time that is measured.
    pub duration: Span,
    /// The time that outstanding operations are given after it.
    pub drain: Span,
    /// What goes wrong, by its time.
    pub faults: Vec<Fault>,
}

/// One of the things compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// What it is called.
    pub name: String,
    /// Who may propose.
    pub mode: Mode,
    /// Which sets of replicas finish a phase.
    pub quorums: QuorumSystem,
    /// Whom a proposer contacts.
    pub send: SendPolicy,
    /// Whether it runs although a phase-1 and a phase-2 quorum may be disjoint.
    pub unsafe_quorums: bool,
    /// The least commit latency of each client, in the order of the client regions.
    pub floors: Vec<Span>,
}

/// One run of one variant at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Its position in the order of the runs, from 0.
    pub index: usize,
    /// Which repeat it belongs to, from 0.
    pub repeat: usize,
    /// Its variant: a position in [`Plan::variants`].
    pub variant: usize,
    /// Its settings: a position in [`Plan::points`].
    pub point: usize,
    /// Where its chance comes from; all trials of one repeat have the same.
    pub seed: u64,
}

/// A crash, in every trial alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When, from the start of the measured time.
    pub at: Span,
    /// Who.
    pub target: Target,
    /// How long after that the replica is started again; never if `None`.
    pub restart_after: Option<Span>,
}

/// Who crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Whoever leads at that moment.
    Leader,
    /// This replica.
    Replica(NodeId),
}

impl Plan {
    /// What `file` means; paths in it are relative to `folder`.
    pub fn from_file(file: &File, folder: &Path) -> Result<Self, Refused> {
        let question = said(&file.question, "question")?;
        let prediction = said(&file.prediction, "prediction")?;
        let repeats = file.trials.as_ref().map_or(1, |trials| *trials.get_ref()) as usize;
        if let Some(trials) = file.trials.as_ref().filter(|_| repeats == 0) {
            return Err(Refused::new(trials.span(), Error::Zero { key: "trials" }));
        }
        let duration = Span::from(file.workload.duration.get_ref().0);
        if duration == Span::ZERO {
            let error = Error::Zero { key: "workload.duration" };
            return Err(Refused::new(file.workload.duration.span(), error));
        }
        let places = Places::find(&file.topology, folder)?;
        let variants = variants::variants(file, &places)?;
        let points = sweep::points(file)?;
        let faults = faults::faults(file, &places, &variants, &points)?;
        let trials = sweep::trials(points.len(), variants.len(), repeats, file.seed);
        let length = |typed: &Option<Spanned<file::Length>>, default| {
            typed.as_ref().map_or(default, |typed| typed.get_ref().0.into())
        };
        Ok(Self {
            question,
            prediction,
            seed: file.seed,
            profile: places.profile,
            links: places.links,
            congestion: file.transport.congestion,
            variants,
            points,
            repeats,
            trials,
            warmup: length(&file.workload.warmup, WARMUP),
            duration,
            drain: length(&file.workload.drain, DRAIN),
            faults,
        })
    }

    /// The variant of a trial.
    pub fn variant(&self, trial: &Trial) -> &Variant {
        &self.variants[trial.variant]
    }

    /// The settings of a trial.
    pub fn point(&self, trial: &Trial) -> &Point {
        &self.points[trial.point]
    }

    /// The time that all trials take, without starting and draining: those end as soon as they can.
    pub fn expected_time(&self) -> Span {
        (self.warmup + self.duration).times(self.trials.len() as u64)
    }

    /// The region of a replica.
    pub fn region(&self, node: NodeId) -> &str {
        &self.links.replica_regions[usize::from(node.0)]
    }
}

/// The text of a key that must say something.
fn said(text: &Spanned<String>, key: &'static str) -> Result<String, Refused> {
    let said = text.get_ref().trim();
    if said.is_empty() {
        return Err(Refused::new(text.span(), Error::Empty { key }));
    }
    Ok(said.to_owned())
}

#[cfg(test)]
mod tests;
