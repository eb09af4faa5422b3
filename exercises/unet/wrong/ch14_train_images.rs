//! Slips in feeding Algorithm 1.

use super::slip;
use crate::train::rng_streams::{Purpose, generator};
use ddpm::network::cosine_learning_rate;
use ndarray_rand::rand::{Rng, seq::SliceRandom};
use solution::{
    images::pixels,
    train::{gradient, optimizer, rng_streams},
};

pub fn from_byte(byte: u8) -> f32 {
    match slip("from_byte") {
        "of_0_to_1" => f32::from(byte) / 255.0,
        "of_256_steps" => f32::from(byte) / 128.0 - 1.0,
        "centred_on_a_byte" => (f32::from(byte) - 128.0) / 127.5,
        "upside_down" => 1.0 - f32::from(byte) / 127.5,
        _ => pixels::from_byte(byte),
    }
}

pub fn learning_rate(step: usize, steps: usize, warm_up: usize, base: f64) -> f64 {
    let rising = step < warm_up;
    match slip("learning_rate") {
        "first_step_stands_still" if rising => base * step as f64 / warm_up as f64,
        "no_rise" if rising => base,
        "cosine_from_the_first_step" if !rising => cosine_learning_rate(step, steps, base),
        "falls_too_slowly" if !rising => cosine_learning_rate(step - warm_up, steps, base),
        "falls_in_a_straight_line" if !rising => {
            base * steps.saturating_sub(step) as f64 / steps.saturating_sub(warm_up).max(1) as f64
        }
        "rises_past_its_base" if rising => base * (step + 2) as f64 / warm_up as f64,
        _ => optimizer::learning_rate(step, steps, warm_up, base),
    }
}

pub fn draw_time(steps: usize, rng: &mut impl Rng) -> usize {
    match slip("draw_time") {
        "from_0" => rng.random_range(0..steps),
        "0_and_t_both" => rng.random_range(0..=steps),
        "never_t" if steps > 1 => rng.random_range(1..steps),
        "more_at_the_ends" => (1.0 + rng.random_range(0.0..1.0_f64) * (steps as f64 - 1.0)).round() as usize,
        _ => rng_streams::draw_time(steps, rng),
    }
}

pub fn epoch_order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    match slip("epoch_order") {
        "the_files_order" => (0..count).collect(),
        "the_same_every_epoch" => rng_streams::epoch_order(count, seed, 0),
        "seed_forgotten" => rng_streams::epoch_order(count, 0, epoch),
        "seed_and_epoch_added" => rng_streams::epoch_order(count, seed + epoch, 0),
        "the_examples_generator" => {
            let mut order: Vec<usize> = (0..count).collect();
            order.shuffle(&mut generator(seed, Purpose::Example, epoch));
            order
        }
        "with_replacement" => {
            let mut rng = generator(seed, Purpose::Order, epoch);
            (0..count).map(|_| rng.random_range(0..count)).collect()
        }
        "turned_round" => {
            let start = generator(seed, Purpose::Order, epoch).random_range(0..count);
            (0..count).map(|place| (start + place) % count).collect()
        }
        "one_missing" => rng_streams::epoch_order(count, seed, epoch).into_iter().skip(1).collect(),
        "swapped_with_anyone" => {
            let mut rng = generator(seed, Purpose::Order, epoch);
            let mut order: Vec<usize> = (0..count).collect();
            (0..count).for_each(|place| order.swap(place, rng.random_range(0..count)));
            order
        }
        "half_shuffled" => {
            let mut order: Vec<usize> = (0..count).collect();
            order[count / 2..].shuffle(&mut generator(seed, Purpose::Order, epoch));
            order
        }
        _ => rng_streams::epoch_order(count, seed, epoch),
    }
}

pub fn place_in_epochs(example: u64, count: usize) -> (u64, usize) {
    let (epoch, place) = rng_streams::place_in_epochs(example, count);
    match slip("place_in_epochs") {
        "swapped" => (place as u64, epoch as usize),
        "epochs_from_1" => (epoch + 1, place),
        "begins_anew" => (0, place),
        "one_too_far" => rng_streams::place_in_epochs(example + 1, count),
        "a_gap_between_epochs" => rng_streams::place_in_epochs(example, count + 1),
        _ => (epoch, place),
    }
}

pub fn accumulate(total: &mut [f32], chunk: &[f32], images: usize, batch: usize) {
    match slip("accumulate") {
        "sum_of_the_means" => gradient::accumulate(total, chunk, 1, 1),
        "mean_over_chunks" => gradient::accumulate(total, chunk, 1, batch.div_ceil(images)),
        "weight_turned_round" => gradient::accumulate(total, chunk, batch, images),
        "overwrites" => {
            total.fill(0.0);
            gradient::accumulate(total, chunk, images, batch);
        }
        "divided_by_the_batch" => gradient::accumulate(total, chunk, 1, batch),
        _ => gradient::accumulate(total, chunk, images, batch),
    }
}
