//! Cases in which one replica tells clients of writes while another one may still answer reads: chance alone hardly ever
//! brings that about.

use super::address::Draws;
use super::case::Case;
use super::random_stream::Purpose;
use super::system::member;
use crate::deployment::{Deployment, Fault, FaultKind};
use crate::quorum::NodeSet;
use crate::time::Span;
use crate::workload::{Arrival, Keys};

impl Case {
    /// The same, or with what chance hardly ever brings about where clocks are compared.
    pub(super) fn contested(self, draws: &Draws, hasty: Span) -> Self {
        if self.deployment.mode.responders().is_some() {
            self.with_lost_responder(draws, hasty)
        } else {
            self.with_contested_lease(draws, hasty).with_contested_stamps(draws, hasty)
        }
    }

    /// For nearly every case with responders one of three things, while clients read at one side and write at the other.
    ///
    /// A responder and the leader do not hear each other for a while, so that the leader goes on without it. Or the
    /// leader does not hear any replica, and another one is told to lead. Or a phase-1 quorum hears nothing of the
    /// others, and then of all but the leader: what its members granted is old when one of them is elected.
    fn with_lost_responder(mut self, draws: &Draws, hasty: Span) -> Self {
        let mut stream = draws.stream(Purpose::Lease);
        let Deployment { mode, quorums, links, workload, .. } = &mut self.deployment;
        let (Some(leader), Some(responders)) = (mode.leader(), mode.responders()) else {
            return self;
        };
        let others = responders.without(leader);
        let rivals = quorums.candidates().without(leader).difference(self.dead);
        let (kind, rest) = (stream.below(3), [stream.word(), stream.word()]);
        let lasts = Span::from_millis(stream.between(200, 4_000));
        let at = Span::from_millis(stream.between(50, 200));
        let pick = |of: NodeSet, word: u64| {
            let place = usize::try_from(word % of.len().max(1) as u64).expect("a small number");
            of.iter().nth(place)
        };
        let heals_after = Some(lasts);
        let apart = quorums.phase1().some_quorum_within(quorums.acceptors().without(leader));
        let (from, to) = (NodeSet::only(leader), pick(others, rest[0]).map(NodeSet::only));
        let cut = |one: NodeSet, other: NodeSet| {
            [(one, other), (other, one)].map(|(from, to)| {
                let kind = FaultKind::Cut { from, to };
                Fault { at, kind, heals_after }
            })
        };
        self.faults = match (kind, to, pick(rivals, rest[1]), apart) {
            (0, Some(to), ..) => cut(from, to).into(),
            (2, .., Some(side)) => {
                let half = Some(Span(lasts.0 / 2));
                let all = Fault { at, kind: FaultKind::Partition { side }, heals_after: half };
                [&cut(from, side)[..], &[all]].concat()
            }
            (1, _, Some(replica), _) => vec![
                Fault { at, kind: FaultKind::Partition { side: from }, heals_after },
                Fault { at, kind: FaultKind::Campaign { replica }, heals_after: None },
            ],
            _ => return self,
        };
        let clients = u32::try_from(links.client_regions.len()).expect("a few regions");
        workload.arrival = Arrival::Closed { clients: clients * (1 + u32::from(stream.one_in(3))) };
        workload.keys = Keys::Uniform { count: stream.between(1, 2) };
        self.deployment.retry_after = Some(hasty.times(stream.between(1, 2)));
        self.deployment.warmup = at + lasts + Span::from_millis(stream.between(50, 500));
        self.triggered.clear();
        self.faults_over_after = at + lasts + Span::from_millis(100);
        self
    }

    /// For every other case with leases: the leader reaches no other replica for a while, and another one is told to
    /// lead; each client has one operation at a time, and asks again soon.
    ///
    /// So some clients read at the one while others write at the other, which chance alone hardly ever brings about.
    fn with_contested_lease(mut self, draws: &Draws, hasty: Span) -> Self {
        let mut stream = draws.stream(Purpose::Lease);
        let Deployment { mode, quorums, links, workload, .. } = &mut self.deployment;
        let (Some(leader), true) = (mode.leader(), mode.holds_lease()) else { return self };
        let rivals = quorums.candidates().without(leader).difference(self.dead);
        if !stream.one_in(2) || rivals.is_empty() {
            return self;
        }
        let replica = member(&mut stream, rivals);
        let clients = u32::try_from(links.client_regions.len()).expect("a few regions");
        workload.arrival = Arrival::Closed { clients: clients * (1 + u32::from(stream.one_in(3))) };
        workload.keys = Keys::Uniform { count: stream.between(1, 2) };
        self.deployment.retry_after = Some(hasty.times(stream.between(1, 2)));
        self.deployment.warmup = Span::from_millis(stream.between(400, 1_200));
        let at = Span::from_millis(stream.between(50, 200));
        let lasts = Span::from_millis(stream.between(100, 1_000));
        let campaign_at = at + Span::from_millis(stream.between(0, 50));
        let (side, heals_after) = (NodeSet::only(leader), Some(lasts));
        self.faults = vec![
            Fault { at, kind: FaultKind::Partition { side }, heals_after },
            Fault { at: campaign_at, kind: FaultKind::Campaign { replica }, heals_after: None },
        ];
        self.triggered.clear();
        self.faults_over_after = at + lasts + Span::from_millis(100);
        self
    }

    /// For every other case with commit timestamps: the leader, or another replica, reaches no other replica for a
    /// while, and another one, or the same when it is back and takes a state, is told to lead; as with leases.
    fn with_contested_stamps(mut self, draws: &Draws, hasty: Span) -> Self {
        let mut stream = draws.stream(Purpose::Contested);
        let Deployment { mode, quorums, links, workload, .. } = &mut self.deployment;
        let Some(leader) = mode.leader().filter(|_| mode.has_stamps()) else { return self };
        let rivals = quorums.candidates().without(leader).difference(self.dead);
        if !stream.one_in(2) || rivals.is_empty() {
            return self;
        }
        let (replica, is_leader_cut) = (member(&mut stream, rivals), stream.one_in(2));
        let clients = u32::try_from(links.client_regions.len()).expect("a few regions");
        workload.arrival = Arrival::Closed { clients: clients * (1 + u32::from(stream.one_in(3))) };
        workload.keys = Keys::Uniform { count: stream.between(1, 2) };
        let retry_after = hasty.times(stream.between(1, 2)) + mode.waits_most();
        self.deployment.retry_after = Some(retry_after);
        self.deployment.warmup = Span::from_millis(stream.between(400, 1_200));
        let at = Span::from_millis(stream.between(50, 200));
        let lasts = Span::from_millis(stream.between(50, 600));
        let (soon, slots) = (Span::from_millis(stream.between(0, 60)), stream.between(0, 3));
        let (cut, campaign_at) =
            if is_leader_cut { (leader, at + soon) } else { (replica, at + lasts + soon) };
        if !is_leader_cut {
            self.deployment.retention.slots = Some(slots);
            self.checkpoint_records = stream.between(1, 4);
        }
        let (side, heals_after) = (NodeSet::only(cut), Some(lasts));
        self.faults = vec![
            Fault { at, kind: FaultKind::Partition { side }, heals_after },
            Fault { at: campaign_at, kind: FaultKind::Campaign { replica }, heals_after: None },
        ];
        self.triggered.clear();
        self.faults_over_after = at + lasts + Span::from_millis(200);
        self
    }
}
