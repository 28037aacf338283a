//! Keys of an experiment that the command line sets.

use clap::Args;

use super::Failure;
use crate::experiment::file::{Assignment, Source, Unset};
use crate::experiment::plan::Size;

/// Options that change the experiment, and nothing else: what is run, shown and recorded is the changed file.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Overrides {
    /// Sets a key of the experiment, with dots as in `[sweep]`: --set workload.duration=5s.
    ///
    /// The value is TOML; a bare word is a text. May be given for several keys.
    /// A key of `variant` or `fault` is set in every one that has the table around it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,

    /// Draws all chance from this seed instead.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
}

impl Overrides {
    /// Whether nothing is changed.
    pub(super) const fn is_empty(&self) -> bool {
        self.assignments.is_empty() && self.seed.is_none()
    }

    /// The options that say the same again.
    pub(super) fn arguments(&self) -> Vec<String> {
        let sets = self.assignments.iter().flat_map(|it| ["--set".to_owned(), it.clone()]);
        let seed = self.seed.map(|seed| ["--seed".to_owned(), seed.to_string()]);
        sets.chain(seed.into_iter().flatten()).collect()
    }

    /// Changes the experiment.
    pub(super) fn apply(&self, source: &mut Source, size: Size) -> Result<(), Failure> {
        let typed = self.assignments.iter().map(|text| text.parse());
        let mut all: Vec<Assignment> = typed.collect::<Result<_, Unset>>()?;
        all.extend(self.seed.map(Assignment::seed));
        if size.trials.is_some() && all.iter().any(|assignment| assignment.key() == "trials") {
            return Err(Failure::request(
                "setting `trials` has no effect: `--trials` gives their number",
                "leave one of the two out",
            ));
        }
        Ok(source.set(&all, size.is_smoke)?)
    }
}
