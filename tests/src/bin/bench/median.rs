//! What becomes of the figures of several rounds.

/// The middle one of some figures.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of each figure over the other of the same round.
pub(crate) fn of_ratios(figures: impl IntoIterator<Item = f64>, others: impl IntoIterator<Item = f64>) -> f64 {
    median(figures.into_iter().zip(others).map(|(figure, other)| figure / other))
}
