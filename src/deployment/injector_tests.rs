use super::*;
use crate::deployment::{Role, Target, Unsynced};
use crate::quorum::{NodeSet, QuorumSystem};
use crate::topology::{Jitter, Links, Profile};

const FROM: Time = Time(1_000);
const UNTIL: Time = Time(2_000);
const R0: NodeId = NodeId(0);
const R1: NodeId = NodeId(1);

/// What members say, as a test sets it.
#[derive(Default)]
struct Said {
    written: u64,
    leader: Option<NodeId>,
    lost: NodeSet,
    executed: [u64; 3],
}

impl Members for Said {
    fn written(&self) -> u64 {
        self.written
    }

    fn leader(&self) -> Option<Leader> {
        self.leader.map(Leader::from)
    }

    fn is_lost(&self, replica: NodeId) -> bool {
        self.lost.contains(replica)
    }

    fn executed(&self, replica: NodeId) -> Option<u64> {
        self.executed.get(usize::from(replica.0)).copied()
    }

    fn furthest(&self) -> Option<u64> {
        self.executed.iter().max().copied()
    }
}

fn injector(schedule: Vec<Scheduled>) -> Injector {
    let names = ["a", "b", "c"].map(str::to_owned);
    let profile = Profile::load("loopback").unwrap();
    let links = Links::new(&profile, &names, &names[..1], Jitter::None).unwrap();
    let mut injector = Injector::new(schedule, Aim::new(&QuorumSystem::majority(3), &links));
    injector.start(FROM, UNTIL);
    injector
}

fn crash(replica: Target) -> FaultKind<Target, Target> {
    FaultKind::Crash { replica, unsynced: Unsynced::Lost }
}

fn crash_of(replica: NodeId) -> FaultKind {
    FaultKind::Crash { replica, unsynced: Unsynced::Lost }
}

fn at(at: u64, kind: FaultKind<Target, Target>, lasts: Option<u64>) -> Scheduled {
    Scheduled { trigger: Trigger::At(Span(at)), kind, heals_after: lasts.map(Span) }
}

fn after(writes: u64, kind: FaultKind<Target, Target>, lasts: Option<u64>) -> Scheduled {
    Scheduled { trigger: Trigger::AfterWrites(writes), kind, heals_after: lasts.map(Span) }
}

fn begin(kind: FaultKind, ends_at: Option<u64>) -> Order {
    Order::Begin { kind, ends_at: ends_at.map(Time) }
}

/// All orders at a time.
fn orders(injector: &mut Injector, now: u64, said: &Said) -> Vec<Order> {
    let mut orders = Vec::new();
    while let Some(order) = injector.next_due(Time(now), said) {
        orders.push(order);
    }
    while let Some(order) = injector.next_awaited(Time(now), said) {
        orders.push(order);
    }
    orders
}

/// When each record began and ended.
fn records(injector: Injector) -> Vec<(usize, u64, Option<u64>)> {
    let records = injector.into_records().into_iter();
    records.map(|it| (it.fault, it.at.0, it.ended_at.map(|at| at.0))).collect()
}

#[test]
fn faults_begin_at_their_times_and_end_after_their_spans() {
    let partition = FaultKind::Partition { side: NodeSet::only(R0) };
    let schedule = vec![
        at(200, FaultKind::Pause { replica: R1.into() }, None),
        at(100, partition.into(), Some(100)),
    ];
    let (mut injector, said) = (injector(schedule), Said::default());
    assert_eq!(injector.next_at(), Some(Time(1_100)));
    assert_eq!(orders(&mut injector, 1_099, &said), []);
    assert_eq!(orders(&mut injector, 1_100, &said), [begin(partition, Some(1_200))]);
    assert_eq!(injector.active().collect::<Vec<_>>(), [&partition]);
    let pause = FaultKind::Pause { replica: R1 };
    let both = [begin(pause, None), Order::End(partition)];
    assert_eq!(orders(&mut injector, 1_200, &said), both, "at one time beginnings come first");
    assert!(injector.is_over());
    assert_eq!(records(injector), [(1, 1_100, Some(1_200)), (0, 1_200, None)]);
}

#[test]
fn overdue_orders_come_in_the_order_of_their_times() {
    let schedule = vec![at(0, crash(R0.into()), Some(100)), at(105, crash(R0.into()), Some(100))];
    let (mut injector, said) = (injector(schedule), Said::default());
    assert_eq!(orders(&mut injector, 1_000, &said), [begin(crash_of(R0), Some(1_100))]);
    let late = [Order::End(crash_of(R0)), begin(crash_of(R0), Some(1_210))];
    assert_eq!(orders(&mut injector, 1_110, &said), late);
}

#[test]
fn of_two_faults_of_one_link_each_ends_at_its_own_time() {
    let to = NodeSet::all(3);
    let slow = |by| FaultKind::Slow { from: NodeSet::only(R0), to, by: Span(by) };
    let schedule = vec![at(0, slow(1).into(), Some(100)), at(50, slow(2).into(), Some(100))];
    let (mut injector, said) = (injector(schedule), Said::default());
    orders(&mut injector, 1_050, &said);
    assert_eq!(injector.active().copied().collect::<Vec<_>>(), [slow(1), slow(2)]);
    assert_eq!(orders(&mut injector, 1_100, &said), []);
    assert_eq!(orders(&mut injector, 1_150, &said), [Order::End(slow(1)), Order::End(slow(2))]);
}

#[test]
fn the_last_of_two_pauses_to_end_resumes_the_replica() {
    let pause = FaultKind::Pause { replica: R1 };
    let schedule = vec![at(0, pause.into(), Some(100)), at(50, pause.into(), Some(100))];
    let (mut injector, said) = (injector(schedule), Said::default());
    orders(&mut injector, 1_000, &said);
    orders(&mut injector, 1_050, &said);
    assert_eq!(orders(&mut injector, 1_100, &said), []);
    assert_eq!(orders(&mut injector, 1_150, &said), [Order::End(pause)]);
    assert_eq!(records(injector), [(0, 1_000, Some(1_100)), (1, 1_050, Some(1_150))]);
}

#[test]
fn a_replica_that_is_down_is_neither_crashed_nor_paused_again() {
    let pause = |at_time| at(at_time, FaultKind::Pause { replica: R0.into() }, Some(500));
    let campaign = at(60, FaultKind::Campaign { replica: R0.into() }, None);
    let schedule =
        vec![at(0, crash(R0.into()), Some(100)), at(50, crash(R0.into()), Some(10)), pause(55)];
    let (mut injector, said) = (injector([schedule, vec![campaign]].concat()), Said::default());
    assert_eq!(orders(&mut injector, 1_000, &said), [begin(crash_of(R0), Some(1_100))]);
    assert_eq!(orders(&mut injector, 1_060, &said), []);
    assert_eq!(orders(&mut injector, 1_100, &said), [Order::End(crash_of(R0))]);
    assert!(injector.is_over());
    assert_eq!(records(injector), [(0, 1_000, Some(1_100))]);
}

#[test]
fn a_skipped_fault_names_the_crash_that_keeps_its_replica_down() {
    let pause = FaultKind::Pause { replica: R0 };
    let schedule = vec![at(0, crash(R0.into()), Some(100)), at(100, pause.into(), None)];
    let (mut injector, said) = (injector(schedule), Said::default());
    orders(&mut injector, 1_000, &said);
    let down = Crash { fault: Some(0), ends_at: Some(Time(1_100)) };
    assert_eq!((injector.crash_of(R0), injector.crash_of(R1)), (Some(down), None));
    assert_eq!(orders(&mut injector, 1_100, &said), [Order::End(crash_of(R0))]);
    let skipped = Skipped { fault: 1, kind: pause, replica: R0, crash: Some(0) };
    assert_eq!(injector.take_skipped(), [skipped]);
    assert_eq!((injector.take_skipped(), injector.crash_of(R0)), (vec![], None));
    let lost = Said { lost: NodeSet::only(R1), ..Said::default() };
    let order = injector.inject(Time(1_200), (crash_of(R1), None), &lost);
    assert_eq!((order, injector.take_skipped()), (None, vec![]), "no schedule has it");
}

/// Members are asked who leads only where that decides whom a fault hits.
#[test]
fn a_fault_of_named_replicas_does_not_depend_on_who_leads() {
    let named = FaultKind::Cut { from: Target::from(R0), to: R1.into() };
    let of_part = FaultKind::Cut { from: Target::from(R0), to: Role::Leader.into() };
    assert!(!named.is_of_part() && of_part.is_of_part());
}

#[test]
fn a_lost_replica_is_neither_crashed_nor_paused() {
    let schedule = vec![at(0, crash(NodeSet::all(3).into()), None)];
    let said = Said { lost: NodeSet::only(R0), ..Said::default() };
    let crashes = [1, 2].map(|id| begin(crash_of(NodeId(id)), None));
    assert_eq!(orders(&mut injector(schedule), 1_000, &said), crashes);
}

#[test]
fn a_crash_ends_the_pauses_of_its_replica() {
    let schedule = vec![
        at(0, FaultKind::Pause { replica: R0.into() }, Some(500)),
        at(0, FaultKind::Pause { replica: R1.into() }, Some(500)),
        at(100, crash(R0.into()), Some(50)),
    ];
    let (mut injector, said) = (injector(schedule), Said::default());
    orders(&mut injector, 1_000, &said);
    orders(&mut injector, 1_100, &said);
    assert_eq!(orders(&mut injector, 1_150, &said), [Order::End(crash_of(R0))]);
    let resumed = [Order::End(FaultKind::Pause { replica: R1 })];
    assert_eq!(orders(&mut injector, 1_500, &said), resumed);
    assert_eq!(records(injector)[0], (0, 1_000, Some(1_100)));
}

#[test]
fn writes_trigger_a_fault_within_the_measured_time_only() {
    let pause = || FaultKind::Pause { replica: Target::from(R1) };
    let schedule = vec![after(20, pause(), Some(100)), after(30, pause(), None)];
    let mut injector = injector(schedule);
    let wrote = |written| Said { written, ..Said::default() };
    assert_eq!((injector.next_at(), injector.is_waiting()), (None, true));
    assert_eq!(orders(&mut injector, 1_500, &wrote(19)), []);
    let begun = [begin(FaultKind::Pause { replica: R1 }, Some(1_700))];
    assert_eq!(orders(&mut injector, 1_600, &wrote(20)), begun);
    assert_eq!(orders(&mut injector, 2_000, &wrote(30)).len(), 1, "the end and no beginning");
    assert!(injector.is_over() && !injector.is_waiting());
}

#[test]
fn a_fault_of_the_leader_waits_for_one_and_hits_who_leads_then() {
    let mut injector = injector(vec![at(0, crash(Role::Leader.into()), Some(100))]);
    assert_eq!(orders(&mut injector, 1_000, &Said::default()), []);
    assert!(injector.is_waiting() && !injector.is_over());
    let led = Said { leader: Some(R1), ..Said::default() };
    assert_eq!(orders(&mut injector, 1_300, &led), [begin(crash_of(R1), Some(1_400))]);
}

#[test]
fn a_campaign_is_over_at_once() {
    let campaign = FaultKind::Campaign { replica: R1 };
    let mut injector = injector(vec![at(0, campaign.into(), None)]);
    assert_eq!(orders(&mut injector, 1_000, &Said::default()), [begin(campaign, None)]);
    assert_eq!(injector.active().count(), 0);
    assert_eq!(records(injector), [(0, 1_000, Some(1_000))]);
}

#[test]
fn an_end_after_the_trial_is_due_until_the_fault_is_abandoned() {
    let pause = FaultKind::Pause { replica: R1 };
    let mut injector = injector(vec![at(900, pause.into(), Some(5_000))]);
    let said = Said::default();
    orders(&mut injector, 1_900, &said);
    assert_eq!((injector.next_at(), injector.is_over()), (Some(Time(6_900)), false));
    let mut ended = injector.clone();
    assert_eq!(orders(&mut ended, 6_900, &said), [Order::End(pause)]);
    assert_eq!(injector.abandon(), [pause]);
    assert!(injector.is_over());
    assert_eq!(records(injector), [(0, 1_900, None)], "it did not end within the trial");
}

#[test]
fn ending_everything_ends_what_is_active_and_cancels_the_rest() {
    let pause = FaultKind::Pause { replica: R1 };
    let schedule = vec![at(0, pause.into(), None), at(500, crash(R0.into()), None)];
    let (mut injector, said) = (injector(schedule), Said::default());
    orders(&mut injector, 1_000, &said);
    let order = injector.inject(Time(1_050), (crash_of(R0), Some(Span(9))), &said);
    assert_eq!(order, Some(begin(crash_of(R0), Some(1_059))));
    assert_eq!(injector.end_all(Time(1_055)), [pause, crash_of(R0)]);
    assert_eq!(orders(&mut injector, 1_900, &said), []);
    assert_eq!(records(injector), [(0, 1_000, Some(1_055))], "what was injected has none");
}

#[test]
fn a_replica_that_is_back_has_caught_up_with_the_furthest() {
    let pause = FaultKind::Pause { replica: R1.into() };
    let full = FaultKind::FullDisk { replica: R1.into() };
    let faults = vec![
        at(100, crash(R0.into()), Some(100)),
        at(100, pause, Some(100)),
        at(500, full, Some(100)),
        at(700, crash(R0.into()), Some(100)),
        at(850, crash(R0.into()), None),
    ];
    let mut injector = injector(faults);
    let mut said = Said { executed: [10, 10, 10], ..Said::default() };
    orders(&mut injector, 1_100, &said);
    assert!(!injector.is_catching_up());
    let mut look = |now: u64, executed: [u64; 3]| {
        said.executed = executed;
        orders(&mut injector, now, &said);
        injector.note_progress(Time(now), &said);
        let times = injector.records().iter().map(|it| it.caught_up_at.map(|at| at.0));
        (times.collect::<Vec<_>>(), injector.is_catching_up())
    };
    assert_eq!(look(1_200, [10, 10, 50]), (vec![None, None], true));
    // The others go on; what they had when it came back counts.
    assert_eq!(look(1_250, [49, 10, 90]), (vec![None, None], true));
    assert_eq!(look(1_260, [50, 10, 95]), (vec![Some(1_260), None], false));
    look(1_500, [95, 95, 95]);
    assert_eq!(look(1_600, [99, 98, 99]), (vec![Some(1_260), None, None], true));
    assert_eq!(look(1_650, [99, 99, 99]), (vec![Some(1_260), None, Some(1_650)], false));
    look(1_700, [99, 99, 99]);
    assert!(look(1_800, [99, 120, 120]).1);
    // It is killed again before it has caught up, and never does.
    assert!(!look(1_850, [100, 130, 130]).1);
    assert_eq!(look(1_900, [200, 200, 200]).0, [Some(1_260), None, Some(1_650), None, None]);
}

#[test]
fn a_replica_without_room_is_down() {
    let full = FaultKind::FullDisk { replica: R1.into() };
    let faults = vec![at(100, full, Some(500)), at(200, crash(R1.into()), None)];
    let mut injector = injector(faults);
    let said = Said::default();
    let kind = FaultKind::FullDisk { replica: R1 };
    assert_eq!(orders(&mut injector, 1_100, &said), [begin(kind, Some(1_600))]);
    assert_eq!(orders(&mut injector, 1_200, &said), [], "it is down");
    assert_eq!(injector.crash_of(R1), Some(Crash { fault: Some(0), ends_at: Some(Time(1_600)) }));
    assert_eq!(orders(&mut injector, 1_600, &said), [Order::End(kind)]);
}
