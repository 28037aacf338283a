//! Searches all states of a small deployment, and says what it found.

use std::net::SocketAddr;

use stateright::Model;

pub use super::breadth::Glimpse;
use super::breadth::{self, Limits, Tell, Way};
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
    /// Takes states that differ only in which of several interchangeable replicas or clients did what for one.
    pub is_symmetric: bool,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Different states.
    pub unique_count: usize,
    /// Those that they stand for, where replicas or clients are interchangeable; else as many.
    pub symmetric_count: usize,
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
        Self {
            setup,
            rule: None,
            only: None,
            depth: None,
            state_count_max: None,
            thread_count: 1,
            is_symmetric: false,
        }
    }

    /// Looks at every state, nearest first, until a invariant is false.
    ///
    /// If some are to be interchangeable and none are, as [`Self::symmetry`] says, each stands for itself.
    pub fn run(&self) -> Outcome {
        self.run_and_tell(&|_| {})
    }

    /// The same, and tells how far it is, from any of its threads, a few hundred times a second.
    pub fn run_and_tell(&self, tell: &(dyn Fn(Glimpse) + Sync)) -> Outcome {
        self.setup.mode.visit(Run { search: self, tell })
    }

    /// In how many ways replicas and clients can change places, two at the least; or why they cannot.
    pub fn symmetry(&self) -> Result<usize, String> {
        self.setup.mode.visit(Interchange { search: self })
    }

    /// Serves the states to a browser, until the process ends.
    pub fn explore(&self, address: SocketAddr) {
        self.setup.mode.visit(Explore { search: self, address });
    }

    fn world<P: Registration>(&self, mode: P::Mode) -> World<P> {
        World::new(mode, self.setup.clone(), self.rule, self.only)
    }

    fn run_as<P: Registration>(&self, mode: P::Mode, tell: Tell<'_>) -> Outcome {
        let mut world = self.world::<P>(mode);
        if self.is_symmetric {
            world.find_symmetry().ok();
        }
        let depth = [self.depth, self.setup.depth].into_iter().flatten().min();
        let limits =
            Limits { depth, generated: self.state_count_max, thread_count: self.thread_count };
        let mut found = breadth::search(&world, limits, tell);
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
            symmetric_count: found.symmetric_count,
            generated_count: found.generated_count,
            depth: found.depth,
            is_cut_short: self.state_count_max.is_some_and(|most| found.generated_count >= most)
                || depth.is_some_and(|most| found.depth >= most),
        }
    }
}

struct Run<'a> {
    search: &'a Search,
    tell: Tell<'a>,
}

impl Visitor for Run<'_> {
    type Output = Outcome;

    fn visit<P: Registration>(self, mode: P::Mode) -> Outcome {
        self.search.run_as::<P>(mode, self.tell)
    }
}

struct Interchange<'a> {
    search: &'a Search,
}

impl Visitor for Interchange<'_> {
    type Output = Result<usize, String>;

    fn visit<P: Registration>(self, mode: P::Mode) -> Result<usize, String> {
        let mut world = self.search.world::<P>(mode);
        world.find_symmetry()
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
