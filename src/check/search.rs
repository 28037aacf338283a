//! A search through all states of a preset, and what it found.

use std::net::SocketAddr;

use stateright::{Checker, HasDiscoveries, Model, Path};

use super::claim::{Claim, Sight};
use super::event::Happening;
use super::model::World;
use super::preset::Preset;
use super::state::{Action, State};
use crate::sabotage::Rule;

/// What to search, and how.
#[derive(Clone, Debug)]
pub struct Search {
    /// The deployment.
    pub preset: Preset,
    /// The rule that its replicas break.
    pub rule: Option<Rule>,
    /// The only claim that is looked at; all, if `None`.
    pub only: Option<Claim>,
    /// The depth at which to cut the exploration off, if the preset does not do so sooner.
    pub depth: Option<usize>,
    /// With more than one, a counterexample need not be the shortest.
    pub thread_count: usize,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Different states.
    pub unique_count: usize,
    /// States, each as often as something led to it.
    pub generated_count: usize,
    /// The states on the longest of the shortest ways to a state, both ends included.
    pub depth: usize,
    /// What was claimed, and how it is false.
    pub claims: Vec<(Claim, Option<Counterexample>)>,
    /// What should be seen, and after how many actions it was.
    pub sights: Vec<(Sight, Option<usize>)>,
}

/// A way to a state in which a claim is false.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is false there.
    pub how: String,
    /// The way, from the beginning.
    pub steps: Vec<Happening>,
    /// What comes of it without further faults, for a claim about the future; the first rounds only.
    pub future: Vec<Happening>,
}

impl Outcome {
    /// The claim that is false, and how; of several, the one that is false soonest.
    pub fn violation(&self) -> Option<(Claim, &Counterexample)> {
        let found = self.claims.iter().filter_map(|(claim, how)| Some((*claim, how.as_ref()?)));
        found.min_by_key(|(_, counterexample)| counterexample.steps.len())
    }

    /// Whether everything that should be seen was seen.
    pub fn is_lively(&self) -> bool {
        self.sights.iter().all(|(_, found)| found.is_some())
    }
}

impl Search {
    /// Looks at every state, nearest first, until a claim is false.
    pub fn run(&self) -> Outcome {
        let checker = self.world().checker().threads(self.thread_count);
        let depth = [self.depth, self.preset.setup.depth].into_iter().flatten().min();
        let checker = checker.target_max_depth(depth.unwrap_or(0));
        let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let world = checker.model();
        let mut found = checker.discoveries();
        let claims = Claim::ALL.into_iter().map(|claim| {
            let path = found.remove(claim.name());
            (claim, path.map(|path| counterexample(world, claim, path)))
        });
        let claims = claims.filter(|(claim, _)| world.watches(*claim)).collect();
        let sights = self.preset.setup.sights.iter().map(|sight| {
            let path = found.remove(sight.says());
            (*sight, path.map(|path| path.into_vec().len() - 1))
        });
        Outcome {
            claims,
            sights: sights.collect(),
            unique_count: checker.unique_state_count(),
            generated_count: checker.state_count(),
            depth: checker.max_depth(),
        }
    }

    /// Serves the states to a browser, until the process ends.
    pub fn explore(&self, address: SocketAddr) {
        self.world().checker().threads(self.thread_count).serve(address);
    }

    fn world(&self) -> World {
        World::new(self.preset.setup.clone(), self.rule, self.only)
    }
}

fn counterexample(world: &World, claim: Claim, path: Path<State, Action>) -> Counterexample {
    let mut steps = Vec::new();
    let mut last = None;
    for (state, action) in path.into_vec() {
        match action {
            Some(action) => steps.push(world.replay(&state, &action).1),
            None => last = Some(state),
        }
    }
    let last = last.expect("a path ends with a state");
    let (how, future) = match last.broken.get(&claim) {
        Some(how) => (how.clone(), Vec::new()),
        None => world.stall(&last).unwrap_or_default(),
    };
    Counterexample { how, steps, future }
}
