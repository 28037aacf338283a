//! Searches all states of a small deployment, and says what it found.

use std::net::SocketAddr;

use stateright::Model;

use super::breadth::{self, Limits, Way};
use super::cover::INVARIANTS;
use super::diagram;
use super::event::Happening;
use super::model::World;
use crate::monitor::Invariant;
use crate::registry::{Cover, Registration, Setup, Visitor};
use crate::sabotage::Rule;
use crate::trace::Trace;

/// What to search, and how.
#[derive(Clone, Debug)]
pub struct Search {
    /// The deployment.
    pub setup: Setup,
    /// The rule that its replicas break.
    pub rule: Option<Rule>,
    /// The only invariant that is looked at; all, if `None`.
    pub only: Option<Invariant>,
    /// The depth at which to cut the exploration off, if the deployment does not do so sooner.
    pub depth: Option<usize>,
    /// Ends when about so many states are generated, if it does not end sooner.
    pub state_count_max: Option<usize>,
    /// With more than one, which of the shortest counterexamples is found is a matter of luck.
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
    pub invariants: Vec<(Invariant, Option<Counterexample>)>,
    /// What should be seen, and after how many actions it was.
    pub covers: Vec<(Cover, Option<usize>)>,
    /// Whether it ended at the depth or the number of states that were asked for: there may be more.
    pub is_cut_short: bool,
}

/// A way to a state in which a invariant is false.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is false there.
    pub how: String,
    /// The way, from the beginning: each action, and below it what came of it.
    pub steps: Vec<String>,
    /// What comes of it without further faults, for a invariant about the future; the first rounds only.
    pub future: Vec<String>,
    /// The same, drawn: a step is a unit of time.
    pub(super) drawing: Trace,
}

impl Outcome {
    /// The invariant that is false, and how; of several, the one that is false soonest.
    pub fn violation(&self) -> Option<(Invariant, &Counterexample)> {
        let found =
            self.invariants.iter().filter_map(|(invariant, how)| Some((*invariant, how.as_ref()?)));
        found.min_by_key(|(_, counterexample)| counterexample.steps.len())
    }

    /// Whether everything that should be seen was seen.
    pub fn is_lively(&self) -> bool {
        self.covers.iter().all(|(_, found)| found.is_some())
    }
}

impl Search {
    /// Honest replicas, every property, and every state; one thread.
    pub const fn whole(setup: Setup) -> Self {
        Self { setup, rule: None, only: None, depth: None, state_count_max: None, thread_count: 1 }
    }

    /// Looks at every state, nearest first, until a invariant is false.
    pub fn run(&self) -> Outcome {
        self.setup.mode.visit(Run { search: self })
    }

    /// Serves the states to a browser, until the process ends.
    pub fn explore(&self, address: SocketAddr) {
        self.setup.mode.visit(Explore { search: self, address });
    }

    fn world<P: Registration>(&self, mode: P::Mode) -> World<P> {
        World::new(mode, self.setup.clone(), self.rule, self.only)
    }

    fn run_as<P: Registration>(&self, mode: P::Mode) -> Outcome {
        let world = self.world::<P>(mode);
        let depth = [self.depth, self.setup.depth].into_iter().flatten().min();
        let limits =
            Limits { depth, generated: self.state_count_max, thread_count: self.thread_count };
        let mut found = breadth::search(&world, limits);
        let invariants = INVARIANTS.into_iter().filter(|invariant| world.watches(*invariant));
        let invariants = invariants.map(|invariant| {
            let way = found.ways.remove(&invariant);
            (invariant, way.map(|way| counterexample(&world, invariant, way)))
        });
        let invariants = invariants.collect();
        let covers = self.setup.covers.iter();
        Outcome {
            invariants,
            covers: covers.map(|cover| (*cover, found.covers.get(cover).copied())).collect(),
            unique_count: found.unique_count,
            generated_count: found.generated_count,
            depth: found.depth,
            is_cut_short: self.state_count_max.is_some_and(|most| found.generated_count >= most)
                || depth.is_some_and(|most| found.depth >= most),
        }
    }
}

struct Run<'a> {
    search: &'a Search,
}

impl Visitor for Run<'_> {
    type Output = Outcome;

    fn visit<P: Registration>(self, mode: P::Mode) -> Outcome {
        self.search.run_as::<P>(mode)
    }
}

struct Explore<'a> {
    search: &'a Search,
    address: SocketAddr,
}

impl Visitor for Explore<'_> {
    type Output = ();

    fn visit<P: Registration>(self, mode: P::Mode) {
        let Self { search, address } = self;
        search.world::<P>(mode).checker().threads(search.thread_count).serve(address);
    }
}

fn counterexample<P: Registration>(
    world: &World<P>,
    invariant: Invariant,
    way: Way<P>,
) -> Counterexample {
    let mut steps = Vec::new();
    let mut last = None;
    for (state, action) in way {
        match action {
            Some(action) => steps.push(world.replay(&state, &action).1),
            None => last = Some(state),
        }
    }
    let last = last.expect("a way ends with a state");
    let (how, future) = match last.broken.get(&invariant) {
        Some(how) => (how.clone(), Vec::new()),
        None => world.stall(&last).unwrap_or_default(),
    };
    let drawing = diagram::draw(&steps, &future);
    let told = |happenings: &[Happening<P>]| happenings.iter().map(Happening::to_string).collect();
    Counterexample { how, steps: told(&steps), future: told(&future), drawing }
}
