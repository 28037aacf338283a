//! Crashes and damage, on real files; what the threads do is waited for, never timed.

use std::collections::BTreeMap;
use std::fs;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::deployment::Durability;

const SMALL: Limits =
    Limits { segment_bytes: 512, checkpoint_bytes: 200, queued_bytes_max: 1 << 20 };

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
    open_with(folder, Options::default())
}

fn open_with(folder: &Path, options: Options) -> Result<(Store, Recovered), Error> {
    Store::open_with(Durability::Fsync, folder, Options { limits: SMALL, ..options })
}

/// Takes the mark back to the beginning, as a power loss may.
fn forget_mark(folder: &Path) {
    fs::remove_file(mark::path(folder)).unwrap();
    MarkFile::create(folder, Owner::default(), &Disk::default()).unwrap();
}

/// Appends a group and waits for it, so that it has a frame of its own.
fn append(store: &mut Store, group: &str) {
    let ticket = store.append(group.to_owned());
    wait(store, ticket).unwrap();
}

/// A state of these bytes, for a checkpoint.
fn state(bytes: impl Into<Vec<u8>>) -> State {
    let bytes = bytes.into();
    Box::new(move |file| std::io::Write::write_all(file, &bytes))
}

/// Waits until this checkpoint is durable.
fn wait_checkpoint(store: &mut Store, ticket: Ticket) -> Result<(), Error> {
    block_on(poll_fn(|cx| match store.poll_durable(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        _ if store.checkpointed() >= ticket => Poll::Ready(Ok(())),
        _ => Poll::Pending,
    }))
}

/// Makes a checkpoint, and a group behind it, with whose frame covered segments are deleted.
fn checkpoint(store: &mut Store, bytes: impl Into<Vec<u8>>) {
    let ticket = store.checkpoint(state(bytes));
    wait_checkpoint(store, ticket).unwrap();
    append(store, "behind");
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
    let mut starts = vec![owner::BYTES];
    for group in groups {
        let bytes = frame::encoded_bytes(1, group.len() as u64);
        starts.push(starts[starts.len() - 1] + usize::try_from(bytes).unwrap());
    }
    starts
}

fn only_segment(folder: &Path) -> PathBuf {
    segment::path(folder, segment::FIRST_NUMBER)
}

/// What reading a log says whose first segment is `bytes`, and of which nothing was marked durable.
fn read_segment(bytes: &[u8]) -> Result<(Recovered, Option<recovery::Position>), Error> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(only_segment(folder.path()), bytes).unwrap();
    MarkFile::create(folder.path(), Owner::default(), &Disk::default()).unwrap();
    recovery::read(folder.path(), None).map(|found| (found.recovered, found.position))
}

/// The header of the first segment of a log that is nobody's.
fn header() -> Vec<u8> {
    let number = segment::FIRST_NUMBER;
    let header = owner::Header { number, owner: Owner::default(), rest: [0; 3] };
    header.encode(owner::Kind::Segment).to_vec()
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
    let ticket = store.checkpoint(state("state"));
    assert_eq!((ticket, store.checkpointed()), (Ticket(2), Ticket(2)));
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
        forget_mark(folder.path());
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
    for at in starts[0]..starts[2] {
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
    let found = recovery::read(folder.path(), None).unwrap();
    let groups = (0..40_u8).map(|count| vec![count; 50]).collect::<Vec<_>>();
    assert_eq!(found.recovered.groups, groups);
    (folder, found.position.unwrap().segment)
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
    let count = (bytes.len() - owner::BYTES) / frame_bytes;
    bytes[owner::BYTES + (count - 1) * frame_bytes..].fill(0);
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
    append(&mut store, "before");
    let ticket = store.checkpoint(state("state"));
    assert_eq!(store.bytes_since_checkpoint(), 0);
    let after = store.append("after");
    assert_eq!((ticket, after), (Ticket(41), Ticket(42)));
    wait_checkpoint(&mut store, ticket).unwrap();
    append(&mut store, "later");
    drop(store);
    let left = segment::numbers(folder.path()).unwrap();
    assert!(left.iter().all(|number| *number >= last), "{left:?}");
    let (store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint.as_deref(), Some(&b"state"[..]));
    assert_eq!(texts(&recovered), ["after", "later"]);
    assert_eq!((store.durable(), store.checkpointed()), (Ticket(43), Ticket(41)));
}

#[test]
fn only_the_newest_checkpoint_is_kept_each_with_its_ticket() {
    let folder = log_of(&["one"]);
    let (mut store, _) = open(folder.path()).unwrap();
    let tickets: Vec<Ticket> = ["first", "second", "third"]
        .map(|text| {
            let ticket = store.checkpoint(state(text));
            wait_checkpoint(&mut store, ticket).unwrap();
            ticket
        })
        .into();
    assert_eq!(tickets, [1, 2, 3].map(Ticket));
    drop(store);
    assert_eq!(checkpoint::numbers(folder.path()).unwrap(), [3]);
    let (_, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint.as_deref(), Some(&b"third"[..]));
    assert_eq!(texts(&recovered), Vec::<&str>::new());
}

#[test]
fn the_log_goes_on_while_a_checkpoint_is_written() {
    let folder = log_of(&["one"]);
    let (mut store, _) = open(folder.path()).unwrap();
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let ticket = store.checkpoint(Box::new(move |file| {
        std::io::Write::write_all(file, b"half")?;
        told.recv().unwrap();
        std::io::Write::write_all(file, b" and half")
    }));
    for _ in 0..50 {
        append(&mut store, "meanwhile");
    }
    assert!(store.bytes_since_checkpoint() > SMALL.checkpoint_bytes);
    assert_eq!((store.checkpointed(), store.is_checkpoint_due()), (Ticket(0), false));
    go_on.send(()).unwrap();
    wait_checkpoint(&mut store, ticket).unwrap();
    assert!(store.is_checkpoint_due());
    drop(store);
    let (store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint.as_deref(), Some(&b"half and half"[..]));
    assert_eq!((recovered.groups.len(), store.checkpointed()), (50, Ticket(1)));
}

#[test]
fn a_checkpoint_that_a_later_one_replaces_is_not_written() {
    let folder = log_of(&["one"]);
    let (mut store, _) = open(folder.path()).unwrap();
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    store.checkpoint(Box::new(move |_| told.recv().map_err(std::io::Error::other)));
    let (wrote, written) = std::sync::mpsc::channel();
    for number in 1..=3 {
        let wrote = wrote.clone();
        let ticket =
            store.checkpoint(Box::new(move |_| wrote.send(number).map_err(std::io::Error::other)));
        assert_eq!(ticket, Ticket(number + 1));
    }
    go_on.send(()).unwrap();
    wait_checkpoint(&mut store, Ticket(4)).unwrap();
    assert_eq!(written.try_iter().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_checkpoint_is_due_when_the_log_has_grown_by_as_much_as_the_last_one_has() {
    let folder = log_of(&[]);
    let (mut store, _) = open(folder.path()).unwrap();
    append(&mut store, &"x".repeat(150));
    assert!(!store.is_checkpoint_due());
    append(&mut store, &"x".repeat(150));
    assert!(store.is_checkpoint_due());
    checkpoint(&mut store, vec![7; 5000]);
    for (bytes, is_due) in [(4000, false), (2000, true)] {
        append(&mut store, &"x".repeat(bytes));
        assert_eq!(store.is_checkpoint_due(), is_due);
    }
}

#[test]
fn a_crash_between_a_checkpoint_and_the_deletion_of_the_old_segments_changes_nothing() {
    let (folder, last) = long_log();
    let old: Vec<(PathBuf, Vec<u8>)> = (1..last)
        .map(|number| segment::path(folder.path(), number))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let (mut store, _) = open(folder.path()).unwrap();
    let older = store.checkpoint(state("older"));
    wait_checkpoint(&mut store, older).unwrap();
    let older = checkpoint::path(folder.path(), 40);
    let older_bytes = fs::read(&older).unwrap();
    append(&mut store, "between");
    checkpoint(&mut store, "state");
    drop(store);
    assert!(old.iter().all(|(path, _)| !path.exists()) && !older.exists());
    // Any of the deletions may have happened, in any order; and an old segment may even be damaged.
    for (path, bytes) in old.iter().step_by(2) {
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    fs::write(&older, older_bytes).unwrap();
    let (_store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint.as_deref(), Some(&b"state"[..]));
    assert_eq!((texts(&recovered), &recovered.tail), (vec!["behind"], &Tail::Clean));
    assert!(old.iter().all(|(path, _)| !path.exists()), "what the crash left is deleted now");
    assert!(!older.exists(), "and so is the older checkpoint");
}

#[test]
fn an_unfinished_checkpoint_leaves_the_log_before_it() {
    let (folder, _) = long_log();
    let unfinished = folder.path().join("0000000000000040.state.new");
    fs::write(&unfinished, b"FXC3 and half a state").unwrap();
    let (mut store, recovered) = open(folder.path()).unwrap();
    assert_eq!((recovered.checkpoint, recovered.groups.len()), (None, 40));
    assert!(!unfinished.exists());
    checkpoint(&mut store, "state");
    drop(store);
    let (_, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint.as_deref(), Some(&b"state"[..]));
}

#[test]
fn a_checkpoint_that_is_damaged_or_lost_is_refused() {
    let (folder, _) = long_log();
    let (mut store, _) = open(folder.path()).unwrap();
    checkpoint(&mut store, "state");
    drop(store);
    let path = checkpoint::path(folder.path(), 40);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        fs::write(&path, &flipped).unwrap();
        let found = damage(open(folder.path()));
        assert!([Damage::Checkpoint, Damage::Header].contains(&found), "byte {at}: {found}");
        fs::write(&path, &whole[..at]).unwrap();
        let found = damage(open(folder.path()));
        assert!([Damage::Checkpoint, Damage::Header].contains(&found), "cut at {at}: {found}");
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert_eq!(damage(open(folder.path())), Damage::Checkpoint);
    // Under the name of another one, and gone: the segments that it stood for are gone, too.
    let other = checkpoint::path(folder.path(), 41);
    fs::write(&path, &whole).unwrap();
    fs::rename(&path, &other).unwrap();
    assert_eq!(damage(open(folder.path())), Damage::Misnamed { found: 40 });
    fs::remove_file(&other).unwrap();
    assert_eq!(damage(open(folder.path())), Damage::BeginningMissing);
    fs::write(&path, &whole).unwrap();
    assert_eq!(open(folder.path()).unwrap().1.checkpoint.as_deref(), Some(&b"state"[..]));
}

#[test]
fn a_log_that_ends_before_its_checkpoint_was_cut_off() {
    let folder = log_of(&["one", "two", "three"]);
    let segment = only_segment(folder.path());
    let whole = fs::read(&segment).unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    let ticket = store.checkpoint(state("state"));
    wait_checkpoint(&mut store, ticket).unwrap();
    drop(store);
    forget_mark(folder.path());
    fs::write(&segment, &whole[..frame_starts(&["one", "two"])[2]]).unwrap();
    assert_eq!(damage(open(folder.path())), Damage::Shortened { found: 2, durable: 3 });
}

#[test]
fn a_large_state_is_written_in_pieces_and_read_as_it_was() {
    let folder = log_of(&["one"]);
    let bytes: Vec<u8> =
        (0..700_000_u32).map(|number| number.to_le_bytes()[number as usize % 3]).collect();
    let (mut store, _) = open(folder.path()).unwrap();
    let parts = bytes.clone();
    let ticket = store.checkpoint(Box::new(move |file| {
        let parts = parts.chunks(777);
        parts.into_iter().try_for_each(|part| std::io::Write::write_all(file, part))
    }));
    wait_checkpoint(&mut store, ticket).unwrap();
    drop(store);
    let path = checkpoint::path(folder.path(), 1);
    let whole = fs::read(&path).unwrap();
    assert_eq!(open(folder.path()).unwrap().1.checkpoint.as_deref(), Some(&bytes[..]));
    for at in (64..whole.len()).step_by(60_000) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(damage(open(folder.path())), Damage::Checkpoint, "byte {at}");
    }
}

#[test]
fn a_checkpoint_that_finds_no_room_stops_the_store_and_takes_none() {
    for nth in 1..=6 {
        let folder = log_of(&["one"]);
        let mut store = broken(folder.path(), Operation::Checkpoint, nth, Failure::Full);
        let ticket = store.checkpoint(state(vec![7; 1000]));
        let error = wait_checkpoint(&mut store, ticket).unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        assert!(error.to_string().contains(".state"), "{error}");
        assert_eq!(store.checkpointed(), Ticket(0));
        drop(store);
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("state")), "{names:?}");
        let (mut store, recovered) = open(folder.path()).unwrap();
        assert_eq!((recovered.checkpoint.clone(), texts(&recovered)), (None, vec!["one"]));
        checkpoint(&mut store, "there is room again");
    }
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
    append(&mut store, &"x".repeat(500));
    drop(store);
    assert!(folder.path().join("notes.txt").exists());
    assert_eq!(segment::numbers(folder.path()).unwrap()[..2], [1, 2]);
    assert_eq!(open(folder.path()).unwrap().1.groups.len(), 2);
}

/// A store whose log is on a device that is always full.
#[cfg(target_os = "linux")]
fn store_on_a_full_disk(folder: &Path) -> Store {
    let full = Path::new("/dev/full");
    let file = File::options().write(true).open(full).unwrap();
    let segment = Segment::on(file, full, 1, 1 << 20);
    let queue = Arc::new(Queue::new(0, (0, 0), SMALL.queued_bytes_max));
    let shared = Arc::clone(&queue);
    let (owner, disk) = (Owner::default(), Disk::default());
    let mark = MarkFile::create(folder, owner, &disk).unwrap();
    let makings =
        Makings { folder: folder.to_owned(), owner, segment_bytes: 512, disk: disk.clone() };
    let housekeeper = Housekeeper::start(makings, 2, Arc::clone(&queue)).unwrap();
    let buffer = Vec::new();
    let (full, sequence) = ([].into(), 1);
    let writer = Writer { queue: shared, housekeeper, segment, mark, disk, full, sequence, buffer };
    let writer = Some(writer.start(folder).unwrap());
    let log = Log { queue, writer, checkpointer: None, _lock: lock(folder).unwrap() };
    let (appended, reported, checkpoint, bytes_since_checkpoint) = (0, 0, 0, 0);
    let (log, limits) = (Some(log), SMALL);
    Store { log, appended, reported, checkpoint, bytes_since_checkpoint, limits }
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
    let queue = Queue::new(0, (0, 0), 100);
    queue.push(vec![0; 150].into());
    assert!(queue.failure().is_none(), "one large group is no pile");
    queue.push(vec![0; 1].into());
    let error = queue.failure().unwrap();
    assert!(matches!(error, Error::Overrun { queued_bytes: 151, .. }), "{error}");
    assert!(!queue.take(&mut Vec::new()), "the writer ends");
}

#[test]
fn a_writer_that_panics_is_an_error_and_not_silence() {
    let queue = Arc::new(Queue::new(0, (0, 0), 100));
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_crash_at_any_time_loses_nothing_that_was_durable_and_invents_nothing(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path()).unwrap();
        let (mut history, mut states) = (Vec::new(), BTreeMap::new());
        for step in steps.into_iter().chain([Step::Crash]) {
            match step {
                Step::Append(bytes) => {
                    store.append(bytes.clone());
                    history.push(bytes);
                }
                Step::Checkpoint(bytes) => {
                    let last = store.checkpoint(state(bytes.clone())).0;
                    // It may have had to append an empty group.
                    history.resize(usize::try_from(last).unwrap(), Vec::new());
                    prop_assert_eq!(states.insert(last, bytes), None);
                }
                Step::Wait => {
                    let last = Ticket(history.len() as u64);
                    if store.durable() < last {
                        wait(&mut store, last).unwrap();
                    }
                }
                Step::Crash => {
                    let durable = usize::try_from(store.durable().0).unwrap();
                    let reported = store.checkpointed();
                    drop(store);
                    let (reopened, recovered) = open(folder.path()).unwrap();
                    store = reopened;
                    let survived = usize::try_from(store.durable().0).unwrap();
                    prop_assert!((durable..=history.len()).contains(&survived));
                    history.truncate(survived);
                    let covered = store.checkpointed();
                    prop_assert!(covered >= reported);
                    states.retain(|last, _| *last <= covered.0);
                    let expected = states.get(&covered.0).map(|bytes| Bytes::from(bytes.clone()));
                    prop_assert_eq!(recovered.checkpoint, expected);
                    let behind = &history[usize::try_from(covered.0).unwrap()..];
                    prop_assert_eq!(recovered.groups, behind);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_as_a_segment_never_panic_and_hold_no_group(bytes: Vec<u8>) {
        let (recovered, _) = read_segment(&[header(), bytes.clone()].concat()).unwrap();
        prop_assert!(recovered.groups.is_empty());
        prop_assert!(read_segment(&bytes).is_err());
    }

    #[test]
    fn arbitrary_damage_never_panics_and_never_invents_a_group(
        changes in prop::collection::vec((0_usize..512, any::<u8>()), 0..8),
        length in 0_usize..=512,
    ) {
        let groups = ["one", "two", "three", "four"];
        let mut bytes = header();
        bytes.resize(512, 0);
        for (number, (start, group)) in frame_starts(&groups).into_iter().zip(groups).enumerate() {
            let group = Bytes::from(group);
            let mut buffer = Vec::new();
            let place = (segment::FIRST_NUMBER, start as u64);
            let first = number as u64 + 1;
            frame::encode(&mut buffer, place, first, [&group].into_iter());
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

/// Changes the log of a folder, and says what is found then.
fn after(folder: &Path, change: impl FnOnce(&Path)) -> Damage {
    change(folder);
    damage(open(folder))
}

#[test]
fn a_flipped_bit_in_the_last_frame_is_damage_if_it_was_durable() {
    let groups = ["one", "two", "the last group"];
    let folder = log_of(&groups);
    let segment = only_segment(folder.path());
    let whole = fs::read(&segment).unwrap();
    let starts = frame_starts(&groups);
    let shortened = Damage::Shortened { found: 2, durable: 3 };
    for at in starts[2]..starts[3] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&segment, flipped).unwrap();
        assert_eq!(damage(open(folder.path())), shortened, "byte {at}");
    }
    // The same for a frame that is gone without a trace, and for a file that is cut off.
    let mut gone = whole.clone();
    gone[starts[2]..].fill(0);
    fs::write(&segment, gone).unwrap();
    assert_eq!(damage(open(folder.path())), shortened);
    fs::write(&segment, &whole[..starts[1]]).unwrap();
    assert_eq!(damage(open(folder.path())), Damage::Shortened { found: 1, durable: 3 });
    let message = open(folder.path()).unwrap_err().to_string();
    let place = format!("{} is damaged at byte {}", segment.display(), starts[1]);
    assert!(message.contains(&place) && message.contains("up to 3 had been durable"), "{message}");
    // To refuse changes nothing: put back, it is as it was.
    fs::write(&segment, whole).unwrap();
    assert_eq!(texts(&open(folder.path()).unwrap().1), groups);
}

#[test]
fn files_that_are_missing_at_the_end_are_missed() {
    let (folder, last) = long_log();
    let saved: Vec<Vec<u8>> =
        (1..=last).map(|number| fs::read(segment::path(folder.path(), number)).unwrap()).collect();
    let restore = |folder: &Path| {
        for (number, bytes) in (1..).zip(&saved) {
            fs::write(segment::path(folder, number), bytes).unwrap();
        }
    };
    let found = after(folder.path(), |folder| {
        (last..=last + 1).for_each(|number| drop(fs::remove_file(segment::path(folder, number))));
    });
    assert!(matches!(found, Damage::Shortened { durable: 40, .. }), "{found}");
    let found = after(folder.path(), |folder| {
        (1..last).for_each(|number| fs::remove_file(segment::path(folder, number)).unwrap());
    });
    assert_eq!(found, Damage::Shortened { found: 0, durable: 40 });
    restore(folder.path());
    let found = after(folder.path(), |folder| {
        let mut bytes = saved[1].clone();
        bytes.truncate(owner::BYTES - 1);
        fs::write(segment::path(folder, 2), bytes).unwrap();
    });
    assert_eq!(found, Damage::Header);
    restore(folder.path());
    let found = after(folder.path(), |folder| {
        fs::copy(segment::path(folder, 3), segment::path(folder, 2)).unwrap();
    });
    assert_eq!(found, Damage::Misnamed { found: 3 });
    restore(folder.path());
    let found = after(folder.path(), |folder| fs::remove_file(mark::path(folder)).unwrap());
    assert_eq!(found, Damage::MarkMissing);
    let found = after(folder.path(), |folder| fs::write(mark::path(folder), [7; 5000]).unwrap());
    assert_eq!(found, Damage::Mark);
}

#[test]
fn a_mark_with_one_damaged_place_is_as_good_as_the_other() {
    let folder = log_of(&["one", "two"]);
    let path = mark::path(folder.path());
    let whole = fs::read(&path).unwrap();
    for at in [20, 4096 + 20] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (_, mark) = mark::read(folder.path()).unwrap().unwrap();
        assert!((1..=2).contains(&mark.sequence), "{mark:?}");
    }
    assert_eq!(texts(&open(folder.path()).unwrap().1), ["one", "two"]);
    assert_eq!(mark::read(folder.path()).unwrap().unwrap().1.sequence, 2);
}

fn owned(deployment: u64, replica: u64) -> Options {
    Options { owner: Some(Owner { deployment, replica }), ..Options::default() }
}

#[test]
fn the_log_of_another_replica_or_deployment_is_refused_and_named() {
    let [one, other] = [1, 2].map(|replica| {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open_with(folder.path(), owned(9, replica)).unwrap();
        append(&mut store, "vote");
        folder
    });
    for stranger in [owned(9, 2), owned(8, 1)] {
        let error = open_with(one.path(), stranger).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("belongs to r1 of deployment 00000000"), "{error}");
    }
    // One file of another replica, under the right name.
    fs::copy(only_segment(other.path()), only_segment(one.path())).unwrap();
    let error = open_with(one.path(), owned(9, 1)).unwrap_err();
    assert!(error.to_string().contains("belongs to r2 of"), "{error}");
    assert_eq!(texts(&open_with(other.path(), owned(9, 2)).unwrap().1), ["vote"]);
    // Whoever only reads need not know whose it is.
    assert_eq!(texts(&open(other.path()).unwrap().1), ["vote"]);
}

#[test]
fn a_log_of_another_version_is_refused_and_named() {
    let folder = log_of(&["one"]);
    let segment = only_segment(folder.path());
    let mut bytes = fs::read(&segment).unwrap();
    bytes[3] = b'9';
    fs::write(&segment, bytes).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("has format 9, and this program reads 5"), "{error}");
    // As the first version wrote it: frames from the start of the file, and no mark.
    fs::remove_file(mark::path(folder.path())).unwrap();
    fs::write(&segment, b"FXL1 and a frame").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Version { version: '1', .. }), "{error}");
}

#[test]
fn a_folder_that_lost_everything_is_refused_if_its_replica_ran_before() {
    let folder = tempfile::tempdir().unwrap();
    let returning = || Options { must_exist: true, ..Options::default() };
    let error = open_with(folder.path(), returning()).unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error}");
    assert!(error.to_string().contains("must not rejoin"), "{error}");
    drop(open(folder.path()).unwrap());
    assert!(open_with(folder.path(), returning()).is_ok(), "it was opened once, and wrote nothing");
}

/// A store in this folder whose disk breaks, with what was durable in it before.
fn broken(folder: &Path, operation: Operation, nth: u64, failure: Failure) -> Store {
    let disk = Disk::breaking(Rule { operation, nth, failure });
    open_with(folder, Options { disk, ..Options::default() }).unwrap().0
}

/// Appends until the store fails; how many groups were durable then, and why it failed.
fn append_until_failure(store: &mut Store) -> (u64, Error) {
    loop {
        let ticket = store.append(vec![7; 50]);
        if let Err(error) = wait(store, ticket) {
            return (store.durable().0, error);
        }
    }
}

#[test]
fn a_failed_sync_is_never_tried_again_and_nothing_becomes_durable_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = broken(folder.path(), Operation::Sync, 3, Failure::Once);
    let (durable, error) = append_until_failure(&mut store);
    assert_eq!(durable, 2);
    let message = error.to_string();
    let path = only_segment(folder.path()).display().to_string();
    assert!(message.contains("cannot sync") && message.contains(&path), "{message}");
    // Every later sync would succeed, and is not done.
    for _ in 0..3 {
        let ticket = store.append("more");
        assert!(wait(&mut store, ticket).is_err());
    }
    assert_eq!((store.durable(), store.sync_count()), (Ticket(2), 2));
    drop(store);
    let (mut store, recovered) = open(folder.path()).unwrap();
    assert!(recovered.groups.len() >= 2, "what had been reported is there");
    append(&mut store, "on a disk that works");
}

#[test]
fn a_last_frame_of_which_nobody_knows_that_it_was_synced_is_synced_before_it_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = broken(folder.path(), Operation::Sync, 3, Failure::Once);
    assert_eq!(append_until_failure(&mut store).0, 2);
    drop(store);
    let found = recovery::read(folder.path(), None).unwrap();
    assert_eq!((found.recovered.groups.len(), found.recovered.tail), (3, Tail::Clean));
    let frame_bytes = frame::encoded_bytes(1, 50);
    let position = found.position.unwrap();
    assert_eq!(position.unsynced_from, Some(segment::FIRST_OFFSET + 2 * frame_bytes));
    // A disk that fails again keeps the replica out.
    let disk = Disk::breaking(Rule { operation: Operation::Sync, nth: 1, failure: Failure::Once });
    let error = open_with(folder.path(), Options { disk, ..Options::default() }).unwrap_err();
    assert!(matches!(error, Error::Io { action: Action::Sync, .. }), "{error}");
    let (store, recovered) = open(folder.path()).unwrap();
    assert_eq!((store.durable(), recovered.groups.len()), (Ticket(3), 3));
    drop(store);
    assert_eq!(recovery::read(folder.path(), None).unwrap().position.unwrap().unsynced_from, None);
}

#[test]
fn a_disk_that_is_full_stops_the_store_and_what_was_durable_is_there_when_there_is_room() {
    for (operation, nth) in [
        (Operation::Write, 6),
        (Operation::Create, 12),
        (Operation::Create, 15),
        (Operation::Rename, 7),
        (Operation::Mark, 9),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = broken(folder.path(), operation, nth, Failure::Full);
        let (durable, error) = append_until_failure(&mut store);
        let message = error.to_string();
        assert!(matches!(error, Error::DiskFull { .. }), "{operation:?}: {message}");
        assert!(message.contains("free some space"), "{message}");
        assert!(durable >= 1, "{operation:?}");
        assert_eq!(store.durable(), Ticket(durable));
        drop(store);
        let (mut store, recovered) = open(folder.path()).unwrap();
        assert!(
            (durable..=durable + 1).contains(&(recovered.groups.len() as u64)),
            "{operation:?}"
        );
        append(&mut store, "there is room again");
    }
}

#[test]
fn a_segment_that_finds_no_room_leaves_none_of_it_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = broken(folder.path(), Operation::Create, 12, Failure::Full);
    append_until_failure(&mut store);
    drop(store);
    let names = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{names:?}");
}

#[test]
fn a_slow_disk_makes_every_sync_slower_while_it_is_slow() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let options = Options { disk: disk.clone(), ..Options::default() };
    let (mut store, _) = open_with(folder.path(), options).unwrap();
    let slow = Span::from_millis(30);
    let mut spans = Vec::new();
    for by in [slow, Span::ZERO] {
        disk.set_slow(by);
        append(&mut store, "group");
        store.take_sync_spans(&mut spans);
    }
    // How fast a disk is when nobody slows it is not for a test to say.
    assert!(spans[0] >= slow, "{spans:?}");
    // Whoever closes it does not wait for a slow disk.
    disk.set_slow(Span::from_millis(3_600_000));
    store.append("never");
    drop(store);
}

#[test]
fn a_full_disk_takes_frames_and_no_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let open = || {
        let disk = Disk::default().filled_by(Arc::clone(&is_full));
        open_with(folder.path(), Options { disk, ..Options::default() })
    };
    let (mut store, _) = open().unwrap();
    append(&mut store, "0");
    is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    // What has its blocks already is not refused, and then nothing is taken any more.
    let mut durable = 1;
    let failure = loop {
        let ticket = store.append(durable.to_string());
        match wait(&mut store, ticket) {
            Ok(_) => durable += 1,
            Err(failure) => break failure,
        }
    };
    assert!(durable > 3, "{durable}");
    assert!(matches!(failure, Error::DiskFull { .. }), "{failure}");
    drop(store);
    is_full.store(false, std::sync::atomic::Ordering::Relaxed);
    let (mut store, recovered) = open().unwrap();
    let expected: Vec<String> = (0..durable).map(|number| number.to_string()).collect();
    assert_eq!(texts(&recovered)[..durable], expected);
    append(&mut store, "there is room again");
    // Of a checkpoint that finds no room nothing is left but the log.
    is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    let ticket = store.checkpoint(state("state"));
    assert!(matches!(wait_checkpoint(&mut store, ticket), Err(Error::DiskFull { .. })));
    drop(store);
    is_full.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(open().unwrap().1.checkpoint, None);
}

/// The most bytes on disk of a log that has grown by 100 kB, with checkpoints when they are due or without.
fn disk_bytes_peak(has_checkpoints: bool) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path()).unwrap();
    for number in 0..1000 {
        append(&mut store, &format!("{number:100}"));
        if has_checkpoints && store.is_checkpoint_due() {
            checkpoint(&mut store, vec![7; 300]);
        }
    }
    let peak = store.disk_bytes_peak().unwrap();
    // But for a segment that is being made.
    assert!(peak + SMALL.segment_bytes >= segment::bytes_of(folder.path()));
    peak
}

#[test]
fn the_bytes_on_disk_are_said_and_checkpoints_bound_them() {
    // The log between two checkpoints, which is as long as the last one and more, that one and the next, and a
    // few segments that are new or not deleted yet.
    let peak = disk_bytes_peak(true);
    assert!((2 * 512..20 * 512).contains(&peak), "{peak}");
    assert!(disk_bytes_peak(false) > 100_000);
    let folder = tempfile::tempdir().unwrap();
    let memory = Store::open(Durability::Memory, folder.path()).unwrap().0;
    assert_eq!(memory.disk_bytes_peak(), None);
}

#[test]
fn a_queue_that_is_half_full_asks_for_no_more() {
    let queue = Queue::new(0, (0, 0), 100);
    queue.push(vec![0; 50].into());
    assert!(!queue.is_congested());
    queue.push(vec![0; 1].into());
    assert!(queue.is_congested() && queue.failure().is_none());
}

/// Appends groups on a disk with this defect, checkpoints and new segments in between; how many groups
/// behind the last checkpoint were reported as durable.
fn report_on(folder: &Path, defect: Defect) -> usize {
    let options = Options { disk: Disk::with(defect), limits: SMALL, ..Options::default() };
    let mut store = open_with(folder, options).unwrap().0;
    for number in 0..30_u8 {
        let bytes = vec![number; 50];
        if number == 10 {
            let ticket = store.checkpoint(state(bytes));
            wait_checkpoint(&mut store, ticket).unwrap();
        } else {
            let ticket = store.append(bytes);
            wait(&mut store, ticket).unwrap();
        }
    }
    19
}

#[test]
fn what_is_reported_survives_a_disk_that_loses_what_is_not_synced() {
    let folder = tempfile::tempdir().unwrap();
    let reported = report_on(folder.path(), Defect::LosesUnsynced);
    let (_store, recovered) = open(folder.path()).unwrap();
    assert_eq!(recovered.checkpoint, Some(vec![10; 50].into()));
    assert_eq!((recovered.groups.len(), recovered.tail), (reported, Tail::Clean));
    // The control: a log that does not sync is found out.
    let folder = tempfile::tempdir().unwrap();
    let reported = report_on(folder.path(), Defect::IgnoresSyncs);
    let is_kept = open(folder.path()).is_ok_and(|(_, found)| found.groups.len() == reported);
    assert!(!is_kept, "without a sync everything is there all the same");
}
