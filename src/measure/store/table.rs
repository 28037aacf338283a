//! A table of a run, written row by row.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::Serialize;

use super::{Error, abandoned, make_parent, rename, temporary};

/// The columns of these rows, in their order.
pub(in crate::measure) fn header<T: Serialize + Default>() -> io::Result<Vec<String>> {
    // The csv crate writes the header of a struct with its first row.
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(T::default())?;
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    Ok(reader.headers()?.iter().map(str::to_owned).collect())
}

/// A text that readers take for a missing value where it stands without quotes.
///
/// It may be a region (North America, Namibia); no other field of ours can be it.
const MISSING: &[u8] = b"NA";

/// Writes a table with quotes around each field that is [`MISSING`].
#[derive(Debug)]
struct Quoting<W> {
    write: W,
    /// The field that has begun.
    field: Vec<u8>,
    is_quoted: bool,
}

impl<W: Write> Write for Quoting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.is_quoted ^= *byte == b'"';
            if self.is_quoted || !b",\n".contains(byte) {
                self.field.push(*byte);
                continue;
            }
            let quotes: &[u8] = if self.field == MISSING { b"\"" } else { b"" };
            for part in [quotes, &self.field, quotes, &[*byte]] {
                self.write.write_all(part)?;
            }
            self.field.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write.flush()
    }
}

/// A table that is written row by row; nobody sees it before it is finished.
#[derive(Debug)]
pub struct Table<T> {
    path: PathBuf,
    /// To where it is until then.
    writer: Option<csv::Writer<Quoting<BufWriter<File>>>>,
    row: PhantomData<fn(&T)>,
}

impl<T: Serialize + Default> Table<T> {
    pub(super) fn begin(path: PathBuf, more: &[String]) -> Result<Self, Error> {
        make_parent(&path)?;
        let file = File::create(temporary(&path))
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        let write = Quoting { write: BufWriter::new(file), field: Vec::new(), is_quoted: false };
        let writer = csv::WriterBuilder::new().has_headers(false).from_writer(write);
        let mut table = Self { path, writer: Some(writer), row: PhantomData };
        let columns =
            header::<T>().map_err(|source| Error::Encode { path: table.path.clone(), source })?;
        table.write(|writer| writer.write_record(columns.iter().chain(more)))?;
        Ok(table)
    }

    /// Adds a row, with its cells in the last columns.
    pub fn add(&mut self, row: &T, cells: &[String]) -> Result<(), Error> {
        self.write(|writer| writer.serialize((row, cells)))
    }

    /// The table is complete.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        let path = self.path.clone();
        if let Some(writer) = self.writer.take() {
            let sync = || {
                let quoting = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
                let file = quoting.write.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_all()
            };
            sync().map_err(|source| abandoned(&path, source))?;
        }
        rename(&temporary(&path), &path)?;
        Ok(path)
    }

    fn write(
        &mut self,
        encode: impl FnOnce(&mut csv::Writer<Quoting<BufWriter<File>>>) -> csv::Result<()>,
    ) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        encode(writer).map_err(|error| {
            let path = self.path.clone();
            let is_full = error.is_io_error();
            let source = error.into();
            if is_full { Error::Write { path, source } } else { Error::Encode { path, source } }
        })
    }
}

/// One that is not finished leaves nothing.
impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(writer);
            let _ = fs::remove_file(temporary(&self.path));
        }
    }
}
