//! The folder of one run: files appear in it whole or not at all, and none is ever overwritten.
//!
//! Every file is written under a temporary name beside its place, made durable, and renamed.
//! The tables of a run grow with every trial: they are written anew each time, so the trials that
//! finished are on disk whatever happens to the run.
//! The manifest comes last: a folder without one is of a run that did not end.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The name of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// Why results cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder already holds something.
    #[error("the folder {path} is not empty, and results are never overwritten; choose another")]
    NotEmpty {
        /// Which.
        path: PathBuf,
    },
    /// Something that is no folder stands where the folder, or one above it, should be.
    #[error("results go to a folder, and {path} is a file; choose another place")]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// The file is already there.
    #[error("the file {path} exists, and results are never overwritten")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The name leads out of the folder, or is that of a temporary file.
    #[error("{name:?} is no name of a file in a results folder")]
    Name {
        /// Which.
        name: String,
    },
    /// The folder or file cannot be written.
    #[error("{path} cannot be written{}", advice(source))]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The rows of a file cannot be written as a table or as JSON.
    #[error("the rows of {path} cannot be written")]
    Encode {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read, or its rows are not those asked for.
    #[error("{path} cannot be read as a table of this schema")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why, with the line.
        #[source]
        source: csv::Error,
    },
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The folder of a run that was cut short; its manifest goes, because the run has not ended.
    pub fn reopen(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let manifest = folder.join(MANIFEST);
        if manifest.exists() {
            fs::remove_file(&manifest).map_err(|source| Error::Write { path: manifest, source })?;
        }
        Ok(Self { folder })
    }

    /// Makes the folder and those above it; one that is there must be empty.
    pub fn create(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        let failed = |source| Error::Write { path: folder.clone(), source };
        make_folder(&folder)?;
        if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(Error::NotEmpty { path: folder });
        }
        // Found out now and not after the first trial.
        let probe = folder.join("probe.tmp");
        fs::write(&probe, b"probe").and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
        Ok(Self { folder })
    }

    /// Makes a folder of this name in `parent`, or of this name and the first number from 2 that is free:
    /// several runs may begin within one second.
    pub fn create_new(parent: &Path, name: &str) -> Result<Self, Error> {
        make_folder(parent)?;
        let mut folder = parent.join(name);
        let mut number = 2;
        loop {
            // Only one process makes it.
            match fs::create_dir(&folder) {
                Ok(()) => return Self::create(folder),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    folder = parent.join(format!("{name}-{number}"));
                    number += 1;
                }
                Err(source) => return Err(Error::Write { path: folder, source }),
            }
        }
    }

    /// Takes the folder away again if nothing was written to it.
    pub fn abandon(self) {
        // That it is not empty is a reason to leave it.
        let _ = fs::remove_dir(&self.folder);
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a table; an earlier one of that name is replaced.
    ///
    /// A table without rows has its header all the same.
    pub fn write_csv<'a, T: Serialize + Default + 'a>(
        &self,
        name: &str,
        rows: impl IntoIterator<Item = &'a T>,
    ) -> Result<PathBuf, Error> {
        let path = self.path(name)?;
        let encode = |source| Error::Encode { path: path.clone(), source };
        let mut rows = rows.into_iter().peekable();
        let bytes = if rows.peek().is_some() {
            csv_bytes(rows).map_err(encode)?
        } else {
            // The header comes with the first row.
            let mut bytes = csv_bytes(std::iter::once(&T::default())).map_err(encode)?;
            let header = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            bytes.truncate(header);
            bytes
        };
        publish(&path, &quoted(&bytes))?;
        Ok(path)
    }

    /// Writes a file that is complete.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.new_path(name)?;
        publish(&path, bytes)?;
        Ok(path)
    }

    /// Where to write a big file piece by piece, to be given to [`Self::adopt`] when it is complete.
    pub fn temporary(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.new_path(name)?;
        make_parent(&path)?;
        Ok(temporary(&path))
    }

    /// Takes over a file that was written elsewhere; it is gone from there.
    pub fn adopt(&self, source_path: &Path, name: &str) -> Result<PathBuf, Error> {
        let path = self.new_path(name)?;
        let temporary = temporary(&path);
        let failed = |source| Error::Write { path: path.clone(), source };
        make_parent(&path)?;
        if source_path != temporary && fs::rename(source_path, &temporary).is_err() {
            // It may be on another file system.
            fs::copy(source_path, &temporary).map_err(failed)?;
            fs::remove_file(source_path).map_err(failed)?;
        }
        File::open(&temporary).and_then(|file| file.sync_all()).map_err(failed)?;
        rename(&temporary, &path)?;
        Ok(path)
    }

    /// Ends the run: nothing can be written after the manifest.
    pub fn write_manifest(&self, manifest: &impl Serialize) -> Result<PathBuf, Error> {
        let path = self.new_path(MANIFEST)?;
        let mut bytes = serde_json::to_vec_pretty(manifest)
            .map_err(|error| Error::Encode { path: path.clone(), source: error.into() })?;
        bytes.push(b'\n');
        publish(&path, &bytes)?;
        Ok(path)
    }

    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        let relative = Path::new(name);
        let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        let is_temporary = relative.extension().is_some_and(|extension| extension == "tmp");
        if name.is_empty() || !is_inside || is_temporary {
            return Err(Error::Name { name: name.to_owned() });
        }
        Ok(self.folder.join(relative))
    }

    fn new_path(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path(name)?;
        if path.exists() { Err(Error::Exists { path }) } else { Ok(path) }
    }
}

/// Reads a table back.
pub fn read_csv<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    csv::Reader::from_path(path)
        .map_err(failed)?
        .into_deserialize()
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// Rows with their header.
fn csv_bytes<'a, T: Serialize + 'a>(mut rows: impl Iterator<Item = &'a T>) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.try_for_each(|row| writer.serialize(row))?;
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// A text that readers take for a missing value where it stands without quotes.
///
/// It may be a region (North America, Namibia); no other field of ours can be it.
const MISSING: &[u8] = b"NA";

/// The same table with quotes around each field that is [`MISSING`].
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut table = Vec::with_capacity(bytes.len());
    let mut is_quoted = false;
    let mut start = 0;
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' | b'\n' if !is_quoted => {
                let field = &bytes[start..place];
                let quotes: &[u8] = if field == MISSING { b"\"" } else { b"" };
                table.extend([quotes, field, quotes, &[*byte]].concat());
                start = place + 1;
            }
            _ => {}
        }
    }
    table.extend(&bytes[start..]);
    table
}

/// `NAME.tmp`, beside it.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn publish(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    make_parent(path)?;
    let temporary = temporary(path);
    let write = || {
        let mut file = BufWriter::new(File::create(&temporary)?);
        file.write_all(bytes)?;
        file.into_inner()?.sync_all()
    };
    write().map_err(|source| {
        // A full disk should not be left with half a file; that it fails again matters to nobody.
        let _ = fs::remove_file(&temporary);
        Error::Write { path: path.to_owned(), source }
    })?;
    rename(&temporary, path)
}

fn rename(temporary: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(temporary, path)
        .and_then(|()| sync_folder(path.parent().unwrap_or(Path::new("."))))
        .map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Makes a folder and those above it.
fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| {
        match folder.ancestors().find(|above| above.is_file()) {
            Some(file) => Error::NoFolder { path: file.to_owned() },
            None => Error::Write { path: folder.to_owned(), source },
        }
    })
}

/// What to do about a place that cannot be written, where the reason tells.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": make room on the disk",
        io::ErrorKind::PermissionDenied => ": this user may not",
        io::ErrorKind::ReadOnlyFilesystem => ": it is on a disk that is mounted to be read only",
        _ => "",
    }
}

fn make_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|source| Error::Write { path: parent.to_owned(), source })
}

/// A rename is durable once its folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems cannot open a folder, and make renames durable by themselves or not at all.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Row {
        trial: u32,
        latency_ns_p50: Option<u64>,
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
    fn a_region_called_na_is_a_text_and_no_missing_value() {
        let (_root, store) = store();
        let rows = [("NA", "a,NA,b"), ("x\"y", "NA"), ("NAN", "")];
        store.write_csv("regions.csv", &rows).unwrap();
        let path = store.folder().join("regions.csv");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\"NA\",\"a,NA,b\"\n\"x\"\"y\",\"NA\"\nNAN,\n");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(&path).unwrap();
        let found: Vec<(String, String)> = reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(found, rows.map(|(one, other)| (one.to_owned(), other.to_owned())));
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
        let stores: Vec<Store> =
            (0..4).map(|_| Store::create_new(&parent, "now").unwrap()).collect();
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
}
