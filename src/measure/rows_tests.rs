//! The headers of all tables, line by line: a change of the schema shows here first.

use super::*;

fn csv<T: Serialize>(rows: &[T]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

fn header<T: Serialize + Default>() -> String {
    csv(&[T::default()]).lines().next().unwrap().to_owned()
}

fn key() -> TrialKey {
    TrialKey { trial: 3, variant: "flex-4-2".to_owned(), backend: "live".to_owned() }
}

fn latencies(count: u64) -> Latencies {
    let mut latencies = Latencies::new();
    (1..=count).for_each(|value| latencies.record(Span(value)));
    latencies
}

#[test]
fn the_headers_are_these() {
    assert_eq!(
        header::<TrialRow>(),
        "trial,variant,backend,network,point,protocol,n,q1,q2,send,durability,transport,arrival,clients,\
         replicas,leader,repeat,seed,warmup_s,duration_s,valid,complete,saturated,flags,notes,offered_per_s,\
         achieved_per_s,issued_count,acknowledged_count,unknown_count,violation_count,\
         unverified_count,unlogged_count,logs_verdict,clients_verdict,cpu_us_per_op,cpu_utilisation,memory_peak_bytes_max,\
         link_datagram_count,link_drop_count,link_lost_count,link_queue_drop_count,\
         link_duplicate_count,link_reorder_count,link_late_ns_p50,link_late_ns_p99,\
         link_late_ns_max,refused_frame_count,race_lost_count,retransmitted_count,attempts_per_write"
    );
    assert_eq!(
        header::<HistoryRow>(),
        "trial,variant,backend,member,start,file,bytes,sha256,whole"
    );
    assert_eq!(
        header::<LatencyRow>(),
        "trial,variant,backend,network,client_region,operation,count,unanswered_count,latency_ns_min,latency_ns_mean,\
         latency_ns_p50,latency_ns_p90,latency_ns_p95,latency_ns_p99,latency_ns_p999,\
         latency_ns_max,floor_ns_p50,floor_ns_p99,residual_ns_p50,residual_ns_p99,latency_ns_p50_low,latency_ns_p50_high,\
         latency_ns_p99_low,latency_ns_p99_high,blocked_ns,open_loop_ns_p50,open_loop_ns_p99"
    );
    assert_eq!(
        header::<PhaseRow>(),
        "trial,variant,backend,replica,region,phase,count,latency_ns_min,latency_ns_mean,\
         latency_ns_p50,latency_ns_p90,latency_ns_p95,latency_ns_p99,latency_ns_p999,\
         latency_ns_max"
    );
    assert_eq!(
        header::<PercentileRow>(),
        "trial,variant,backend,client_region,operation,quantile,latency_ns"
    );
    assert_eq!(
        header::<TimelineRow>(),
        "trial,variant,backend,client_region,operation,second,interval_s,fault,count,unanswered_count,throughput_per_s,\
         latency_ns_p50,latency_ns_p99,latency_ns_max"
    );
    assert_eq!(
        header::<MemberRow>(),
        "trial,variant,backend,member,region,role,outcome,cpu_s,memory_peak_bytes,\
         executed_count,sync_count,start_count,recovered_group_count,scheduling,cpu_share,\
         run_queue_share,timer_slip_ns_p50,timer_slip_ns_p99,timer_slip_ns_max,\
         link_released_count,link_late_count,host_busy_share,host_stolen_share,cause"
    );
    assert_eq!(
        header::<LinkRow>(),
        "trial,variant,backend,from,to,from_region,to_region,asked_ns_p50,asked_ns_p99,\
         baseline_ns,measured_count,missing_count,measured_ns_p50,measured_ns_p99,measured_ns_p99_low,\
         error_ns_p50,\
         error_ns_p99,tolerance_ns,train_count,overtaken_count,lost_count,is_within,is_floored,\
         attempts,attempt"
    );
    assert_eq!(
        header::<RecoveryRow>(),
        "trial,variant,backend,fault,harm,target,struck_at_ns,ended_at_ns,leader,new_leader,\
         first_suspected_ns,detection_ns,election_ns,attempt_count,phase1_ns,floor_phase1_ns,\
         adopted_count,filled_count,leading_ns,transfer_ns,first_commit_ns,client_region,\
         redirect_ns,first_ack_ns,protocol_ns,client_wait_ns,recovered,unavailable_ns,usual_gap_ns,before_ns_p50,\
         before_ns_p99,delayed_above_ns,delayed_count,unknown_count"
    );
}

#[test]
fn what_was_not_measured_is_empty() {
    let row = LatencyRow::new(&key(), "eu-west-1", "read", &Latencies::new(), None);
    assert_eq!(
        csv(&[row]).lines().nth(1).unwrap(),
        "3,flex-4-2,live,,eu-west-1,read,0,0,,,,,,,,,,,,,,,,,,,"
    );
}

#[test]
fn a_latency_row_says_its_histogram_and_comes_back() {
    let floors = Some((Span(53), Span(70)));
    let row = LatencyRow::new(&key(), "eu-west-1", "write", &latencies(1000), floors);
    let text = csv(std::slice::from_ref(&row));
    assert_eq!(
        text.lines().nth(1).unwrap(),
        "3,flex-4-2,live,,eu-west-1,write,1000,0,1,501,500,900,950,990,,1000,53,70,447,920,469,532,983,997,,,"
    );
    let found: Vec<LatencyRow> =
        csv::Reader::from_reader(text.as_bytes()).into_deserialize().map(Result::unwrap).collect();
    assert_eq!(found, [row]);
}

#[test]
fn an_unanswered_operation_empties_what_falls_among_them() {
    let mut some = latencies(620);
    (0..380).for_each(|_| some.record_unanswered(Span::from_millis(1)));
    let row = LatencyRow::new(&key(), "eu-west-1", "write", &some, Some((Span(53), Span(70))));
    assert_eq!(
        csv(std::slice::from_ref(&row)).lines().nth(1).unwrap(),
        "3,flex-4-2,live,,eu-west-1,write,620,380,1,,500,,,,,,53,70,447,,469,532,,,,,"
    );
    let steps = PercentileRow::of(&key(), "eu-west-1", "write", &some);
    let known = steps.iter().filter(|step| step.latency_ns.is_some()).count();
    assert_eq!((known, steps.last().and_then(|step| step.latency_ns)), (63, None));
}

#[test]
fn a_closed_loop_that_omits_a_pause_has_its_open_loop_beside_it() {
    let mut quick = latencies(0);
    (0..1000).for_each(|_| quick.record(Span(100)));
    quick.record(Span(100_000));
    let omission = Omission::of(Span(100_000), &quick).unwrap();
    let row = LatencyRow::new(&key(), "eu-west-1", "write", &quick, None);
    let row = row.with_omission(&quick.corrected(&quick, omission.interval), omission);
    assert_eq!((row.latency_ns_p50, row.latency_ns_p99), (Some(100), Some(100)));
    assert_eq!((row.blocked_ns, row.open_loop_ns_p50), (Some(100_000), Some(100)));
    assert!(row.open_loop_ns_p99 > Some(97_000), "{row:?}");
}

#[test]
fn an_invalid_trial_keeps_its_name_and_loses_its_numbers() {
    let mut row = TrialRow {
        variant: "multi".to_owned(),
        n: 5,
        valid: true,
        saturated: Some(false),
        flags: "noisy-links".to_owned(),
        notes: "noisy links: 2 of 30".to_owned(),
        offered_per_s: Some(200.04),
        achieved_per_s: Some(199.123_456),
        issued_count: Some(10),
        acknowledged_count: Some(9),
        unknown_count: Some(1),
        violation_count: Some(2),
        cpu_us_per_op: Some(f64::NAN),
        cpu_utilisation: Some(0.5),
        memory_peak_bytes_max: Some(1),
        link_datagram_count: Some(1),
        link_drop_count: Some(1),
        link_lost_count: Some(1),
        link_queue_drop_count: Some(1),
        link_duplicate_count: Some(1),
        link_reorder_count: Some(1),
        link_late_ns_p50: Some(1),
        link_late_ns_p99: Some(1),
        link_late_ns_max: Some(1),
        refused_frame_count: Some(1),
        race_lost_count: Some(1),
        retransmitted_count: Some(1),
        attempts_per_write: Some(1.5),
        ..TrialRow::default()
    };
    assert!(csv(&[row.clone()]).contains(",200.04,199.123,10,9,1,2,,,,,,0.5,"), "{}", csv(&[row]));
    row.invalidate();
    let expected = TrialRow {
        variant: "multi".to_owned(),
        n: 5,
        flags: "noisy-links;invalid".to_owned(),
        notes: "noisy links: 2 of 30;INVALID".to_owned(),
        violation_count: Some(2),
        ..TrialRow::default()
    };
    assert_eq!(row, expected);
}

#[test]
fn a_note_never_holds_what_separates_notes() {
    let mut row = TrialRow::default();
    assert_eq!(row.remarks().count(), 0);
    row.add(&Flag::LostMember.note("lost r1 (full; free some)"));
    row.add(&Flag::Behind.note("behind in the end"));
    assert_eq!(row.flags, "lost-member;behind");
    assert_eq!(row.notes, "lost r1 (full, free some);behind in the end");
    let remarks: Vec<(Flag, &str)> = row.remarks().collect();
    assert_eq!(remarks[0], (Flag::LostMember, "lost r1 (full, free some)"));
    assert_eq!(remarks[1], (Flag::Behind, "behind in the end"));
    assert!(row.has(Flag::Behind) && !row.has(Flag::Saturated));
}

#[test]
fn an_interval_without_returns_has_no_latency_but_a_rate_of_zero() {
    let (start, length) = (Span::from_millis(2000), Span::from_millis(500));
    let mut point = TimelinePoint { start, length, ..TimelinePoint::default() };
    let row = TimelineRow::new(&key(), "eu-west-1", "write", &point);
    assert_eq!(
        csv(&[row]).lines().nth(1).unwrap(),
        "3,flex-4-2,live,eu-west-1,write,2.0,0.5,,0,0,0.0,,,"
    );
    // Five returned, two of them intended before the window, and one never did.
    (point.latencies, point.returned_count) = (latencies(3), 5);
    point.latencies.record_unanswered(Span::from_millis(9));
    let row = TimelineRow::new(&key(), "eu-west-1", "write", &point);
    assert_eq!(
        csv(&[row]).lines().nth(1).unwrap(),
        "3,flex-4-2,live,eu-west-1,write,2.0,0.5,,5,1,10.0,2,,"
    );
}

#[test]
fn percentile_and_phase_rows_follow_their_histogram() {
    let rows = PercentileRow::of(&key(), "eu-west-1", "write", &latencies(20));
    assert_eq!(rows.len(), 52);
    assert_eq!((rows[50].quantile, rows[50].latency_ns), (0.5, Some(10)));
    assert_eq!((rows[51].quantile, rows[51].latency_ns), (1.0, Some(20)));
    let row = PhaseRow::new(&key(), 1, "eu-west-1", Phase::Phase2, &latencies(20));
    assert_eq!(
        csv(&[row]).lines().nth(1).unwrap(),
        "3,flex-4-2,live,1,eu-west-1,phase2,20,1,10,10,,,,,20"
    );
}
