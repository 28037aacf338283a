//! Tests of [`store`](super).

use super::*;
use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Row {
    trial: u32,
    latency_ns_p50: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Regions {
    from: String,
    to: String,
}

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::create(root.path().join("results/quickstart/now")).unwrap();
    (root, store)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_table_grows_with_every_trial_and_is_read_back() {
    let (_root, store) = store();
    let rows: Vec<Row> =
        (0..3).map(|trial| Row { trial, latency_ns_p50: (trial != 1).then_some(7) }).collect();
    for count in 1..=3 {
        store.write_csv("trials.csv", &rows[..count]).unwrap();
    }
    let path = store.folder().join("trials.csv");
    assert_eq!(fs::read_to_string(&path).unwrap(), "trial,latency_ns_p50\n0,7\n1,\n2,7\n");
    assert_eq!(read_csv::<Row>(&path).unwrap(), rows);
    assert_eq!(names(store.folder()), ["trials.csv"]);
}

#[test]
fn a_table_without_rows_has_its_header() {
    let (_root, store) = store();
    let path = store.write_csv::<Row>("latency.csv", []).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "trial,latency_ns_p50\n");
    assert_eq!(read_csv::<Row>(&path).unwrap(), []);
}

#[test]
fn columns_that_a_struct_lacks_are_passed_over() {
    let (_root, store) = store();
    let rows = [Row { trial: 1, latency_ns_p50: None }, Row { trial: 2, latency_ns_p50: Some(7) }];
    let more = ["swept_a", "swept_b"].map(str::to_owned);
    let cells = [["16", "x,y"], ["", "NA"]].map(|row| row.map(str::to_owned));
    let with = || rows.iter().zip(cells.iter().map(<[String; 2]>::as_slice));
    let path = store.write_csv_with("trials.csv", &more, with()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let expected = "trial,latency_ns_p50,swept_a,swept_b\n1,,16,\"x,y\"\n2,7,,\"NA\"\n";
    assert_eq!(text, expected);
    assert_eq!(read_csv::<Row>(&path).unwrap(), rows);
    let none: [(&Row, &[String]); 0] = [];
    store.write_csv_with("trials.csv", &more, none).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "trial,latency_ns_p50,swept_a,swept_b\n");
}

#[test]
fn a_region_called_na_is_a_text_and_no_missing_value() {
    let (_root, store) = store();
    let row = |[from, to]: [&str; 2]| Regions { from: from.to_owned(), to: to.to_owned() };
    let rows = [["NA", "a,NA,b"], ["x\"y", "NA"], ["NAN", ""]].map(row);
    store.write_csv("regions.csv", &rows).unwrap();
    let path = store.folder().join("regions.csv");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "from,to\n\"NA\",\"a,NA,b\"\n\"x\"\"y\",\"NA\"\nNAN,\n");
    assert_eq!(read_csv::<Regions>(&path).unwrap(), rows);
}

#[test]
fn a_folder_with_anything_in_it_is_refused() {
    let (_root, store) = store();
    store.write_bytes("a", b"1").unwrap();
    let error = Store::create(store.folder()).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
}

#[test]
fn a_file_is_never_overwritten() {
    let (root, store) = store();
    store.write_bytes("histories/0.json", b"1").unwrap();
    let elsewhere = root.path().join("elsewhere");
    fs::write(&elsewhere, b"2").unwrap();
    assert!(matches!(store.write_bytes("histories/0.json", b"2"), Err(Error::Exists { .. })));
    assert!(matches!(store.adopt(&elsewhere, "histories/0.json"), Err(Error::Exists { .. })));
    assert_eq!(fs::read(store.folder().join("histories/0.json")).unwrap(), b"1");
    assert!(elsewhere.exists());
}

#[test]
fn a_file_written_elsewhere_moves_in_whole() {
    let (root, store) = store();
    let elsewhere = root.path().join("elsewhere");
    fs::write(&elsewhere, b"2").unwrap();
    store.adopt(&elsewhere, "a/b.history").unwrap();
    assert!(!elsewhere.exists());
    let streamed = store.temporary("a/c.history").unwrap();
    fs::write(&streamed, b"3").unwrap();
    assert_eq!(names(&store.folder().join("a")), ["b.history", "c.history.tmp"]);
    store.adopt(&streamed, "a/c.history").unwrap();
    assert_eq!(names(&store.folder().join("a")), ["b.history", "c.history"]);
}

#[test]
fn a_write_that_fails_leaves_the_file_before_it_and_no_half_one() {
    let (_root, store) = store();
    let row = |trial| Row { trial, latency_ns_p50: None };
    store.write_csv("trials.csv", &[row(0)]).unwrap();
    // The temporary name is taken by a folder, so the second write fails.
    fs::create_dir(store.folder().join("trials.csv.tmp")).unwrap();
    let error = store.write_csv("trials.csv", &[row(0), row(1)]).unwrap_err();
    assert!(error.to_string().contains("trials.csv cannot be written"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    let path = store.folder().join("trials.csv");
    assert_eq!(read_csv::<Row>(&path).unwrap(), [row(0)]);
}

#[test]
fn rows_that_cannot_be_encoded_leave_nothing() {
    let (_root, store) = store();
    let unfit = [vec![1], vec![1, 2]];
    assert!(matches!(store.write_csv("a.csv", &unfit), Err(Error::Encode { .. })));
    assert_eq!(names(store.folder()), [""; 0]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_cause() {
    let (root, _store) = store();
    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    for place in [file.clone(), file.join("results")] {
        let error = Store::create(place).unwrap_err();
        let expected = format!("results go to a folder, and {} is a file", file.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    // Another reason is not guessed at, but passed on.
    let name = root.path().join("x".repeat(300));
    let error = Store::create(&name).unwrap_err();
    assert!(error.to_string().ends_with("x cannot be written"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn advice_fits_the_reason() {
    let check = |kind: io::ErrorKind, said: &str| {
        let error = Error::Write { path: "a".into(), source: kind.into() };
        assert_eq!(error.to_string(), format!("a cannot be written{said}"));
    };
    check(io::ErrorKind::StorageFull, ": make room on the disk");
    check(io::ErrorKind::PermissionDenied, ": this user may not");
    check(io::ErrorKind::InvalidFilename, "");
}

#[test]
fn folders_of_one_name_get_numbers_and_an_unused_one_goes_again() {
    let root = tempfile::tempdir().unwrap();
    let parent = root.path().join("results/quickstart");
    let stores: Vec<Store> = (0..4).map(|_| Store::create_new(&parent, "now").unwrap()).collect();
    assert_eq!(names(&parent), ["now", "now-2", "now-3", "now-4"]);
    stores[1].write_bytes("a", b"1").unwrap();
    stores.into_iter().for_each(Store::abandon);
    assert_eq!(names(&parent), ["now-2"]);
}

#[test]
fn a_name_stays_in_the_folder() {
    let (_root, store) = store();
    for name in ["", "../a", "/a", "a/../../b", "a.tmp"] {
        assert!(matches!(store.write_bytes(name, b""), Err(Error::Name { .. })), "{name}");
    }
}

#[test]
fn the_manifest_ends_the_run() {
    let (_root, store) = store();
    let folder = store.folder().to_owned();
    store.write_manifest(&serde_json::json!({ "seed": 1 })).unwrap();
    assert_eq!(names(&folder), ["manifest.json"]);
    assert_eq!(fs::read_to_string(folder.join(MANIFEST)).unwrap(), "{\n  \"seed\": 1\n}\n");
}

#[test]
fn a_table_of_another_schema_is_refused_by_name() {
    let (_root, store) = store();
    let path = store.write_bytes("trials.csv", b"trial,variant\nx,multi\n").unwrap();
    let error = read_csv::<Row>(&path).unwrap_err();
    assert!(error.to_string().contains("trials.csv cannot be read"), "{error}");
}

#[test]
fn a_table_without_its_header_is_refused() {
    let (_root, store) = store();
    let path = store.write_bytes("phases.csv", b"").unwrap();
    let error = read_csv::<Row>(&path).unwrap_err();
    assert!(error.to_string().contains("phases.csv cannot be read"), "{error}");
    assert!(read_csv_if_there::<Row>(&path).is_err());
}
