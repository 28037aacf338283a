//! A file that grows while an event loop goes on: a thread of its own writes the blocks.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

/// Why a spool is incomplete.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: make room or choose another folder with --out", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// Blocks on their way to a file.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    blocks: Option<Sender<Vec<u8>>>,
    writer: Option<JoinHandle<io::Result<()>>>,
}

impl Spool {
    /// Makes the file; blocks are written behind what it holds.
    pub fn append(path: &Path) -> Result<Self, Error> {
        let error = |source| Error { path: path.to_path_buf(), source };
        let mut file = File::options().create(true).append(true).open(path).map_err(error)?;
        let (sender, receiver) = mpsc::channel::<Vec<u8>>();
        let writer = std::thread::Builder::new()
            .name("spool".into())
            .spawn(move || receiver.into_iter().try_for_each(|block| file.write_all(&block)))
            .map_err(error)?;
        Ok(Self { path: path.to_path_buf(), blocks: Some(sender), writer: Some(writer) })
    }

    /// Hands over a block and never waits; a failure is told by [`Self::finish`].
    pub fn write(&self, block: Vec<u8>) {
        if let Some(blocks) = &self.blocks {
            // A writer that failed has hung up; its error is kept for `finish`.
            let _ = blocks.send(block);
        }
    }

    /// Waits until everything is in the file.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        self.join().map_err(|source| Error { path: self.path.clone(), source })?;
        Ok(self.path.clone())
    }

    fn join(&mut self) -> io::Result<()> {
        self.blocks = None;
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the writer stopped")),
            None => Ok(()),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Whoever drops a spool without finishing it is on the way out; the blocks still arrive.
        let _ = self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_arrive_in_order_behind_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for part in ["one ", "two "] {
            let spool = Spool::append(&path).unwrap();
            spool.write(part.into());
            spool.write(part.into());
            spool.finish().unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one one two two ");
    }

    #[test]
    fn a_disk_that_refuses_is_told_at_the_end() {
        let Ok(spool) = Spool::append(Path::new("/dev/full")) else { return };
        spool.write(vec![0; 10]);
        let told = spool.finish().unwrap_err().to_string();
        assert!(told.contains("/dev/full") && told.contains("make room"), "{told}");
    }
}
