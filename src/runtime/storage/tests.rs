//! Crashes and damage, on real files; what the threads do is waited for, never timed.

use std::fs;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::deployment::Durability;

const SMALL: Limits = Limits { segment_bytes: 512, queued_bytes_max: 1 << 20 };

/// Wakes the thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Waits until `ticket` is durable, and says which tickets were reported on the way.
fn wait(store: &mut Store, ticket: Ticket) -> Result<Vec<Ticket>, Error> {
    let mut reported = Vec::new();
    while store.durable() < ticket || reported.is_empty() {
        reported.push(block_on(poll_fn(|cx| store.poll_durable(cx)))?);
    }
    Ok(reported)
}

fn open(folder: &Path) -> Result<(Store, Recovered), Error> {
    Store::open_with(Durability::Fsync, folder, SMALL)
}

/// Appends a group and waits for it, so that it has a frame of its own.
fn append(store: &mut Store, group: &str) {
    let ticket = store.append(group.to_owned());
    wait(store, ticket).unwrap();
}

/// A folder whose log holds `groups`, each in a frame of its own.
fn log_of(groups: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    for group in groups {
        append(&mut store, group);
    }
    folder
}

fn texts(recovered: &Recovered) -> Vec<&str> {
    recovered.groups.iter().map(|group| std::str::from_utf8(group).unwrap()).collect()
}

/// Where the frame of each of `groups` begins in a segment, and where the last one ends.
fn frame_starts(groups: &[&str]) -> Vec<usize> {
    let mut starts = vec![0];
    for group in groups {
        let bytes = frame::encoded_bytes(1, group.len() as u64);
        starts.push(starts[starts.len() - 1] + usize::try_from(bytes).unwrap());
    }
    starts
}

fn only_segment(folder: &Path) -> PathBuf {
    segment::path(folder, segment::FIRST_NUMBER)
}

/// What reading a log says whose first segment is `bytes`.
fn read_segment(bytes: &[u8]) -> Result<(Recovered, Option<recovery::Position>), Error> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(only_segment(folder.path()), bytes).unwrap();
    recovery::read(folder.path())
}

fn damage(result: Result<impl Sized, Error>) -> Damage {
    match result {
        Err(Error::Corrupt { damage, .. }) => damage,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn what_was_durable_is_there_after_reopening() {
    let folder = log_of(&["one", "", "three"]);
    let (store, recovered) = open(folder.path()).unwrap();
    assert_eq!(texts(&recovered), ["one", "", "three"]);
    assert_eq!(recovered.tail, Tail::Clean);
    assert_eq!(recovered.checkpoint, None);
    assert_eq!(store.durable(), Ticket(3));
    assert_eq!(store.bytes_since_checkpoint(), 8);
}

#[test]
fn a_new_log_is_empty_and_its_folder_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("replicas/r0");
    let (store, recovered) = open(&folder).unwrap();
    assert_eq!(recovered, Recovered { checkpoint: None, groups: vec![], tail: Tail::Clean });
    assert_eq!(store.durable(), Ticket(0));
    drop(store);
    let (_, again) = open(&folder).unwrap();
    assert_eq!(again, recovered);
}

#[test]
fn tickets_ascend_and_go_on_after_a_restart() {
    let folder = log_of(&["one", "two"]);
    let (mut store, _) = open(folder.path()).unwrap();
    let tickets: Vec<Ticket> = (0..50).map(|count| store.append(vec![count; 20])).collect();
    assert_eq!(tickets, (3..53).map(Ticket).collect::<Vec<_>>());
    let reported = wait(&mut store, Ticket(52)).unwrap();
    assert!(reported.is_sorted_by(|earlier, later| earlier < later), "{reported:?}");
    assert_eq!(reported.last(), Some(&Ticket(52)));
    assert!(store.sync_count() <= 50, "a sync covers at least one group");
    let mut spans = Vec::new();
    store.take_sync_spans(&mut spans);
    assert_eq!(spans.len(), 50, "one span for each group");
    store.take_sync_spans(&mut spans);
    assert_eq!(spans.len(), 50, "a span is taken once");
}

#[test]
fn memory_is_durable_at_once_and_leaves_no_trace() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("r0");
    let (mut store, _) = Store::open(Durability::Memory, &folder).unwrap();
    store.append("one");
    let ticket = store.append("two");
    assert_eq!(store.durable(), ticket);
    assert_eq!(store.bytes_since_checkpoint(), 6);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(store.poll_durable(&mut context), Poll::Ready(Ok(Ticket(2)))));
    assert!(store.poll_durable(&mut context).is_pending());
    store.checkpoint("state");
    assert_eq!(store.bytes_since_checkpoint(), 0);
    assert_eq!(store.sync_count(), 0);
    assert!(!folder.exists());
}

#[test]
fn durability_is_written_in_lower_case() {
    assert_eq!(serde_json::to_string(&Durability::Fsync).unwrap(), "\"fsync\"");
    assert_eq!(serde_json::from_str::<Durability>("\"memory\"").unwrap(), Durability::Memory);
}

#[test]
fn a_torn_tail_is_cut_and_said_wherever_it_tore() {
    let groups = ["one", "two", "the last group"];
    let folder = log_of(&groups);
    let whole = fs::read(only_segment(folder.path())).unwrap();
    let starts = frame_starts(&groups);
    let (start, end) = (starts[2], starts[3]);
    assert!(whole[end..].iter().all(|byte| *byte == 0));
    for at in start..end {
        let cut = whole[..at].to_vec();
        let mut rest_lost = whole.clone();
        rest_lost[at..].fill(0);
        let mut start_lost = whole.clone();
        start_lost[start..=at].fill(0);
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        for bytes in [cut, rest_lost, start_lost, changed] {
            if bytes[start..] == whole[start..] {
                continue; // What was lost were zeros.
            }
            let remains = bytes[start..].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            let (recovered, position) = read_segment(&bytes).unwrap();
            assert_eq!(texts(&recovered), ["one", "two"], "torn at {at}");
            let position = position.unwrap();
            assert_eq!((position.offset, position.sequence), (start as u64, 3));
            match recovered.tail {
                Tail::Clean => assert_eq!(remains, 0, "torn at {at}"),
                Tail::Torn { offset, lost_bytes, .. } => {
                    assert_eq!((offset, lost_bytes), (start as u64, remains as u64));
                }
            }
        }
    }
}

#[test]
fn after_a_torn_tail_the_log_goes_on() {
    let groups = ["one", "the last group"];
    let folder = log_of(&groups);
    let segment = only_segment(folder.path());
    let whole = fs::read(&segment).unwrap();
    let starts = frame_starts(&groups);
    for at in starts[1] + 1..starts[2] {
        let mut torn = whole.clone();
        torn[at] ^= 0x55;
        fs::write(&segment, if at % 2 == 0 { &torn[..=at] } else { &torn }).unwrap();
        let (mut store, recovered) = open(folder.path()).unwrap();
        assert!(matches!(recovered.tail, Tail::Torn { .. }), "torn at {at}");
        append(&mut store, "2");
        drop(store);
        let (_, recovered) = open(folder.path()).unwrap();
        assert_eq!((texts(&recovered), recovered.tail.clone()), (vec!["one", "2"], Tail::Clean));
    }
}

#[test]
fn damage_before_an_intact_frame_is_refused_and_the_message_says_what_to_do() {
    let groups = ["one", "two", "three"];
    let folder = log_of(&groups);
    let segment = only_segment(folder.path());
    let whole = fs::read(&segment).unwrap();
    let starts = frame_starts(&groups);
    for at in 0..starts[2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        assert_eq!(damage(read_segment(&damaged)), Damage::BeforeIntactFrames, "byte {at}");
    }
    let mut zeroed = whole;
    zeroed[starts[1]..starts[2]].fill(0);
    fs::write(&segment, zeroed).unwrap();
    let error = open(folder.path()).unwrap_err();
    let message = error.to_string();
    let place = format!("{} is damaged at byte {}", segment.display(), starts[1]);
    assert!(message.contains(&place), "{message}");
    assert!(message.contains("must not rejoin"), "{message}");
    assert!(message.contains("new identity"), "{message}");
}

/// A log over several segments, and how many there are with something in them.
fn long_log() -> (TempDir, u64) {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    for count in 0..40_u8 {
        let ticket = store.append(vec![count; 50]);
        wait(&mut store, ticket).unwrap();
    }
    drop(store);
    let (recovered, position) = recovery::read(folder.path()).unwrap();
    assert_eq!(recovered.groups, (0..40_u8).map(|count| vec![count; 50]).collect::<Vec<_>>());
    (folder, position.unwrap().segment)
}

#[test]
fn a_log_may_have_many_segments_and_none_may_be_missing() {
    let (folder, last) = long_log();
    assert!(last >= 5);
    fs::remove_file(segment::path(folder.path(), 3)).unwrap();
    let missing = Damage::SegmentMissing { expected: 3, found: 4 };
    assert_eq!(damage(open(folder.path())), missing);
    for number in 1..=2 {
        fs::remove_file(segment::path(folder.path(), number)).unwrap();
    }
    assert_eq!(damage(open(folder.path())), Damage::BeginningMissing);
}

#[test]
fn a_frame_lost_at_the_end_of_a_full_segment_is_a_gap() {
    let (folder, _) = long_log();
    let path = segment::path(folder.path(), 2);
    let mut bytes = fs::read(&path).unwrap();
    let frame_bytes = usize::try_from(frame::encoded_bytes(1, 50)).unwrap();
    let count = bytes.len() / frame_bytes;
    bytes[(count - 1) * frame_bytes..].fill(0);
    fs::write(&path, bytes).unwrap();
    let after = 2 * count as u64;
    let gap = Damage::Gap { expected: after, found: after + 1 };
    assert_eq!(damage(open(folder.path())), gap);
}

#[test]
fn damage_at_the_end_of_a_full_segment_is_refused() {
    let (folder, _) = long_log();
    let path = segment::path(folder.path(), 2);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(damage(open(folder.path())), Damage::BeforeIntactFrames);
}

#[test]
fn a_group_may_be_larger_than_a_segment() {
    let folder = log_of(&["one"]);
    let (mut store, _) = open(folder.path()).unwrap();
    let large = "x".repeat(3000);
    append(&mut store, &large);
    append(&mut store, "three");
    drop(store);
    let (_, recovered) = open(folder.path()).unwrap();
    assert_eq!(texts(&recovered), ["one", &large, "three"]);
}

#[test]
fn a_checkpoint_replaces_what_was_before_and_deletes_it() {
    let (folder, last) = long_log();
    let (mut store, _) = open(folder.path()).unwrap();
    store.append("before");
    let ticket = store.checkpoint("state");
    assert_eq!(store.bytes_since_checkpoint(), 0);
    let after = store.append("after");
    assert_eq!((ticket, after), (Ticket(42), Ticket(43)));
    wait(&mut store, after).unwrap();
    drop(store);
    let left = segment::numbers(folder.path()).unwrap();
    assert!(left.iter().all(|number| *number > last), "{left:?}");
    let (store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint.as_deref(), Some(&b"state"[..]));
    assert_eq!(texts(&recovered), ["after"]);
    assert_eq!(store.durable(), Ticket(43));
}

#[test]
fn a_crash_between_a_checkpoint_and_the_deletion_of_the_old_segments_changes_nothing() {
    let (folder, last) = long_log();
    let old: Vec<(PathBuf, Vec<u8>)> = (1..=last)
        .map(|number| segment::path(folder.path(), number))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let (mut store, _) = open(folder.path()).unwrap();
    let ticket = store.checkpoint("state");
    wait(&mut store, ticket).unwrap();
    append(&mut store, "after");
    drop(store);
    // Any of the deletions may have happened, in any order; and an old segment may even be damaged.
    for (path, bytes) in old.iter().step_by(2) {
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let (_store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint.as_deref(), Some(&b"state"[..]));
    assert_eq!((texts(&recovered), &recovered.tail), (vec!["after"], &Tail::Clean));
    assert!(old.iter().all(|(path, _)| !path.exists()), "what the crash left is deleted now");
}

#[test]
fn a_torn_checkpoint_leaves_the_log_before_it() {
    let (folder, last) = long_log();
    let saved = tempfile::tempdir().unwrap();
    for number in 1..=last {
        let path = segment::path(folder.path(), number);
        fs::copy(path, segment::path(saved.path(), number)).unwrap();
    }
    let (mut store, _) = open(folder.path()).unwrap();
    let ticket = store.checkpoint("state".repeat(200));
    wait(&mut store, ticket).unwrap();
    drop(store);
    let mut torn = fs::read(segment::path(folder.path(), last + 1)).unwrap();
    torn[700] ^= 1;
    fs::write(segment::path(saved.path(), last + 1), torn).unwrap();

    let (mut store, recovered) = open(saved.path()).unwrap();
    assert_eq!((recovered.checkpoint, recovered.groups.len()), (None, 40));
    let path = segment::path(saved.path(), last + 1);
    let frame_bytes = frame::encoded_bytes(1, 1000);
    let tail = Tail::Torn { segment: path, offset: 0, lost_bytes: frame_bytes };
    assert_eq!(recovered.tail, tail);
    append(&mut store, "forty-one");
    drop(store);
    let (_, recovered) = open(saved.path()).unwrap();
    assert_eq!((recovered.groups.len(), recovered.tail), (41, Tail::Clean));
}

#[test]
fn a_lost_checkpoint_that_was_durable_is_refused() {
    let folder = log_of(&["one"]);
    let (mut store, _) = open(folder.path()).unwrap();
    let ticket = store.checkpoint("state");
    wait(&mut store, ticket).unwrap();
    drop(store);
    let path = segment::path(folder.path(), 2);
    let mut bytes = fs::read(&path).unwrap();
    bytes[frame::HEADER_BYTES] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(damage(open(folder.path())), Damage::BeginningMissing);
}

#[test]
fn a_folder_is_opened_once_at_a_time() {
    let folder = log_of(&["one"]);
    let (store, _) = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another replica"), "{error}");
    drop(store);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    for folder in [file.clone(), file.join("r0")] {
        let error = open(&folder).unwrap_err();
        assert!(matches!(error, Error::Folder { .. }), "{error}");
        assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
    }
}

#[test]
fn a_half_made_segment_is_deleted() {
    let folder = log_of(&["one"]);
    let path = segment::path(folder.path(), 2).with_extension("new");
    fs::write(&path, [0; 100]).unwrap();
    fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    let (mut store, recovered) = open(folder.path()).unwrap();
    assert_eq!(texts(&recovered), ["one"]);
    let ticket = store.checkpoint("state");
    wait(&mut store, ticket).unwrap();
    drop(store);
    assert!(folder.path().join("notes.txt").exists());
    assert_eq!(open(folder.path()).unwrap().1.checkpoint.as_deref(), Some(&b"state"[..]));
}

/// A store whose log is on a device that is always full.
#[cfg(target_os = "linux")]
fn store_on_a_full_disk(folder: &Path) -> Store {
    let full = Path::new("/dev/full");
    let file = File::options().write(true).open(full).unwrap();
    let segment = Segment::on(file, full, 1, 1 << 20);
    let queue = Arc::new(Queue::new(0, SMALL.queued_bytes_max));
    let shared = Arc::clone(&queue);
    let housekeeper = Housekeeper::start(folder.to_owned(), 2, 512, Arc::clone(&queue)).unwrap();
    let buffer = Vec::new();
    let writer = Writer { queue: shared, housekeeper, segment, oldest: 1, sequence: 1, buffer };
    let writer = Some(writer.start(folder).unwrap());
    let log = Log { queue, writer, _lock: lock(folder).unwrap() };
    Store { log: Some(log), appended: 0, reported: 0, bytes_since_checkpoint: 0 }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_fails_the_store_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store_on_a_full_disk(folder.path());
    let ticket = store.append("one");
    for _ in 0..2 {
        let error = wait(&mut store, ticket).unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        store.append("more");
    }
    assert_eq!(store.durable(), Ticket(0));
}

#[test]
fn a_segment_that_cannot_be_made_fails_the_store_when_it_is_needed() {
    let folder = log_of(&["one"]);
    // A folder stands where the third segment should be.
    fs::create_dir(segment::path(folder.path(), 3)).unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    let ticket = store.checkpoint("state");
    wait(&mut store, ticket).unwrap();
    let error = (0..)
        .find_map(|_| {
            let ticket = store.append(vec![1; 100]);
            wait(&mut store, ticket).err()
        })
        .unwrap();
    assert!(matches!(error, Error::Io { action: Action::Create, .. }), "{error}");
}

#[test]
fn a_disk_that_falls_behind_fails_the_queue_and_does_not_fill_the_memory() {
    let queue = Queue::new(0, 100);
    queue.push(Kind::Groups, vec![0; 150].into());
    assert!(queue.failure().is_none(), "one large group is no pile");
    queue.push(Kind::Groups, vec![0; 1].into());
    let error = queue.failure().unwrap();
    assert!(matches!(error, Error::Overrun { queued_bytes: 151, .. }), "{error}");
    assert!(!queue.take(&mut Vec::new()), "the writer ends");
}

#[test]
fn a_writer_that_panics_is_an_error_and_not_silence() {
    let queue = Arc::new(Queue::new(0, 100));
    let shared = Arc::clone(&queue);
    let thread = thread::spawn(move || {
        let _alarm = writer::Alarm(shared);
        std::panic::resume_unwind(Box::new("no message"));
    });
    assert!(thread.join().is_err());
    assert!(matches!(queue.failure(), Some(Error::Panicked)));
}

/// One step of a replica's life.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Checkpoint(Vec<u8>),
    Wait,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        8 => bytes().prop_map(Step::Append),
        1 => bytes().prop_map(Step::Checkpoint),
        3 => Just(Step::Wait),
        2 => Just(Step::Crash),
    ]
}

/// What recovery should answer when the last of `history` is the last that survived.
fn expected(history: &[(Kind, Vec<u8>)]) -> (Option<Bytes>, Vec<Bytes>) {
    let last = history.iter().rposition(|(kind, _)| *kind == Kind::Checkpoint);
    let groups = history[last.map_or(0, |at| at + 1)..].iter();
    let checkpoint = last.map(|at| Bytes::from(history[at].1.clone()));
    (checkpoint, groups.map(|(_, bytes)| bytes.clone().into()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_crash_at_any_time_loses_nothing_that_was_durable_and_invents_nothing(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path()).unwrap();
        let mut history = Vec::new();
        for step in steps.into_iter().chain([Step::Crash]) {
            match step {
                Step::Append(bytes) => {
                    store.append(bytes.clone());
                    history.push((Kind::Groups, bytes));
                }
                Step::Checkpoint(bytes) => {
                    store.checkpoint(bytes.clone());
                    history.push((Kind::Checkpoint, bytes));
                }
                Step::Wait => {
                    let last = Ticket(history.len() as u64);
                    if store.durable() < last {
                        wait(&mut store, last).unwrap();
                    }
                }
                Step::Crash => {
                    let durable = usize::try_from(store.durable().0).unwrap();
                    drop(store);
                    let (reopened, recovered) = open(folder.path()).unwrap();
                    store = reopened;
                    let survived = usize::try_from(store.durable().0).unwrap();
                    prop_assert!((durable..=history.len()).contains(&survived));
                    history.truncate(survived);
                    let found = (recovered.checkpoint, recovered.groups);
                    prop_assert_eq!(found, expected(&history));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_as_a_segment_never_panic_and_hold_no_group(bytes: Vec<u8>) {
        let (recovered, _) = read_segment(&bytes).unwrap();
        prop_assert!(recovered.groups.is_empty());
    }

    #[test]
    fn arbitrary_damage_never_panics_and_never_invents_a_group(
        changes in prop::collection::vec((0_usize..512, any::<u8>()), 0..8),
        length in 0_usize..=512,
    ) {
        let groups = ["one", "two", "three", "four"];
        let mut bytes = vec![0; 512];
        for (number, (start, group)) in frame_starts(&groups).into_iter().zip(groups).enumerate() {
            let group = Bytes::from(group);
            let mut buffer = Vec::new();
            let place = (segment::FIRST_NUMBER, start as u64);
            let first = number as u64 + 1;
            frame::encode(&mut buffer, place, Kind::Groups, first, [&group].into_iter());
            bytes[start..start + buffer.len()].copy_from_slice(&buffer);
        }
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok((recovered, _)) = read_segment(&bytes[..length]) {
            prop_assert!(groups.starts_with(&texts(&recovered)));
        }
    }
}

/// The span of a group is from append to durable, so it holds all of what the sync was told to add.
#[test]
fn a_disk_that_is_told_to_be_slow_is_until_it_is_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    let slow = Span::from_millis(30);
    store.slow_down(slow);
    append(&mut store, "slow");
    let mut spans = Vec::new();
    store.take_sync_spans(&mut spans);
    assert!(spans[0] >= slow, "{spans:?}");
    // One that would take an hour ends with the store: nobody waits for it.
    store.slow_down(Span::from_millis(3_600_000));
    store.append("never".to_owned());
    drop(store);
    let (mut store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.groups[0], "slow");
    store.slow_down(Span::ZERO);
    append(&mut store, "quick");
}
