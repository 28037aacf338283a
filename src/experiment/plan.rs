//! The experiment as meant: everything that a run needs, and nothing that a run would have to doubt.
//!
//! A [`Plan`] exists only if its regions do, its quorums meet (or are marked unsafe), its leaders are
//! replicas and its numbers make sense; whoever has one need not check it again.
//! What is wrong is [`Refused`] with its place in the file.
//! Predictions are the closed form of [`crate::topology::floor`].

mod error;
pub use error::{Error, Refused};
mod faults;
mod load;
mod places;
mod point;
pub use point::{Point, Variant};
mod variants;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::file::{self, File, Source};
use super::sweep;
use crate::quorum::NodeId;
use crate::time::Span;

/// An experiment as meant.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is to find out.
    pub question: String,
    /// What is expected, and what would refute it.
    pub prediction: String,
    /// Where all chance comes from.
    pub seed: u64,
    /// The combinations of settings that each variant runs at; one if nothing is swept.
    pub points: Vec<Point>,
    /// How often every variant runs at every point.
    pub repeats: usize,
    /// All runs, in their order.
    pub trials: Vec<Trial>,
}

/// The size at which a file is planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// How often every variant is repeated, whatever the file says.
    pub trials: Option<u32>,
    /// Whether the file's `[smoke]` section gives the size.
    pub is_smoke: bool,
}

/// One run of one variant at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Its position in the order of the runs, from 0.
    pub index: usize,
    /// Which repeat it belongs to, from 0.
    pub repeat: usize,
    /// Its variant: a position in [`Point::variants`].
    pub variant: usize,
    /// Its settings: a position in [`Plan::points`].
    pub point: usize,
    /// Where its chance comes from; all trials of one repeat have the same.
    pub seed: u64,
}

impl Plan {
    /// What the file of this text means, at this size.
    pub fn from_source(source: &Source, size: Size) -> Result<Self, file::Error> {
        let mut file = source.parse()?;
        if size.is_smoke {
            file = file.smoke();
        }
        if let Some(trials) = size.trials {
            file.trials = Some(Spanned::new(0..0, trials));
        }
        Self::from_file(&file, source).map_err(|refused| source.refused(&refused))
    }

    fn from_file(file: &File, source: &Source) -> Result<Self, Refused> {
        let question = said(&file.question, "question")?;
        let prediction = said(&file.prediction, "prediction")?;
        let repeats = file.trials.as_ref().map_or(1, |trials| *trials.get_ref()) as usize;
        if let Some(trials) = file.trials.as_ref().filter(|_| repeats == 0) {
            return Err(Refused::new(trials.span(), Error::Zero { key: "trials" }));
        }
        let points = sweep::points(file, source.folder())?;
        let trials = sweep::trials(points.len(), file.variants.len(), repeats, file.seed);
        Ok(Self { question, prediction, seed: file.seed, points, repeats, trials })
    }

    /// The settings of a trial.
    pub fn point(&self, trial: &Trial) -> &Point {
        &self.points[trial.point]
    }

    /// The variant of a trial.
    pub fn variant(&self, trial: &Trial) -> &Variant {
        &self.point(trial).variants[trial.variant]
    }

    /// The region of a replica of a trial.
    pub fn region(&self, trial: &Trial, node: NodeId) -> &str {
        self.point(trial).region(node)
    }

    /// The time that all trials take, without starting and draining: those end as soon as they can.
    pub fn expected_time(&self) -> Span {
        let times = self.trials.iter().map(|trial| {
            let point = self.point(trial);
            point.warmup + point.duration
        });
        times.fold(Span::ZERO, |sum, time| sum + time)
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
