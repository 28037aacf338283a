//! How long the disk takes to make records durable, through the log that replicas keep.

use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::{Error, Quantiles};
use crate::deployment::Durability;
use crate::measure::Latencies;
use crate::runtime::clock;
use crate::runtime::storage::{self, Store, Ticket};
use crate::time::Span;

/// The size of a record: the value of a write in the experiments.
const RECORD_BYTES: usize = 128;

/// So many logs write to one disk at the same time while their syncs are timed.
pub(super) const LOGS: usize = 4;

/// The records of a large group.
pub(super) const GROUP: usize = 64;

/// A log in a folder of its own, which goes with it.
pub(super) struct Disk {
    folder: PathBuf,
    store: Option<Store>,
}

impl Disk {
    /// A log below `parent`, whose disk is measured; those of one process differ in their numbers.
    pub(super) fn open(parent: &Path, number: usize) -> Result<Self, Error> {
        let folder = parent.join(format!("calibration.{}.{number}", std::process::id()));
        let failed = |source| Error::Folder { path: folder.clone(), source };
        fs::create_dir_all(parent).and_then(|()| fs::create_dir(&folder)).map_err(failed)?;
        // From here on the folder goes, whatever happens.
        let mut disk = Self { folder, store: None };
        disk.store = Some(Store::open(Durability::Fsync, &disk.folder)?.0);
        Ok(disk)
    }

    /// How long groups of so many records take to be durable, one after the other.
    pub(super) fn groups_of(
        &mut self,
        record_count: usize,
        length: Span,
    ) -> Result<Quantiles, Error> {
        Ok(Quantiles::of(&self.times_of(record_count, length)?))
    }

    fn times_of(&mut self, record_count: usize, length: Span) -> Result<Latencies, Error> {
        let mut took = Latencies::new();
        let Some(store) = &mut self.store else { return Ok(took) };
        let group = vec![7; record_count * RECORD_BYTES];
        let start = clock::now();
        let mut last = start;
        while last.since(start) < length || took.is_empty() {
            let ticket = store.append(group.clone());
            wait(store, ticket)?;
            let now = clock::now();
            took.record(now.since(last));
            last = now;
        }
        Ok(took)
    }
}

/// How long one record takes to be durable while so many logs below `parent` are written at the same time.
pub(super) fn side_by_side(
    parent: &Path,
    log_count: usize,
    length: Span,
) -> Result<Quantiles, Error> {
    let opened = (1..=log_count).map(|number| Disk::open(parent, number));
    let mut disks = opened.collect::<Result<Vec<Disk>, Error>>()?;
    thread::scope(|scope| {
        let begin = |disk: &'_ mut Disk| disk.times_of(1, length);
        let threads: Vec<_> =
            disks.iter_mut().map(|disk| scope.spawn(move || begin(disk))).collect();
        let mut took = Latencies::new();
        for thread in threads {
            took.merge(&thread.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(Quantiles::of(&took))
    })
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The log ends before its folder does.
        self.store = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits, as the event loop would, until `ticket` is durable.
fn wait(store: &mut Store, ticket: Ticket) -> Result<(), storage::Error> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    while store.durable() < ticket {
        match store.poll_durable(&mut context) {
            Poll::Ready(durable) => drop(durable?),
            Poll::Pending => thread::park(),
        }
    }
    Ok(())
}
