//! Faults that begin when a replica does something: a campaign, an election, a checkpoint, a settled ballot.
//!
//! A fault at a random time hits the few milliseconds that matter only by chance.
//! A triggered fault waits for its [`Occasion`] instead, and begins at once or a little later.
//! Whom it hits is drawn by the part in that occasion: the replica itself, whoever led before, a member of the
//! phase-2 quorum that it announced, or another one.

use super::random_stream::RandomStream;
use crate::deployment::{Durability, FaultKind, Unsynced};
use crate::protocol::{Ballot, Note, Scope, Slot, Statement};
use crate::quorum::{NodeId, NodeSet};
use crate::time::{Span, Time};

/// What a replica does when a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// It gives its disk the rounds that it may use.
    Reserves,
    /// Its first Phase1a of a ballot over all slots leaves.
    Campaigns,
    /// The same, and the phase-2 quorum announced with it is another one than that of its ballot before.
    Announces,
    /// It begins to lead.
    Leads,
    /// It asks the others to settle its ballot.
    Settles,
    /// It tells that a checkpoint is durable.
    Checkpoints,
    /// It installs the state of another one.
    Installs,
    /// It starts again after a crash.
    Restarts,
}

impl Occasion {
    const ALL: [Self; 8] = [
        Self::Reserves,
        Self::Campaigns,
        Self::Announces,
        Self::Leads,
        Self::Settles,
        Self::Checkpoints,
        Self::Installs,
        Self::Restarts,
    ];

    /// Those of protocols in which nobody leads.
    const WITHOUT_LEADERS: [Self; 4] =
        [Self::Reserves, Self::Checkpoints, Self::Installs, Self::Restarts];
}

/// Whom a triggered fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The replica that does it.
    Itself,
    /// The replica that led last, if it is another one; else as [`Self::Another`].
    LedBefore,
    /// Both of these.
    Both,
    /// This one, counted on from the first, of the other members of the phase-2 quorum that it announced last; as
    /// [`Self::Another`], if it announced none.
    Announced(usize),
    /// This one, counted on from the first, of the others.
    Another(usize),
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It crashes.
    Crash(Unsynced),
    /// It stands still.
    Pause,
    /// It is cut off, both ways; two of them keep each other.
    Partition,
    /// It does not hear the replica that does it, or, if that is itself, nobody hears it.
    Deafen,
    /// It is told to lead.
    Campaign,
}

/// A fault that waits for its occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriggeredFault {
    /// What it waits for.
    pub occasion: Occasion,
    /// It lets so many of them pass.
    pub skipped: u64,
    /// It begins at so many of those that follow.
    pub times: u64,
    /// So long after each.
    pub after: Span,
    /// Whom it hits.
    pub victim: Victim,
    /// What happens to it.
    pub blow: Blow,
    /// How long it lasts; no longer than until all faults are over.
    pub lasts: Span,
}

/// What triggered faults are drawn for.
pub(super) struct Scene {
    pub(super) has_leaders: bool,
    pub(super) durability: Durability,
    /// Which messages take the longest.
    pub(super) round_trip: Span,
}

/// For one case of three, one to five of them.
pub(super) fn draw(stream: &mut RandomStream, scene: &Scene) -> Vec<TriggeredFault> {
    let is_drawn = stream.one_in(3);
    let count = if is_drawn { stream.between(1, 5) } else { 0 };
    (0..count).map(|_| one(stream, scene)).collect()
}

fn one(stream: &mut RandomStream, scene: &Scene) -> TriggeredFault {
    let round_trip = scene.round_trip.0;
    let occasion = if scene.has_leaders {
        stream.pick(&Occasion::ALL)
    } else {
        stream.pick(&Occasion::WITHOUT_LEADERS)
    };
    let within = stream.pick(&[1, 2_000_000, round_trip, round_trip * 4]);
    let after = Span(stream.below(within));
    let place = stream.index(8);
    let victim = stream.pick(&[
        Victim::Itself,
        Victim::Itself,
        Victim::Itself,
        Victim::LedBefore,
        Victim::Both,
        Victim::Announced(place),
        Victim::Another(place),
    ]);
    let blow = stream.pick(&[
        Blow::Crash(Unsynced::Lost),
        Blow::Crash(Unsynced::Lost),
        Blow::Crash(Unsynced::Written),
        Blow::Crash(Unsynced::Torn),
        Blow::Pause,
        Blow::Partition,
        Blow::Partition,
        Blow::Deafen,
        Blow::Campaign,
        Blow::Campaign,
    ]);
    let blow = match blow {
        // Who has no disk would forget what it promised.
        Blow::Crash(_) if scene.durability == Durability::Memory => Blow::Pause,
        blow => blow,
    };
    // Who leads or campaigns need not be told to.
    let victim = match (blow, victim) {
        (Blow::Campaign, Victim::Itself | Victim::Both) => Victim::Another(place),
        _ => victim,
    };
    let (skipped, times) = (stream.pick(&[0, 0, 0, 1, 2, 5]), stream.pick(&[1, 1, 2, 10]));
    let longest = stream.pick(&[5_000_000, round_trip * 4, round_trip * 40]);
    let lasts = Span(1 + stream.below(longest));
    TriggeredFault { occasion, skipped, times, after, victim, blow, lasts }
}

/// What is known of one replica.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    asked: Ballot,
    announced: Option<NodeSet>,
    settles: Ballot,
    durable_below: Slot,
}

/// The triggered faults of a run, and what they wait for.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    /// Each with how often its occasion was there.
    waiting: Vec<(TriggeredFault, u64)>,
    known: Vec<Known>,
    /// Who led last, and who led before that.
    leaders: [Option<NodeId>; 2],
    /// What begins, and when; in the order in which the occasions were there.
    due: Vec<(Time, FaultKind, Span)>,
    /// These crash for good at another time.
    dead: NodeSet,
    /// How many have begun.
    pub(super) begun_count: u64,
}

impl Triggers {
    pub(super) fn new(faults: &[TriggeredFault], n: usize, dead: NodeSet) -> Self {
        let waiting = faults.iter().map(|fault| (*fault, 0)).collect();
        Self { waiting, known: vec![Known::default(); n], dead, ..Self::default() }
    }

    /// Whether there are any.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next one begins, of those whose occasion was there.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.due.iter().map(|(at, _, _)| *at).min()
    }

    /// The next one that is due, with how long it lasts.
    pub(super) fn take_due(&mut self, now: Time) -> Option<(FaultKind, Span)> {
        let at = self.next_at().filter(|at| *at <= now)?;
        let place = self.due.iter().position(|(due, _, _)| *due == at)?;
        let (_, kind, lasts) = self.due.remove(place);
        self.begun_count += 1;
        Some((kind, lasts))
    }

    fn of(&mut self, id: NodeId) -> &mut Known {
        &mut self.known[usize::from(id.0)]
    }

    /// A message leaves.
    pub(super) fn said(&mut self, now: Time, by: NodeId, statement: &Statement<'_>) {
        if self.is_empty() {
            return;
        }
        let known = self.of(by);
        match *statement {
            Statement::Asks { ballot, scope: Scope::From(_), quorum, .. }
                if ballot > known.asked =>
            {
                let is_another = quorum.is_some() && quorum != known.announced;
                (known.asked, known.announced) = (ballot, quorum);
                self.note(now, by, Occasion::Campaigns);
                if is_another {
                    self.note(now, by, Occasion::Announces);
                }
            }
            Statement::Settles { ballot } if ballot > known.settles => {
                known.settles = ballot;
                self.note(now, by, Occasion::Settles);
            }
            Statement::Executed { below } if below > known.durable_below => {
                known.durable_below = below;
                self.note(now, by, Occasion::Checkpoints);
            }
            _ => {}
        }
    }

    /// Records are given to a disk.
    pub(super) fn recorded(&mut self, now: Time, by: NodeId, record: &Statement<'_>) {
        if matches!(record, Statement::Reserves) {
            self.note(now, by, Occasion::Reserves);
        }
    }

    /// A replica says something of its work.
    pub(super) fn noted(&mut self, now: Time, by: NodeId, note: &Note) {
        if matches!(note, Note::Leading { .. }) {
            if self.leaders[0] != Some(by) {
                self.leaders = [Some(by), self.leaders[0]];
            }
            self.note(now, by, Occasion::Leads);
        }
    }

    /// An occasion is there: the faults that wait for it begin now, or a little later.
    pub(super) fn note(&mut self, now: Time, by: NodeId, occasion: Occasion) {
        for place in 0..self.waiting.len() {
            let (fault, count) = &mut self.waiting[place];
            if fault.occasion != occasion {
                continue;
            }
            let number = *count;
            *count += 1;
            if (fault.skipped..fault.skipped + fault.times).contains(&number) {
                let fault = *fault;
                let kinds = self.kinds(&fault, by);
                let due = kinds.into_iter().map(|kind| (now + fault.after, kind, fault.lasts));
                self.due.extend(due);
            }
        }
    }

    fn kinds(&self, fault: &TriggeredFault, by: NodeId) -> Vec<FaultKind> {
        let everybody = NodeSet::all(self.known.len());
        let victims = self.victims(fault.victim, by);
        let up = victims.difference(self.dead);
        match fault.blow {
            Blow::Crash(unsynced) => {
                up.iter().map(|replica| FaultKind::Crash { replica, unsynced }).collect()
            }
            Blow::Pause => up.iter().map(|replica| FaultKind::Pause { replica }).collect(),
            Blow::Campaign => {
                victims.iter().map(|replica| FaultKind::Campaign { replica }).collect()
            }
            Blow::Partition => vec![FaultKind::Partition { side: victims }],
            Blow::Deafen => {
                let others = victims.without(by);
                let to = if others.is_empty() { everybody.without(by) } else { others };
                vec![FaultKind::Cut { from: NodeSet::only(by), to }]
            }
        }
    }

    fn victims(&self, victim: Victim, by: NodeId) -> NodeSet {
        let others = NodeSet::all(self.known.len()).without(by);
        if others.is_empty() {
            return NodeSet::only(by);
        }
        let nth = |of: NodeSet, place: usize| {
            let of = if of.is_empty() { others } else { of };
            NodeSet::only(of.iter().nth(place % of.len()).expect("a place below the length"))
        };
        let led_before = self.leaders.into_iter().flatten().find(|leader| *leader != by);
        let led_before = led_before.map_or_else(|| nth(others, 0), NodeSet::only);
        let announced = self.known[usize::from(by.0)].announced.unwrap_or_default();
        match victim {
            Victim::Itself => NodeSet::only(by),
            Victim::LedBefore => led_before,
            Victim::Both => led_before.with(by),
            Victim::Announced(place) => nth(announced.without(by), place),
            Victim::Another(place) => nth(others, place),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::random_stream::Purpose;
    use super::*;
    use crate::fuzz::{Case, Limits, run};

    const LEADS: Note = Note::Leading { phase1: Span::ZERO, adopted_count: 0, filled_count: 0 };

    fn triggered(occasion: Occasion, victim: Victim, blow: Blow) -> TriggeredFault {
        let (after, lasts) = (Span(3), Span(9));
        TriggeredFault { occasion, skipped: 1, times: 2, after, victim, blow, lasts }
    }

    fn ids(ids: &[u8]) -> NodeSet {
        ids.iter().map(|id| NodeId(*id)).collect()
    }

    fn asks(round: u64, by: u8, quorum: Option<NodeSet>) -> Statement<'static> {
        let ballot = Ballot { round, proposer: NodeId(by) };
        let scope = Scope::From(Slot::ZERO);
        Statement::Asks { ballot, log: crate::protocol::Log::Whole, scope, quorum }
    }

    #[test]
    fn a_fault_begins_at_its_occasions_but_for_those_skipped() {
        let fault = triggered(Occasion::Leads, Victim::Itself, Blow::Crash(Unsynced::Torn));
        let mut triggers = Triggers::new(&[fault], 3, NodeSet::EMPTY);
        for (at, by) in [(10, 0), (20, 1), (30, 2), (40, 0)] {
            triggers.noted(Time(at), NodeId(by), &Note::RaceLost);
            triggers.noted(Time(at), NodeId(by), &LEADS);
        }
        let crash = |id| FaultKind::Crash { replica: NodeId(id), unsynced: Unsynced::Torn };
        assert_eq!((triggers.next_at(), triggers.take_due(Time(22))), (Some(Time(23)), None));
        assert_eq!(triggers.take_due(Time(23)), Some((crash(1), Span(9))));
        assert_eq!(triggers.take_due(Time(50)), Some((crash(2), Span(9))));
        assert_eq!((triggers.take_due(Time(50)), triggers.begun_count), (None, 2));
    }

    #[test]
    fn the_victim_is_who_has_that_part_then() {
        let blow = Blow::Partition;
        let hit = |victim: Victim, dead: NodeSet, blow: Blow| {
            let fault = TriggeredFault { skipped: 0, ..triggered(Occasion::Settles, victim, blow) };
            let mut triggers = Triggers::new(&[fault], 5, dead);
            triggers.noted(Time(1), NodeId(4), &LEADS);
            triggers.said(Time(2), NodeId(2), &asks(1, 2, Some(ids(&[2, 3, 4]))));
            triggers.noted(Time(3), NodeId(2), &LEADS);
            let ballot = Ballot { round: 1, proposer: NodeId(2) };
            let settles = Statement::Settles { ballot };
            triggers.said(Time(4), NodeId(2), &settles);
            triggers.said(Time(5), NodeId(2), &settles);
            std::iter::from_fn(move || Some(triggers.take_due(Time(9))?.0)).collect::<Vec<_>>()
        };
        let side = |victim| hit(victim, NodeSet::EMPTY, blow);
        let of = |side: &[u8]| vec![FaultKind::Partition { side: ids(side) }];
        assert_eq!(side(Victim::Itself), of(&[2]));
        assert_eq!(side(Victim::LedBefore), of(&[4]));
        assert_eq!(side(Victim::Both), of(&[2, 4]));
        assert_eq!(side(Victim::Announced(1)), of(&[4]));
        assert_eq!(side(Victim::Another(5)), of(&[1]));
        // Who crashes for good is not started again by another crash.
        let crash = |dead| hit(Victim::Both, dead, Blow::Crash(Unsynced::Lost)).len();
        assert_eq!((crash(NodeSet::EMPTY), crash(ids(&[4]))), (2, 1));
        let deaf = |victim| hit(victim, NodeSet::EMPTY, Blow::Deafen);
        let cut = |to: &[u8]| vec![FaultKind::Cut { from: ids(&[2]), to: ids(to) }];
        assert_eq!(
            (deaf(Victim::LedBefore), deaf(Victim::Itself)),
            (cut(&[4]), cut(&[0, 1, 3, 4]))
        );
    }

    #[test]
    fn a_campaign_announces_only_another_quorum_and_each_ballot_is_one() {
        let campaign = triggered(Occasion::Campaigns, Victim::Itself, Blow::Pause);
        let announces = TriggeredFault { occasion: Occasion::Announces, ..campaign };
        let mut triggers = Triggers::new(&[campaign, announces], 3, NodeSet::EMPTY);
        let quorums = [ids(&[0, 1]), ids(&[0, 1]), ids(&[0, 2])];
        for (round, quorum) in (1..).zip(quorums) {
            for _ in 0..2 {
                triggers.said(Time(round), NodeId(0), &asks(round, 0, Some(quorum)));
            }
        }
        let counts: Vec<u64> = triggers.waiting.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [3, 2]);
    }

    #[test]
    fn every_occasion_comes_in_some_run_that_is_fit_for_it() {
        let mut awaited = BTreeSet::from(Occasion::ALL);
        for seed in 0..400 {
            let mut case = Case::draw(seed, &Limits::default());
            let Some(first) = case.triggered.first().copied() else { continue };
            let deployment = &case.deployment;
            let is_fit = |occasion: &Occasion| match occasion {
                Occasion::Announces | Occasion::Settles => deployment.quorums.announces(),
                Occasion::Installs => deployment.retention.slots.is_some(),
                Occasion::Restarts => case.fault_mix.has_crashes(),
                _ => true,
            };
            let Some(occasion) = awaited.iter().copied().find(is_fit) else { continue };
            case.triggered =
                vec![TriggeredFault { occasion, skipped: 0, after: Span::ZERO, ..first }];
            let ran = run(&case);
            assert_eq!(ran.violation, None, "{case}");
            if ran.tally.triggered > 0 {
                awaited.remove(&occasion);
            }
        }
        assert!(awaited.is_empty(), "{awaited:?}");
    }

    #[test]
    fn without_a_disk_nothing_crashes_when_something_happens() {
        for seed in 0..300 {
            let case = Case::draw(seed, &Limits::default());
            let is_crash = |it: &TriggeredFault| matches!(it.blow, Blow::Crash(_));
            let has_disk = case.deployment.durability == Durability::Fsync;
            assert!(has_disk || !case.triggered.iter().any(is_crash), "{case}");
        }
    }

    #[test]
    fn a_third_of_the_cases_has_some_and_all_kinds_are_drawn() {
        let scene = Scene {
            has_leaders: true,
            durability: Durability::Fsync,
            round_trip: Span::from_millis(5),
        };
        let drawn: Vec<_> = (0..600)
            .map(|seed| draw(&mut RandomStream::new(seed, Purpose::Triggers), &scene))
            .collect();
        let some = drawn.iter().filter(|it| !it.is_empty()).count();
        assert!((150..250).contains(&some), "{some}");
        let all = || drawn.iter().flatten();
        let occasions: BTreeSet<_> = all().map(|it| it.occasion).collect();
        assert_eq!(occasions.len(), 8);
        let own_campaign = |it: &&TriggeredFault| {
            it.blow == Blow::Campaign && matches!(it.victim, Victim::Itself | Victim::Both)
        };
        assert_eq!(all().find(own_campaign), None);
    }
}
