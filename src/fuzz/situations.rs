//! The situations that a run was in: what a guided search tells runs apart by.
//!
//! A situation is a small fact about the moment at which something happened; its number is a hash of it.
//!
//! | at | the situation says |
//! |---|---|
//! | a new leader | what it adopted and filled, how many proposals it had open, who led before and whether that one is up, its crashes, whether it took a state, how many believe that they lead |
//! | the same | which replicas promised, and how they meet the quorum announced at the ballot before |
//! | a choice | which replicas voted, and at how many ballots somebody proposed there |
//! | a crash | the part of the replica, its open proposals, which kinds of records were not durable |
//! | a restart | the same of its crash, from how many records, how far behind |
//! | an installed state | the part of the replica, how far it was behind, the open proposals that it passed over |
//! | a message | its kind, the part of the receiver, how its ballot compares with the receiver's |
//! | a request | how often it was asked, and what the answer was |
//! | anything of note | the two things of note before it, and whether they were of the same replica |
//!
//! The first rows, the crash, the restart and the installed state also say of which protocol, and whether
//! leaders are elected, each ballot has a quorum of its own, the log is trimmed, and some are witnesses.
//! Times, slots, keys and values have no part in any: counts are taken as none, one, few or many.
//! Two situations may have one number; a search then misses that one of them is new.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::mem::discriminant;

use super::case::Case;
use crate::command::RequestId;
use crate::monitor::Choice;
use crate::protocol::{Ballot, Election, Executed, Note, Order, Position, Scope, Slot, Statement};
use crate::quorum::{NodeId, NodeSet};
use crate::seed::scramble;

/// The number of a situation.
pub(super) type Situation = u32;

/// What was of note last, by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Noted {
    #[default]
    Nothing,
    Suspects,
    Campaigns,
    Leads,
    Follows,
    Resigns,
    LosesRace,
    SendsAgain,
    SendsState,
    Installs,
    Recovers,
    Crashes,
    Restarts,
    Told,
}

/// What a replica does in the protocol, as far as others see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Idle,
    Campaigns,
    Leads,
    Down,
}

/// What is known of a replica.
#[derive(Clone, Debug, Default)]
struct Seen {
    part: Part,
    last: Noted,
    crash_count: u64,
    has_installed: bool,
    /// The highest ballot that it promised or voted at.
    promised: Ballot,
    /// The ballot that it asked at last, and the quorum that it announced with it.
    asked: Ballot,
    announced: Option<NodeSet>,
    /// Who promised it.
    promises: NodeSet,
    /// The slot after its last proposal, and after the last that it executed.
    proposed_below: u64,
    executed_below: u64,
    /// Kinds of records given to the disk since its last sync, a bit for each.
    unsynced: u64,
    /// The number of its last crash.
    crash: Situation,
}

/// The situations of a run so far.
#[derive(Debug)]
pub(super) struct Situations {
    found: BTreeSet<Situation>,
    /// What was found last: much comes again at once.
    last: Situation,
    context: u64,
    order: Order,
    seen: Vec<Seen>,
    /// The last two things of note, and of whom.
    notes: [(Noted, NodeId); 2],
    leader: Option<NodeId>,
    /// The quorum that was announced at the highest ballot that led.
    announced: Option<NodeSet>,
    ballots: BTreeMap<Position, (u64, Ballot)>,
    asked: BTreeMap<RequestId, u64>,
}

impl Situations {
    pub(super) fn new(case: &Case, order: Order) -> Self {
        let deployment = &case.deployment;
        let quorums = &deployment.quorums;
        let mut name = Fold::default();
        name.write(deployment.mode.name().as_bytes());
        let is_elected = matches!(deployment.election, Election::Timeout(_));
        let flags = [
            is_elected && deployment.mode.leader().is_some(),
            quorums.announces(),
            deployment.retention.slots.is_some(),
            !quorums.witnesses().is_empty(),
        ];
        let context =
            flags.iter().fold(name.finish(), |context, flag| context << 1 | u64::from(*flag));
        Self {
            found: BTreeSet::new(),
            last: 0,
            context,
            order,
            seen: vec![Seen::default(); quorums.n()],
            notes: [(Noted::Nothing, NodeId(0)); 2],
            leader: None,
            announced: None,
            ballots: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    /// All of them, ascending.
    pub(super) fn finish(self) -> Vec<Situation> {
        self.found.into_iter().collect()
    }

    fn find(&mut self, what: u64, facts: &[u64]) -> Situation {
        let folded = facts.iter().fold(scramble(what), |folded, fact| scramble(folded ^ fact));
        let number = (folded >> 32) as Situation;
        if number != self.last {
            self.last = number;
            self.found.insert(number);
        }
        number
    }

    fn of(&self, id: NodeId) -> &Seen {
        &self.seen[usize::from(id.0)]
    }

    fn of_mut(&mut self, id: NodeId) -> &mut Seen {
        &mut self.seen[usize::from(id.0)]
    }

    /// How many proposals of a replica are open.
    fn open(&self, id: NodeId) -> u64 {
        let Seen { proposed_below, executed_below, .. } = self.of(id);
        few(proposed_below.saturating_sub(*executed_below))
    }

    /// How many slots the furthest is ahead of it.
    fn behind(&self, id: NodeId) -> u64 {
        let furthest = self.seen.iter().map(|seen| seen.executed_below).max().unwrap_or_default();
        few(furthest - self.of(id).executed_below)
    }

    fn note(&mut self, id: NodeId, noted: Noted) {
        let [(before, by_before), (last, by_last)] = self.notes;
        let own = std::mem::replace(&mut self.of_mut(id).last, noted);
        let same = u64::from(id == by_last) << 1 | u64::from(by_last == by_before);
        self.find(1, &[noted as u64, last as u64, before as u64, same]);
        self.find(2, &[self.context, noted as u64, own as u64]);
        self.notes = [(last, by_last), (noted, id)];
    }

    /// A message leaves, at once or when what it waited for is durable.
    pub(super) fn said(&mut self, by: NodeId, statement: &Statement<'_>) {
        match *statement {
            Statement::Asks { ballot, quorum, scope, .. } => {
                let is_new = ballot > self.of(by).asked;
                let seen = self.of_mut(by);
                if is_new {
                    (seen.asked, seen.announced) = (ballot, quorum);
                    seen.promises = NodeSet::EMPTY;
                }
                if matches!(scope, Scope::From(_)) && seen.part != Part::Leads {
                    seen.part = Part::Campaigns;
                }
            }
            Statement::Promises { ballot, .. } | Statement::Voted { ballot, .. } => {
                let seen = self.of_mut(by);
                seen.promised = ballot.max(seen.promised);
                if ballot.proposer == by && ballot == seen.asked {
                    seen.promises.insert(by);
                }
            }
            Statement::Proposes { ballot, position, .. } => {
                let slot_below = position.slot.0 + 1;
                let below = &mut self.of_mut(by).proposed_below;
                *below = slot_below.max(*below);
                let (count, highest) = self.ballots.entry(position).or_default();
                if ballot > *highest {
                    (*count, *highest) = (*count + 1, ballot);
                }
            }
            _ => {}
        }
    }

    /// A message arrives.
    pub(super) fn received<M>(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: &M,
        statement: &Statement<'_>,
    ) {
        let mut kind = Fold::default();
        discriminant(message).hash(&mut kind);
        let seen = self.of(to);
        let (ballot, is_partial) = match *statement {
            Statement::Promises { ballot, is_partial, .. } => (Some(ballot), is_partial),
            Statement::Asks { ballot, .. }
            | Statement::Proposes { ballot, .. }
            | Statement::Voted { ballot, .. } => (Some(ballot), false),
            _ => (None, false),
        };
        let known = if statement.is_answer() { seen.asked } else { seen.promised };
        let compared =
            ballot.map_or(3, |ballot| u64::from(ballot >= known) + u64::from(ballot > known));
        let state = [seen.part as u64, few(seen.crash_count), self.behind(to)];
        let [part, crashes, behind] = state;
        self.find(3, &[kind.finish(), part, crashes, behind, compared, u64::from(is_partial)]);
        if let Statement::Promises { ballot, is_partial: false, .. } = *statement
            && ballot == self.of(to).asked
        {
            self.of_mut(to).promises.insert(from);
        }
    }

    pub(super) fn chosen(&mut self, choice: &Choice) {
        let n = self.seen.len() as u64;
        let ballots = self.ballots.get(&choice.position).map_or(0, |(count, _)| *count);
        self.find(4, &[n, choice.by.mask()]);
        let proposer = self.of(choice.ballot.proposer);
        let (part, crashes) = (proposer.part as u64, few(proposer.crash_count));
        self.find(5, &[self.context, few(ballots), part, crashes]);
    }

    pub(super) fn noted(&mut self, by: NodeId, note: &Note) {
        let noted = match note {
            Note::Committed { .. } | Note::Waited { .. } | Note::SnapshotInstalled { .. } => return,
            Note::Leading { adopted_count, filled_count, .. } => {
                self.leads(by, *adopted_count, *filled_count);
                Noted::Leads
            }
            Note::Suspected { .. } => Noted::Suspects,
            Note::Campaigning => Noted::Campaigns,
            Note::Following { .. } => Noted::Follows,
            Note::Recovered { .. } => Noted::Recovers,
            Note::Resigned => Noted::Resigns,
            Note::SnapshotSent => Noted::SendsState,
            Note::RaceLost => Noted::LosesRace,
            Note::Retransmitted => Noted::SendsAgain,
        };
        if matches!(noted, Noted::Follows | Noted::Resigns) && self.of(by).part != Part::Down {
            self.of_mut(by).part = Part::Idle;
        }
        self.note(by, noted);
    }

    fn leads(&mut self, by: NodeId, adopted_count: u64, filled_count: u64) {
        let before = match self.leader {
            None => 0,
            Some(leader) if leader == by => 1,
            Some(leader) => 2 + u64::from(self.of(leader).part == Part::Down),
        };
        let leader_count = self.seen.iter().filter(|seen| seen.part == Part::Leads).count() as u64;
        let open = self.open(by);
        let seen = self.of(by).clone();
        self.find(6, &[self.context, few(adopted_count), few(filled_count), before]);
        let own = [few(seen.crash_count), u64::from(seen.has_installed), open, self.behind(by)];
        let [crashes, has_installed, open, behind] = own;
        self.find(7, &[self.context, crashes, has_installed, open, behind, few(leader_count)]);
        let n = self.seen.len() as u64;
        self.find(8, &[n, seen.promises.mask()]);
        if let Some(quorum) = seen.announced {
            let meets = self.announced.map_or(0, |before| {
                let own = u64::from(quorum.intersection(before).is_empty());
                let asked = u64::from(seen.promises.intersection(before).is_empty());
                1 + (own << 1 | asked)
            });
            self.find(9, &[meets, before, few(adopted_count), few(seen.crash_count)]);
            self.announced = Some(quorum);
        }
        self.leader = Some(by);
        self.of_mut(by).part = Part::Leads;
    }

    pub(super) fn recorded(&mut self, by: NodeId, record: &Statement<'_>) {
        let kind = match record {
            Statement::Promises { .. } => 0,
            Statement::Vote { .. } => 1,
            Statement::Reserves => 2,
            Statement::Learned { .. } => 3,
            _ => 4,
        };
        self.of_mut(by).unsynced |= 1 << kind;
    }

    pub(super) fn synced(&mut self, by: NodeId) {
        self.of_mut(by).unsynced = 0;
    }

    pub(super) fn executed(&mut self, by: NodeId, executed: &Executed) {
        // Of the slots of a key nobody knows how far behind a replica is.
        if self.order == Order::Total {
            self.of_mut(by).executed_below = executed.slot.0 + 1;
        }
    }

    pub(super) fn installed(&mut self, by: NodeId, below: Slot) {
        let (part, open) = (self.of(by).part as u64, self.open(by));
        let lag = few(below.0.saturating_sub(self.of(by).executed_below));
        let is_passed = u64::from(self.of(by).proposed_below > self.of(by).executed_below);
        let crashes = few(self.of(by).crash_count);
        self.find(10, &[self.context, part, open, lag, is_passed, crashes]);
        self.of_mut(by).has_installed = true;
        let known = &mut self.of_mut(by).executed_below;
        *known = below.0.max(*known);
        self.note(by, Noted::Installs);
    }

    pub(super) fn crashed(&mut self, id: NodeId) {
        let (open, behind) = (self.open(id), self.behind(id));
        let Seen { part, unsynced, .. } = *self.of(id);
        let crash = self.find(11, &[self.context, part as u64, unsynced, open, behind]);
        self.note(id, Noted::Crashes);
        let seen = self.of_mut(id);
        seen.crash = crash;
        seen.crash_count += 1;
        (seen.part, seen.unsynced, seen.has_installed) = (Part::Down, 0, false);
    }

    pub(super) fn restarted(&mut self, id: NodeId, record_count: usize, executed_below: Slot) {
        let seen = self.of_mut(id);
        (seen.part, seen.executed_below) = (Part::Idle, executed_below.0);
        let (crash, records) = (u64::from(seen.crash), few(record_count as u64));
        let behind = self.behind(id);
        self.find(12, &[crash, records, behind]);
        self.note(id, Noted::Restarts);
    }

    pub(super) fn campaigned(&mut self, id: NodeId) {
        let part = self.of(id).part as u64;
        self.find(13, &[part, self.open(id), self.behind(id)]);
        self.note(id, Noted::Told);
    }

    pub(super) fn asked(&mut self, request: RequestId) {
        *self.asked.entry(request).or_default() += 1;
    }

    pub(super) fn answered(&mut self, from: NodeId, request: RequestId, is_executed: bool) {
        let asked = few(self.asked.get(&request).copied().unwrap_or_default());
        let part = self.of(from).part as u64;
        self.find(14, &[self.context, asked, u64::from(is_executed), part]);
    }
}

/// None, one, two or three, up to ten, more.
const fn few(count: u64) -> u64 {
    match count {
        0 | 1 => count,
        2 | 3 => 2,
        4..=10 => 3,
        _ => 4,
    }
}

/// FNV-1a: the same number for the same bytes in every run.
struct Fold(u64);

impl Default for Fold {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
