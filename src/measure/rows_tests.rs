//! The headers of all tables, line by line: a change of the schema shows here first.

use serde::Serialize;

use super::columns::{Type, tables};
use super::*;
use crate::measure::{Latencies, Omission, Phase, TimelinePoint};
use crate::time::Span;

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
    let [variant, point, backend] = ["flex-4-2", "clients=16", "live"].map(str::to_owned);
    TrialKey { trial: 3, variant, point, backend }
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
        "trial,variant,point,backend,network,protocol,n,q1,q2,send,reads_need,durability,transport,arrival,\
         client_regions,replica_regions,leader,leader_region,repetition,seed,warmup_ns,duration_ns,\
         valid,complete,saturated,flag_codes,notes,offered_per_s,achieved_per_s,issued_count,\
         acknowledged_count,unknown_count,violation_count,unverified_count,unlogged_count,\
         logs_verdict,clients_verdict,clocks_apart_ns,reads_may_miss_ns,read_sessions,session_break_count,stale_read_count,staleness_ns_p99,staleness_ns_max,cpu_ns_per_op,cpu_share,no_idle_core_share,\
         memory_peak_bytes_max,disk_peak_bytes_max,link_datagram_count,link_drop_count,link_lost_count,\
         link_queue_drop_count,\
         link_duplicate_count,link_reorder_count,link_late_ns_p50,link_late_ns_p99,\
         link_late_ns_max,refused_frame_count,race_lost_count,retransmitted_count,attempts_per_write"
    );
    assert_eq!(
        header::<HistoryRow>(),
        "trial,variant,point,backend,member,start,file,file_bytes,sha256,whole"
    );
    assert_eq!(
        header::<LatencyRow>(),
        "trial,variant,point,backend,network,client_region,operation,answered_count,\
         unanswered_count,latency_ns_min,latency_ns_mean,latency_ns_p50,latency_ns_p90,\
         latency_ns_p95,latency_ns_p99,latency_ns_p999,latency_ns_max,floor_ns_p50,floor_ns_p99,\
         residual_ns_p50,residual_ns_p99,latency_ns_p50_low,latency_ns_p50_high,latency_ns_p99_low,\
         latency_ns_p99_high,blocked_ns,open_loop_ns_p50,open_loop_ns_p99"
    );
    assert_eq!(
        header::<PhaseRow>(),
        "trial,variant,point,backend,replica,region,phase,occurred_count,latency_ns_min,\
         latency_ns_mean,latency_ns_p50,latency_ns_p90,latency_ns_p95,latency_ns_p99,\
         latency_ns_p999,latency_ns_max"
    );
    assert_eq!(
        header::<PercentileRow>(),
        "trial,variant,point,backend,client_region,operation,not_slower_share,latency_ns"
    );
    assert_eq!(
        header::<TimelineRow>(),
        "trial,variant,point,backend,client_region,operation,start_ns,interval_ns,faults,\
         returned_count,unanswered_count,throughput_per_s,latency_ns_p50,latency_ns_p99,\
         latency_ns_max"
    );
    assert_eq!(
        header::<MemberRow>(),
        "trial,variant,point,backend,member,region,role,host,clock_error_ns,outcome,cpu_ns,memory_peak_bytes,\
         disk_peak_bytes,executed_count,sync_count,start_count,recovered_group_count,scheduling,watched_ns,\
         run_queue_ns,timer_slip_ns_p50,timer_slip_ns_p99,timer_slip_ns_max,link_released_count,\
         link_late_count,host_busy_share,host_stolen_share,host_no_idle_core_share,cause"
    );
    assert_eq!(
        header::<LinkRow>(),
        "trial,variant,point,backend,sender,receiver,sender_region,receiver_region,asked_ns_p50,\
         asked_ns_p99,baseline_ns,measured_count,missing_count,measured_ns_p50,measured_ns_p99,\
         measured_ns_p99_low,error_ns_p50,error_ns_p99,tolerance_ns,train_count,overtaken_count,\
         lost_count,is_half_round_trip,is_within,is_floored,attempt_count,attempt"
    );
    assert_eq!(
        header::<SummaryRow>(),
        "point,variant,backend,client_region,operation,trial_count,valid_count,saturated_count,q1,q2,\
         offered_per_s,achieved_per_s,attempts_per_write,answered_count,unanswered_count,floor_ns_p50,floor_ns_p99,\
         latency_ns_p50,latency_ns_p90,latency_ns_p99,latency_ns_p999,spread_ns_p50"
    );
    assert_eq!(
        header::<RecoveryRow>(),
        "trial,variant,point,backend,fault,fault_kind,target,target_regions,struck_at_ns,\
         ended_at_ns,instants_apart_ns,catch_up_ns,leader,leader_region,new_leader,new_leader_region,first_suspected_ns,\
         detection_ns,election_ns,attempt_count,phase1_ns,floor_phase1_ns,adopted_count,\
         filled_count,leading_ns,transfer_ns,first_commit_ns,client_region,redirect_ns,first_ack_ns,\
         protocol_ns,client_wait_ns,recovered,unavailable_ns,usual_gap_ns,before_ns_p50,\
         before_ns_p99,delayed_above_ns,delayed_count,unknown_count,reads_before_ns_p50,reads_first_ack_ns,reads_recovered,\
         reads_unavailable_ns,reads_usual_gap_ns"
    );
    assert_eq!(
        header::<CapacityRow>(),
        "trial,variant,point,backend,stage,asked_per_s,repetition,held,miss_codes,offered_per_s,\
         achieved_per_s,latency_ns_p50,above_floor_ns_p50,latency_ns_p90,latency_ns_p99,latency_ns_p999,\
         no_idle_core_share"
    );
    assert_eq!(
        header::<KneeRow>(),
        "point,variant,backend,verdict,held_per_s,held_count,held_trial_count,missed_per_s,\
         missed_count,missed_trial_count,most_achieved_per_s,latency_ns_p50,above_floor_ns_p50,latency_ns_p99,\
         limit_ns_p99,within_share"
    );
    assert_eq!(header::<ColumnRow>(), "table,column,value_type,optional,unit,meaning");
}

#[test]
fn what_was_not_measured_is_empty() {
    let row = LatencyRow::new(&key(), "eu-west-1", "read", &Latencies::new(), None);
    assert_eq!(
        csv(&[row]).lines().nth(1).unwrap(),
        "3,flex-4-2,clients=16,live,,eu-west-1,read,0,0,,,,,,,,,,,,,,,,,,,"
    );
}

#[test]
fn a_latency_row_says_its_histogram_and_comes_back() {
    let floors = Some((Span(53), Span(70)));
    let row = LatencyRow::new(&key(), "eu-west-1", "write", &latencies(1000), floors);
    let text = csv(std::slice::from_ref(&row));
    assert_eq!(
        text.lines().nth(1).unwrap(),
        "3,flex-4-2,clients=16,live,,eu-west-1,write,1000,0,1,501,500,900,950,990,,1000,53,70,447,920,469,532,983,997,,,"
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
        "3,flex-4-2,clients=16,live,,eu-west-1,write,620,380,1,,500,,,,,,53,70,447,,469,532,,,,,"
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
        flag_codes: "noisy-links".to_owned(),
        notes: "noisy links: 2 of 30".to_owned(),
        offered_per_s: Some(200.04),
        achieved_per_s: Some(199.123_456),
        issued_count: Some(10),
        acknowledged_count: Some(9),
        unknown_count: Some(1),
        violation_count: Some(2),
        session_break_count: Some(1),
        stale_read_count: Some(1),
        staleness_ns_p99: Some(1),
        staleness_ns_max: Some(1),
        cpu_ns_per_op: Some(5),
        cpu_share: Some(0.5),
        memory_peak_bytes_max: Some(1),
        disk_peak_bytes_max: Some(1),
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
        attempts_per_write: Some(f64::NAN),
        ..TrialRow::default()
    };
    assert!(csv(&[row.clone()]).lines().nth(1).unwrap().ends_with(",1,1,1,"), "NaN is no number");
    assert!(
        csv(&[row.clone()]).contains(",200.04,199.123,10,9,1,2,,,,,,,,1,1,1,1,5,0.5,"),
        "{}",
        csv(&[row])
    );
    row.invalidate("r1: 2 datagrams, and late; dropped");
    let expected = TrialRow {
        variant: "multi".to_owned(),
        n: 5,
        flag_codes: "noisy-links;invalid".to_owned(),
        notes: "noisy links: 2 of 30;INVALID: r1: 2 datagrams, and late, dropped".to_owned(),
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
    assert_eq!(row.flag_codes, "lost-member;behind");
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
        "3,flex-4-2,clients=16,live,eu-west-1,write,2000000000,500000000,,0,0,0.0,,,"
    );
    // Five returned, two of them intended before the window, and one never did.
    (point.latencies, point.returned_count) = (latencies(3), 5);
    point.latencies.record_unanswered(Span::from_millis(9));
    let row = TimelineRow::new(&key(), "eu-west-1", "write", &point);
    assert_eq!(
        csv(&[row]).lines().nth(1).unwrap(),
        "3,flex-4-2,clients=16,live,eu-west-1,write,2000000000,500000000,,5,1,10.0,2,,"
    );
}

#[test]
fn percentile_and_phase_rows_follow_their_histogram() {
    let rows = PercentileRow::of(&key(), "eu-west-1", "write", &latencies(20));
    assert_eq!(rows.len(), 52);
    assert_eq!((rows[50].not_slower_share, rows[50].latency_ns), (0.5, Some(10)));
    assert_eq!((rows[51].not_slower_share, rows[51].latency_ns), (1.0, Some(20)));
    let row = PhaseRow::new(&key(), "r1", "eu-west-1", Phase::Phase2, &latencies(20));
    assert_eq!(
        csv(&[row]).lines().nth(1).unwrap(),
        "3,flex-4-2,clients=16,live,r1,eu-west-1,phase2,20,1,10,10,,,,,20"
    );
}

/// Columns by their tables.
fn all_columns() -> Vec<(&'static str, columns::Column)> {
    let of =
        |table: columns::Table| table.columns.into_iter().map(move |column| (table.file, column));
    tables().into_iter().flat_map(of).collect()
}

/// Numbers that count nothing: positions, sizes of quorums, and probabilities under a hypothesis.
const PLAIN: [&str; 11] = [
    "trial",
    "fault",
    "repetition",
    "attempt",
    "start",
    "n",
    "q1",
    "q2",
    "p_value",
    "p_value_holm",
    "p_value_sign_flip",
];

#[test]
fn every_column_has_a_type_a_meaning_and_as_a_number_a_unit() {
    let columns = all_columns();
    assert!(columns.len() > 150, "{}", columns.len());
    for (file, column) in &columns {
        let columns::Column { name, value_type, is_optional, unit, meaning } = column;
        assert!(meaning.len() > 10 && meaning.ends_with(['.', ')']), "{file} {name}: {meaning:?}");
        assert!(!meaning.contains("[`"), "{file} {name} refers to code: {meaning}");
        let is_numeric = matches!(value_type, Type::Integer | Type::Number);
        let has_unit = !unit.is_empty();
        assert_eq!(has_unit, is_numeric && !PLAIN.contains(&name.as_str()), "{file} {name}");
        assert!(!(*value_type == Type::Text && *is_optional), "{file} {name}: empty is a text");
        // A length, a size and a count are whole; a share and a rate of operations are not.
        let is_whole = *value_type == Type::Integer;
        assert_eq!(
            is_whole && has_unit,
            ["ns", "bytes", "count", "ns/op"].contains(&unit.as_str())
        );
        for other in ["_s", "_ms", "_us", "_seconds", "_kib"] {
            let is_rate = name.ends_with("_per_s");
            assert!(is_rate || !name.ends_with(other), "{file} {name}: another unit");
        }
    }
    let of = |file: &str, name: &str| {
        let mut columns = columns.iter().filter(|(own, _)| *own == file);
        columns.find(|(_, column)| column.name == name).unwrap().1.clone()
    };
    let seed = of("trials.csv", "seed");
    assert_eq!((seed.value_type, seed.is_optional), (Type::Text, false));
    let p50 = of("latency.csv", "latency_ns_p50_low");
    assert_eq!((p50.value_type, p50.is_optional, p50.unit.as_str()), (Type::Integer, true, "ns"));
    let rate = of("trials.csv", "offered_per_s");
    assert_eq!(
        (rate.value_type, rate.is_optional, rate.unit.as_str()),
        (Type::Number, true, "1/s")
    );
    assert_eq!(of("trials.csv", "cpu_ns_per_op").unit, "ns/op");
    assert_eq!(of("trials.csv", "attempts_per_write").unit, "1/write");
    assert_eq!(of("timeline.csv", "throughput_per_s").value_type, Type::Number);
    assert_eq!(of("recovery.csv", "recovered").value_type, Type::Boolean);
    assert_eq!(of("links.csv", "error_ns_p50").value_type, Type::Integer);
}

/// Names that mean something else in a language in which results are read: then `table.count` is a method,
/// and `table$repeat` is a mistake.
const TAKEN: &str = "
    T abs add add_prefix add_suffix agg aggregate align all any apply applymap asfreq asof assign
    astype at at_time attrs axes backfill between_time bfill bool boxplot clip columns combine
    combine_first compare convert_dtypes copy corr corrwith count cov cummax cummin cumprod cumsum
    describe diff div divide dot drop drop_duplicates droplevel dropna dtypes duplicated empty eq
    equals eval ewm expanding explode ffill fillna filter first first_valid_index flags floordiv
    from_arrow from_dict from_records ge get groupby gt head hist iat idxmax idxmin iloc index
    infer_objects info insert interpolate isetitem isin isna isnull items iterrows itertuples join
    keys kurt kurtosis last last_valid_index le loc lt map mask max mean median melt memory_usage
    merge min mod mode mul multiply ndim ne nlargest notna notnull nsmallest nunique pad pct_change
    pipe pivot pivot_table plot pop pow prod product quantile query radd rank rdiv reindex
    reindex_like rename rename_axis reorder_levels replace resample reset_index rfloordiv rmod rmul
    rolling round rpow rsub rtruediv sample select select_dtypes sem set_axis set_flags set_index shape
    shift size skew sort_index sort_values sparse squeeze stack std style sub subtract sum swapaxes
    swaplevel tail take transform transpose truediv truncate tz_convert tz_localize unstack update
    value_counts values var where xs
    False None True and as assert async await break class continue def del elif else except finally
    for from global if import in is lambda match nonlocal not or pass raise return to try type while
    with yield
    FALSE Inf NA NULL NaN TRUE function next repeat";

fn is_taken(name: &str) -> bool {
    TAKEN.split_whitespace().any(|taken| taken == name) || name.starts_with("to_")
}

#[test]
fn no_column_has_a_name_that_pandas_python_or_r_has_taken() {
    for (file, column) in all_columns() {
        let name = column.name;
        assert!(!is_taken(&name), "{file} {name} means something else in pandas, Python or R");
        let is_word =
            |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
        assert!(name.chars().all(is_word) && !name.starts_with('_'), "{file} {name}");
        assert!(!name.starts_with(columns::SWEPT), "{file} {name} is no swept key");
    }
    // As columns of schema 6 were called.
    for name in ["count", "from", "to", "flags", "quantile", "repeat"] {
        assert!(is_taken(name), "{name}");
    }
}

#[test]
fn every_table_of_trials_begins_with_its_trial() {
    for table in tables().into_iter().filter(|table| table.is_of_trials) {
        let first = ["trial", "variant", "point", "backend"];
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names[..4], first, "{}", table.file);
        assert!(table.meaning.ends_with('.'), "{}", table.file);
    }
}

#[test]
fn a_swept_key_is_a_column_by_its_path() {
    let paths =
        ["workload.arrival.closed.clients", "variant.quorums.counts.phase1", "a.b_c", "a_b.c"];
    let names = swept_columns(&paths);
    let expected = [
        "swept_workload_arrival_closed_clients",
        "swept_variant_quorums_counts_phase1",
        "swept_a_b_c",
        "swept_a_b_c_2",
    ];
    assert_eq!(names, expected);
    let swept = [(names[0].clone(), paths[0].to_owned())];
    let rows = columns::column_rows(&swept);
    let of_key = |row: &&ColumnRow| row.column == names[0];
    let of_trials = tables().iter().filter(|table| table.is_of_trials).count();
    assert_eq!(rows.iter().filter(of_key).count(), of_trials);
    let row = rows.iter().find(of_key).unwrap();
    assert_eq!((row.value_type.as_str(), row.optional), ("text", false));
    assert!(row.meaning.contains("`workload.arrival.closed.clients`"), "{}", row.meaning);
    assert_eq!(columns::column_rows(&[]).len(), all_columns().len());
}

#[test]
fn the_page_about_columns_is_the_one_that_the_structs_give() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/columns.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == documentation(),
        "docs/columns.md is not current: run `flexpaxos schema results > docs/columns.md`"
    );
    for (file, column) in all_columns() {
        assert!(page.contains(&format!("## `{file}`")), "{file}");
        assert!(page.contains(&format!("| `{}` |", column.name)), "{file} {}", column.name);
    }
    for flag in Flag::ALL {
        let line = page.lines().find(|line| line.starts_with(&format!("| `{}` |", flag.code())));
        assert!(line.is_some_and(|line| line.ends_with(". |")), "{flag:?}: {line:?}");
    }
}

#[test]
fn the_schema_as_json_has_every_column_in_its_order() {
    let schema = schema();
    assert_eq!(schema["table_schema_version"], SCHEMA_VERSION);
    for table in tables() {
        let columns = schema["tables"][table.file]["columns"].as_array().unwrap();
        let names: Vec<&str> = columns.iter().map(|it| it["name"].as_str().unwrap()).collect();
        let expected: Vec<&str> = table.columns.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, expected, "{}", table.file);
    }
    let latency = &schema["tables"]["latency.csv"]["columns"];
    let p50 = latency.as_array().unwrap().iter().find(|it| it["name"] == "latency_ns_p50").unwrap();
    let expected = serde_json::json!({
        "name": "latency_ns_p50",
        "type": "integer",
        "optional": true,
        "unit": "ns",
        "description": "The median latency.",
    });
    assert_eq!(*p50, expected);
}
