//! Squares of the norms of rows and columns, as computed: for choices, not for bounds.

use crate::error::Result;
use crate::norm::matrix::{Matrix, Scratch};
use crate::norm::sums::row_groups;
use crate::parallel::{Context, for_each};

/// The sums of squares of every row and of every column.
pub(crate) fn line_squares(matrix: &Matrix<'_>, ctx: &Context<'_>) -> Result<[Vec<f64>; 2]> {
    let columns = matrix.columns();
    let mut parts: Vec<_> =
        row_groups(matrix.rows(), 1).map(|rows| (rows, Vec::<f64>::new(), vec![0.0; columns])).collect();
    for_each(&mut parts, ctx, Scratch::default, |scratch, (rows, row_sums, column_sums)| {
        let mut values = std::mem::take(&mut scratch.values);
        values.resize(columns, 0.0);
        for row in rows.clone() {
            let values = &mut values[..columns];
            matrix.read(scratch, row..row + 1, 0..columns, ctx.level, values)?;
            for value in &mut *values {
                *value *= *value;
            }
            row_sums.push(values.iter().sum());
            column_sums.iter_mut().zip(values).for_each(|(sum, square)| *sum += *square);
        }
        scratch.values = values;
        Ok(())
    })?;
    let mut sums = [Vec::new(), vec![0.0; columns]];
    for (_, rows, more) in parts {
        sums[0].extend(rows);
        sums[1].iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    Ok(sums)
}
