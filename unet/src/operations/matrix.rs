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

    /// How many numbers the matrix reaches over.
    fn reach(&self) -> usize {
        let last = |dimension: usize| (self.shape[dimension] - 1) * self.strides[dimension];
        if self.shape.contains(&0) { 0 } else { last(0) + last(1) + 1 }
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
/// If shapes do not fit, a matrix reaches beyond its slice, or rows of C overlap.
#[track_caller]
pub fn multiply(factor: f32, a: Matrix, b: Matrix, c: &mut [f32], stride: usize, mode: Accumulate) {
    let ([m, k], [rows, n]) = (a.shape, b.shape);
    assert_eq!(k, rows, "a product of {m}×{k} and {rows}×{n}");
    let end = if m == 0 { 0 } else { (m - 1) * stride + n };
    assert!(a.reach() <= a.numbers.len() && b.reach() <= b.numbers.len(), "a factor beyond its slice");
    assert!(n <= stride && end <= c.len(), "a product beyond its slice");
    let add = mode == Accumulate::Add;
    // SAFETY: every entry of A and B lies in its slice, as `reach` is the largest index plus one and was compared with the
    // length; the rows of C do not overlap (n ≤ stride) and the last one ends in its slice; C is borrowed exclusively, so
    // it shares nothing with A or B. Strides are less than a slice's length, so they fit an isize. With `add` unset C is
    // only written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.numbers.as_ptr(),
            a.strides[1] as isize,
            a.strides[0] as isize,
            b.numbers.as_ptr(),
            b.strides[1] as isize,
            b.strides[0] as isize,
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
    fn a_product_of_no_rows_writes_nothing() {
        multiply(1.0, Matrix::new(&[], 0, 3, 3), Matrix::dense(&[1.0; 6], 2), &mut [], 2, Accumulate::Set);
    }
}
