//! Tests of [`histogram`](super).

use super::*;
use crate::measure::Summary;

fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
    let mut latencies = Latencies::new();
    values.into_iter().for_each(|value| latencies.record(Span(value)));
    latencies
}

#[test]
fn merged_percentiles_are_those_of_all_and_no_mean() {
    let (fast, slow) = (of((1..=900).map(|i| i * 1000)), of((1..=100).map(|i| i * 1_000_000)));
    let all = of((1..=900).map(|i| i * 1000).chain((1..=100).map(|i| i * 1_000_000)));
    let merged: Latencies = [&fast, &slow].into_iter().collect();
    assert_eq!(merged, all);
    for share in [0.5, 0.9, 0.95, 0.99, 1.0] {
        assert_eq!(merged.quantile(share), all.quantile(share));
    }
    let mean = u64::midpoint(fast.quantile(0.99).unwrap().0, slow.quantile(0.99).unwrap().0);
    assert!(mean < merged.quantile(0.99).unwrap().0 * 6 / 10);
}

#[test]
fn three_figures_are_kept() {
    let latencies = of([69_623_456]);
    let error = latencies.quantile(0.5).unwrap().0.abs_diff(69_623_456);
    assert!(error * 1000 <= 69_623_456, "{error} ns");
}

#[test]
fn nothing_is_none_and_not_zero() {
    let empty = Latencies::new();
    assert_eq!((empty.min(), empty.mean(), empty.max()), (None, None, None));
    assert_eq!((empty.quantile(0.5), empty.at_rank(1)), (None, None));
}

#[test]
fn a_latency_beyond_an_hour_counts_as_an_hour() {
    let latencies = of([u64::MAX]);
    assert_eq!(latencies.count(), 1);
    assert!(latencies.max().unwrap().0.abs_diff(Latencies::MAX.0) * 1000 <= Latencies::MAX.0);
}

#[test]
fn bytes_come_back_as_the_same_histogram() {
    let latencies = of((0..5000).map(|i| i * i * 977));
    assert_eq!(Latencies::decode(&latencies.encode()).unwrap(), latencies);
    assert_eq!(Latencies::decode(&Latencies::new().encode()).unwrap(), Latencies::new());
}

#[test]
fn what_is_no_histogram_or_not_ours_is_refused() {
    let refused = |bytes: &[u8]| Latencies::decode(bytes).unwrap_err().to_string();
    assert_eq!(refused(b"trial"), "5 bytes are not a histogram");
    let mut wide = Histogram::<u64>::new_with_bounds(1, u64::MAX / 2, 3).unwrap();
    wide.record(1 << 50).unwrap();
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&wide, &mut bytes).unwrap();
    assert!(refused(&bytes).contains("one hour"));
    let coarse = Histogram::<u64>::new_with_bounds(1, 1000, 2).unwrap();
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&coarse, &mut bytes).unwrap();
    assert!(refused(&bytes).contains("2 significant figures"));
}

#[test]
fn the_latency_of_a_rank_is_in_its_bucket() {
    let latencies = of([10, 20, 20, 30]);
    let at = |rank| latencies.at_rank(rank).map(|(low, high)| (low.0, high.0));
    assert_eq!([at(1), at(2), at(3), at(4)], [10, 20, 20, 30].map(|value| Some((value, value))));
    assert_eq!((at(0), at(5)), (None, None));
}

/// Some latencies and some waits in vain, in milliseconds.
fn with(answered: &[u64], waited: &[u64]) -> Latencies {
    let mut latencies = of(answered.iter().map(|ms| ms * 1_000_000));
    for ms in waited {
        latencies.record_unanswered(Span::from_millis(*ms));
    }
    latencies
}

/// The figure in milliseconds: `20`, or `>20`.
fn told(figure: Option<Figure>) -> String {
    match figure {
        None => "-".into(),
        Some(Figure::Known(span)) => format!("{:.0}", span.as_millis_f64()),
        Some(Figure::Above(span)) => format!(">{:.0}", span.as_millis_f64()),
    }
}

#[test]
fn an_unanswered_operation_ranks_behind_all_that_are_shorter() {
    let latencies = with(&[20; 60], &[1000; 40]);
    assert_eq!((latencies.count(), latencies.unanswered_count()), (60, 40));
    let at = [0.0, 0.5, 0.6, 0.61, 1.0].map(|share| told(latencies.figure(share)));
    assert_eq!(at, ["20", "20", "20", ">1000", ">1000"]);
    assert_eq!((latencies.max(), latencies.mean(), latencies.quantile(0.9)), (None, None, None));
    assert!(latencies.min().is_some() && latencies.quantile(0.6).is_some());
    assert!(latencies.at_rank(60).is_some() && latencies.at_rank(61).is_none());
    // All of them were answered, or none was.
    assert_eq!(told(with(&[20; 60], &[]).figure(1.0)), "20");
    let none = with(&[], &[7]);
    assert_eq!((told(none.figure(0.5)), none.min(), none.count()), (">7".into(), None, 0));
    assert!(!none.is_empty());
}

#[test]
fn a_known_percentile_is_the_same_however_long_one_waits() {
    // Ten operations, begun a second apart in a window of ten, with these latencies.
    let took = [20_u64, 20, 9_500, 20, 4_000, 20, 20, 2_500, 20, 1_200];
    let seen = |drain: u64| {
        let mut latencies = Latencies::new();
        for (took, waited) in took.iter().zip((1..=10).rev().map(|s| s * 1000 + drain)) {
            if *took <= waited {
                latencies.record(Span::from_millis(*took));
            } else {
                latencies.record_unanswered(Span::from_millis(waited));
            }
        }
        latencies
    };
    let all = seen(20_000);
    assert_eq!(all.unanswered_count(), 0);
    for drain in (0..10_000).step_by(500) {
        let cut = seen(drain);
        for percent in (0..=100).map(f64::from) {
            let (cut, all) = (cut.figure(percent / 100.0), all.figure(percent / 100.0));
            match (cut, all) {
                (Some(Figure::Above(cut)), Some(Figure::Known(all))) => assert!(cut <= all),
                _ => assert_eq!(cut, all, "{percent} % with a drain of {drain} ms"),
            }
        }
    }
    // Without a drain the last two are unknown, and one of them may be among the quickest seven.
    assert_eq!(told(seen(0).figure(0.7)), ">1000");
    assert_eq!(told(seen(0).figure(0.6)), "20");
}

#[test]
fn merged_histograms_keep_the_unanswered_and_travel_with_them() {
    let merged: Latencies =
        [&with(&[1], &[5]), &with(&[2], &[]), &with(&[], &[6, 7])].into_iter().collect();
    assert_eq!((merged.count(), merged.unanswered_count()), (2, 3));
    let bytes = postcard::to_stdvec(&merged).unwrap();
    let read = postcard::from_bytes::<Latencies>(&bytes).unwrap();
    // A ledger keeps what it reads, of thousands of trials.
    assert!(matches!(read.answered, Counts::Packed(..)));
    assert_eq!(read, merged);
    let mut cleared = merged;
    cleared.clear();
    assert_eq!(cleared, Latencies::new());
}

#[test]
fn what_is_packed_says_the_same_and_counts_on() {
    let values = (0..3_000_u64).map(|number| number * number * 7_919 % 40_000_000 + 1);
    for whole in [Latencies::new(), of([7]), of(values.clone()), with(&[3, 3, 4000], &[5, 900])] {
        let mut packed = whole.clone();
        packed.pack();
        packed.pack();
        assert!(matches!(packed.answered, Counts::Packed(..)));
        assert_eq!((&packed, packed.count()), (&whole, whole.count()));
        assert_eq!(Summary::of(&packed), Summary::of(&whole));
        assert_eq!((packed.values(), packed.encode()), (whole.values(), whole.encode()));
        let limit = Span::from_millis(20);
        assert_eq!(packed.quantile_below(limit, 0.9), whole.quantile_below(limit, 0.9));
        let twice = [&whole, &packed].into_iter().collect::<Latencies>();
        assert_eq!(twice, [&whole, &whole].into_iter().collect());
        let mut more = whole.clone();
        more.record(Span(77));
        packed.record(Span(77));
        assert_eq!(packed, more);
    }
    let mut many = of(values);
    many.pack();
    let Counts::Packed(kept, _) = &many.answered else { panic!("it is packed") };
    assert!(size_of_val(&**kept) < 50_000, "{}", kept.len());
}

#[test]
fn a_percentile_is_told_with_ten_operations_beyond_it() {
    let told_of = |count: usize, share| with(&vec![1; count], &[]).percentile(share).is_some();
    assert_eq!((told_of(999, 0.99), told_of(1000, 0.99)), (false, true));
    assert_eq!((told_of(99, 0.9), told_of(100, 0.9)), (false, true));
    assert_eq!((told_of(0, 0.5), told_of(1, 0.5)), (false, true));
    // Operations without an answer lie beyond too.
    assert_eq!(told(with(&[1; 995], &[50; 5]).percentile(0.99)), "1");
    assert_eq!(told(with(&[1; 985], &[50; 15]).percentile(0.99)), ">50");
}

#[test]
fn a_corrected_pause_counts_what_was_not_begun_in_it() {
    let mut latencies = of(std::iter::repeat_n(2_000_000, 1000));
    latencies.record(Span::from_millis(1000));
    let corrected = latencies.corrected(&latencies, Span::from_millis(2));
    // 998, 996 and so on down to 2 ms.
    assert_eq!(corrected.count(), 1000 + 500);
    assert_eq!(told(latencies.figure(0.99)), "2");
    assert_eq!(told(corrected.figure(0.9)), "700");
    let mut never = of(std::iter::repeat_n(2_000_000, 1000));
    never.record_unanswered(Span::from_millis(1000));
    assert_eq!(never.corrected(&never, Span::from_millis(2)).unanswered_count(), 500);
}

/// Four fifths of what was not begun would have been reads, though it was a write that waited.
#[test]
fn a_corrected_pause_counts_each_kind_by_its_share() {
    let reads = of(std::iter::repeat_n(2_000_000, 800));
    let mut writes = of(std::iter::repeat_n(2_000_000, 199));
    writes.record_unanswered(Span::from_millis(1000));
    let all: Latencies = [&reads, &writes].into_iter().collect();
    let corrected = |kind: &Latencies| kind.corrected(&all, Span::from_millis(2));
    assert_eq!(corrected(&reads).unanswered_count(), 499 * 4 / 5);
    assert_eq!(corrected(&writes).unanswered_count(), 1 + 99);
    assert_eq!(told(corrected(&reads).figure(0.9)), ">700");
}

#[test]
fn a_quantile_of_those_below_a_limit_leaves_out_the_others() {
    let latencies = with(&[1, 1, 1, 3, 50], &[70]);
    let of = |limit_ms| latencies.quantile_below(Span::from_millis(limit_ms), 1.0);
    assert_eq!(of(40).map(|span| span.as_millis_f64().round()), Some(3.0));
    assert_eq!(of(1), None);
}
