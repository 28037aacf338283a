//! Where answers go: stdout, whose reader may leave before the end.

use std::io::{ErrorKind, Result, Write, stderr, stdout};

use terminal_size::terminal_size_of;

use crate::report::table::{Width, line};

/// A stream whose reader may leave: from then on nothing is written, and nobody is told.
///
/// `flexpaxos … | head` reads as much as it wants; that is no failure, and the exit code is still the verdict.
#[derive(Debug)]
pub struct Output<W> {
    to: W,
    is_abandoned: bool,
}

impl<W: Write> Output<W> {
    /// Writes to `to`.
    pub const fn new(to: W) -> Self {
        Self { to, is_abandoned: false }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if !self.is_abandoned {
            match self.to.write(bytes) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.is_abandoned = true,
                other => return other,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        if self.is_abandoned {
            return Ok(());
        }
        match self.to.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_abandoned = true;
                Ok(())
            }
            other => other,
        }
    }
}

/// The room that tables have on stdout: all they need with `--wide`, and where it is no terminal.
pub(super) fn width(is_wide: bool) -> Width {
    match terminal_size_of(stdout()) {
        Some((terminal_size::Width(columns), _)) if !is_wide => Width::Columns(columns.into()),
        _ => Width::Whole,
    }
}

/// Prints a sentence on stderr, folded between words on a terminal.
pub(super) fn warn(text: &str) {
    let width = terminal_size_of(stderr())
        .map_or(Width::Whole, |(columns, _)| Width::Columns(columns.0.into()));
    // As with stdout: its reader may be gone.
    let _ = writeln!(stderr(), "{}", line(text, width));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a byte, and then has no reader or is full.
    struct Ends(Option<u8>, ErrorKind);

    impl Write for Ends {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let (None, Some(first)) = (self.0, bytes.first()) else { return Err(self.1.into()) };
            self.0 = Some(*first);
            Ok(1)
        }

        fn flush(&mut self) -> Result<()> {
            Err(self.1.into())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let mut out = Output::new(Ends(None, ErrorKind::BrokenPipe));
        out.write_all(b"much").unwrap();
        out.flush().unwrap();
        assert_eq!((out.to.0, out.is_abandoned), (Some(b'm'), true));
    }

    #[test]
    fn a_full_disk_is_one() {
        let mut out = Output::new(Ends(None, ErrorKind::StorageFull));
        assert_eq!(out.write_all(b"much").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(out.flush().unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
