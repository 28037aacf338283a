//! How far a search is: the states so far, the depth and the rate, on a terminal only.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::check::Glimpse;

/// How often the line changes.
const TICK: Duration = Duration::from_millis(500);

/// A line about the search that runs.
pub(super) struct Line {
    bar: ProgressBar,
    name: String,
    /// When it changed last, by its clock.
    told_at: Mutex<Duration>,
}

impl Line {
    /// The search of this deployment begins.
    pub(super) fn start(name: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        if std::io::stderr().is_terminal() {
            if let Ok(look) = ProgressStyle::with_template("{elapsed_precise} {wide_msg}") {
                bar.set_style(look);
            }
            bar.set_message(name.to_owned());
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, name: name.to_owned(), told_at: Mutex::default() }
    }

    /// The search is so far.
    pub(super) fn tell(&self, glimpse: Glimpse) {
        if self.bar.is_hidden() {
            return;
        }
        let elapsed = self.bar.elapsed();
        // Whoever finds it taken has nothing newer to say.
        let Ok(mut told_at) = self.told_at.try_lock() else { return };
        if elapsed.saturating_sub(*told_at) >= TICK {
            *told_at = elapsed;
            self.bar.set_message(words(&self.name, glimpse, elapsed));
        }
    }

    /// The search is over.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn words(name: &str, glimpse: Glimpse, elapsed: Duration) -> String {
    let Glimpse { unique_count, generated_count, depth } = glimpse;
    let rate = unique_count as f64 / elapsed.as_secs_f64().max(1e-3) / 1e3;
    let (unique, generated) = (unique_count as f64 / 1e6, generated_count as f64 / 1e6);
    format!(
        "{name}: {unique:.2} M states, {generated:.2} M generated, depth {depth}, {rate:.0} k/s"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glimpse_is_one_line() {
        let glimpse = Glimpse { unique_count: 1_230_000, generated_count: 5_670_000, depth: 14 };
        let said = words("duel", glimpse, Duration::from_secs(5));
        let expected = "duel: 1.23 M states, 5.67 M generated, depth 14, 246 k/s";
        assert_eq!(said, expected);
        let line = Line::start("duel");
        line.tell(glimpse);
        line.finish();
    }
}
