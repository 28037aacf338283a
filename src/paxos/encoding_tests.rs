//! Every message, record and checkpoint comes back from its encoding as it was.
//!
//! The kinds are listed by a macro whose `match` has no other arm: a new variant does not compile before
//! it is listed, and a listed one without a strategy fails.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::command::{ClientId, Command, Cut, KeyValue, Operation, Outcome, Part, RequestId};
use crate::protocol::{
    Ballot, Bounds, Config, Election, Protocol, Reply, Retention, Scope, SendPolicy, Slot, Timing,
    Value,
};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::{Now, Span, Time};

/// The names of all variants of an enum, and which of them a value is.
macro_rules! kinds {
    ($names:ident, $kind:ident, $type:ident: $($variant:ident),+) => {
        const $names: &[&str] = &[$(stringify!($variant)),+];

        fn $kind(value: &$type) -> &'static str {
            match value {
                $($type::$variant { .. } => stringify!($variant),)+
            }
        }
    };
}

kinds!(
    MESSAGES, kind_of_message, Message:
    Phase1a, Phase1b, Phase2a, Phase2b, Refused, Chosen, Learn, Values, Trimmed, Fetch, Snapshot,
    Executed, Heartbeat, HeartbeatAck, PreVote, PreVoteGranted, Settle, Settled, AskEnd, End, Renew,
    Grant, Reserved
);
kinds!(
    RECORDS, kind_of_record, Record:
    Rounds, Promise, Vote, Learned, Settled, Forgotten
);
kinds!(REPLIES, kind_of_reply, Reply: Executed, Read, NotLeader);

/// Small numbers, and those at which an encoding changes its length.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, Just(u64::from(u32::MAX)), Just(1 << 40), Just(u64::MAX), any::<u64>()]
}

fn slot() -> impl Strategy<Value = Slot> {
    number().prop_map(Slot)
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (number(), any::<u8>())
        .prop_map(|(round, proposer)| Ballot { round, proposer: NodeId(proposer) })
}

fn nodes() -> impl Strategy<Value = NodeSet> {
    any::<u64>().prop_map(NodeSet::from_mask)
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![slot().prop_map(Scope::Only), slot().prop_map(Scope::From)]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn request() -> impl Strategy<Value = RequestId> {
    (any::<u32>(), number())
        .prop_map(|(client, sequence)| RequestId { client: ClientId(client), sequence })
}

fn command() -> impl Strategy<Value = Command> {
    let operation = prop_oneof![
        (number(), bytes()).prop_map(|(key, value)| Operation::Put { key, value }),
        number().prop_map(|key| Operation::Get { key }),
        (number(), number()).prop_map(|(key, since)| Operation::GetSince { key, since }),
    ];
    (request(), number(), operation).prop_map(|(request, settled_below, operation)| Command {
        request,
        settled_below,
        operation,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let stamped = (number(), prop::option::of(command()))
        .prop_map(|(stamp, command)| Value::stamped(Time(stamp), command));
    prop_oneof![Just(Value::Noop), command().prop_map(Value::from), stamped]
}

fn stamp() -> impl Strategy<Value = Option<Time>> {
    prop::option::of(number().prop_map(Time))
}

fn granted() -> impl Strategy<Value = Granted> {
    prop::collection::vec((nodes(), number()), 0..3).prop_map(|grants| {
        let mut granted = Granted::default();
        for (to, stamp) in grants {
            granted.note(to, Time(stamp));
        }
        granted
    })
}

fn vote() -> impl Strategy<Value = Vote> {
    (ballot(), value()).prop_map(|(ballot, value)| Vote { ballot, value })
}

fn announced() -> impl Strategy<Value = Announced> {
    let quorums = prop::collection::vec((ballot(), nodes()), 0..3);
    (quorums, prop::option::of(ballot())).prop_map(|(quorums, settled)| {
        let mut announced = Announced::default();
        for (ballot, quorum) in quorums {
            announced.insert(ballot, quorum);
        }
        if let Some(settled) = settled {
            announced.forget_below(settled);
        }
        announced
    })
}

/// A part of a state in which some commands are executed.
fn part() -> impl Strategy<Value = Part> {
    prop::collection::vec(command(), 0..6).prop_map(|commands| {
        let mut state = KeyValue::default();
        for (sequence, command) in (0..).zip(commands) {
            let request = RequestId { client: ClientId(sequence % 2), sequence: sequence.into() };
            state.execute(&Command { request, settled_below: 0, ..command });
        }
        state.part(Cut::START, 1 << 20).0
    })
}

fn cut() -> impl Strategy<Value = Cut> {
    let request = |(client, sequence)| Cut::Request(ClientId(client), sequence);
    prop_oneof![any::<u64>().prop_map(Cut::Key), any::<(u32, u64)>().prop_map(request)]
}

fn message(kind: &str) -> BoxedStrategy<Message> {
    match kind {
        "Phase1a" => (ballot(), scope(), prop::option::of(nodes()))
            .prop_map(|(ballot, scope, quorum)| Message::Phase1a { ballot, scope, quorum })
            .boxed(),
        "Phase1b" => {
            let votes = prop::collection::vec((slot(), vote()), 0..4);
            let ends = (slot(), prop::option::of(slot()), stamp(), granted());
            (ballot(), scope(), votes, announced(), ends)
                .prop_map(|(ballot, scope, votes, announced, ends)| {
                    let (trimmed_below, reported_below, newest, granted) = ends;
                    let report =
                        Report { votes, announced, trimmed_below, reported_below, newest, granted };
                    Message::Phase1b { ballot, scope, report: Box::new(report) }
                })
                .boxed()
        }
        "Phase2a" => (ballot(), slot(), value(), slot())
            .prop_map(|(ballot, slot, value, chosen_below)| Message::Phase2a {
                ballot,
                slot,
                value,
                chosen_below,
            })
            .boxed(),
        "Phase2b" => (ballot(), slot(), slot())
            .prop_map(|(ballot, first, last)| Message::Phase2b { ballot, first, last })
            .boxed(),
        "Refused" => (ballot(), ballot(), slot())
            .prop_map(|(ballot, promised, slot)| Message::Refused { ballot, promised, slot })
            .boxed(),
        "Chosen" => (ballot(), slot(), slot())
            .prop_map(|(ballot, first, below)| Message::Chosen { ballot, first, below })
            .boxed(),
        _ => teaching(kind).unwrap_or_else(|| leading(kind)),
    }
}

/// Messages by which a replica learns what it missed.
fn teaching(kind: &str) -> Option<BoxedStrategy<Message>> {
    Some(match kind {
        "Learn" => {
            (slot(), slot()).prop_map(|(first, below)| Message::Learn { first, below }).boxed()
        }
        "Values" => (slot(), prop::collection::vec(value(), 0..4), slot())
            .prop_map(|(first, values, executed_below)| Message::Values {
                first,
                values,
                executed_below,
            })
            .boxed(),
        "Trimmed" => slot().prop_map(|below| Message::Trimmed { below }).boxed(),
        "Fetch" => (slot(), prop::option::of((slot(), cut())))
            .prop_map(|(executed_below, begun)| Message::Fetch { executed_below, begun })
            .boxed(),
        "Snapshot" => (slot(), cut(), prop::option::of(cut()), part(), stamp())
            .prop_map(|(executed_below, begin, next, content, newest)| Message::Snapshot {
                executed_below,
                begin,
                next,
                content: Box::new(content),
                newest,
            })
            .boxed(),
        "Executed" => slot().prop_map(|below| Message::Executed { below }).boxed(),
        _ => return None,
    })
}

/// Messages about who leads.
fn leading(kind: &str) -> BoxedStrategy<Message> {
    match kind {
        "Heartbeat" => (ballot(), slot())
            .prop_map(|(ballot, chosen_below)| Message::Heartbeat { ballot, chosen_below })
            .boxed(),
        "HeartbeatAck" => ballot().prop_map(|ballot| Message::HeartbeatAck { ballot }).boxed(),
        "PreVote" => (ballot(), slot())
            .prop_map(|(ballot, executed_below)| Message::PreVote { ballot, executed_below })
            .boxed(),
        "PreVoteGranted" => (ballot(), announced().prop_map(Box::new))
            .prop_map(|(ballot, announced)| Message::PreVoteGranted { ballot, announced })
            .boxed(),
        "Settle" => {
            (ballot(), slot()).prop_map(|(ballot, below)| Message::Settle { ballot, below }).boxed()
        }
        "Settled" => ballot().prop_map(|ballot| Message::Settled { ballot }).boxed(),
        "AskEnd" => request().prop_map(|request| Message::AskEnd { request }).boxed(),
        "End" => (request(), slot(), announced())
            .prop_map(|(request, below, announced)| Message::End { request, below, announced })
            .boxed(),
        "Renew" => (ballot(), prop::option::of(nodes()), nodes(), slot())
            .prop_map(|(ballot, quorum, to, fresh)| Message::Renew { ballot, quorum, to, fresh })
            .boxed(),
        "Grant" => (ballot(), number())
            .prop_map(|(ballot, stamp)| Message::Grant { ballot, stamp: Time(stamp) })
            .boxed(),
        "Reserved" => number().prop_map(|below| Message::Reserved { below }).boxed(),
        _ => panic!("{kind} has no strategy: write one"),
    }
}

fn record(kind: &str) -> BoxedStrategy<Record> {
    match kind {
        "Rounds" => number().prop_map(|below| Record::Rounds { below }).boxed(),
        "Promise" => (ballot(), scope(), prop::option::of(nodes()))
            .prop_map(|(ballot, scope, quorum)| Record::Promise { ballot, scope, quorum })
            .boxed(),
        "Vote" => (slot(), vote()).prop_map(|(slot, vote)| Record::Vote { slot, vote }).boxed(),
        "Learned" => {
            (slot(), value()).prop_map(|(slot, value)| Record::Learned { slot, value }).boxed()
        }
        "Settled" => {
            (ballot(), slot()).prop_map(|(ballot, below)| Record::Settled { ballot, below }).boxed()
        }
        "Forgotten" => ballot().prop_map(|below| Record::Forgotten { below }).boxed(),
        _ => panic!("{kind} has no strategy: write one"),
    }
}

fn reply(kind: &str) -> BoxedStrategy<Reply> {
    let outcome =
        prop_oneof![Just(Outcome::Stored), prop::option::of(bytes()).prop_map(Outcome::Read),];
    match kind {
        "Executed" => (request(), slot(), outcome)
            .prop_map(|(request, slot, outcome)| Reply::Executed { request, slot, outcome })
            .boxed(),
        "Read" => (request(), slot(), prop::option::of(bytes()))
            .prop_map(|(request, below, value)| Reply::Read { request, below, value })
            .boxed(),
        "NotLeader" => (request(), prop::option::of(any::<u8>().prop_map(NodeId)))
            .prop_map(|(request, leader)| Reply::NotLeader { request, leader })
            .boxed(),
        _ => panic!("{kind} has no strategy: write one"),
    }
}

/// One value of each kind.
fn each<T: std::fmt::Debug + 'static>(
    kinds: &'static [&'static str],
    strategy: fn(&str) -> BoxedStrategy<T>,
) -> impl Strategy<Value = Vec<T>> {
    kinds.iter().map(|kind| strategy(kind)).collect::<Vec<_>>()
}

/// What the encoding of a value gives back.
fn through<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let bytes = postcard::to_stdvec(value).unwrap();
    let (decoded, rest) = postcard::take_from_bytes(&bytes).unwrap();
    assert_eq!(rest, [0; 0], "bytes that nobody reads");
    decoded
}

/// A replica that was given these votes, promises and chosen ranges.
fn lived(inputs: Vec<(u64, Value, Option<NodeSet>)>) -> Replica {
    let config = Config {
        id: NodeId(1),
        quorums: QuorumSystem::majority(3),
        election: Election::Fixed,
        send: SendPolicy::All,
        nearest_first: (0..3).map(NodeId).collect(),
        timing: Timing::for_round_trip(Span::from_millis(10)),
        retention: Retention::ALL,
        bounds: Bounds::USUAL,
    };
    let mut replica = Replica::new(Mode::multi(NodeId(0)), config);
    let mut effects = Effects::default();
    replica.handle(Now::default(), Input::Start, &mut effects);
    // A slot has one value.
    let mut slots = BTreeSet::new();
    let new = inputs.into_iter().filter(|(slot, ..)| slots.insert(*slot));
    for (round, (slot, value, quorum)) in (1..).zip(new) {
        let (slot, proposer) = (Slot(slot), NodeId(0));
        let ballot = Ballot { round, proposer };
        let scope = Scope::From(Slot::ZERO);
        // As a client counts: outcomes are kept from the first open request on.
        let request = RequestId { client: ClientId(0), sequence: round };
        let value = match value {
            Value::Command(command) => {
                Value::from(Command { request, settled_below: 0, ..(*command).clone() })
            }
            Value::Stamped(stamped) if stamped.command.is_some() => {
                let command = stamped.command.clone();
                let command = command.map(|it| Command { request, settled_below: 0, ..it });
                Value::stamped(stamped.stamp, command)
            }
            other => other,
        };
        let chosen = Message::Chosen { ballot, first: slot, below: slot.next() };
        let proposal = Message::Phase2a { ballot, slot, value, chosen_below: Slot::ZERO };
        for message in [Message::Phase1a { ballot, scope, quorum }, proposal, chosen] {
            let input = Input::Message { from: proposer, message };
            replica.handle(Now::default(), input, &mut effects);
        }
    }
    replica
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_comes_back_from_its_encoding(messages in each(MESSAGES, message)) {
        for (message, kind) in messages.iter().zip(MESSAGES) {
            prop_assert_eq!(kind_of_message(message), *kind);
            prop_assert_eq!(&through(message), message);
        }
    }

    #[test]
    fn every_record_comes_back_from_its_encoding(records in each(RECORDS, record)) {
        for (record, kind) in records.iter().zip(RECORDS) {
            prop_assert_eq!(kind_of_record(record), *kind);
            prop_assert_eq!(&through(record), record);
        }
        // As a replica writes them: all of one wake-up together.
        prop_assert_eq!(through(&records), records);
    }

    #[test]
    fn every_command_and_reply_comes_back(command in command(), replies in each(REPLIES, reply)) {
        prop_assert_eq!(through(&command), command);
        for (reply, kind) in replies.iter().zip(REPLIES) {
            prop_assert_eq!(kind_of_reply(reply), *kind);
            prop_assert_eq!(&through(reply), reply);
        }
    }

    #[test]
    fn a_checkpoint_comes_back_and_makes_the_same_replica(
        inputs in prop::collection::vec((0..12_u64, value(), prop::option::of(nodes())), 0..12),
    ) {
        let replica = lived(inputs);
        let checkpoint = replica.checkpoint();
        let decoded = through(&checkpoint);
        prop_assert_eq!(&decoded, &checkpoint);
        let mut recovered = lived(Vec::new());
        recovered.recover(Some(decoded), Vec::new());
        prop_assert_eq!(recovered.acceptor(), replica.acceptor());
        prop_assert_eq!(recovered.executed_below(), replica.executed_below());
    }
}

/// What its encoding leaves out does not come back: the tests above can fail.
#[test]
fn a_field_that_is_not_encoded_does_not_come_back() {
    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Forgetful {
        round: u64,
        #[serde(skip)]
        voted: bool,
    }
    let value = Forgetful { round: 7, voted: true };
    assert_ne!(through(&value), value);
}
