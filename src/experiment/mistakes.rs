//! Everything that is wrong with a file, collected by those who go on without what is wrong.
//!
//! One mistake is kept for each place: what is wrong there for several variants, or at several points of a
//! sweep, is put right once.

use super::file::{Error, Mistake, Source};
use super::refusal::{self, Refused};

/// What is wrong so far.
#[derive(Debug)]
pub(super) struct Mistakes<'a> {
    source: &'a Source,
    found: Vec<Found>,
    /// The names of the points that were begun; the last one is judged.
    points: Vec<String>,
    /// How often something was refused.
    count: usize,
}

/// A mistake, and where in the sweep it was met.
#[derive(Debug)]
struct Found {
    mistake: Mistake,
    /// The points, by their position.
    points: Vec<usize>,
}

impl<'a> Mistakes<'a> {
    /// None yet, in this file.
    pub(super) const fn of(source: &'a Source) -> Self {
        Self { source, found: Vec::new(), points: Vec::new(), count: 0 }
    }

    /// What follows is of the point of this name.
    pub(super) fn begin_point(&mut self, label: &str) {
        self.points.push(label.to_owned());
    }

    /// How often something was refused: whoever finds the number higher has met a mistake.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Keeps a mistake, unless it is about a value that the file does not have.
    pub(super) fn add(&mut self, mistake: Mistake) {
        self.count += 1;
        if mistake.at.start > self.source.text.len() {
            return;
        }
        let point = self.points.len();
        let known = self.found.iter_mut().find(|known| {
            let is_placed = mistake.at != (0..0) && known.mistake.at == mistake.at;
            is_placed || known.mistake == mistake
        });
        match known {
            None => self.found.push(Found { mistake, points: vec![point] }),
            Some(known) => {
                if known.mistake == mistake && known.points.last() != Some(&point) {
                    known.points.push(point);
                }
            }
        }
    }

    /// Keeps what was refused.
    pub(super) fn refuse(&mut self, refused: &Refused) {
        self.add(refused.into());
    }

    /// Keeps an error at a place.
    pub(super) fn refuse_at(
        &mut self,
        at: std::ops::Range<usize>,
        error: impl Into<refusal::Error>,
    ) {
        self.refuse(&Refused::new(at, error.into()));
    }

    /// The result, if it is one; else its mistake is kept.
    pub(super) fn note<T>(&mut self, result: Result<T, Refused>) -> Option<T> {
        result.map_err(|refused| self.refuse(&refused)).ok()
    }

    /// The error that shows all of them, if there is one.
    ///
    /// What is wrong at some points of a sweep alone is said with the first of them.
    pub(super) fn into_error(self) -> Option<Error> {
        let all = self.points.len();
        let mistakes = self.found.into_iter().map(|Found { mut mistake, points }| {
            let label = points[0].checked_sub(1).map_or("", |point| self.points[point].as_str());
            if points.len() < all && !label.is_empty() {
                mistake.message = format!("{} (at {label})", mistake.message);
            }
            mistake
        });
        let mistakes: Vec<Mistake> = mistakes.collect();
        (!mistakes.is_empty()).then(|| self.source.wrong(mistakes))
    }
}

#[cfg(test)]
mod tests;
