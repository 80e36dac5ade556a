//! Norms of convolutions (Prop. 6.12), for stated input sizes and for all.

use std::f64::consts::PI;

use crate::error::{Error, Result};
use crate::norm::matrix::{Matrix, Scratch};
use crate::norm::round::{TINY, U, Up, power_of_two};
use crate::norm::spectral::Known;
use crate::norm::sums::sums;
use crate::norm::symbol::{Tap, Taps};
use crate::norm::{Kind, Norm, Settings, dense_norm};
use crate::parallel::{Context, for_each};

/// A convolution with two axes in space; with one, the first has length 1.
#[derive(Clone, Copy)]
pub struct Convolution<'a> {
    /// The weights, `(outputs, inputs / groups * height * width)`, and which part of them counts.
    pub matrix: Matrix<'a>,
    /// Height and width of the kernel.
    pub size: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// Distance of the outputs.
    pub stride: [usize; 2],
    /// Distance of the taps.
    pub dilation: [usize; 2],
}

/// The inputs that a convolution is bounded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Inputs of this height and width that continue around (6.12a): exact, but for rounding, where the stride
    /// divides the size.
    Circular([usize; 2]),
    /// Inputs of this height and width, with zeros around of any number (6.12b).
    Zero([usize; 2]),
    /// Inputs of any size, with zeros around, or continued where the stride divides the size (6.12c), from this many
    /// frequencies per axis, at least.
    Any(usize),
}

/// Which inequality bounds a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The least of all.
    Best,
    /// The symbols at the frequencies of the domain (6.12a to c, f, g, h).
    Frequencies,
    /// The four unfoldings of the kernel (6.12d).
    Unfoldings,
    /// The sum of the norms of the taps (6.12e).
    Taps,
}

impl By {
    /// The inequality of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "best" => Self::Best,
            "frequencies" => Self::Frequencies,
            "unfoldings" => Self::Unfoldings,
            "taps" => Self::Taps,
            _ => return None,
        })
    }
}

/// Products of all symbols up to which the best bound looks at frequencies.
const WORK: f64 = 5e11;

/// Prop. 6.12: a bound of the norm of a convolution as a map of whole inputs; the same for its transpose.
///
/// # Errors
/// [`Error::LengthMismatch`] where kernel, groups and weights do not fit; [`Error::OutOfRange`] for a size, stride,
/// dilation or group number of 0; as [`crate::norm::norms`].
pub fn conv_norm(
    conv: &Convolution<'_>,
    domain: Domain,
    by: By,
    settings: Settings,
    ctx: &Context<'_>,
) -> Result<Norm> {
    conv.check(domain)?;
    settings.random.checked()?;
    let known = Known::new(&conv.matrix, sums(&conv.matrix, false, ctx)?);
    if known.is_trivial() {
        return Ok(Norm { value: known.sums.largest, kind: Kind::Certified });
    }
    let mut kernel = vec![0.0; conv.matrix.len()];
    let (rows, columns) = (conv.matrix.rows(), conv.matrix.columns());
    known.matrix.read(&mut Scratch::default(), 0..rows, 0..columns, ctx.level, &mut kernel)?;
    let mut settings = settings;
    settings.random.delta /= conv.groups as f64;
    let mut worst = Norm { value: 0.0, kind: Kind::Certified };
    for group in kernel.chunks(kernel.len() / conv.groups) {
        let group = Group { conv, kernel: group, outputs: conv.matrix.rows() / conv.groups };
        worst = both(worst, group.norm(domain, by, settings, ctx)?);
    }
    let lost = Up::new(TINY) * Up::new(conv.matrix.len() as f64);
    let value = (Up::new(worst.value) + lost) * Up::new(power_of_two(known.exponent));
    Ok(Norm { value: value.get(), kind: worst.kind })
}

/// The larger of two bounds that both must hold.
fn both(a: Norm, b: Norm) -> Norm {
    let delta = a.kind.delta().unwrap_or(0.0) + b.kind.delta().unwrap_or(0.0);
    let kind = if delta > 0.0 { Kind::Probabilistic { delta } } else { Kind::Certified };
    Norm { value: a.value.max(b.value), kind }
}

impl Convolution<'_> {
    fn check(&self, domain: Domain) -> Result<()> {
        let sizes = match domain {
            Domain::Circular(sizes) | Domain::Zero(sizes) => sizes,
            Domain::Any(grid) => [grid; 2],
        };
        for (parameter, values) in
            [("size", sizes), ("kernel", self.size), ("stride", self.stride), ("dilation", self.dilation)]
        {
            if values.contains(&0) {
                return Err(Error::NotAllowed { parameter, expected: "at least 1", got: 0.0 });
            }
        }
        let [height, width] = self.size;
        let (rows, columns) = (self.matrix.rows(), self.matrix.columns());
        let fits = |what, expected, got| {
            let name = "convolution".to_owned();
            if expected == got { Ok(()) } else { Err(Error::LengthMismatch { name, what, expected, got }) }
        };
        if self.groups == 0 {
            return Err(Error::NotAllowed { parameter: "groups", expected: "at least 1", got: 0.0 });
        }
        fits("outputs in whole groups", rows / self.groups * self.groups, rows)?;
        fits("weights per output in whole kernels", columns / (height * width) * (height * width), columns)
    }
}

/// One group of channels.
struct Group<'a> {
    conv: &'a Convolution<'a>,
    /// `(outputs, inputs, height, width)`.
    kernel: &'a [f64],
    outputs: usize,
}

/// The grid of frequencies of a domain: the taps as seen on it, its size, and the factor to the norm.
struct Frequencies {
    taps: Taps,
    grid: [usize; 2],
    factor: Up,
}

impl Group<'_> {
    fn inputs(&self) -> usize {
        self.conv.matrix.columns() / (self.conv.size[0] * self.conv.size[1])
    }

    fn norm(&self, domain: Domain, by: By, settings: Settings, ctx: &Context<'_>) -> Result<Norm> {
        let share = |parts: f64| {
            let mut settings = settings;
            settings.random.delta /= parts;
            settings
        };
        match by {
            By::Frequencies => self.frequencies(domain).norm(settings, ctx),
            By::Unfoldings => self.unfoldings(settings, ctx),
            By::Taps => self.taps_sum(settings, ctx),
            By::Best => {
                let frequencies = self.frequencies(domain);
                let mut best = self.unfoldings(share(3.0), ctx)?;
                let mut all = vec![self.taps_sum(share(3.0), ctx)?];
                if frequencies.work() <= WORK {
                    all.push(frequencies.norm(share(3.0), ctx)?);
                }
                for other in all {
                    best = if other.value < best.value { other } else { best };
                }
                Ok(best)
            }
        }
    }

    /// 6.12d: `sqrt(height * width)` times the least norm of four unfoldings.
    fn unfoldings(&self, settings: Settings, ctx: &Context<'_>) -> Result<Norm> {
        let (inputs, [height, width]) = (self.inputs(), self.conv.size);
        let shapes = [
            [self.outputs, inputs * height * width],
            [inputs, self.outputs * height * width],
            [self.outputs * height, inputs * width],
            [self.outputs * width, inputs * height],
        ];
        let mut settings = settings;
        settings.random.delta /= 4.0;
        let mut best = Norm { value: f64::INFINITY, kind: Kind::Certified };
        for (number, shape) in shapes.into_iter().enumerate() {
            let mut values = vec![0.0; self.kernel.len()];
            for (at, &value) in self.kernel.iter().enumerate() {
                let (o, c, a, b) = self.place(at);
                let (row, column) = match number {
                    0 => (o, (c * height + a) * width + b),
                    1 => (c, (o * height + a) * width + b),
                    2 => (o * height + a, c * width + b),
                    _ => (o * width + b, c * height + a),
                };
                values[row * shape[1] + column] = value;
            }
            let norm = dense_norm(&values, shape, settings, ctx)?;
            best = if norm.value < best.value { norm } else { best };
        }
        let value = Up::new((height * width) as f64).sqrt() * Up::new(best.value);
        Ok(Norm { value: value.get(), kind: best.kind })
    }

    /// Output, input, row and column of an entry of the kernel.
    fn place(&self, at: usize) -> (usize, usize, usize, usize) {
        let [height, width] = self.conv.size;
        let (rest, b) = (at / width, at % width);
        let (rest, a) = (rest / height, rest % height);
        (rest / self.inputs(), rest % self.inputs(), a, b)
    }

    /// 6.12e: the sum of the norms of the taps.
    fn taps_sum(&self, settings: Settings, ctx: &Context<'_>) -> Result<Norm> {
        let taps = self.taps([1; 2], [1; 2]);
        let mut settings = settings;
        settings.random.delta /= taps.list.len() as f64;
        let mut sum = Norm { value: 0.0, kind: Kind::Certified };
        for tap in &taps.list {
            let norm = dense_norm(&tap.values, [taps.outputs, taps.inputs], settings, ctx)?;
            let value = (Up::new(sum.value) + Up::new(norm.value)).get();
            sum = Norm { value, ..both(sum, norm) };
        }
        Ok(sum)
    }

    /// The taps at these distances, in the phases of a stride (6.12g).
    fn taps(&self, dilation: [usize; 2], stride: [usize; 2]) -> Taps {
        let (inputs, [height, width]) = (self.inputs(), self.conv.size);
        let tap = |number: usize| {
            let place = [number / width * dilation[0], number % width * dilation[1]];
            let values = (0..self.outputs * inputs).map(|pair| self.kernel[pair * height * width + number]);
            Tap {
                offset: [place[0] / stride[0], place[1] / stride[1]],
                phase: place[0] % stride[0] * stride[1] + place[1] % stride[1],
                values: values.collect(),
            }
        };
        let list = (0..height * width).map(tap).collect();
        Taps { outputs: self.outputs, inputs, phases: stride[0] * stride[1], list }
    }

    fn frequencies(&self, domain: Domain) -> Frequencies {
        let Convolution { size, stride, dilation, .. } = *self.conv;
        let reach = [0, 1].map(|axis| dilation[axis] * (size[axis] - 1));
        let circular = |sizes: [usize; 2]| {
            // Where the stride does not divide the size, the outputs are some of those at stride 1.
            let stride =
                [0, 1].map(|axis| if sizes[axis].is_multiple_of(stride[axis]) { stride[axis] } else { 1 });
            let grid = [0, 1].map(|axis| sizes[axis] / stride[axis]);
            Frequencies { taps: self.taps(dilation, stride), grid, factor: Up::ONE }
        };
        match domain {
            Domain::Circular(sizes) => circular(sizes),
            Domain::Zero(sizes) => {
                circular([0, 1].map(|axis| (sizes[axis] + reach[axis]).next_multiple_of(stride[axis])))
            }
            Domain::Any(least) => {
                // Without a stride the taps of a dilated kernel take the same values on all of the torus.
                let dilation = [0, 1].map(|axis| if stride[axis] == 1 { 1 } else { dilation[axis] });
                let extent = [0, 1].map(|axis| dilation[axis] * (size[axis] - 1) / stride[axis] + 1);
                let grid = extent.map(|extent| if extent == 1 { 1 } else { least.max(extent) });
                let factor = (0..2).map(|axis| between(extent[axis], grid[axis])).fold(Up::ONE, |a, b| a * b);
                Frequencies { taps: self.taps(dilation, stride), grid, factor }
            }
        }
    }
}

/// 6.12c: the largest value of a trigonometric polynomial of `extent` terms is at most this factor above its
/// largest value on `grid` points: `1 / cos(pi (extent - 1) / (2 grid))`.
fn between(extent: usize, grid: usize) -> Up {
    if extent <= 1 {
        return Up::ONE;
    }
    let cosine = (PI * (extent - 1) as f64 / (2 * grid) as f64).cos() - 8.0 * U;
    Up::ONE.over(cosine)
}

impl Frequencies {
    /// Products of all symbols' Gram matrices.
    fn work(&self) -> f64 {
        let (outputs, inputs) = (2 * self.taps.outputs, 2 * self.taps.inputs * self.taps.phases);
        let small = outputs.min(inputs) as f64;
        (self.grid[0] * self.grid[1]) as f64 / 2.0 * small * small * outputs.max(inputs) as f64
    }

    /// The largest norm of a symbol, times the factor. Opposite frequencies have conjugate symbols.
    fn norm(&self, settings: Settings, ctx: &Context<'_>) -> Result<Norm> {
        let [rows, columns] = self.grid;
        let mut all = Vec::new();
        for one in 0..rows {
            for two in 0..columns {
                let opposite = ((rows - one) % rows, (columns - two) % columns);
                if (one, two) <= opposite {
                    all.push(([one, two], Norm { value: 0.0, kind: Kind::Certified }));
                }
            }
        }
        let mut settings = settings;
        settings.random.delta /= all.len() as f64;
        for_each(
            &mut all,
            ctx,
            || (),
            |(), (at, norm)| {
                *norm = self.taps.norm_at(*at, self.grid, settings, ctx)?;
                Ok(())
            },
        )?;
        let start = Norm { value: 0.0, kind: Kind::Certified };
        let worst = all.into_iter().fold(start, |worst, (_, norm)| both(worst, norm));
        Ok(Norm { value: (Up::new(worst.value) * self.factor).get(), kind: worst.kind })
    }
}

#[cfg(test)]
mod tests;
