//! The folder of one run: files appear in it whole or not at all, and none is ever overwritten.
//!
//! Every file is written under a temporary name beside its place, made durable, and renamed.
//! The tables of a run grow with every trial: they are written anew each time, so the trials that
//! finished are on disk whatever happens to the run.
//! The manifest comes last: a folder without one is of a run that did not end.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

mod table;
pub use table::Table;
pub(super) use table::header;

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

    /// The folder of a run that several processes carry out.
    pub fn shared(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
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
        self.write_csv_with(name, &[], rows.into_iter().map(|row| (row, &[][..])))
    }

    /// Writes a table whose last columns are `more`; each row comes with its cells in them.
    pub fn write_csv_with<'a, T: Serialize + Default + 'a>(
        &self,
        name: &str,
        more: &[String],
        rows: impl IntoIterator<Item = (&'a T, &'a [String])>,
    ) -> Result<PathBuf, Error> {
        let mut table = self.table(name, more)?;
        rows.into_iter().try_for_each(|(row, cells)| table.add(row, cells))?;
        table.finish()
    }

    /// Begins a table whose last columns are `more`.
    pub fn table<T: Serialize + Default>(
        &self,
        name: &str,
        more: &[String],
    ) -> Result<Table<T>, Error> {
        Table::begin(self.path(name)?, more)
    }

    /// Writes a file that is complete.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.new_path(name)?;
        publish(&path, bytes)?;
        Ok(path)
    }

    /// Writes a file; an earlier one of that name is replaced.
    pub fn replace_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path(name)?;
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

/// Reads a table back; a reference may have it compressed, as `NAME.csv.gz`.
pub fn read_csv<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let packed = packed(path);
    let bytes: Box<dyn Read> = if !path.exists() && packed.exists() {
        let file = File::open(&packed).map_err(|error| failed(error.into()))?;
        Box::new(GzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(File::open(path).map_err(|error| failed(error.into()))?)
    };
    let mut reader = csv::Reader::from_reader(bytes);
    if reader.headers().map_err(failed)?.is_empty() {
        let why = "it is empty, and a table has at least its header";
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, why).into()));
    }
    reader.deserialize().collect::<Result<_, _>>().map_err(failed)
}

/// The same of a table that not every run has; `None` if this one does not.
pub fn read_csv_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<Vec<T>>, Error> {
    let is_there = path.exists() || packed(path).exists();
    is_there.then(|| read_csv(path)).transpose()
}

/// The name of a table that is compressed.
fn packed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// A full disk should not be left with half a file; that it fails again matters to nobody.
fn abandoned(path: &Path, source: io::Error) -> Error {
    let _ = fs::remove_file(temporary(path));
    Error::Write { path: path.to_owned(), source }
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
    write().map_err(|source| abandoned(path, source))?;
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
mod tests;
