//! National identification numbers. Each scheme is its shape and its check; what has neither a check nor a shape of its own needs a word
//! near it that says what it is.

use super::{Context, Cue, Groups, Places};
use crate::Unscannable;

mod letters;
mod numbers;

/// How sure a scheme is that something is its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sure {
    /// It is.
    Yes,
    /// It is where a word says so.
    Said(Cue),
}

/// What a number costs, in steps: the schemes of its length, and the words of some.
const COSTS: usize = 128;

pub(super) fn find(context: &Context<'_>, groups: &Groups<'_>, found: &mut Places<'_>) -> Result<(), Unscannable> {
    // Numbers of digits alone have nine at least; with letters in them they may have fewer.
    groups.each((9, 15), (context.budget, COSTS), |number| {
        let at = number.at();
        let is_one = number.is_apart()
            && numbers::schemes(number.digits().len()).iter().filter_map(|scheme| scheme(number)).any(|sure| match sure {
                Sure::Yes => !context.says(at.start, Cue::Other),
                Sure::Said(cue) => context.says(at.start, cue),
            });
        if is_one {
            found.push(at)?;
        }
        Ok(is_one)
    })?;
    letters::find(context, groups, found)
}
