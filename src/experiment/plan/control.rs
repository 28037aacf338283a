//! What clients ask that takes no quorum: enough of it to be measured.

use crate::experiment::file::{self, Spanned};
use crate::time::Span;
use crate::workload::Control;

use crate::experiment::refusal::{Error, Refused};

/// The control operations of a file whose trials are measured for so long; none if it asks for none.
pub(super) fn control(
    typed: Option<&file::Control>,
    duration: Span,
) -> Result<Option<Control>, Refused> {
    let Some(typed) = typed.filter(|typed| *typed.no_quorum.get_ref()) else { return Ok(None) };
    let rate = typed.rate_per_s.as_ref();
    let usual = Control::default().rate_per_s;
    let control = Control { rate_per_s: rate.map_or(usual, |rate| *rate.get_ref()) };
    let at = rate.map_or_else(|| typed.no_quorum.span(), Spanned::span);
    let checked = control.validate(duration);
    checked.map_err(|error| Refused::new(at, Error::Workload(error)))?;
    Ok(Some(control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::file::Error as Unusable;
    use crate::experiment::plan::{Plan, Size};
    use crate::experiment::testing::{GOOD, assert_says, source};

    /// What the good file asks for with this section.
    fn planned(section: &str) -> Result<Vec<Option<Control>>, Unusable> {
        let plan = Plan::from_source(&source(&format!("{GOOD}\n{section}")), Size::default())?;
        Ok(plan.points.iter().map(|point| point.control).collect())
    }

    #[track_caller]
    fn check(section: &str, phrases: &[&str]) {
        assert_says(&planned(section).unwrap_err(), phrases);
    }

    #[test]
    fn controls_are_asked_for_and_otherwise_there_are_none() {
        assert_eq!(planned("").unwrap(), [None]);
        assert_eq!(planned("[control]\nno-quorum = false\n").unwrap(), [None]);
        let usual = planned("[control]\nno-quorum = true\n").unwrap();
        assert_eq!(usual, [Some(Control { rate_per_s: 10.0 })]);
        let more = planned("[control]\nno-quorum = true\nrate_per_s = 25\n").unwrap();
        assert_eq!(more, [Some(Control { rate_per_s: 25.0 })]);
        let swept = planned("[sweep]\ncontrol.no-quorum = [false, true]\n").unwrap();
        assert_eq!(swept, [None, Some(Control::default())]);
    }

    #[test]
    fn controls_of_no_effect_are_refused_with_their_place() {
        check("[control]\n", &["`no-quorum` is missing"]);
        check("[control]\nno_quorum = true\n", &["unknown key `no_quorum`", "`no-quorum`"]);
        let idle = "[control]\nno-quorum = false\nrate_per_s = 5\n";
        check(
            idle,
            &["`control.rate_per_s` has no effect: there are no control", "control.no-quorum"],
        );
        let at = |rate: &str| format!("[control]\nno-quorum = true\nrate_per_s = {rate}\n");
        let place = format!(":{}:14", GOOD.lines().count() + 4);
        check(&at("0.0"), &["control.rate_per_s = 0 is no rate of controls", &place]);
        check(&at("5000"), &["control.rate_per_s = 5000 ", "at most 1000"]);
        check(&at("0.05"), &["of 0.05 control operations a second none need fall into"]);
    }

    #[test]
    fn a_smaller_size_without_room_for_a_control_is_refused() {
        let text = format!("{GOOD}\n[control]\nno-quorum = true\n[smoke]\nduration = \"50ms\"\n");
        let calm = text.replace(&GOOD[GOOD.find("[[fault]]").unwrap()..], "");
        let size = Size { is_smoke: true, ..Size::default() };
        let error = Plan::from_source(&source(&calm), size).unwrap_err();
        assert_says(&error, &["none need fall into the 50.00ms that are measured"]);
    }
}
