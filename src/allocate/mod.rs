//! How many entries each of several arrays prunes out of one number, where that depends on their entries.
//!
//! Rules that need nothing but shapes are arithmetic on a few integers and live in the Python package.

mod lamp;
mod scale;
mod tally;

pub use lamp::{lamp_counts, lamp_scores};

#[cfg(test)]
mod tests;
