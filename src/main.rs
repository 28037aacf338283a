//! The `flexpaxos` command: parse, run, print what went wrong, say it in the exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use flexpaxos::cli::{self, Arguments, Failure, Output};

/// See Cargo.toml.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::draw_whole_words();
    let mut out = Output::new(std::io::stdout().lock());
    let ended = arguments.run(&mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(Failure { exit, before, report }) => {
            for report in before.into_iter().chain([report]) {
                // A closed stderr must not turn a message into a panic.
                let _ = writeln!(std::io::stderr(), "{report:?}");
            }
            exit.into()
        }
    }
}
