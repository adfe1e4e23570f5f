//! Weights of the Lanczos kernel of three lobes, widened for shrinking.

use std::ops::Range;

/// Lobes of the kernel on each side.
pub(super) const LOBES: f64 = 3.0;

/// Which samples along one axis make up each scaled sample, and with which weights.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Axis {
    /// First source sample of each scaled one; never falls.
    first: Vec<u32>,
    /// `taps` weights for each scaled sample; they add up to 1.
    weights: Vec<f32>,
    taps: usize,
}

impl Axis {
    /// `scaled` samples that cover the interval from `start` to `end`, made of the source samples in `source`. The interval
    /// may reach beyond these; what lies outside has no weight.
    pub(in crate::engine) fn new(source: Range<usize>, (start, end): (f64, f64), scaled: u32) -> Self {
        let step = (end - start) / f64::from(scaled);
        let stretch = step.max(1.0);
        let reach = if is_identity(step, start) { 0.5 } else { LOBES * stretch };
        let taps = ((2.0 * reach).ceil() as usize + 1).min(source.len());
        let kernel = Kernel::new(stretch);
        let mut axis = Self { first: Vec::new(), weights: Vec::new(), taps };
        let mut weights = vec![0.0; taps];
        for index in 0..scaled {
            let center = start + (f64::from(index) + 0.5) * step;
            let lowest = (center - reach + 0.5).floor().max(0.0) as usize;
            let first = lowest.clamp(source.start, source.end - taps);
            let distance = first as f64 + 0.5 - center;
            if reach == 0.5 {
                nearest(distance, &mut weights);
            } else {
                kernel.fill(distance, &mut weights);
            }
            axis.push(first, distance, &weights);
        }
        axis
    }

    /// Adds a scaled sample; `distance` is that of its first source sample from its middle.
    fn push(&mut self, first: usize, distance: f64, weights: &[f64]) {
        let sum: f64 = weights.iter().sum();
        self.first.push(first as u32);
        if sum.abs() < 1e-6 {
            // Nothing of the source is near: the nearest sample stands for it.
            let nearest = if distance > 0.0 { 0 } else { self.taps - 1 };
            self.weights.extend((0..self.taps).map(|at| f32::from(u8::from(at == nearest))));
        } else {
            self.weights.extend(weights.iter().map(|weight| (weight / sum) as f32));
        }
    }

    /// Number of scaled samples.
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    /// The source samples that any scaled one is made of.
    pub(in crate::engine) fn needed(&self) -> Range<usize> {
        let start = self.first.first().map_or(0, |first| *first as usize);
        let end = self.first.last().map_or(0, |first| *first as usize + self.taps);
        start..end
    }

    /// The first source sample of a scaled one, and the weights from there on.
    pub(super) fn taps_of(&self, index: usize) -> (usize, &[f32]) {
        (self.first[index] as usize, &self.weights[index * self.taps..(index + 1) * self.taps])
    }

    /// Most scaled samples that wait for source samples at one time, where these come in groups: a scaled sample whose
    /// last source sample went in may stand until the group is full.
    pub(super) fn overlap(&self, group: usize) -> usize {
        let end = |at: usize| self.first[at] as usize + self.taps + group - 1;
        let mut oldest = 0;
        let mut most = 0;
        for at in 0..self.len() {
            while end(oldest) <= self.first[at] as usize {
                oldest += 1;
            }
            most = most.max(at + 1 - oldest);
        }
        most
    }
}

/// Whether scaled samples fall onto source samples one by one.
fn is_identity(step: f64, start: f64) -> bool {
    (step - 1.0).abs() < 1e-9 && (start - start.round()).abs() < 1e-9
}

/// A weight for the source sample that a scaled one falls onto.
fn nearest(distance: f64, weights: &mut [f64]) {
    for (tap, weight) in weights.iter_mut().enumerate() {
        *weight = f64::from(u8::from((distance + tap as f64).abs() < 0.5));
    }
}

/// sinc(x) sinc(x / 3) inside three lobes, for samples that are 1/`stretch` apart.
struct Kernel {
    stretch: f64,
    /// Sine and cosine of π / 3 of the distance between two samples.
    turn: (f64, f64),
}

impl Kernel {
    fn new(stretch: f64) -> Self {
        Self { stretch, turn: (std::f64::consts::FRAC_PI_3 / stretch).sin_cos() }
    }

    /// The weights of samples the first of which is `distance` from the middle, in samples.
    ///
    /// The angle is turned on from sample to sample, and sin 3a = 3 sin a − 4 sin³ a, so that one sine does for all.
    fn fill(&self, distance: f64, weights: &mut [f64]) {
        let (sine_of_turn, cosine_of_turn) = self.turn;
        let (mut sine, mut cosine) = (distance / self.stretch * std::f64::consts::FRAC_PI_3).sin_cos();
        for (tap, weight) in weights.iter_mut().enumerate() {
            let x = (distance + tap as f64) / self.stretch;
            let angle = x * std::f64::consts::FRAC_PI_3;
            *weight = match x.abs() {
                LOBES.. => 0.0,
                ..1e-6 => 1.0,
                _ => sine * (3.0 - 4.0 * sine * sine) * sine / (3.0 * angle * angle),
            };
            (sine, cosine) =
                (sine * cosine_of_turn + cosine * sine_of_turn, cosine * cosine_of_turn - sine * sine_of_turn);
        }
    }
}
