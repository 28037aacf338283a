//! Tests of [`probe`](super).

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::quorum::NodeId;
use crate::runtime::net::{Authority, Endpoint, Transport, bind};
use crate::runtime::wan::sabotage::Rule;
use crate::runtime::wan::{Emulation, Links, Precision, Releaser};
use crate::topology::Delay;

const R0: MemberName = MemberName::Replica(NodeId(0));
const R1: MemberName = MemberName::Replica(NodeId(1));
const DELAY: Span = Span::from_millis(5);

fn order(rounds: u32) -> Order {
    let from = clock::now();
    let deadline = from + Span::from_millis(60_000);
    Order { run: 3, from, period: Span::from_millis(1), rounds, deadline }
}

#[test]
fn rounds_are_uneven_and_stay_in_their_periods() {
    let order = Order { from: Time(1_000_000), ..order(1000) };
    let last = order.offset(39, 40);
    let dues: Vec<Time> = (0..1000).map(|round| order.due(last, round)).collect();
    assert!(dues.is_sorted());
    let gaps: std::collections::BTreeSet<u64> =
        dues.windows(2).map(|pair| pair[1].since(pair[0]).0 / 100_000).collect();
    assert!(gaps.len() > 5, "{gaps:?}");
    assert!(dues[999] < order.until() && order.offset(0, 40) == Span::ZERO);
    for (due, round) in dues.iter().zip(0..) {
        let begin = order.from + order.period.times(round);
        assert!(*due >= begin && *due < begin + order.period);
    }
}

#[test]
fn frames_and_datagrams_are_counted_as_they_are_sent() {
    for rounds in [0, 1, 4, 13, 14, 16, 40, 200] {
        let order = order(rounds);
        let pairs = (0..rounds).filter(|round| Round::of(*round) == Round::Pair).count();
        let trains = (0..rounds).filter(|round| Round::of(*round) == Round::Train).count();
        assert_eq!(order.frame_count() as usize, rounds as usize + pairs);
        assert_eq!(order.train_count() as usize, trains * TRAIN_LENGTH as usize);
    }
    assert!(order(200).frame_count() >= 200);
}

#[test]
fn percentiles_are_nearest_ranks() {
    let ages: Vec<Span> = (1..=200).map(Span).collect();
    assert_eq!((percentile(&ages, 50), percentile(&ages, 99)), (Span(100), Span(198)));
    assert_eq!(percentile(&[Span(7)], 99), Span(7));
    assert_eq!(percentile(&[], 50), Span::ZERO);
}

#[test]
fn the_tail_of_a_few_frames_is_known_no_better_than_its_interval() {
    let ages: Vec<Span> = (1..=200).map(Span).collect();
    // P(B(200, 0.99) < 195) = 1.6 %, and P(B < 196) = 5.2 %.
    assert_eq!(lower_end(&ages), Span(195));
    assert_eq!(lower_end(&[]), Span::ZERO);
}

/// Two members with a stream between them; each delays what it sends.
struct Pair {
    meshes: [Mesh; 2],
    attached: [UnboundedReceiver<Attached>; 2],
}

impl Pair {
    async fn new(rule: Option<Rule>) -> Self {
        let authority = Authority::new().unwrap();
        let releaser = Arc::new(Releaser::start(Precision::default()).unwrap());
        let side = |name: &str| -> (Endpoint, Arc<Emulation>) {
            let emulation = Emulation::new(Links::new(1), Arc::clone(&releaser));
            let emulation = Arc::new(match rule {
                Some(rule) => emulation.broken(rule),
                None => emulation,
            });
            let identity = authority.issue(name).unwrap();
            let address = (Ipv4Addr::LOCALHOST, 0).into();
            let transport = Transport::default();
            (bind(&identity, address, Some(emulation.clone()), &transport).unwrap(), emulation)
        };
        let (left, right) = (side("r0"), side("r1"));
        left.1.set(right.0.local_address(), Delay::constant(DELAY), 1);
        right.1.set(left.0.local_address(), Delay::constant(DELAY), 2);
        let (to_left, mut at_left) = unbounded_channel();
        let (to_right, mut at_right) = unbounded_channel();
        let meshes = [
            Mesh::new(left.0, ["r1".into()], to_left),
            Mesh::new(right.0.clone(), ["r0".into()], to_right),
        ];
        tokio::spawn(meshes[1].clone().accept());
        let dial = meshes[0].clone().dial(right.0.local_address(), "r1".into(), DELAY);
        tokio::spawn(dial);
        // Both sides have their streams, and find them again where they were.
        meshes[0].give_back(at_left.recv().await.unwrap());
        meshes[1].give_back(at_right.recv().await.unwrap());
        Self { meshes, attached: [at_left, at_right] }
    }

    async fn probe(self, order: Order) -> (Self, [Heard; 2]) {
        let [left, right] = self.meshes.clone();
        let [at_left, at_right] = self.attached;
        let offset = Span::from_micros(500);
        let left = Prober::new(order, [(R1, Span::ZERO)], left, at_left).unwrap();
        let right = Prober::new(order, [(R0, offset)], right, at_right).unwrap();
        let ((by_left, at_left), (by_right, at_right)) = tokio::join!(left.run(), right.run());
        let pair = Self { meshes: self.meshes, attached: [at_left, at_right] };
        (pair, [by_left[0], by_right[0]])
    }
}

#[tokio::test]
async fn both_directions_are_heard_whole_and_the_streams_come_back() {
    let pair = Pair::new(None).await;
    let first = order(40);
    let (pair, heard) = pair.probe(first).await;
    for (heard, from) in heard.iter().zip([R1, R0]) {
        assert_eq!(heard.from, from);
        assert!(heard.is_whole() && heard.heard_count == first.frame_count(), "{heard:?}");
        // No frame is earlier than its link allows; how late it is, is the machine's business.
        assert!(heard.p50 >= DELAY && heard.p99 >= heard.p50, "{heard:?}");
        assert_eq!((heard.overtaken_count, heard.lost_count), (0, 0), "{heard:?}");
        assert!(heard.train_count > 0);
    }
    // Again, with the same streams.
    let (_, heard) = pair.probe(Order { run: 4, ..order(8) }).await;
    assert!(heard.iter().all(Heard::is_whole), "{heard:?}");
}

#[tokio::test]
async fn datagrams_that_overtake_one_another_are_counted() {
    let (_, heard) = Pair::new(Some(Rule::DelayReorders)).await.probe(order(200)).await;
    for heard in heard {
        assert!(heard.overtaken_count > 0, "{heard:?}");
    }
}

#[tokio::test]
async fn what_never_comes_is_not_heard() {
    let pair = Pair::new(None).await;
    let [left, _] = pair.meshes.clone();
    let [at_left, _] = pair.attached;
    let short = Order { deadline: clock::now() + Span::from_millis(30), ..order(8) };
    let (heard, _) = Prober::new(short, [(R1, Span::ZERO)], left, at_left).unwrap().run().await;
    assert!(!heard[0].is_whole() && heard[0].heard_count == 0, "{heard:?}");
    assert_eq!(heard[0].p99, Span::ZERO);
}
