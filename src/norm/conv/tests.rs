//! Convolutions against their explicit matrices.

use super::*;
use crate::norm::tests::Weights;
use crate::norm::{Part, Which};
use crate::parallel::Switches;

/// A kernel in memory: `(outputs, inputs / groups, height, width)`.
struct Kernel {
    weights: Weights,
    values: Vec<f64>,
    shape: [usize; 4],
    groups: usize,
    stride: [usize; 2],
    dilation: [usize; 2],
}

impl Kernel {
    fn new(shape: [usize; 4], values: &[f64]) -> Self {
        let weights = Weights::new([shape[0], shape[1] * shape[2] * shape[3]], values);
        Self { weights, values: values.to_vec(), shape, groups: 1, stride: [1; 2], dilation: [1; 2] }
    }

    fn normal(shape: [usize; 4], seed: u64) -> Self {
        let mut values = vec![0.0; shape.iter().product()];
        crate::sample::Stream::of_position(seed, 0).normals(0, &mut values);
        Self::new(shape, &values)
    }

    fn norm(&self, domain: Domain, by: By) -> f64 {
        let (array, switches) = ([self.weights.array()], Switches::default());
        let source = &array[..];
        let matrix = Matrix::new(&source, 0, self.weights.shape, None, Part::All).expect("the shapes fit");
        let [_, _, height, width] = self.shape;
        let conv = Convolution {
            matrix,
            size: [height, width],
            groups: self.groups,
            stride: self.stride,
            dilation: self.dilation,
        };
        let norm = conv_norm(&conv, domain, by, Settings::default(), &switches.context()).expect("numbers");
        assert_eq!(norm.kind, Kind::Certified);
        norm.value
    }

    /// The norm of the operator's matrix on inputs of this size, padded by `padding` zeros or continued around.
    fn operator_norm(&self, size: [usize; 2], padding: Option<[usize; 2]>) -> f64 {
        let [outputs, inputs, height, width] = self.shape;
        let channels = inputs * self.groups;
        let extent = |axis: usize, len: usize| self.dilation[axis] * (len - 1) + 1;
        let steps = [0, 1].map(|axis| {
            let len = [height, width][axis];
            match padding {
                Some(padding) => {
                    let room = size[axis] + 2 * padding[axis] + 1;
                    room.saturating_sub(extent(axis, len)).div_ceil(self.stride[axis])
                }
                None => size[axis].div_ceil(self.stride[axis]),
            }
        });
        let [rows, columns] = [outputs * steps[0] * steps[1], channels * size[0] * size[1]];
        let mut matrix = vec![0.0; rows * columns];
        for o in 0..outputs {
            for c in 0..inputs {
                for tap in 0..height * width {
                    let value = self.values[(o * inputs + c) * height * width + tap];
                    let tap = [tap / width, tap % width];
                    for step in 0..steps[0] * steps[1] {
                        let step = [step / steps[1], step % steps[1]];
                        let place = [0, 1].map(|axis| {
                            let place = step[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
                            match padding {
                                Some(padding) => {
                                    place.checked_sub(padding[axis]).filter(|&at| at < size[axis])
                                }
                                None => Some(place % size[axis]),
                            }
                        });
                        if let [Some(y), Some(x)] = place {
                            let group = o / (outputs / self.groups);
                            let channel = group * inputs + c;
                            let row = (o * steps[0] + step[0]) * steps[1] + step[1];
                            matrix[row * columns + (channel * size[0] + y) * size[1] + x] += value;
                        }
                    }
                }
            }
        }
        Weights::new([rows, columns], &matrix).one(Which::Estimate)
    }
}

fn close(value: f64, expected: f64, tolerance: f64) {
    assert!((value / expected - 1.0).abs() <= tolerance, "{value} is not {expected}");
}

/// Known values.
#[test]
fn reference_values_agree() {
    let values: Vec<_> = (1..19).map(|value| f64::from(value) / 10.0).collect();
    let kernel = Kernel::new([1, 2, 3, 3], &values);
    close(kernel.norm(Domain::Circular([4, 4]), By::Frequencies), 13.379_461_872_586_7, 1e-10);
    close(kernel.norm(Domain::Any(16), By::Frequencies), 13.908_835_398_983_8, 1e-10);
    close(kernel.norm(Domain::Any(16), By::Unfoldings), 13.708_563_102_983_5, 1e-10);
    close(kernel.norm(Domain::Any(16), By::Taps), 13.459_972_128_505_7, 1e-10);
    close(between(3, 16).get(), 1.019_591_158_208_32, 1e-12);
    close(between(5, 32).get(), 1.019_591_158_208_32, 1e-12);
}

/// Among them sizes below the kernel's.
#[test]
fn circular_convolutions_have_the_norm_of_their_matrix() {
    for (shape, sizes) in [
        ([2, 3, 3, 3], [[1, 1], [2, 2], [1, 5], [4, 6], [7, 5]]),
        ([3, 2, 2, 5], [[1, 1], [3, 2], [2, 4], [4, 4], [5, 8]]),
        ([1, 1, 1, 4], [[1, 1], [1, 2], [1, 3], [3, 4], [1, 9]]),
    ] {
        for (stride, dilation) in [([1, 1], [1, 1]), ([2, 1], [1, 1]), ([2, 2], [2, 3]), ([1, 3], [1, 2])] {
            let mut kernel = Kernel::normal(shape, 2);
            (kernel.stride, kernel.dilation) = (stride, dilation);
            for size in sizes {
                let (norm, exact) =
                    (kernel.norm(Domain::Circular(size), By::Frequencies), kernel.operator_norm(size, None));
                assert!(norm >= exact * (1.0 - 1e-12), "{shape:?} {size:?} {stride:?}");
                if size[0] % stride[0] == 0 && size[1] % stride[1] == 0 {
                    close(norm, exact, 1e-10);
                }
            }
        }
    }
}

#[test]
fn no_padding_nor_size_exceeds_its_bound() {
    for (stride, dilation) in [([1, 1], [1, 1]), ([2, 2], [1, 1]), ([2, 1], [3, 2]), ([3, 2], [1, 2])] {
        let mut kernel = Kernel::normal([3, 2, 3, 3], 11);
        (kernel.stride, kernel.dilation) = (stride, dilation);
        let any = kernel.norm(Domain::Any(16), By::Frequencies);
        let best = kernel.norm(Domain::Any(16), By::Best);
        assert!(best <= any);
        let simple = [By::Taps, By::Unfoldings].map(|by| kernel.norm(Domain::Any(16), by));
        let mut largest = 0.0_f64;
        for size in [[4, 4], [5, 8], [9, 9]] {
            for padding in [[0, 0], [1, 1], [2, 1]] {
                let exact = kernel.operator_norm(size, Some(padding));
                let zero = kernel.norm(Domain::Zero(size), By::Frequencies);
                assert!(exact <= zero * (1.0 + 1e-12), "{stride:?} {dilation:?} {size:?} {padding:?}");
                assert!(simple.iter().all(|&bound| exact <= bound));
                largest = largest.max(exact);
            }
        }
        assert!(largest <= best * (1.0 + 1e-12) && best <= 2.0 * largest, "{stride:?} {largest} {best}");
    }
}

#[test]
fn groups_are_bounded_one_by_one() {
    let mut kernel = Kernel::normal([4, 2, 3, 3], 5);
    kernel.groups = 2;
    close(kernel.norm(Domain::Circular([5, 4]), By::Frequencies), kernel.operator_norm([5, 4], None), 1e-10);
}

#[test]
fn kernels_of_one_entry_are_matrices_at_every_scale() {
    for scale in [1.0, 2.0_f64.powi(-560), 2.0_f64.powi(500)] {
        let kernel = Kernel::new([2, 2, 1, 1], &[3.0, 4.0, -4.0, 3.0].map(|value| value * scale));
        let norm = kernel.norm(Domain::Any(16), By::Frequencies);
        assert!(norm >= 5.0 * scale && norm <= 5.0 * scale * (1.0 + 1e-12), "{norm:e}");
    }
}
