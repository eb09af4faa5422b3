//! Products of matrices that lie anywhere in a slice, on the calling thread.

/// A matrix that is read: entry (i, j) is `numbers[i · row_stride + j · column_stride]`. Rows may overlap.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    numbers: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Row after row, each starting `row_stride` numbers after the one before: overlapping if that is less than `columns`.
    pub fn new(numbers: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { numbers, shape: [rows, columns], strides: [row_stride, 1] }
    }

    /// Row after row, without gaps.
    pub fn dense(numbers: &'a [f32], columns: usize) -> Self {
        Self::new(numbers, numbers.len() / columns, columns, columns)
    }

    /// The same numbers with rows and columns swapped.
    pub fn t(self) -> Self {
        let ([rows, columns], [row_stride, column_stride]) = (self.shape, self.strides);
        Self { shape: [columns, rows], strides: [column_stride, row_stride], ..self }
    }

    /// How many numbers the matrix reaches over; `None` if more than can be counted.
    fn reach(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let last = |dimension: usize| (self.shape[dimension] - 1).checked_mul(self.strides[dimension]);
        last(0)?.checked_add(last(1)?)?.checked_add(1)
    }

    /// The strides as the product takes them; `None` if one does not fit.
    fn steps(&self) -> Option<[isize; 2]> {
        Some([isize::try_from(self.strides[0]).ok()?, isize::try_from(self.strides[1]).ok()?])
    }
}

/// How many numbers `rows` rows of `columns` reach over that start `stride` numbers apart; `None` if more than can be counted.
fn reach_of_rows(rows: usize, columns: usize, stride: usize) -> Option<usize> {
    match rows.checked_sub(1) {
        Some(last) => last.checked_mul(stride)?.checked_add(columns),
        None => Some(0),
    }
}

/// What happens to the numbers that are there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Accumulate {
    /// C = factor · A B.
    Set,
    /// C = C + factor · A B.
    Add,
}

/// The product of two matrices, into rows of `c` that start `stride` numbers apart: C = factor · A B, or C + factor · A B.
///
/// The sums run in an order that depends on the shapes alone.
///
/// # Panics
/// If shapes do not fit, a matrix reaches beyond its slice, a stride does not fit an isize, or rows of C overlap.
#[track_caller]
pub fn multiply(factor: f32, a: Matrix, b: Matrix, c: &mut [f32], stride: usize, mode: Accumulate) {
    let ([m, k], [rows, n]) = (a.shape, b.shape);
    assert_eq!(k, rows, "a product of {m}×{k} and {rows}×{n}");
    let inside = |reach: Option<usize>, numbers: &[f32]| reach.is_some_and(|reach| reach <= numbers.len());
    assert!(inside(a.reach(), a.numbers) && inside(b.reach(), b.numbers), "a factor beyond its slice");
    assert!(n <= stride && inside(reach_of_rows(m, n, stride), c), "a product beyond its slice");
    let steps = a.steps().zip(b.steps()).zip(isize::try_from(stride).ok());
    let (([a_row, a_column], [b_row, b_column]), c_row) = steps.expect("strides that fit an isize");
    let add = mode == Accumulate::Add;
    // SAFETY: every entry of A and B lies in its slice, as `reach` is the largest index plus one and was compared with the
    // length; the rows of C do not overlap (n ≤ stride) and the last one ends in its slice; C is borrowed exclusively, so
    // it shares nothing with A or B. All of this is computed with checked arithmetic, and the strides were converted, not
    // cast, so that it holds in every profile. With `add` unset C is only written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_row,
            add,
            a.numbers.as_ptr(),
            a_column,
            a_row,
            b.numbers.as_ptr(),
            b_column,
            b_row,
            1.0,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    /// Whether a product of 3×3 and 3×2 with slices of so many numbers is rejected; its rows in C start `stride` apart.
    fn rejected([a, b, c]: [usize; 3], stride: usize) -> bool {
        let multiplied = catch_unwind(|| {
            let (a, b) = (vec![1.0; a], vec![1.0; b]);
            let (a, b) = (Matrix::new(&a, 3, 3, 2), Matrix::new(&b, 3, 2, 4));
            multiply(1.0, a, b, &mut vec![0.0; c], stride, Accumulate::Set);
        });
        multiplied.is_err()
    }

    #[test]
    fn slices_that_are_a_number_short_are_refused() {
        assert!(!rejected([7, 10, 10], 4), "2·2 + 2 + 1, 2·4 + 1 + 1 and 2·4 + 2 numbers are enough");
        for short in [[6, 10, 10], [7, 9, 10], [7, 10, 9]] {
            assert!(rejected(short, 4), "{short:?}");
        }
        assert!(rejected([7, 10, 10], 1), "rows of C overlap");
    }

    #[test]
    fn reaches_that_cannot_be_counted_are_refused() {
        let half = usize::MAX / 2 + 1; // twice that is 0 where overflow is not checked
        let reach = |shape, strides| Matrix { numbers: &[], shape, strides }.reach();
        assert_eq!(reach([3, 2], [half, 1]), None, "two strides");
        assert_eq!(reach([2, 2], [usize::MAX, 1]), None, "a stride and a column");
        assert_eq!(reach([2, 1], [usize::MAX, 1]), None, "a stride and the last entry");
        assert_eq!(reach([0, 2], [usize::MAX, 1]), Some(0), "no rows");
        assert_eq!(reach([1, 3], [usize::MAX, 1]), Some(3), "one row");
        assert_eq!(reach_of_rows(3, 2, half), None);
        assert_eq!(reach_of_rows(2, 1, usize::MAX), None);
        assert_eq!(reach_of_rows(0, 2, usize::MAX), Some(0));
        let numbers = [1.0; 4];
        for (stride, of_c) in [(half, 2), (usize::MAX, 2), (2, half)] {
            let multiplied = catch_unwind(|| {
                let a = Matrix::new(&numbers, 3, 1, stride);
                multiply(1.0, a, Matrix::dense(&[1.0, 1.0], 2), &mut [0.0; 6], of_c, Accumulate::Set);
            });
            assert!(multiplied.is_err(), "rows of A {stride} apart, rows of C {of_c} apart");
        }
        let one_row = catch_unwind(|| {
            let a = Matrix::new(&numbers, 1, 1, usize::MAX);
            multiply(1.0, a, Matrix::dense(&[1.0, 1.0], 2), &mut [0.0; 2], 2, Accumulate::Set);
        });
        assert!(one_row.is_err(), "a stride that no step leads over, but that fits no isize");
    }

    #[test]
    fn a_product_of_no_rows_writes_nothing() {
        multiply(1.0, Matrix::new(&[], 0, 3, 3), Matrix::dense(&[1.0; 6], 2), &mut [], 2, Accumulate::Set);
    }
}
