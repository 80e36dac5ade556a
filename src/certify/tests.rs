//! Certificates against networks that are evaluated, and where shortcuts would be wrong.

use super::*;
use crate::mask::Mask;
use crate::norm::{Kind, Matrix, Part, Settings};
use crate::parallel::Switches;
use crate::source::{Array, Bits};

/// A network in memory.
struct Network {
    widths: Vec<usize>,
    weights: Vec<Vec<u64>>,
    masks: Vec<Vec<u8>>,
    biases: Vec<Option<Vec<f64>>>,
    activations: Vec<Activation>,
}

impl Network {
    fn new(widths: &[usize], weights: &[&[f64]], masks: &[&[u8]], activation: Activation) -> Self {
        let layers = weights.len();
        let bits = |values: &&[f64]| values.iter().map(|value| value.to_bits()).collect();
        Self {
            widths: widths.to_vec(),
            weights: weights.iter().map(bits).collect(),
            masks: masks.iter().map(|mask| mask.to_vec()).collect(),
            biases: vec![None; layers],
            activations: (0..layers)
                .map(|at| if at + 1 < layers { activation } else { Activation::Identity })
                .collect(),
        }
    }

    fn random(widths: &[usize], activation: Activation, seed: u64) -> Self {
        let mut weights = Vec::new();
        let mut masks = Vec::new();
        for (at, pair) in widths.windows(2).enumerate() {
            let mut values = vec![0.0; pair[0] * pair[1]];
            crate::sample::Stream::of_position(seed, at as u64).normals(0, &mut values);
            masks.push(values.iter().map(|value| u8::from(value.abs() > 0.4)).collect::<Vec<_>>());
            weights.push(values);
        }
        let weights: Vec<_> = weights.iter().map(Vec::as_slice).collect();
        let masks: Vec<_> = masks.iter().map(Vec::as_slice).collect();
        let mut network = Self::new(widths, &weights, &masks, activation);
        for (at, bias) in network.biases.iter_mut().enumerate().step_by(2) {
            let mut values = vec![0.0; widths[at + 1]];
            crate::sample::Stream::of_position(seed, 100 + at as u64).normals(0, &mut values);
            *bias = Some(values);
        }
        network
    }

    fn value(&self, x: &[f64], pruned: bool) -> Vec<f64> {
        let mut x = x.to_vec();
        for at in 0..self.weights.len() {
            let width = self.widths[at];
            let row = |(number, row): (usize, &[u64])| {
                let mask = &self.masks[at][number * width..][..width];
                let terms = row.iter().zip(mask).zip(&x);
                let sum: f64 = terms
                    .map(
                        |((&bits, &kept), x)| {
                            if pruned && kept == 0 { 0.0 } else { f64::from_bits(bits) * x }
                        },
                    )
                    .sum();
                self.activations[at].value(sum + self.biases[at].as_ref().map_or(0.0, |bias| bias[number])).0
            };
            x = self.weights[at].chunks(width).enumerate().map(row).collect();
        }
        x
    }

    fn gap(&self, x: &[f64]) -> f64 {
        let [a, b] = [false, true].map(|pruned| self.value(x, pruned));
        a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    }

    fn certificate(&self, radius: f64, center: Option<&[f64]>, joint: bool, sweeps: usize) -> Certificate {
        self.certificate_as(None, radius, center, joint, sweeps)
    }

    /// The certificate of its layers, or of convolutions with these weights.
    fn certificate_as(
        &self,
        geometry: Option<Geometry>,
        radius: f64,
        center: Option<&[f64]>,
        joint: bool,
        sweeps: usize,
    ) -> Certificate {
        let arrays: Vec<_> = self
            .weights
            .iter()
            .map(|bits| Array {
                name: "weights".to_owned(),
                dtype: crate::dtype::DType::F64,
                bits: Bits::W64(bits),
                kept: None,
            })
            .collect();
        let source = arrays.as_slice();
        let layers: Vec<_> = (0..arrays.len())
            .map(|at| {
                let shape = [self.widths[at + 1], self.widths[at]];
                let mask = Some(Mask::Bytes(&self.masks[at]));
                let matrix = Matrix::new(&source, at, shape, mask, Part::All).expect("the shapes fit");
                Layer::Affine(weights(matrix, geometry, self.biases[at].as_deref()), self.activations[at])
            })
            .collect();
        let network = super::Network::chain(self.widths[0], layers);
        let options = Options { radius, center, joint, sweeps, settings: Settings::default() };
        certify(&network, options, &Switches::default().context()).expect("numbers")
    }
}

fn weights<'a>(matrix: Matrix<'a>, geometry: Option<Geometry>, bias: Option<&'a [f64]>) -> Box<Weights<'a>> {
    Box::new(Weights { matrix, geometry, bias, roundings: 0, bias_error: 0.0 })
}

/// Points of the ball: its centre, and random ones on its surface.
fn points(center: &[f64], radius: f64, count: u64) -> impl Iterator<Item = Vec<f64>> + '_ {
    (0..count).map(move |number| {
        let mut direction = vec![0.0; center.len()];
        crate::sample::Stream::of_position(number, 7).normals(0, &mut direction);
        let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        let factor = if number == 0 { 0.0 } else { radius / norm };
        center.iter().zip(direction).map(|(c, x)| c + factor * x).collect()
    })
}

#[test]
fn no_input_of_the_ball_has_a_larger_gap() {
    for (number, activation) in activation::tests::ALL.into_iter().enumerate() {
        let network = Network::random(&[4, 6, 5, 3], activation, number as u64);
        let mut center = vec![0.0; 4];
        crate::sample::Stream::of_position(number as u64, 9).normals(0, &mut center);
        for radius in [0.0, 1e-3, 1.0, 10.0] {
            let bounds: Vec<_> = [(false, 0), (true, 0), (true, 3)]
                .into_iter()
                .map(|(joint, sweeps)| network.certificate(radius, Some(&center), joint, sweeps).epsilon)
                .collect();
            assert!(bounds.iter().all(|bound| bound.kind == Kind::Certified));
            for x in points(&center, radius, 40) {
                let gap = network.gap(&x);
                assert!(
                    bounds.iter().all(|bound| gap <= bound.value * (1.0 + 1e-12)),
                    "{activation:?} {radius}"
                );
            }
            if radius == 0.0 {
                let gap = network.gap(&center);
                assert!(bounds[0].value <= gap + 1e-10 * (1.0 + gap), "{activation:?}: {gap} {bounds:?}");
            }
        }
    }
}

#[test]
fn one_layer_without_a_center_has_the_norm_of_what_was_removed() {
    let network = Network::new(&[2, 2], &[&[1.0, 3.0, 7.0, 4.0]], &[&[1, 0, 1, 0]], Activation::Relu);
    let certificate = network.certificate(2.0, None, true, 0);
    assert!(certificate.epsilon.value >= 10.0 && certificate.epsilon.value <= 10.0 * (1.0 + 1e-12));
    assert_eq!(certificate.steps[0].rule, "original");
}

#[test]
fn nothing_pruned_is_no_gap() {
    let mut network = Network::random(&[4, 6, 5, 3], Activation::Gelu, 3);
    network.masks.iter_mut().for_each(|mask| mask.fill(1));
    for radius in [0.0, 1.0] {
        assert!(network.certificate(radius, Some(&[1.0; 4]), true, 2).epsilon.value == 0.0);
    }
}

/// At a centre where terms cancel, the computed states are no measure of the exact ones.
#[test]
fn cancelling_centers_are_covered() {
    let center = [1e16, 1.0, -1e16];
    let network = Network::new(&[3, 1], &[&[1.0, 1.0, 1.0]], &[&[0, 0, 0]], Activation::Relu);
    assert!(network.certificate(0.0, Some(&center), true, 0).epsilon.value >= 1.0);
    let network =
        Network::new(&[3, 1, 1], &[&[1.0, 1.0, 1.0], &[3.0]], &[&[0, 0, 0], &[1]], Activation::Identity);
    assert!(network.certificate(0.0, Some(&center), true, 0).epsilon.value >= 3.0);
    let center = [1e8, 1e-9, -1e8];
    let network = Network::new(&[3, 1], &[&[1.0, 1.0, 1.0]], &[&[0, 0, 0]], Activation::Relu);
    assert!(network.certificate(0.0, Some(&center), true, 0).epsilon.value >= 1e-9);
}

#[test]
fn badly_scaled_networks_are_helped_by_diagonal_weights() {
    // The same function as with ones, but for the order of the sums.
    let weights: [&[f64]; 2] = [&[1e4, 0.0, 0.0, 1e-4], &[1e-4, 0.0, 0.0, 1e4]];
    let network = Network::new(&[2, 2, 2], &weights, &[&[0, 1, 1, 1], &[1; 4]], Activation::Relu);
    let plain = network.certificate(1.0, None, true, 0).epsilon.value;
    let balanced = network.certificate(1.0, None, true, 3).epsilon.value;
    assert!(plain >= 1e7 && (1.0..2.0).contains(&balanced), "{plain} {balanced}");
}

#[test]
fn convolutions_of_one_place_are_linear_layers() {
    let network = Network::random(&[4, 6, 5, 3], Activation::Tanh, 21);
    let geometry = Geometry {
        kernel: [1; 2],
        groups: 1,
        stride: [1; 2],
        dilation: [1; 2],
        image: [1; 2],
        padding: [[0; 2]; 2],
        circular: false,
    };
    for center in [None, Some([1.0, -2.0, 0.5, 0.0].as_slice())] {
        let conv = network.certificate_as(Some(geometry), 2.0, center, false, 0).epsilon.value;
        let linear = network.certificate(2.0, center, false, 0).epsilon.value;
        assert!((conv - linear).abs() <= linear * 1e-9, "{conv} {linear}");
    }
}

/// `x + B x` with a mask that removes the second column of `B = (1, 2)`.
#[test]
fn branches_add_to_what_they_branch_from() {
    let bits = [1.0_f64, 2.0].map(f64::to_bits);
    let array = [Array {
        name: "branch".to_owned(),
        dtype: crate::dtype::DType::F64,
        bits: Bits::W64(&bits),
        kept: None,
    }];
    let source = array.as_slice();
    let mask = Some(Mask::Bytes(&[1, 0]));
    let matrix = Matrix::new(&source, 0, [1, 2], mask, Part::All).expect("the shapes fit");
    let node = |layer, inputs: &[usize]| Node { layer, inputs: inputs.to_vec() };
    let linear = Layer::Affine(weights(matrix, None, None), Activation::Identity);
    let both = Layer::Map(Map::Copies(&[0, 0]));
    for (join, gap, state) in [
        (Layer::Sum, 6.0 * 2.0_f64.sqrt(), 3.0 + 3.0 * 10.0_f64.sqrt()),
        (Layer::Concatenation, 6.0 * 2.0_f64.sqrt(), 3.0 * 11.0_f64.sqrt()),
    ] {
        let nodes = vec![node(linear.clone(), &[0]), node(both.clone(), &[1]), node(join, &[0, 2])];
        let network = super::Network { inputs: 2, nodes };
        let options =
            Options { radius: 3.0, center: None, joint: true, sweeps: 2, settings: Settings::default() };
        let certificate = certify(&network, options, &Switches::default().context()).expect("numbers");
        assert!((gap..gap + 1e-9).contains(&certificate.epsilon.value), "{certificate:?}");
        assert!((state..state + 1e-9).contains(&certificate.steps[2].state), "{certificate:?}");
    }
}

#[test]
fn states_that_do_not_fit_are_named() {
    let node = |layer, inputs: &[usize]| Node { layer, inputs: inputs.to_vec() };
    let options =
        Options { radius: 3.0, center: None, joint: true, sweeps: 2, settings: Settings::default() };
    for (layer, inputs) in [
        (Layer::Map(Map::Copies(&[0, 4])), vec![0]),
        (Layer::Map(Map::Softmax(Softmax { len: 3, log: false })), vec![0]),
        (
            Layer::Map(Map::Scale(Scale { factors: &[1.0], shifts: &[0.0], roundings: 0, shift_error: 0.0 })),
            vec![0],
        ),
        (Layer::Sum, vec![0, 1]),
    ] {
        let nodes = vec![node(Layer::Map(Map::Copies(&[0])), &[0]), node(layer, &inputs)];
        let nodes = if inputs.len() == 1 { nodes[1..].to_vec() } else { nodes };
        let network = super::Network { inputs: 4, nodes };
        let error = certify(&network, options, &Switches::default().context()).expect_err("they do not fit");
        assert!(matches!(error, crate::Error::LengthMismatch { .. }), "{error}");
    }
}

/// Each output by its definition, through the padded image.
fn convolved(kernel: &[f64], geometry: &Geometry, x: &[f64]) -> Vec<f64> {
    let Geometry { kernel: [height, width], groups, stride, dilation, image, padding, circular } = *geometry;
    let [rows, columns] = image.map(|len| len as isize);
    let channels = x.len() / (image[0] * image[1]) / groups;
    let taps = channels * height * width;
    let outputs = kernel.len() / taps;
    let [high, wide] = geometry.outputs();
    let mut values = Vec::new();
    for output in 0..outputs {
        for (row, column) in (0..high).flat_map(|row| (0..wide).map(move |column| (row, column))) {
            let mut sum = 0.0;
            for tap in 0..taps {
                let (channel, down, across) = (tap / (height * width), tap / width % height, tap % width);
                let mut place = [
                    (row * stride[0] + down * dilation[0]) as isize - padding[0][0] as isize,
                    (column * stride[1] + across * dilation[1]) as isize - padding[1][0] as isize,
                ];
                if circular {
                    place = [place[0].rem_euclid(rows), place[1].rem_euclid(columns)];
                }
                if (0..rows).contains(&place[0]) && (0..columns).contains(&place[1]) {
                    let channel = output / (outputs / groups) * channels + channel;
                    let line = channel * image[0] + place[0] as usize;
                    sum += kernel[output * taps + tap] * x[line * image[1] + place[1] as usize];
                }
            }
            values.push(sum);
        }
    }
    values
}

#[test]
fn convolutions_are_what_they_are_defined_as() {
    let numbers = |seed, len| {
        let mut values = vec![0.0; len];
        crate::sample::Stream::of_position(seed, 5).normals(0, &mut values);
        values
    };
    for (seed, circular) in (0..24).flat_map(|seed| [(seed, false), (seed, true)]) {
        let pick = |shift: u64, many: u64| 1 + (seed >> shift) as usize % many as usize;
        let (groups, kernel, dilation) = (pick(0, 2), [pick(1, 3), 2], [1, pick(2, 2)]);
        let reach = [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1));
        let zeros = [[3, 1], [0, 2]];
        let geometry = Geometry {
            kernel,
            groups,
            stride: [pick(3, 2), pick(0, 3)],
            dilation,
            image: [5, 4],
            padding: if circular { reach.map(|reach| [reach / 2, reach - reach / 2]) } else { zeros },
            circular,
        };
        let (rows, columns) = (4, 3 * kernel[0] * kernel[1]);
        let (values, x) = (numbers(seed, rows * columns), numbers(seed + 99, 3 * groups * 20));
        let bits: Vec<_> = values.iter().map(|value| value.to_bits()).collect();
        let bias = numbers(seed + 7, rows);
        let array = [Array {
            name: "kernel".to_owned(),
            dtype: crate::dtype::DType::F64,
            bits: Bits::W64(&bits),
            kept: None,
        }];
        let source = array.as_slice();
        let matrix = Matrix::new(&source, 0, [rows, columns], None, Part::All).expect("the shapes fit");
        let layer = weights(matrix, Some(geometry), Some(&bias));
        assert_eq!((layer.inputs(), layer.check(0).is_ok()), (x.len(), true));
        let (found, lost) =
            layer.product(Part::All, &x, true, None, &Switches::default().context()).expect("numbers");
        let expected = convolved(&values, &geometry, &x);
        assert_eq!((found.len(), layer.outputs()), (expected.len(), expected.len()));
        let places = expected.len() / rows;
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected - bias[at / places]).abs() <= lost.get(), "{geometry:?}");
        }
        assert!(lost.get() < 1e-12);
    }
}

/// Where a mean cancels, the error says so: the group is (1, 0, 1) less its mean, not what is computed.
#[test]
fn errors_of_maps_cover_cancelling_groups() {
    let far = [1e16, 1.0, -1e16];
    let cases: [(Map<'_>, f64); 3] = [
        (Map::Means(vec![Means::adaptive(3, 1)]), 1.0 / 3.0),
        (
            Map::Normalization(Normalization {
                len: 3,
                centered: true,
                epsilon: 1e30,
                gain: None,
                shift: None,
            }),
            0.0,
        ),
        (Map::Softmax(Softmax { len: 3, log: true }), 0.0),
    ];
    for (map, least) in cases {
        let (values, error) = map.value(&far);
        assert!(values.iter().all(|value| value.is_finite()));
        assert!(error.get() >= least && error.get() < f64::INFINITY, "{map:?} {error:?}");
    }
    // Softmax of equal entries is exact to its roundings; their logarithm too.
    for (log, expected) in [(false, 0.25), (true, -(4.0_f64.ln()))] {
        let (values, error) = Map::Softmax(Softmax { len: 4, log }).value(&[7.0; 4]);
        assert!(values.iter().all(|value| (value - expected).abs() <= error.get()));
        assert!(error.get() < 1e-11);
    }
}
