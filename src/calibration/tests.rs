//! That every field is measured and survives a file; how long anything took is nobody's business here.

use std::fs;

use super::*;
use crate::sim::{Costs, Service, Shared};

fn quick() -> Calibration {
    let folder = tempfile::tempdir().unwrap();
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |what| told.borrow_mut().push(what);
    let calibration = calibrate(Thoroughness::Quick, folder.path(), &tell, &Interrupt::never());
    let calibration = calibration.unwrap();
    assert_eq!(told.into_inner(), ["timers", "round trips", "syncs", "processor", "noise"]);
    // What was synced is gone.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    calibration
}

fn times(ns: u64) -> Quantiles {
    Quantiles { count: 1, ns_p50: Some(ns), ns_p99: Some(ns), ns_max: Some(ns) }
}

#[test]
fn a_quick_calibration_has_every_field_and_survives_a_file() {
    let calibration = quick();
    let Calibration { timers, round_trips, syncs, cipher, noise, .. } = &calibration;
    let measured = [
        timers.releaser,
        timers.alarm,
        timers.tokio,
        round_trips.udp,
        round_trips.tcp,
        round_trips.quic,
        round_trips.quic_in_one_loop,
        round_trips.quic_mebibyte,
        syncs.one,
        syncs.group_of_64,
        syncs.one_in_each_of_4,
        *cipher,
    ];
    for (index, quantiles) in measured.iter().enumerate() {
        let Quantiles { count, ns_p50, ns_p99, ns_max } = quantiles;
        assert!(*count > 0 && ns_p50.is_some(), "{index}: {quantiles:?}");
        assert!(ns_p50 <= ns_p99 && ns_p99 <= ns_max, "{index}: {quantiles:?}");
    }
    assert!(calibration.step_ns > 0.0 && !timers.scheduling.is_empty(), "{calibration:?}");
    assert!(noise.gaps.watched_ns > 0 && noise.gaps.longest_ns > 0, "{noise:?}");
    assert!(noise.run_queue_ns.is_some() && noise.host_busy_share.is_some(), "{noise:?}");
    let Shared { service, costs } = calibration.work().shared.unwrap();
    let taken = [service.receive, service.send, costs.packet, costs.sync, costs.slice];
    assert!(taken.iter().all(|span| *span > Span::ZERO), "{service:?} {costs:?}");
    let Service { sync, mebibyte, .. } = calibration.service();
    assert!(calibration.is_quick && sync > Span::ZERO && mebibyte > Span::ZERO);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calibration.json");
    fs::write(&path, serde_json::to_vec_pretty(&calibration).unwrap()).unwrap();
    assert_eq!(Calibration::read(&path).unwrap(), calibration);
    let manifest = serde_json::json!({ "table_schema_version": 3, "calibration": calibration });
    fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(Calibration::read(&path).unwrap(), calibration);
}

#[test]
fn the_work_of_half_a_round_trip_is_shared_and_nothing_of_it_is_lost() {
    let mut calibration = Calibration::default();
    assert_eq!(calibration.service(), Service::default());
    calibration.round_trips.quic_in_one_loop = times(60_001);
    // Wake-ups are no work.
    calibration.round_trips.quic = times(500_000);
    calibration.syncs =
        Syncs { one: times(400_000), group_of_64: times(900_000), ..Syncs::default() };
    let [receive, send, sync] = [20_000, 10_000, 400_000].map(Span);
    let without_bytes = Service { receive, send, sync, ..Service::default() };
    assert_eq!(calibration.service(), without_bytes);
    calibration.round_trips.quic_mebibyte = times(2_060_001);
    let mebibyte = Span(1_000_000);
    assert_eq!(calibration.service(), Service { mebibyte, ..without_bytes });
}

#[test]
fn the_costs_of_a_shared_machine_are_all_measured_or_none_is() {
    let mut calibration = Calibration { message_cpu_ns: Some(300), ..Calibration::default() };
    assert_eq!(calibration.work().shared, None);
    calibration.round_trips.quic_in_one_loop = times(16_000);
    calibration.round_trips.quic_cpu_ns = Some(22_000);
    calibration.syncs = Syncs {
        one: times(80_000),
        one_in_each_of_4: times(400_000),
        one_cpu_ns: Some(70_000),
        ..Syncs::default()
    };
    let [wake_up, packet, sync, slice] = [3_000, 4_000, 70_000, 4_000_000].map(Span);
    calibration.slice_ns = Some(slice.0);
    let service =
        Service { receive: Span(200), send: Span(100), sync: Span(100_000), ..Service::default() };
    let costs = Costs { wake_up, packet, sync, slice };
    assert_eq!(calibration.work().shared, Some(Shared { service, costs }));
    // A round trip has two wake-ups and four ends of packets; without its processor time nothing is known of them.
    calibration.round_trips.quic_cpu_ns = None;
    assert_eq!(calibration.work().shared, None);
}

#[test]
fn a_file_that_holds_something_else_is_refused_with_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let check = |text: &str, said: &str| {
        fs::write(&path, text).unwrap();
        let refused = Calibration::read(&path).unwrap_err().to_string();
        assert!(refused.contains("holds no calibration") && refused.contains(said), "{refused}");
    };
    check("question = 1", "it is no JSON");
    check("{}", "it has no calibration_version");
    check("[]", "it has no calibration_version");
    check(r#"{"calibration_version": 9}"#, "it is of version 9, and this is version 1");
    check(r#"{"calibration_version": 1}"#, "it is not whole (missing field");
    check(r#"{"table_schema_version": 3}"#, "the manifest of a run without one");
    check(r#"{"table_schema_version": 3, "calibration": null}"#, "as all simulated are");
    let unmeasured = Calibration { calibration_version: VERSION, ..Calibration::default() };
    check(&serde_json::to_string(&unmeasured).unwrap(), "no round trip of QUIC, or no sync");
    let absent = Calibration::read(&folder.path().join("absent")).unwrap_err();
    assert!(matches!(absent, Error::File { .. }), "{absent}");
}
