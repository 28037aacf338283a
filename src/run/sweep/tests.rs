use std::sync::atomic::AtomicUsize;

use super::*;
use crate::experiment::testing::{GOOD, source};

/// A sweep begun in a folder.
fn begun(folder: &Path) -> (Plan, Provenance) {
    let source = source(GOOD);
    let plan = Plan::from_source(&source, Size::default()).unwrap();
    let provenance = Provenance::gather(&source, plan.seed);
    let sweep = Sweep::new(&source, Size::default(), &plan, 2, provenance.clone()).unwrap();
    sweep.begin(folder, &plan).unwrap();
    (plan, provenance)
}

#[test]
fn every_trial_is_in_one_shard() {
    for count in [1, 2, 7, 61] {
        let shards: Vec<Shard> = (1..=count).map(|k| Shard::new(k, count).unwrap()).collect();
        for index in 0..60 {
            let trial = Trial { index, repeat: 0, variant: 0, point: 0, seed: 0 };
            let owners = shards.iter().filter(|shard| shard.has(&trial)).count();
            assert_eq!(owners, 1, "{index} of {count}");
        }
    }
    assert_eq!("3/7".parse(), Ok(Shard { number: 3, count: 7 }));
    for wrong in ["0/7", "8/7", "0/0", "3", "3/", "-1/7", "a/b"] {
        assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
    }
}

#[test]
fn a_trial_that_another_process_runs_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, provenance) = begun(folder.path());
    let shard = Shard::new(1, 1).unwrap();
    let ended_count = AtomicUsize::new(0);
    let run = || {
        let ledger = open(folder.path(), &plan, &provenance, Some(shard)).unwrap();
        let tell = |_: &super::super::Event<'_>| {
            ended_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        run(&plan, ledger, shard, 1, Interrupt::never(), &tell).unwrap()
    };
    let held = ledger::lock(&folder.path().join(beside(2, "lock"))).unwrap().unwrap();
    let ended = run();
    assert_eq!((ended.busy_count, ended.failed.len()), (1, 0));
    let sweep = Sweep::read(folder.path()).unwrap();
    assert_eq!(sweep.status(folder.path()).unwrap().missing, [2]);
    drop(held);
    let ended = run();
    assert_eq!((ended.busy_count, ended.finished.len()), (0, plan.trials.len()));
    // None ran twice.
    assert_eq!(ended_count.into_inner(), plan.trials.len());
    assert!(sweep.status(folder.path()).unwrap().is_whole());
}

#[test]
fn the_shards_that_have_work_are_those_of_open_trials() {
    let status = Status { done_count: 9, failed: vec![(3, "why".into())], missing: vec![7, 8, 10] };
    assert_eq!(status.open_shards(7), BTreeSet::from([1, 3, 7]));
}
