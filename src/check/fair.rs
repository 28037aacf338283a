//! What happens when nothing goes wrong any more: every request must be answered.
//!
//! From a state on, disks sync, the crashed restart (unless they stay down), all messages arrive,
//! and then those they cause; timers run out when nothing is in flight, then a replica campaigns if
//! nobody leads, and clients ask around.
//! A leader must not be left with acceptors that refuse it, either, where it could do something about
//! that: each of its writes would be slower for ever than the replicas that are up allow.
//! That is one fair schedule of many, and the same each time; a request that it never answers is
//! stuck.
//! What follows from a situation is worked out once, however many states lead to it.

use super::digest::{Digests, digest};
use super::event::Happening;
use super::model::World;
use super::state::{Action, State};
use super::step::Step;
use crate::command::Command;
use crate::protocol::{Protocol, TimerId};
use crate::quorum::{NodeId, NodeSet};
use crate::registry::{Budgets, Registration};

/// So often nothing was in flight, and still a request is open: it is stuck.
const PATIENCE: usize = 24;

/// After so many steps it is stuck too, busily.
const STEPS: usize = 2_000;

/// Of what came of a stuck state, so many steps are told.
const TOLD: usize = 12;

/// Situations from which all requests were seen to be answered.
#[derive(Debug, Default)]
pub(super) struct Fair {
    good: Digests,
}

impl Fair {
    /// Why a request stays open, and what happens instead, if somebody reads along.
    pub(super) fn stall<P: Registration>(
        &self,
        world: &World<P>,
        state: &State<P>,
        is_read: bool,
    ) -> Option<(String, Vec<Happening<P>>)> {
        let mut run = Run::new(world, state, is_read);
        let mut passed = Vec::new();
        loop {
            if let Some(why) = run.is_broken() {
                // What is broken on purpose is to be found where it is nearest.
                return world.rule().is_none().then_some((why, run.told));
            }
            let situation = run.situation();
            let is_answered = world.open_requests(&run.step.state).next().is_none();
            let is_over = is_answered && run.refusing().is_empty();
            if is_over || (!is_read && self.good.contains(situation)) {
                for situation in passed {
                    self.good.insert(situation);
                }
                return None;
            }
            if run.quiet_count > PATIENCE || run.step_count > STEPS {
                return Some((run.waiting(), run.told));
            }
            passed.push(situation);
            run.go_on();
        }
    }
}

/// One run without faults.
struct Run<'a, P: Registration> {
    world: &'a World<P>,
    step: Step<'a, P>,
    quiet_count: usize,
    step_count: usize,
    told: Vec<Happening<P>>,
}

impl<'a, P: Registration> Run<'a, P> {
    fn new(world: &'a World<P>, state: &State<P>, is_read: bool) -> Self {
        let mut state = state.clone();
        state.left = Budgets::default();
        let ids: Vec<NodeId> = state.ids().collect();
        let step = Step::new(world, state, is_read);
        let mut run = Self { world, step, quiet_count: 0, step_count: 0, told: Vec::new() };
        for id in ids {
            if run.step.state.node(id).is_waiting() {
                run.step.persist(id);
                run.tell(Action::Persist(id));
            }
            if run.step.finish_checkpoint(id) {
                run.tell(Action::FinishCheckpoint(id));
            }
        }
        run
    }

    /// All that the rest of the run depends on.
    fn situation(&self) -> u64 {
        digest(&(self.step.state.future(), self.quiet_count))
    }

    fn is_broken(&self) -> Option<String> {
        let (invariant, how) = self.step.state.broken.first_key_value()?;
        Some(format!("{invariant} is violated on the way: {how}"))
    }

    fn waiting(&self) -> String {
        let open = self.world.open_requests(&self.step.state);
        let open = open.map(|(_, command)| {
            format!("c{} waits for {command} for ever", command.request.client.0)
        });
        let mut waiting = open.collect::<Vec<_>>();
        let refusing = self.refusing();
        if waiting.is_empty() && !refusing.is_empty() {
            waiting.push(format!("{refusing} refuse the leader for ever"));
        }
        waiting.join(", ")
    }

    /// Those that are up and refuse the leader, where enough are up for another phase 1.
    fn refusing(&self) -> NodeSet {
        let live: NodeSet = self.live().into_iter().collect();
        let leader = self.leader().and_then(|id| self.step.state.node(id).replica());
        let refused_by = leader.map_or(NodeSet::EMPTY, Protocol::refused_by);
        let can_renew = self.world.quorums().is_phase1(live);
        if can_renew { refused_by.intersection(live) } else { NodeSet::EMPTY }
    }

    fn go_on(&mut self) {
        self.step_count += 1;
        for id in self.step.state.ids() {
            if self.world.is_restarted() && self.step.state.node(id).driver.is_none() {
                self.step.start(id);
                self.tell(Action::Restart(id));
            }
        }
        for id in self.live() {
            if self.step.state.node(id).is_waiting() {
                self.step.persist(id);
                self.tell(Action::Persist(id));
            }
            if self.step.finish_checkpoint(id) {
                self.tell(Action::FinishCheckpoint(id));
            }
        }
        if let Some(packet) = self.step.state.network.pop_first() {
            self.step.receive(&packet);
            self.tell(Action::Deliver(packet));
            return;
        }
        self.quiet_count += 1;
        if self.quiet_count % 2 == 1 {
            self.fire_timers();
        } else {
            self.seek_leader();
            self.ask_around();
        }
    }

    fn fire_timers(&mut self) {
        if self.world.has_silences() {
            self.live().into_iter().for_each(|id| self.step.pass_time(id));
        }
        let timers: Vec<(NodeId, TimerId)> = self
            .live()
            .into_iter()
            .flat_map(|id| self.step.state.node(id).timers().map(move |timer| (id, timer)))
            .collect();
        for (id, timer) in timers {
            self.step.fire(id, timer);
            self.tell(Action::Timer(id, timer));
        }
    }

    /// In the second silence without a leader the first replica that may lead campaigns.
    fn seek_leader(&mut self) {
        if self.world.first_leader().is_none() || self.leader().is_some() {
            return;
        }
        if let Some(id) = self.candidates().first().copied() {
            self.step.campaign(id);
            self.tell(Action::Campaign(id));
        }
    }

    /// Every client that waits asks the next replica, and the leader if that one sends it on.
    fn ask_around(&mut self) {
        let open: Vec<Command> =
            self.world.open_requests(&self.step.state).map(|(_, command)| command).collect();
        let live = self.candidates();
        if live.is_empty() {
            return;
        }
        for command in open {
            let turn = self.quiet_count / 2 + command.request.client.0 as usize;
            let id = live[turn % live.len()];
            self.ask(id, &command);
            if let (true, Some(leader)) = (self.step.is_sent_on, self.leader()) {
                self.ask(leader, &command);
            }
        }
    }

    fn ask(&mut self, id: NodeId, command: &Command) {
        self.step.is_sent_on = false;
        self.step.ask(id, command);
        self.tell(Action::Ask(id, command.clone()));
    }

    fn live(&self) -> Vec<NodeId> {
        let state = &self.step.state;
        state.ids().filter(|id| state.node(*id).driver.is_some()).collect()
    }

    /// Those that are up and may lead: clients ask nobody else.
    fn candidates(&self) -> Vec<NodeId> {
        let candidates = self.world.quorums().candidates();
        self.live().into_iter().filter(|id| candidates.contains(*id)).collect()
    }

    fn leader(&self) -> Option<NodeId> {
        let leads = |id: &NodeId| {
            let replica = self.step.state.node(*id).replica();
            replica.is_some_and(|it| it.leadership().is_some())
        };
        self.live().into_iter().find(leads)
    }

    fn tell(&mut self, action: Action<P>) {
        let Some(events) = &mut self.step.events else { return };
        let events = std::mem::take(events);
        if self.told.len() < TOLD {
            self.told.push(Happening { action, events });
        }
    }
}
