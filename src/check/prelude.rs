//! What has happened already when the exploration begins: the first state of a world.

use std::collections::BTreeMap;

use super::cover::Covers;
use super::ledger::Ledger;
use super::model::World;
use super::network::Network;
use super::state::{Action, Client, Node, Packet, Shared, State};
use super::step::Step;
use crate::command::ClientId;
use crate::protocol::{Statement, TimerId};
use crate::quorum::NodeId;
use crate::registry::{Prelude, Registration};

impl<P: Registration> World<P> {
    /// Every replica is started; what it sent is in flight, or has led to what the prelude of the deployment says.
    pub(super) fn first_state(&self) -> State<P> {
        let ids: Vec<NodeId> = self.ids().collect();
        let state = State {
            nodes: self.ids().map(|_| Shared::new(Node::default())).collect(),
            network: Network::default(),
            clients: vec![Client::default(); self.setup.clients.len()],
            left: self.setup.budgets,
            ledger: Shared::new(Ledger::default()),
            broken: BTreeMap::new(),
            seen: Covers::default(),
        };
        let prelude = self.setup.prelude;
        let mut step = Step::new(self, state, false);
        // The first leader is started last: what is sent to one that is down may be lost for good.
        for id in ids.into_iter().rev() {
            step.start(id);
            if prelude > Prelude::Starting {
                step.persist(id);
            }
        }
        if prelude == Prelude::Elected {
            deliver_phase1(&mut step);
        }
        if prelude >= Prelude::Led {
            self.deliver_all(&mut step, None);
        }
        if prelude >= Prelude::Written {
            let first = ClientId(0);
            let is_missed = matches!(prelude, Prelude::Missed | Prelude::Succeeded);
            let cut_off = self.ids().last().filter(|_| is_missed);
            step.ask(self.home(first), &self.command(first, 0));
            self.deliver_all(&mut step, cut_off);
            for id in self.ids() {
                let timers: Vec<TimerId> = step.state.node(id).timers().collect();
                for timer in timers {
                    step.fire(id, timer);
                }
            }
            self.deliver_all(&mut step, cut_off);
        }
        if prelude == Prelude::Succeeded {
            self.hand_over(&mut step);
        }
        if prelude == Prelude::Rejoined {
            self.rejoin(&mut step);
        }
        if let Prelude::Renewed | Prelude::Checkpointed = prelude
            && let Some(leader) = self.first_leader()
        {
            if prelude == Prelude::Checkpointed {
                step.checkpoint(leader);
            }
            step.campaign(leader);
            deliver_phase1(&mut step);
        }
        let (mut state, _) = step.finish();
        state.seen = Covers::default();
        state
    }

    /// Everything arrives, but for what is sent to one that is cut off, and is durable, until nothing is
    /// in flight.
    fn deliver_all(&self, step: &mut Step<'_, P>, cut_off: Option<NodeId>) {
        while !step.state.network.is_empty() {
            for packet in std::mem::take(&mut step.state.network).into_packets() {
                if Some(packet.to) != cut_off {
                    step.receive(&packet);
                }
            }
            self.ids().for_each(|id| step.persist(id));
        }
    }

    /// The second replica runs phase 1 and leads; nothing else is delivered.
    fn hand_over(&self, step: &mut Step<'_, P>) {
        for successor in self.ids().skip(1).take(1) {
            step.campaign(successor);
            step.persist(successor);
        }
        deliver_phase1(step);
    }

    /// The leader crashes, starts again and leads; what it asks the second replica before that stays in flight.
    fn rejoin(&self, step: &mut Step<'_, P>) {
        let Some(leader) = self.first_leader() else { return };
        step.take(&Action::CrashKeeping(leader));
        step.take(&Action::Restart(leader));
        step.persist(leader);
        let second = self.ids().nth(1);
        let is_late = |packet: &Shared<Packet<P>>| Some(packet.to) == second;
        let late = step.state.network.iter().filter(|packet| is_late(packet)).cloned();
        let late: Vec<Shared<Packet<P>>> = late.collect();
        step.state.network.retain(|packet| !is_late(packet));
        self.deliver_all(step, None);
        for packet in late {
            step.state.network.insert(packet);
        }
    }
}

/// The messages of phase 1 arrive, and those they cause.
fn deliver_phase1<P: Registration>(step: &mut Step<'_, P>) {
    let is_phase1 = |packet: &Shared<Packet<P>>| {
        let statement = P::statement(&packet.message);
        matches!(statement, Statement::Asks { .. } | Statement::Promises { .. })
    };
    while let Some(packet) = step.state.network.iter().find(|it| is_phase1(it)).cloned() {
        step.state.network.remove(&packet);
        step.receive(&packet);
    }
}
