//! The acceptor's log against redb: commits of 1 and 64 records, and reading 100,000 back.
//!
//! A record has 128 bytes, about a vote for a small write.
//! The database gets one transaction for each group, made durable at once, as the log does.

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use flexpaxos::deployment::Durability;
use flexpaxos::runtime::storage::{Store, Ticket};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tempfile::TempDir;

const RECORD_BYTES: usize = 128;
const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");

/// A folder on the disk of the build, not one in memory as `/tmp` may be.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build folder is writable")
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits, as the event loop would, until `ticket` is durable.
fn wait(store: &mut Store, ticket: Ticket) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    while store.durable() < ticket {
        if let Poll::Ready(durable) = store.poll_durable(&mut context) {
            durable.expect("the disk works");
        } else {
            thread::park();
        }
    }
}

fn open(durability: Durability, folder: &Path) -> Store {
    Store::open(durability, folder).expect("the folder is new").0
}

fn insert(database: &Database, first: u64, record_count: u64) {
    let transaction = database.begin_write().expect("no other writer");
    {
        let mut table = transaction.open_table(RECORDS).expect("the table is ours");
        for key in first..first + record_count {
            table.insert(key, &[7; RECORD_BYTES][..]).expect("the disk has space");
        }
    }
    // The default durability of a transaction is immediate: it is synced when this returns.
    transaction.commit().expect("the disk has space");
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for record_count in [1, 64] {
        let bytes = vec![7; record_count * RECORD_BYTES];
        for (name, durability) in [("memory", Durability::Memory), ("fsync", Durability::Fsync)] {
            let folder = folder();
            let mut store = open(durability, folder.path());
            group.bench_function(BenchmarkId::new(name, record_count), |bencher| {
                bencher.iter(|| {
                    let ticket = store.append(bytes.clone());
                    wait(&mut store, ticket);
                });
            });
        }
        let folder = folder();
        let database = Database::create(folder.path().join("redb")).expect("the folder is new");
        let mut first = 0;
        group.bench_function(BenchmarkId::new("redb", record_count), |bencher| {
            bencher.iter(|| {
                insert(&database, first, record_count as u64);
                first += record_count as u64;
            });
        });
    }
    group.finish();
}

fn recovery(criterion: &mut Criterion) {
    // One record a group, as a log of single commits has; a test run makes do with fewer.
    let record_count: u64 =
        if std::env::args().any(|arg| arg == "--bench") { 100_000 } else { 100 };
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10);

    let log = folder();
    let mut store = open(Durability::Fsync, log.path());
    for _ in 0..record_count {
        store.append(vec![7; RECORD_BYTES]);
    }
    wait(&mut store, Ticket(record_count));
    drop(store);
    let reopen = || Store::open(Durability::Fsync, log.path()).expect("the log is intact");
    assert_eq!(reopen().1.groups.len() as u64, record_count);
    // The store is dropped outside the measured time.
    group.bench_function("fsync", |bencher| {
        bencher.iter_batched(|| (), |()| reopen(), BatchSize::PerIteration);
    });

    let folder = folder();
    let path = folder.path().join("redb");
    let database = Database::create(&path).expect("the folder is new");
    insert(&database, 0, record_count);
    drop(database);
    group.bench_function("redb", |bencher| {
        bencher.iter_batched(
            || (),
            |()| {
                let database = Database::open(&path).expect("the database is intact");
                let transaction = database.begin_read().expect("the database is intact");
                let table = transaction.open_table(RECORDS).expect("the table is there");
                let records = table
                    .iter()
                    .expect("the table is intact")
                    .map(|record| record.expect("the table is intact").1.value().to_vec());
                let records: Vec<Vec<u8>> = records.collect();
                assert_eq!(records.len() as u64, record_count);
                (database, records)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, append, recovery);
criterion_main!(benches);
