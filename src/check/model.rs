//! The model that is explored: the states of a deployment, and what can happen in each.
//!
//! `breadth` searches it; with `--explore` a person walks it in the explorer of stateright.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use stateright::{Model, Property};

use super::alike::Alike;
use super::cover::INVARIANTS;
use super::digest::{Memo, digest};
use super::event::{Event, Happening};
use super::fair::Fair;
use super::memo::{Change, Echo, Turn};
use super::state::{Action, Client, State};
use super::step::Step;
use super::symmetry::{Orbit, Symmetry};
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::monitor::Invariant;
use crate::protocol::{Bounds, Capacity, Config, Log, Position, Progress, Protocol, Slot, Timing};
use crate::quorum::{NodeId, QuorumSystem};
use crate::registry::{Cover, KEY, ProgressFrom, Registration, Setup};
use crate::sabotage::{Rule, Saboteur};
use crate::time::Span;

/// A small deployment, and all that may go wrong in it.
#[derive(Debug)]
pub(super) struct World<P: Registration> {
    mode: P::Mode,
    pub(super) setup: Setup,
    rule: Option<Rule>,
    /// The only invariant that is looked at; all, if `None`.
    only: Option<Invariant>,
    /// Which properties have their example in the explorer, which would replace it by a later, longer one.
    is_found: [AtomicBool; PROPERTY_COUNT],
    /// The replicas that may change places, if states that differ only in that are to be one.
    symmetry: Option<Symmetry>,
    /// The clients that may change places, if so.
    alike: Alike,
    fair: Arc<Fair>,
    /// What replicas do to a deployment.
    pub(super) changes: Memo<Arc<Change<P>>>,
    /// What replicas do.
    pub(super) turns: Memo<Arc<Turn<P>>>,
    /// What messages do that change nothing.
    pub(super) echoes: Memo<Echo<P>>,
    /// Where a value can be chosen in this deployment, and is looked for.
    pub(super) positions: Vec<Position>,
}

/// Slots beyond these are not looked at one by one: no preset comes so far.
const SLOTS: u64 = 12;

/// A thread keeps about so many results of each kind, so that they do not fill the memory.
const KEPT: usize = 1 << 17;

const PROPERTY_COUNT: usize = INVARIANTS.len() + Cover::ALL.len();

impl<P: Registration> World<P> {
    /// The world of a preset, with replicas that break `rule`, looking at one invariant or at all.
    pub(super) fn new(
        mode: P::Mode,
        mut setup: Setup,
        rule: Option<Rule>,
        only: Option<Invariant>,
    ) -> Self {
        if let Some(rule) = rule {
            setup.quorums = rule.quorums(&setup.quorums);
        }
        let is_found = std::array::from_fn(|_| AtomicBool::new(false));
        let mut world = Self {
            mode,
            setup,
            rule,
            only,
            is_found,
            symmetry: None,
            alike: Alike::default(),
            fair: Arc::default(),
            changes: Memo::new(KEPT),
            turns: Memo::new(KEPT),
            echoes: Memo::new(2 * KEPT),
            positions: Vec::new(),
        };
        let logs = world.logs().into_iter();
        let slots = |log| (0..SLOTS).map(move |slot| Position { log, slot: Slot(slot) });
        world.positions = logs.flat_map(slots).collect();
        world
    }

    /// The same for another thread.
    pub(super) fn beside(&self) -> Self {
        let other = Self::new(self.mode, self.setup.clone(), None, self.only);
        let symmetry = self.symmetry.as_ref().map(Symmetry::beside);
        let alike = self.alike.clone();
        Self { rule: self.rule, symmetry, alike, fair: Arc::clone(&self.fair), ..other }
    }

    /// Takes states that differ only in which replica or which client did what for one; gives back in how many ways
    /// these can change places, or why none can.
    pub(super) fn find_symmetry(&mut self) -> Result<usize, String> {
        self.alike = Alike::of(&self.setup, &self.first_state().clients);
        match Symmetry::of(self) {
            Ok(symmetry) => self.symmetry = Some(symmetry),
            Err(why) if self.alike.is_empty() => {
                return Err(format!("{why}; and no two of its clients ask alike"));
            }
            Err(_) => {}
        }
        Ok(self.symmetry.as_ref().map_or(1, Symmetry::order) * self.alike.order())
    }

    /// What a state stands for: for itself, unless replicas or clients may change places.
    pub(super) fn orbit(&self, state: &State<P>) -> Orbit {
        let Orbit { digest, size } = match &self.symmetry {
            None => Orbit { digest: digest(state), size: 1 },
            Some(symmetry) => symmetry.orbit(state),
        };
        Orbit { digest, size: size * self.alike.size(&state.clients) }
    }

    pub(super) fn quorums(&self) -> &QuorumSystem {
        &self.setup.quorums
    }

    pub(super) const fn rule(&self) -> Option<Rule> {
        self.rule
    }

    pub(super) fn watches(&self, invariant: Invariant) -> bool {
        let is_said = invariant != Invariant::Linearizability || self.reads_beside();
        is_said && self.only.is_none_or(|only| only == invariant)
    }

    /// Whether reads have no slot of their own.
    pub(super) fn reads_beside(&self) -> bool {
        self.setup.mode.asks_quorum()
    }

    pub(super) const fn first_leader(&self) -> Option<NodeId> {
        self.setup.mode.leader()
    }

    /// Whether crashed replicas are started again.
    pub(super) const fn is_restarted(&self) -> bool {
        self.setup.is_restarted
    }

    /// Whether a replica may hear nothing for a time-out: then what it has heard of a leader matters.
    pub(super) const fn has_silences(&self) -> bool {
        self.setup.budgets.silences > 0
    }

    /// Whether a replica may still crash, so that it matters what it gave its disk.
    pub(super) fn may_crash(&self, state: &State<P>, id: NodeId) -> bool {
        state.left.crashes > 0 && self.setup.crashable.contains(id)
    }

    /// Time stands still, so that states do not differ by it: no time-out has a length, and which
    /// timer runs out when is a choice. That a time-out passes in which a replica hears nothing is one, too.
    fn config(&self, id: NodeId) -> Config {
        let n = self.setup.quorums.n();
        let first = usize::from(id.0);
        let around = self.ids().cycle().skip(first).take(n).collect();
        let timing = Timing {
            retransmit_after: Span::ZERO,
            backoff: Span::ZERO,
            announce_after: Span::ZERO,
            fill_after: Span::ZERO,
            capacity: Capacity::UNLIMITED,
        };
        Config {
            id,
            quorums: self.setup.quorums.clone(),
            election: self.setup.election,
            send: self.setup.send,
            nearest_first: around,
            timing,
            retention: self.setup.retention,
            bounds: Bounds::USUAL,
        }
    }

    /// A replica that has never run.
    pub(super) fn replica(&self, id: NodeId) -> Saboteur<P> {
        let config = self.config(id);
        let replica = <P as Registration>::new(self.mode, config.clone());
        Saboteur::new(replica, &config, self.rule)
    }

    /// The logs in which clients write.
    fn logs(&self) -> BTreeSet<Log> {
        let clients = (0..).map(ClientId).take(self.setup.clients.len());
        clients.map(|client| P::ORDER.log(self.command(client, 0).operation.key())).collect()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + Clone + use<P> {
        (0u8..).take(self.setup.quorums.n()).map(NodeId)
    }

    /// Whom a client asks first.
    pub(super) fn home(&self, client: ClientId) -> NodeId {
        self.setup.clients[client.0 as usize].home
    }

    /// What a client writes with its request of this number: `x=1`, `x=2`; the next client `y=1`, or `x=11`
    /// where all write one key.
    pub(super) fn command(&self, client: ClientId, sequence: u64) -> Command {
        let (key, first) = (KEY, sequence + 1);
        let number = u64::from(client.0);
        let (key, value) =
            if self.setup.is_one_key { (key, 10 * number + first) } else { (key + number, first) };
        let value = Bytes::from(value.to_string());
        let is_reader = self.setup.clients.get(client.0 as usize).is_some_and(|it| it.is_reader);
        let operation =
            if is_reader { Operation::Get { key } } else { Operation::Put { key, value } };
        let request = RequestId { client, sequence };
        Command { request, settled_below: sequence, operation }
    }

    /// Whether to ask this replica costs a retry.
    pub(super) fn is_retry(&self, state: &State<P>, id: NodeId, command: &Command) -> bool {
        let client = command.request.client;
        state.clients[client.0 as usize].is_waiting || self.home(client) != id
    }

    /// The clients that have not all their answers, and what they ask.
    pub(super) fn open_requests(
        &self,
        state: &State<P>,
    ) -> impl Iterator<Item = (Client, Command)> {
        let clients = (0..).map(ClientId).zip(&state.clients).zip(&self.setup.clients);
        clients
            .filter(|((_, client), script)| client.sequence < script.operation_count)
            .map(|((id, client), _)| (*client, self.command(id, client.sequence)))
    }

    /// Takes an action and tells what came of it.
    pub(super) fn replay(&self, state: &State<P>, action: &Action<P>) -> (State<P>, Happening<P>) {
        let mut step = Step::new(self, state.clone(), true);
        step.take(action);
        let (state, events) = step.finish();
        (state, Happening { action: action.clone(), events })
    }

    /// What comes of a state in which nothing goes wrong any more, if that leaves a request open.
    pub(super) fn stall(&self, state: &State<P>) -> Option<(String, Vec<Happening<P>>)> {
        self.fair.stall(self, state, true)
    }

    fn add_requests(&self, state: &State<P>, actions: &mut Vec<Action<P>>) {
        for (client, command) in self.open_requests(state) {
            let number = command.request.client.0 as usize;
            if self.alike.has_to_wait(&state.clients, number) {
                continue;
            }
            let script = &self.setup.clients[number];
            if !client.is_waiting {
                actions.push(Action::Ask(script.home, command.clone()));
            }
            if state.left.retries > 0 {
                let again = script.retries_at.iter();
                let again = again.filter(|id| client.is_waiting || *id != script.home);
                actions.extend(again.map(|id| Action::Ask(id, command.clone())));
            }
        }
    }

    fn add_faults(&self, state: &State<P>, id: NodeId, actions: &mut Vec<Action<P>>) {
        let node = state.node(id);
        let left = &state.left;
        if node.driver.is_none() {
            if self.setup.is_restarted {
                actions.push(Action::Restart(id));
            }
            return;
        }
        let is_syncing = !node.disk.pending.is_empty();
        if is_syncing {
            actions.push(Action::Persist(id));
        }
        if self.may_crash(state, id) {
            actions.push(Action::CrashLosing(id));
            if is_syncing {
                actions.push(Action::CrashKeeping(id));
            }
        }
        if node.disk.can_finish() {
            actions.push(Action::FinishCheckpoint(id));
        }
        let progress = node.replica().map_or(Progress::default(), Protocol::progress);
        if left.checkpoints > 0 && progress > Progress::default() {
            actions.push(Action::Checkpoint(id));
        }
        if left.silences > 0 {
            actions.push(Action::Silence(id));
        }
        if left.timers > 0 {
            actions.extend(node.timers().map(|timer| Action::Timer(id, timer)));
        }
        let leads = node.replica().is_some_and(|it| it.leadership().is_some());
        if left.campaigns > 0 && self.setup.campaigners.contains(id) && !leads {
            actions.push(Action::Campaign(id));
        }
    }

    /// Whether this is the first time that property `index` has its example.
    fn is_first(&self, index: usize, is_example: impl FnOnce() -> bool) -> bool {
        let is_found = &self.is_found[index];
        !is_found.load(Ordering::Relaxed) && is_example() && !is_found.swap(true, Ordering::Relaxed)
    }

    pub(super) fn holds(&self, invariant: Invariant, state: &State<P>) -> bool {
        if invariant != Invariant::Progress {
            return !state.broken.contains_key(&invariant);
        }
        let is_looked_at = match self.setup.progress {
            ProgressFrom::EveryState => true,
            ProgressFrom::QuietStates => state.network.is_empty(),
        };
        !self.watches(invariant)
            || !is_looked_at
            || !state.broken.is_empty()
            || self.fair.stall(self, state, false).is_none()
    }
}

/// An invariant is broken for the first time: only then is it false.
fn always<const INDEX: usize, P: Registration>(world: &World<P>, state: &State<P>) -> bool {
    !world.is_first(INDEX, || !world.holds(INVARIANTS[INDEX], state))
}

fn sometimes<const INDEX: usize, P: Registration>(world: &World<P>, state: &State<P>) -> bool {
    let index = INVARIANTS.len() + INDEX;
    world.is_first(index, || state.seen.has(Cover::ALL[INDEX]))
}

type Condition<P> = fn(&World<P>, &State<P>) -> bool;

const fn always_conditions<P: Registration>() -> [Condition<P>; INVARIANTS.len()] {
    [
        always::<0, P>,
        always::<1, P>,
        always::<2, P>,
        always::<3, P>,
        always::<4, P>,
        always::<5, P>,
        always::<6, P>,
        always::<7, P>,
        always::<8, P>,
        always::<9, P>,
        always::<10, P>,
    ]
}

const fn sometimes_conditions<P: Registration>() -> [Condition<P>; Cover::ALL.len()] {
    [
        sometimes::<0, P>,
        sometimes::<1, P>,
        sometimes::<2, P>,
        sometimes::<3, P>,
        sometimes::<4, P>,
        sometimes::<5, P>,
        sometimes::<6, P>,
        sometimes::<7, P>,
        sometimes::<8, P>,
        sometimes::<9, P>,
        sometimes::<10, P>,
        sometimes::<11, P>,
        sometimes::<12, P>,
        sometimes::<13, P>,
    ]
}

impl<P: Registration> Model for World<P> {
    type State = State<P>;
    type Action = Action<P>;

    fn init_states(&self) -> Vec<State<P>> {
        vec![self.first_state()]
    }

    fn actions(&self, state: &State<P>, actions: &mut Vec<Action<P>>) {
        if !state.broken.is_empty() {
            return;
        }
        for packet in &state.network {
            let is_up = state.node(packet.to).driver.is_some();
            if is_up {
                actions.push(Action::Deliver(packet.clone()));
            }
            if is_up && state.left.duplicates > 0 {
                actions.push(Action::Duplicate(packet.clone()));
            }
            if state.left.drops > 0 {
                actions.push(Action::Drop(packet.clone()));
            }
        }
        self.add_requests(state, actions);
        for id in state.ids() {
            self.add_faults(state, id, actions);
        }
    }

    fn next_state(&self, last: &State<P>, action: Action<P>) -> Option<State<P>> {
        let mut step = Step::new(self, last.clone(), false);
        step.take(&action);
        let is_dead = step.is_dead;
        // A request that is sent on at once changed nothing worth a state.
        let is_refused = step.is_sent_on && matches!(action, Action::Ask(..));
        let (state, _) = step.finish();
        // After a panic that nobody looks for there is nothing to look at.
        let is_void = is_dead && state.broken.is_empty();
        (!is_refused && !is_void).then_some(state)
    }

    fn format_action(&self, action: &Action<P>) -> String {
        action.to_string()
    }

    fn format_step(&self, last: &State<P>, action: Action<P>) -> Option<String> {
        let (state, happening) = self.replay(last, &action);
        let events: Vec<String> = happening.events.iter().map(Event::to_string).collect();
        Some(format!("{}\n\n{state:?}", events.join("\n")))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let invariants = INVARIANTS.into_iter().zip(always_conditions());
        let invariants =
            invariants.map(|(invariant, holds)| Property::always(invariant.name(), holds));
        let covers = Cover::ALL.into_iter().zip(sometimes_conditions());
        let covers = covers.filter(|(cover, _)| self.setup.covers.contains(cover));
        let covers = covers.map(|(cover, is_seen)| Property::sometimes(cover.says(), is_seen));
        invariants.chain(covers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::state::{Packet, Shared};
    use crate::paxos::{Message, Replica};
    use crate::protocol::{Ballot, Value};
    use crate::registry::{Preset, Visitor};

    fn world(preset: &str) -> World<Replica> {
        let setup = Preset::named(preset).unwrap().setup;
        let mode = <Replica as Registration>::mode(setup.mode.leader());
        World::new(mode, setup, None, None)
    }

    #[test]
    fn an_assertion_of_the_core_is_a_violation_and_not_a_panic() {
        let world = world("duel");
        let mut state = world.init_states().remove(0);
        for client in 0..2 {
            let value = Value::from(world.command(ClientId(client), 0));
            let ballot = Ballot { round: 9, proposer: NodeId(0) };
            let slot = Slot::ZERO;
            let message = Message::Phase2a { ballot, slot, value, chosen_below: slot };
            let packet = Shared::new(Packet { from: NodeId(0), to: NodeId(1), message });
            state.network.insert(packet.clone());
            state = world.next_state(&state, Action::Deliver(packet)).unwrap();
        }
        let how = &state.broken[&Invariant::Assertions];
        assert!(how.contains("two values at ballot (9.r0)"), "{how}");
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        assert_eq!(actions, [], "nothing follows from a violation");
    }

    #[test]
    fn to_send_again_what_is_in_flight_adds_nothing() {
        let world = world("lossy");
        let state = world.init_states().remove(0);
        let command = world.command(ClientId(0), 0);
        let asked = world.next_state(&state, Action::Ask(NodeId(0), command)).unwrap();
        let retransmit = asked.node(NodeId(0)).timers().next().unwrap();
        let again = world.next_state(&asked, Action::Timer(NodeId(0), retransmit)).unwrap();
        assert_eq!(again.network, asked.network);
    }

    #[test]
    fn a_client_may_not_ask_who_sends_it_on() {
        let world = world("duel");
        let state = world.init_states().remove(0);
        let mut asks = Vec::new();
        world.actions(&state, &mut asks);
        asks.retain(|action| matches!(action, Action::Ask(..)));
        let taken: Vec<bool> =
            asks.into_iter().map(|ask| world.next_state(&state, ask).is_some()).collect();
        assert_eq!(taken, [true, false], "r0 is in phase 1, r1 knows that r0 leads");
    }

    #[test]
    fn two_ways_to_one_state_are_one_state() {
        let world = world("flexible-four");
        let state = world.init_states().remove(0);
        let steps =
            [Action::Ask(NodeId(0), world.command(ClientId(0), 0)), Action::Campaign(NodeId(3))];
        let walk = |first: &Action<Replica>, second: &Action<Replica>| {
            let state = world.next_state(&state, first.clone()).unwrap();
            world.next_state(&state, second.clone()).unwrap()
        };
        assert!(walk(&steps[0], &steps[1]) == walk(&steps[1], &steps[0]));
    }

    #[test]
    fn every_preset_begins_with_a_state_from_which_all_is_answered() {
        for preset in Preset::all().into_iter().chain(Preset::deep()) {
            let mode = preset.setup.mode;
            assert!(mode.visit(Begin { setup: preset.setup }), "{}", preset.name);
        }
    }

    struct Begin {
        setup: Setup,
    }

    impl Visitor for Begin {
        type Output = bool;

        fn visit<P: Registration>(self, mode: P::Mode) -> bool {
            let world = World::<P>::new(mode, self.setup, None, None);
            let state = world.init_states().remove(0);
            state.broken.is_empty() && world.stall(&state).is_none()
        }
    }
}
