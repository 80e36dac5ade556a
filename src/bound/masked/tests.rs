use super::*;
use crate::bound::shape::Shape;
use crate::bound::testing::assert_close;

fn masked(family: Family, (rows, cols): (usize, usize), pruning: Pruning) -> Masked {
    Masked::new(Arc::new(Dense::new(Shape::dense(rows, cols), family)), pruning)
}

/// `ln E ||X||^{2p}` of the reference values: weights of variance 1/64.
fn part(family: Family, pruning: Pruning, part: Part, p: usize) -> f64 {
    let scale: f64 = if family == Family::Uniform { 3.0 / 64.0 } else { 1.0 / 64.0 };
    masked(family, (64, 64), pruning).ln_norm(part, p) + p as f64 * scale.ln()
}

#[test]
fn norms_match_the_reference() {
    use Family::{Normal, Uniform};
    use Part::{Kept, Pruned};
    let (magnitude, random) = (Pruning::Magnitude(2048), Pruning::Random(2048));
    let dense = |family| Dense::new(Shape::dense(64, 64), family);
    assert_close(dense(Uniform).ln_norm(16) + 16.0 * (3.0_f64 / 64.0).ln(), 21.920_028_401_039);
    assert_close(dense(Normal).ln_norm(16) - 16.0 * 64.0_f64.ln(), 21.920_028_401_039);
    assert_close(dense(Normal).ln_cone_norm(16, true, true) - 16.0 * 64.0_f64.ln(), 14.368_433_891_605_3);
    assert_close(part(Uniform, magnitude, Pruned, 16), -10.661_645_551_706_9);
    assert_close(part(Normal, magnitude, Pruned, 16), -19.224_221_862_070_2);
    assert_close(part(Uniform, magnitude, Kept, 16), 19.837_172_026_129_3);
    assert_close(part(Normal, magnitude, Kept, 16), 21.312_451_759_268_6);
    assert_close(part(Uniform, random, Pruned, 16), 11.391_171_421_439_1);
    assert_close(part(Normal, random, Pruned, 16), 13.474_622_210_291_3);
    assert_close(part(Uniform, random, Kept, 16), 11.391_171_421_439_1);
    assert_close(part(Normal, random, Kept, 16), 13.474_622_210_291_3);
    assert_close(part(Uniform, Pruning::Magnitude(409), Pruned, 12), -59.656_621_349_855_4);
    assert_close(part(Uniform, Pruning::Random(4), Pruned, 6), -14.742_178_386_510_2);
}

#[test]
fn joint_norms_match_the_reference() {
    let joint = |pruning| {
        let (ln_norm, c) = masked(Family::Uniform, (64, 64), pruning).ln_joint_norm(8);
        assert!(c > 0.0);
        ln_norm + 8.0 * (3.0_f64 / 64.0).ln()
    };
    assert_close(joint(Pruning::Random(2048)), 9.446_948_996_896_25);
    assert_close(joint(Pruning::Magnitude(2048)), 14.065_676_719_995_4);
}
