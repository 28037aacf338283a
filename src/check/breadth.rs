//! A search of all states, nearest first, on several threads.
//!
//! It goes level by level: all states that so many actions lead to, before those that one more leads to. So a
//! counterexample is a shortest one on any number of threads, and on one thread always the same.
//! A state is kept whole only until it has had its turn. Of those before remain a [`digest`] of each, which says that
//! it is known, and a [`Link`], by which the way to it is found again: about thirty bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use stateright::Model;

use super::cover::{Covers, INVARIANTS};
use super::digest::{Digests, lock};
use super::model::World;
use super::state::{Action, State};
use super::symmetry::Orbit;
use crate::monitor::Invariant;
use crate::registry::{Cover, Registration};

/// Where a search ends, if it does not end sooner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// States at this depth are not looked at any more; the first is at 1.
    pub(super) depth: Option<usize>,
    /// About so many states are generated.
    pub(super) generated: Option<usize>,
    /// So many threads search; at least one.
    pub(super) thread_count: usize,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// Different states so far.
    pub unique_count: usize,
    /// States so far, each as often as something led to it.
    pub generated_count: usize,
    /// The level that is looked at.
    pub depth: usize,
}

/// Hears from all threads how far a search is, a few hundred times a second.
pub(super) type Tell<'a> = &'a (dyn Fn(Glimpse) + Sync);

/// A way to a state: each state, and what happens in it.
pub(super) type Way<P> = Vec<(State<P>, Option<Action<P>>)>;

/// What a search found.
#[derive(Debug)]
pub(super) struct Found<P: Registration> {
    pub(super) unique_count: usize,
    /// Those that they stand for, with themselves.
    pub(super) symmetric_count: usize,
    pub(super) generated_count: usize,
    pub(super) depth: usize,
    /// The way to a state in which an invariant is false.
    pub(super) ways: BTreeMap<Invariant, Way<P>>,
    /// After how many actions each cover was seen.
    pub(super) covers: BTreeMap<Cover, usize>,
}

/// How a state was reached first.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The state before; the first one is its own.
    parent: u32,
    /// Which of the actions that can happen there.
    action: u16,
}

/// States that wait for their turn.
#[derive(Debug)]
struct Chunk<P: Registration> {
    /// The place of the first one among all states.
    first: u32,
    states: Vec<State<P>>,
}

/// A thread takes so many states at once.
const CHUNK: usize = 256;

/// What all threads know.
#[derive(Debug, Default)]
struct Known {
    states: Digests,
    unique_count: AtomicUsize,
    symmetric_count: AtomicUsize,
    generated_count: AtomicUsize,
    depth: AtomicUsize,
    /// Something is false in a state of this level: the rest of the level is looked at, and nothing follows.
    is_false: AtomicBool,
    is_full: AtomicBool,
}

impl Known {
    fn glimpse(&self) -> Glimpse {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Glimpse {
            unique_count: of(&self.unique_count),
            generated_count: of(&self.generated_count),
            depth: of(&self.depth),
        }
    }
}

/// What a thread found at one level.
#[derive(Debug)]
struct Level<P: Registration> {
    states: Vec<State<P>>,
    links: Vec<Link>,
    /// The first state in which each is false.
    wrong: BTreeMap<Invariant, u32>,
    seen: Covers,
}

/// Searches the states of a world.
pub(super) fn search<P: Registration>(
    world: &World<P>,
    limits: Limits,
    tell: Tell<'_>,
) -> Found<P> {
    let others: Vec<World<P>> = (1..limits.thread_count).map(|_| world.beside()).collect();
    let worlds: Vec<&World<P>> = [world].into_iter().chain(&others).collect();
    let known = Known::default();
    let first = world.init_states();
    let mut links = vec![Link { parent: 0, action: 0 }; first.len()];
    for state in &first {
        known.states.insert(world.orbit(state).digest);
    }
    known.unique_count.store(first.len(), Ordering::Relaxed);
    known.symmetric_count.store(first.len(), Ordering::Relaxed);
    known.generated_count.store(first.len(), Ordering::Relaxed);
    let mut queues = vec![chunks(0, first)];
    let (mut covers, mut wrong, mut depth) = (BTreeMap::new(), BTreeMap::new(), 0);
    while queues.iter().any(|queue| !queue.is_empty()) {
        depth += 1;
        if limits.depth.is_some_and(|most| depth >= most) {
            break;
        }
        known.depth.store(depth, Ordering::Relaxed);
        queues.resize_with(worlds.len(), VecDeque::new);
        let level = one_level(&worlds, queues, &known, limits, tell);
        queues = Vec::new();
        for Level { states, links: new, wrong: false_at, seen } in level {
            let place = u32::try_from(links.len()).expect("fewer than 2^32 states");
            queues.push(chunks(place, states));
            links.extend(new);
            for (invariant, place) in false_at {
                let first = wrong.entry(invariant).or_insert(place);
                *first = place.min(*first);
            }
            for cover in Cover::ALL.into_iter().filter(|cover| seen.has(*cover)) {
                covers.entry(cover).or_insert(depth);
            }
        }
        if !wrong.is_empty() || known.is_full.load(Ordering::Relaxed) {
            break;
        }
    }
    let ways = wrong.into_iter().map(|(invariant, place)| (invariant, way(world, &links, place)));
    Found {
        ways: ways.collect(),
        unique_count: known.unique_count.into_inner(),
        symmetric_count: known.symmetric_count.into_inner(),
        generated_count: known.generated_count.into_inner(),
        depth,
        covers,
    }
}

fn chunks<P: Registration>(place: u32, mut states: Vec<State<P>>) -> VecDeque<Chunk<P>> {
    let mut chunks = VecDeque::new();
    while !states.is_empty() {
        let begin = (states.len() - 1) / CHUNK * CHUNK;
        let first = place + u32::try_from(begin).expect("a level has fewer than 2^32 states");
        chunks.push_front(Chunk { first, states: states.split_off(begin) });
    }
    chunks
}

/// Every thread has its own states first, whose parts it has made itself, and then takes those of others.
fn one_level<P: Registration>(
    worlds: &[&World<P>],
    queues: Vec<VecDeque<Chunk<P>>>,
    known: &Known,
    limits: Limits,
    tell: Tell<'_>,
) -> Vec<Level<P>> {
    let queues: Vec<Mutex<VecDeque<Chunk<P>>>> = queues.into_iter().map(Mutex::new).collect();
    let work = |own: usize| {
        let mut level = Level {
            states: Vec::new(),
            links: Vec::new(),
            wrong: BTreeMap::new(),
            seen: Covers::default(),
        };
        loop {
            let chunk = lock(&queues[own]).pop_front();
            let steal = || queues.iter().find_map(|queue| lock(queue).pop_back());
            let Some(Chunk { first, states }) = chunk.or_else(steal) else { return level };
            tell(known.glimpse());
            for (place, state) in (first..).zip(states) {
                if known.is_full.load(Ordering::Relaxed) {
                    return level;
                }
                level.look_at(worlds[own], known, place, &state);
                let generated_count = known.generated_count.load(Ordering::Relaxed);
                if limits.generated.is_some_and(|most| generated_count >= most) {
                    known.is_full.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    if worlds.len() == 1 {
        return vec![work(0)];
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..worlds.len()).map(|own| scope.spawn(move || work(own))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a search does not panic")).collect()
    })
}

impl<P: Registration> Level<P> {
    /// Looks whether all holds in a state, and generates those that follow from it.
    fn look_at(&mut self, world: &World<P>, known: &Known, place: u32, state: &State<P>) {
        for invariant in INVARIANTS {
            if !world.holds(invariant, state) {
                let first = self.wrong.entry(invariant).or_insert(place);
                *first = place.min(*first);
                known.is_false.store(true, Ordering::Relaxed);
            }
        }
        if known.is_false.load(Ordering::Relaxed) {
            return;
        }
        let mut actions = Vec::new();
        world.actions(state, &mut actions);
        let (mut generated_count, mut unique_count, mut symmetric_count) = (0, 0, 0);
        for (action, number) in actions.into_iter().zip(0..) {
            let Some(next) = world.next_state(state, action) else { continue };
            generated_count += 1;
            self.seen.join(next.seen);
            let Orbit { digest, size } = world.orbit(&next);
            if known.states.insert(digest) {
                unique_count += 1;
                symmetric_count += size;
                self.states.push(next);
                self.links.push(Link { parent: place, action: number });
            }
        }
        known.generated_count.fetch_add(generated_count, Ordering::Relaxed);
        known.unique_count.fetch_add(unique_count, Ordering::Relaxed);
        known.symmetric_count.fetch_add(symmetric_count, Ordering::Relaxed);
    }
}

/// The way to a state, walked again.
fn way<P: Registration>(world: &World<P>, links: &[Link], mut place: u32) -> Way<P> {
    let link = |place: u32| links[usize::try_from(place).expect("there are so many links")];
    let mut numbers = Vec::new();
    while place != link(place).parent {
        numbers.push(link(place).action);
        place = link(place).parent;
    }
    let mut state = world.init_states().remove(0);
    let mut way = Vec::new();
    for number in numbers.into_iter().rev() {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        let action = actions.swap_remove(number.into());
        let next = world.next_state(&state, action.clone()).expect("it was walked before");
        way.push((state, Some(action)));
        state = next;
    }
    way.push((state, None));
    way
}
