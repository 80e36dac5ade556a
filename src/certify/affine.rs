//! Layers with weights: matrices and convolutions, their norms and products.

use std::ops::Range;

use crate::certify::center::norm;
use crate::certify::layer::{fits, no_nan};
use crate::error::{Error, Result};
use crate::norm::round::{TINY, Up, gamma, lane_roundings};
use crate::norm::{
    By, Convolution, Domain, Kind, Matrix, Norm, Part, Settings, by_rows, conv_norm, multiply, spectral, sums,
};
use crate::parallel::Context;

/// The weights of a layer and its bias.
#[derive(Clone)]
pub struct Weights<'a> {
    /// The weights and the mask, `(outputs, inputs)`, of a convolution `(outputs, inputs / groups * height * width)`;
    /// which part counts does not matter.
    pub matrix: Matrix<'a>,
    /// How a convolution lies in its images; none for a linear layer.
    pub geometry: Option<Geometry>,
    /// One number per output or output channel, or none.
    pub bias: Option<&'a [f64]>,
    /// How many roundings each weight went through: it is the exact one times `1 + t`, `|t| <= gamma`. 0 for weights
    /// as stored, more where another layer was folded into them.
    pub roundings: usize,
    /// At least the norm of the difference of the bias to the exact one, over the numbers given.
    pub bias_error: f64,
}

/// How a convolution lies in images of one size; with one axis the other has length 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// Distance of the outputs.
    pub stride: [usize; 2],
    /// Distance of the taps.
    pub dilation: [usize; 2],
    /// Height and width of the images.
    pub image: [usize; 2],
    /// What is added before and behind, along each axis.
    pub padding: [[usize; 2]; 2],
    /// Whether the image itself is, instead of zeros.
    pub circular: bool,
}

impl Geometry {
    /// Height and width of the outputs.
    #[must_use]
    pub fn outputs(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let [before, after] = self.padding[axis];
            let places = (self.image[axis] + before + after).saturating_sub(self.reach(axis));
            places.div_ceil(self.stride[axis].max(1))
        })
    }

    fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1)
    }

    /// Outputs that are of the image continued around are some of those of 6.12a, each of them once.
    fn check(&self) -> Result<()> {
        for (parameter, values) in [
            ("stride", self.stride),
            ("dilation", self.dilation),
            ("kernel", self.kernel),
            ("size", self.image),
        ] {
            if values.contains(&0) {
                return Err(Error::NotAllowed { parameter, expected: "at least 1", got: 0.0 });
            }
        }
        for axis in 0..2 {
            let padding: usize = self.padding[axis].iter().sum();
            if self.circular && padding > self.reach(axis) {
                let expected = "circular within the reach of the kernel";
                return Err(Error::NotAllowed { parameter: "padding", expected, got: padding as f64 });
            }
        }
        Ok(())
    }

    fn domain(&self) -> Domain {
        if self.circular { Domain::Circular(self.image) } else { Domain::Zero(self.image) }
    }

    /// Runs of outputs along an axis that a tap has an input for, and the input of the first of each.
    fn spans(&self, axis: usize, tap: usize, outputs: usize) -> Vec<(Range<usize>, usize)> {
        let (len, stride) = (self.image[axis], self.stride[axis]);
        let mut spans: Vec<(Range<usize>, usize)> = Vec::new();
        for output in 0..outputs {
            let place = output * stride + tap * self.dilation[axis];
            let before = self.padding[axis][0];
            let source = if self.circular {
                (place + len - before % len) % len
            } else if place >= before && place - before < len {
                place - before
            } else {
                continue;
            };
            match spans.last_mut() {
                Some((run, first)) if run.end == output && *first + stride * run.len() == source => {
                    run.end += 1;
                }
                _ => spans.push((output..output + 1, source)),
            }
        }
        spans
    }
}

impl Weights<'_> {
    pub(crate) fn check(&self, layer: usize) -> Result<()> {
        if let Some(geometry) = self.geometry {
            geometry.check()?;
            let [height, width] = geometry.kernel;
            let columns = self.matrix.columns();
            fits(layer, "weights in whole kernels", columns / (height * width) * (height * width), columns)?;
        }
        if let Some(bias) = self.bias {
            fits(layer, "numbers of its bias", self.matrix.rows(), bias.len())?;
            no_nan(&format!("bias of layer {layer}"), bias)?;
        }
        Ok(())
    }

    pub(crate) fn inputs(&self) -> usize {
        self.geometry.map_or(self.matrix.columns(), |it| {
            self.matrix.columns() / it.kernel.iter().product::<usize>()
                * it.groups
                * it.image.iter().product::<usize>()
        })
    }

    pub(crate) fn outputs(&self) -> usize {
        self.matrix.rows() * self.places()
    }

    fn places(&self) -> usize {
        self.geometry.map_or(1, |it| it.outputs().iter().product())
    }

    /// Whether powers of two may weight its sides (Prop. 6.15).
    pub(crate) fn is_plain(&self) -> bool {
        self.geometry.is_none() && self.roundings == 0
    }

    /// At least the norms of the weights, of their kept and of their removed part, with weights on both sides of a
    /// plain layer.
    pub(crate) fn norms(
        &self,
        [before, after]: [Option<&[f64]>; 2],
        settings: Settings,
        ctx: &Context<'_>,
    ) -> Result<[Norm; 3]> {
        let mut norms = [Norm { value: 0.0, kind: Kind::Certified }; 3];
        for (norm, part) in norms.iter_mut().zip([Part::All, Part::Kept, Part::Removed]) {
            let matrix = self.matrix.part(part).balanced(after, before);
            *norm = match self.geometry {
                None => spectral(&matrix, settings, ctx)?,
                Some(geometry) => {
                    let Geometry { kernel, groups, stride, dilation, .. } = geometry;
                    let conv = Convolution { matrix, size: kernel, groups, stride, dilation };
                    conv_norm(&conv, geometry.domain(), By::Best, settings, ctx)?
                }
            };
            let lost = self.rounding(part, ctx)?;
            norm.value = (Up::new(norm.value) + lost).get();
        }
        Ok(norms)
    }

    /// At least the norm of the map that the roundings of the weights make: `gamma sqrt(taps)` times their Frobenius
    /// norm, since the sum of the norms of the taps bounds it (6.12e).
    pub(crate) fn rounding(&self, part: Part, ctx: &Context<'_>) -> Result<Up> {
        if self.roundings == 0 {
            return Ok(Up::ZERO);
        }
        let matrix = self.matrix.part(part);
        let found = sums(&matrix, false, ctx)?;
        let taps = self.geometry.map_or(1, |it| it.kernel.iter().product());
        let underflow = Up::new(TINY) * Up::new((found.num_nonzero as f64).sqrt().next_up());
        let each = gamma(self.roundings) * Up::new(found.frobenius) + underflow;
        Ok(Up::new(taps as f64).sqrt() * each)
    }

    /// At least the norm of the bias at all places.
    pub(crate) fn bias_norm(&self, after: Option<&[f64]>) -> Up {
        let Some(bias) = self.bias else { return Up::ZERO };
        let given = norm(bias.iter().copied(), after) + self.bias_lost(after);
        given * Up::new(self.places() as f64).sqrt()
    }

    fn bias_lost(&self, after: Option<&[f64]>) -> Up {
        let least = after.into_iter().flatten().copied().fold(1.0, f64::min);
        Up::new(self.bias_error).over(least)
    }

    /// The computed `A x + b` (the bias only if it is asked for), and at least the weighted norm of its error:
    /// `gamma (|A| |x| + |b|)`, and underflow (6.16).
    pub(crate) fn product(
        &self,
        part: Part,
        x: &[f64],
        with_bias: bool,
        after: Option<&[f64]>,
        ctx: &Context<'_>,
    ) -> Result<(Vec<f64>, Up)> {
        let places = self.places();
        let bias = self.bias.filter(|_| with_bias);
        let bias_lost = bias.map_or(Up::ZERO, |_| self.bias_lost(after) * Up::new(places as f64).sqrt());
        if x.iter().all(|&x| x == 0.0) {
            let values = match bias {
                Some(bias) => bias.iter().flat_map(|&bias| std::iter::repeat_n(bias, places)).collect(),
                None => vec![0.0; self.outputs()],
            };
            return Ok((values, bias_lost));
        }
        let magnitudes: Vec<_> = x.iter().map(|x| x.abs()).collect();
        let matrix = self.matrix.part(part);
        let mut values = self.times(&matrix, x, ctx)?;
        let mut sizes = self.times(&matrix.absolute(), &magnitudes, ctx)?;
        for (at, &bias) in bias.unwrap_or_default().iter().enumerate() {
            values[at * places..][..places].iter_mut().for_each(|value| *value += bias);
            sizes[at * places..][..places].iter_mut().for_each(|size| *size += bias.abs());
        }
        let terms = matrix.columns();
        let order = if self.geometry.is_some() { terms } else { lane_roundings(terms) };
        let roundings = order + 2 + self.roundings;
        let sizes = norm(sizes.into_iter(), after).grown(roundings);
        // Of the products, and of the weights where they were rounded.
        let largest = magnitudes.into_iter().fold(1.0, f64::max);
        let each = Up::new(TINY) * Up::new(terms as f64) * Up::new(2.0 * largest);
        let underflow = norm(std::iter::repeat_n(each.get(), values.len()), after);
        Ok((values, gamma(roundings) * sizes + underflow + bias_lost))
    }

    fn times(&self, matrix: &Matrix<'_>, x: &[f64], ctx: &Context<'_>) -> Result<Vec<f64>> {
        match &self.geometry {
            None => multiply(matrix, x, ctx),
            Some(geometry) => convolve(matrix, geometry, x, ctx),
        }
    }
}

/// A convolution of an image: each output a sum over inputs and taps in their order.
fn convolve(matrix: &Matrix<'_>, geometry: &Geometry, x: &[f64], ctx: &Context<'_>) -> Result<Vec<f64>> {
    let &Geometry { kernel: [height, width], groups, stride: [_, step], image: [rows, columns], .. } =
        geometry;
    let [high, wide] = geometry.outputs();
    let down: Vec<_> = (0..height).map(|tap| geometry.spans(0, tap, high)).collect();
    let across: Vec<_> = (0..width).map(|tap| geometry.spans(1, tap, wide)).collect();
    let channels = matrix.columns() / (height * width);
    let outputs_of_group = (matrix.rows() / groups).max(1);
    let found = by_rows(matrix, ctx, |output, weights| {
        let images = x[output / outputs_of_group * channels * rows * columns..].chunks(rows * columns);
        let mut sums = vec![0.0; high * wide];
        for (kernel, image) in weights.chunks(height * width).zip(images) {
            for (tap, &weight) in kernel.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                for (lines, first) in &down[tap / width] {
                    for (at, line) in lines.clone().enumerate() {
                        let source = &image[(first + at * geometry.stride[0]) * columns..][..columns];
                        for (run, first) in &across[tap % width] {
                            let sums = &mut sums[line * wide..][run.clone()];
                            let source = &source[*first..];
                            if step == 1 {
                                sums.iter_mut().zip(source).for_each(|(sum, x)| *sum += weight * x);
                            } else {
                                let source = source.iter().step_by(step);
                                sums.iter_mut().zip(source).for_each(|(sum, x)| *sum += weight * x);
                            }
                        }
                    }
                }
            }
        }
        sums
    })?;
    Ok(found.concat())
}
